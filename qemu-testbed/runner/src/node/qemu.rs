//! QEMU's command line. Only what both QEMU 7.2 and 10 have.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::image::disk::Image;
use crate::node::qmp::Qmp;
use crate::node::tsc;
use crate::process;

const PROGRAM: &str = "qemu-system-x86_64";
/// On the kernel's command line of every guest. Mitigations cost much under emulation and protect
/// nobody here; the TSC is what QEMU itself keeps steady.
const KERNEL_ARGS: &str = "console=ttyS0 loglevel=6 root=/dev/vda rw net.ifnames=0 \
                           mitigations=off tsc=reliable random.trust_cpu=on";

/// The emulated processor. Not what makes it slow: without ERMS and FSRM the kernel clears and
/// copies pages by words. Emulated, a string instruction goes byte by byte, and if code was ever
/// translated from the page, each of these stores looks through all of its translations.
const CPU: &str = "max,la57=off,svm=off,erms=off,fsrm=off";

/// Where a guest's memory lives.
#[derive(Clone, Debug)]
pub(crate) enum Memory {
    /// Plain memory.
    Fresh,
    /// A file that becomes the memory of a template.
    Template(PathBuf),
    /// A template's memory and the rest of its state, to make another template of.
    Derive {
        /// A copy of the template's memory, to be changed.
        memory: PathBuf,
        /// The state of its devices.
        state: PathBuf,
    },
    /// A copy-on-write view of a template's memory, and the rest of its state.
    Restore {
        /// The template's memory.
        memory: PathBuf,
        /// The state of its devices.
        state: PathBuf,
    },
}

/// The second network card's other end.
#[derive(Clone, Debug)]
pub(crate) enum Cluster {
    /// The switch's socket.
    Switch(PathBuf),
    /// Nothing: a template is alone.
    Unplugged,
}

/// All that differs between guests.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    /// What it boots.
    pub image: Image,
    /// 1 and on; 0 for a template.
    pub node: usize,
    /// Memory in MiB.
    pub mem_mb: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Its own disk, an overlay.
    pub disk: PathBuf,
    /// Where the serial console goes.
    pub serial: PathBuf,
    /// QEMU's own messages.
    pub log: PathBuf,
    /// QEMU's control socket.
    pub qmp: PathBuf,
    /// The host's port for the guest's sshd.
    pub ssh_port: u16,
    /// Memory.
    pub memory: Memory,
    /// Network.
    pub cluster: Cluster,
}

/// Starts a guest, from its saved state if it has one. It ends with the calling thread.
pub(crate) fn launch(guest: &Guest) -> Result<(Child, Qmp)> {
    let mut child = spawn(guest)?;
    let connected = Qmp::connect(&guest.qmp).and_then(|mut qmp| {
        match &guest.memory {
            Memory::Restore { state, .. } | Memory::Derive { state, .. } => qmp.restore(state)?,
            Memory::Fresh | Memory::Template(_) => {}
        }
        Ok(qmp)
    });
    match connected {
        Ok(qmp) => Ok((child, qmp)),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            let log = fs::read_to_string(&guest.log).unwrap_or_default();
            Err(error).with_context(|| format!("node{} does not start: {log}", guest.node))
        }
    }
}

fn spawn(guest: &Guest) -> Result<Child> {
    let _ = fs::remove_file(&guest.qmp);
    let log = fs::File::options().create(true).append(true).open(&guest.log)?;
    let mut command = Command::new(PROGRAM);
    command.args(arguments(guest)).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    process::bind_to_parent(&mut command);
    command.spawn().with_context(|| format!("start {PROGRAM}"))
}

fn arguments(guest: &Guest) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut put = |option: &str, value: String| args.extend([option.to_owned(), value]);
    put("-name", format!("node{}", guest.node));
    let (accelerator, cpu) = match has_kvm() {
        true => ("kvm", "host"),
        false => ("tcg,thread=multi", CPU),
    };
    put("-machine", "q35,usb=off,vmport=off,memory-backend=ram0".into());
    put("-accel", accelerator.into());
    put("-cpu", cpu.into());
    put("-smp", guest.cpus.to_string());
    put("-m", guest.mem_mb.to_string());
    put("-object", memory(guest));
    put("-kernel", guest.image.kernel().display().to_string());
    put("-initrd", guest.image.initramfs().display().to_string());
    put("-append", format!("{KERNEL_ARGS}{} testbed.node={}", clock(), guest.node));
    let disk = guest.disk.display();
    put("-drive", format!("file={disk},format=qcow2,if=none,id=disk0,cache=unsafe,discard=unmap"));
    put("-device", "virtio-blk-pci,drive=disk0".into());
    put("-device", "virtio-rng-pci".into());
    put("-device", "vmgenid,guid=auto".into());
    let forward = format!("hostfwd=tcp:127.0.0.1:{}-:22", guest.ssh_port);
    put("-netdev", format!("user,id=mgmt,ipv6=off,restrict=on,{forward}"));
    put("-device", "virtio-net-pci,netdev=mgmt,mac=52:54:00:88:00:01,romfile=".into());
    put("-netdev", cluster(&guest.cluster));
    put("-device", "virtio-net-pci,netdev=cluster,mac=52:54:00:77:00:00,romfile=".into());
    let serial = guest.serial.display();
    put("-chardev", format!("file,id=serial0,path={serial},append=on"));
    put("-serial", "chardev:serial0".into());
    put("-qmp", format!("unix:{},server=on,wait=off", guest.qmp.display()));
    if matches!(guest.memory, Memory::Restore { .. } | Memory::Derive { .. }) {
        put("-incoming", "defer".into());
    }
    args.extend(["-nodefaults", "-no-user-config"].map(str::to_owned));
    args.extend(["-display", "none"].map(str::to_owned));
    args
}

fn memory(guest: &Guest) -> String {
    let size = format!("id=ram0,size={}M", guest.mem_mb);
    match &guest.memory {
        Memory::Fresh => format!("memory-backend-ram,{size}"),
        Memory::Template(memory) | Memory::Derive { memory, .. } => {
            format!("memory-backend-file,{size},share=on,mem-path={}", memory.display())
        }
        Memory::Restore { memory, .. } => {
            format!("memory-backend-file,{size},share=off,mem-path={}", memory.display())
        }
    }
}

fn cluster(cluster: &Cluster) -> String {
    match cluster {
        Cluster::Switch(socket) => {
            format!("stream,id=cluster,server=off,addr.type=unix,addr.path={}", socket.display())
        }
        // A hub without another port has no state of its own that would have to be there again
        // where the guest is restored: a newer QEMU refuses that of a second `user`.
        Cluster::Unplugged => "hubport,id=cluster,hubid=0".into(),
    }
}

/// What the kernel is told of its clock.
fn clock() -> String {
    if has_kvm() {
        String::new()
    } else {
        format!(" tsc_early_khz={}", tsc::khz())
    }
}

/// KVM only where the CPU itself shows virtualization: `/dev/kvm` alone does not mean that a
/// guest boots.
fn has_kvm() -> bool {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpu.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let shown = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    shown && fs::File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

/// What a saved state depends on besides the image: QEMU itself and how it is called.
pub(crate) fn fingerprint() -> Result<&'static str> {
    static VERSION: OnceLock<String> = OnceLock::new();
    if let Some(known) = VERSION.get() {
        return Ok(known);
    }
    let version = process::output(Command::new(PROGRAM).arg("--version"))?;
    let first = version.lines().next().unwrap_or_default();
    // A saved clock is of no use on a host of another rate.
    let kvm =
        if has_kvm() { "kvm".into() } else { format!("tcg {}", tsc::khz().div_ceil(100_000)) };
    Ok(VERSION.get_or_init(|| format!("{first} {kvm} {CPU} {KERNEL_ARGS} devices-4")))
}

/// Makes a disk that keeps only what differs from `base`.
pub(crate) fn overlay(base: &Path, format: &str, path: &Path) -> Result<()> {
    let _ = fs::remove_file(path);
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", "qcow2", "-F", format, "-b"]).arg(base).arg(path);
    process::output(&mut command)?;
    Ok(())
}

/// A port of the host's loopback that is free now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
