//! The daemon from start to end.

use crate::caller::{Caller, Clients};
use crate::config::{self, Config};
use crate::jobs::keep::{self, STATE_DIR};
use crate::jobs::{adopt, end, lost, start};
use crate::kernel::event::{Down, Event};
use crate::kernel::{module, Device};
use crate::node::Node;
use crate::peer::serve;
use crate::tasks;
use crate::wire::{Problem, Wire};
use crate::{client, homes, local, memory, moves, nfs, restarts, tick, wire};
use anyhow::{Context, Result};
use holon_api::rows::EventRow;
use holon_api::SOCKET_PATH;
use holon_uapi::proc as uapi;
use nix::sys::mman::{mlockall, MlockAllFlags};
use nix::unistd::{chown, Gid, Uid};
use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const HELPER: &str = "/usr/libexec/holon/holon-restore";

/// Runs the daemon; returns only on an error.
pub fn run() -> Result<()> {
    let config = Config::load(Path::new(config::PATH))?;
    stay_in_memory();
    homes::unshare()?;
    fs::create_dir_all(STATE_DIR).with_context(|| format!("can't make {STATE_DIR}"))?;
    fs::create_dir_all("/run/holon").context("can't make /run/holon")?;
    let (device, wire) = match connect(&config) {
        Ok((device, wire)) => (Ok(device), wire),
        Err(problem) => {
            log::error!("{problem}");
            log::error!("without the module jobs run here, but nothing can move");
            (Err(problem), Wire::new(Some(Problem::NoModule)))
        }
    };
    let node = Node::new(config, device, wire, Path::new(STATE_DIR));
    node.state().jobs.note_number(keep::read_number_max());
    local::read_cordon(&node);
    if let Some(device) = &node.device {
        memory::knobs::apply(&node.config.memory);
        memory::pressure::start(device);
    }
    adopt::run(&node);
    if let Some(device) = node.device.clone() {
        for slot in device.peers_up()? {
            lost::on_peer_up(&node, slot);
        }
        // The jobs that an earlier daemon left; with others around they may be started there.
        lost::fence_own(&node);
        let reader = node.clone();
        std::thread::Builder::new()
            .name("events".into())
            .spawn(move || read_events(&reader, &device))?;
    }
    let worker = node.clone();
    std::thread::Builder::new().name("tick".into()).spawn(move || tick::run(&worker))?;
    listen(&node)
}

/// What it has used of its program and data stays: a node that is short of memory is one that has
/// the most to do for it.
fn stay_in_memory() {
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    if let Err(errno) = mlockall(MlockAllFlags::from_bits_retain(flags)) {
        log::warn!("the daemon's memory may be taken from it: {}", errno.desc());
    }
}

/// Loads the module, tells it who we are, and becomes its daemon.
fn connect(config: &Config) -> Result<(Arc<Device>, Wire), String> {
    module::ensure()?;
    let open = || -> Result<(Arc<Device>, Wire)> {
        let device = Device::open()?;
        device.check_version()?;
        device.attach()?;
        let wire = plug_in(config, &device)?;
        // A file of its own for helpers, so that what one of them does can't end our attachment.
        let spare = Device::open()?;
        match File::open(HELPER) {
            Ok(helper) => {
                if let Err(errno) = device.helper_set(helper.as_fd(), &spare) {
                    log::error!("HELPER_SET: {errno}: processes can't come home");
                }
            }
            Err(error) => log::error!("{HELPER}: {error}: processes can't come home"),
        }
        if let Err(error) = restarts::teach(&device) {
            log::warn!("a move may end a sleeping call with EINTR: {error:#}");
        }
        Ok((Arc::new(device), wire))
    };
    open().map_err(|error| format!("{error:#}"))
}

/// Lets the module talk, if what it says is protected as `nodes.toml` wants it.
fn plug_in(config: &Config, device: &Device) -> Result<Wire> {
    let problem = match wire::set_up(config) {
        Ok(binding) => {
            device.configure(config, binding)?;
            None
        }
        Err(problem) => {
            log::error!("no peer is talked to: {problem}");
            Some(problem)
        }
    };
    Ok(Wire::new(problem))
}

fn read_events(node: &Arc<Node>, device: &Device) {
    loop {
        match device.read_events() {
            Ok(events) => {
                for event in events {
                    on_event(node, event);
                }
            }
            Err(error) => {
                log::error!("/dev/holon: {error}: giving up");
                std::process::exit(1);
            }
        }
    }
}

fn on_event(node: &Arc<Node>, event: Event) {
    match event {
        Event::PeerUp(slot) => lost::on_peer_up(node, slot),
        Event::PeerDown(slot, reason) => lost::on_peer_down(node, slot, reason),
        Event::Message(slot, part) => {
            if let Some(incoming) = node.rpc.take(slot, &part) {
                serve::on_incoming(node, incoming);
            }
        }
        Event::Restore(restore) => {
            let node = node.clone();
            tasks::spawn(move || start::restore(&node, &restore));
        }
        Event::Migrated(migrated) => moves::on_migrated(node, migrated),
        Event::Process(process) => on_process(node, &process),
        Event::PageLost(lost) => {
            let node = node.clone();
            tasks::spawn(move || memory::on_lost(&node, &lost));
        }
        Event::Lost => {
            log::warn!("the module had more events than we read: looking at the peers again");
            look_at_peers(node);
            lost::exchange_all(node);
        }
    }
}

fn look_at_peers(node: &Arc<Node>) {
    let Some(device) = &node.device else { return };
    let Ok(up) = device.peers_up() else { return };
    let known: Vec<u32> = node.state().up.iter().copied().collect();
    for slot in known.iter().filter(|slot| !up.contains(slot)) {
        lost::on_peer_down(node, *slot, Down::Unnoticed);
    }
    for slot in up {
        lost::on_peer_up(node, slot);
    }
}

fn on_process(node: &Arc<Node>, event: &uapi::EvProcess) {
    let process = end::process(event.job, event.pid);
    let other = Some(node.config.name(event.slot));
    let (kind, from, to) = match event.what {
        // The ordinary end of a body is no news: its surrogate tells it.
        uapi::PEV_EXITED => return,
        uapi::PEV_NODE_LOST => {
            node.state().lost.insert((event.job, process.pid));
            ("node-lost", other, None)
        }
        uapi::PEV_ORIGIN_LOST => ("origin-lost", other, None),
        uapi::PEV_PLACED => ("placed", None, other),
        uapi::PEV_PLACED_AGAIN => ("placed-again", None, other),
        _ => ("process", other, None),
    };
    node.note(EventRow {
        kind: kind.into(),
        process: Some(process),
        job: Some(event.job),
        from,
        to,
        ..EventRow::default()
    });
}

/// Exports this node's tree. Clients are answered meanwhile, but ready is only whose jobs can be
/// seen from other nodes, or never can.
fn export(node: &Arc<Node>) -> Result<()> {
    let node = node.clone();
    std::thread::Builder::new().name("nfs".into()).spawn(move || {
        if let Err(error) = nfs::export(&node.config) {
            log::error!("jobs of this home can't be seen from other nodes: {error:#}");
        }
        log::info!("{} (slot {}) is ready", node.name(), node.own());
        tell_systemd("READY=1");
    })?;
    Ok(())
}

fn listen(node: &Arc<Node>) -> Result<()> {
    let _ = fs::remove_file(SOCKET_PATH);
    let listener = UnixListener::bind(SOCKET_PATH).context("can't listen")?;
    // Anybody may ask; who may do what is decided by the caller's uid.
    fs::set_permissions(SOCKET_PATH, Permissions::from_mode(0o666))?;
    chown(SOCKET_PATH, Some(Uid::from_raw(0)), Some(Gid::from_raw(0)))?;
    export(node)?;
    let clients = Arc::new(Clients::default());
    for socket in listener.incoming() {
        match socket {
            Ok(socket) => admit(node, &clients, socket),
            Err(error) => {
                log::warn!("accept: {error}");
                // Out of descriptors, most likely: the next try would fail at once too.
                std::thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
    Ok(())
}

/// Serves a client, if there is room for it; who is too much sees us hang up.
fn admit(node: &Arc<Node>, clients: &Arc<Clients>, socket: UnixStream) {
    let Ok(caller) = Caller::of(&socket) else { return };
    let Some(seat) = clients.admit(caller.uid) else { return };
    let node = node.clone();
    tasks::spawn(move || {
        client::serve(&node, socket, caller);
        drop(seat);
    });
}

fn tell_systemd(word: &str) {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else {
        return;
    };
    let socket = UnixDatagram::unbound();
    if let Err(error) = socket.and_then(|socket| socket.send_to(word.as_bytes(), path)) {
        log::warn!("systemd was not told: {error}");
    }
}
