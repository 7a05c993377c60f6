//! Brings an instance up and takes it down.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use rustix::process::{setsid, Pid, Signal};

use super::client::Instance;
use super::control::{self, Boot, Config, Encryption, NODES_MAX};
use super::ready;
use crate::image::{self, template};
use crate::node::qemu;
use crate::ui::{self, Step};

/// How many and how large.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Nodes.
    pub nodes: usize,
    /// Memory of each in MiB.
    pub mem_mb: u32,
    /// Virtual CPUs of each.
    pub cpus: u32,
}

/// What is put into the guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Holon, as far as the tree has it.
    Holon,
    /// Holon as it was last built.
    LastBuild,
    /// Nothing: a plain Debian.
    Bare,
}

/// How long a supervisor may take to open its socket.
const SUPERVISOR_MAX: Duration = Duration::from_secs(30);

/// Brings up a cluster that is tied to the returned connection until `detach`.
pub(crate) fn up(
    dir: &Path,
    size: Size,
    seed: u64,
    payload: Payload,
    encryption: Encryption,
) -> Result<Instance> {
    if size.nodes == 0 || size.nodes > NODES_MAX {
        bail!("a cluster has 1 to {NODES_MAX} nodes");
    }
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    let dir = &dir.canonicalize()?;
    if Instance::open(dir).is_ok() {
        bail!("a cluster is up in {} already (`cargo testbed down` ends it)", dir.display());
    }
    let image = image::prepare(crate::host::Consent::Ask)?;
    let packages = match payload {
        Payload::Holon => crate::build::packages(&image)?,
        Payload::LastBuild => crate::build::last()?,
        Payload::Bare => Vec::new(),
    };
    let shape = template::Shape { mem_mb: size.mem_mb, cpus: size.cpus };
    let template = template::with_packages(&image, shape, &packages)?;

    let step = Step::start(format!("start {} nodes (seed {seed})", size.nodes));
    let ssh_ports = (0..size.nodes).map(|_| qemu::free_port()).collect::<Result<_>>()?;
    let config = Config {
        dir: dir.to_owned(),
        sockets: control::socket_dir(dir),
        nodes: size.nodes,
        mem_mb: size.mem_mb,
        cpus: size.cpus,
        seed,
        ssh_ports,
        template: template.dir,
        has_holond: packages.iter().any(|package| package.ends_with("holond.deb")),
        encryption,
    };
    let mut instance = supervise(&config)?;
    instance.tie()?;
    let mut boots = vec![Boot::Warm; size.nodes];
    for (node, boot) in (1..).zip(&mut boots) {
        if let Err(error) = instance.start(node, Boot::Warm) {
            ui::note(format!("{error:#}; it boots cold instead"));
            *boot = Boot::Cold;
            instance.start(node, Boot::Cold)?;
        }
    }
    ready::all(&instance, &boots)?;
    step.done();
    Ok(instance)
}

/// Ends an instance, or clears up after one that was killed.
pub(crate) fn down(dir: &Path) -> Result<()> {
    let Ok(config) = Config::load(dir) else {
        return Ok(());
    };
    if let Ok(mut instance) = Instance::open(dir) {
        let pid = instance.status()?.supervisor_pid;
        instance.shutdown()?;
        await_end(pid)?;
    }
    let _ = fs::remove_dir_all(&config.sockets);
    for node in 1..=config.nodes {
        for suffix in ["qcow2", ready::PRIVATE_KEY, ready::PUBLIC_KEY] {
            let _ = fs::remove_file(config.file(node, suffix));
        }
    }
    let _ = fs::remove_file(dir.join("instance.json"));
    Ok(())
}

/// Starts the supervisor, a process in a session of its own.
fn supervise(config: &Config) -> Result<Instance> {
    let _ = fs::remove_dir_all(&config.sockets);
    fs::DirBuilder::new().mode(0o700).create(&config.sockets)?;
    for node in 1..=config.nodes {
        for suffix in ["serial.log", "qemu.log", ready::PRIVATE_KEY, ready::PUBLIC_KEY] {
            let _ = fs::remove_file(config.file(node, suffix));
        }
    }
    config.store()?;
    let log_path = config.dir.join("supervisor.log");
    let log = File::create(&log_path)?;
    // By this name, for a rebuild may have replaced the file that we were started from.
    let mut command = Command::new("/proc/self/exe");
    command.arg("--dir").arg(&config.dir).arg("supervise");
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let session = || setsid().map(drop).map_err(Into::into);
    // SAFETY: between fork and exec the closure only makes one system call.
    unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, session) };
    let mut child = command.spawn().context("start the supervisor")?;

    let started = Instant::now();
    while UnixStream::connect(config.control()).is_err() {
        let ended = child.try_wait()?;
        if ended.is_some() || started.elapsed() > SUPERVISOR_MAX {
            let _ = child.kill();
            let said = fs::read_to_string(&log_path).unwrap_or_default();
            bail!("the supervisor does not start: {said}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    Instance::open(&config.dir)
}

/// Waits until a process that was told to end has ended.
fn await_end(pid: u32) -> Result<()> {
    use rustix::process::{pidfd_open, PidfdFlags};
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return Ok(());
    };
    let mut waiting = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    if rustix::event::poll(&mut waiting, Some(&limit))? == 0 {
        rustix::process::kill_process(pid, Signal::KILL)?;
    }
    Ok(())
}
