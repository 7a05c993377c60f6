//! From image to exec.

use super::{context, files};
use crate::kernel::process::Image;
use crate::kernel::Device;
use crate::sys;
use ckpt::{Body, Manifest};
use holon_uapi::proc as uapi;
use nix::errno::Errno;
use nix::fcntl::{fcntl, AtFlags, FcntlArg, FdFlag};
use nix::sys::memfd::{memfd_create, MFdFlags};
use nix::sys::signal::{sigprocmask, SigSet, SigmaskHow};
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

/// Descriptors of ours are at least so high, above nearly every program's.
const OWN_FD_MIN: u32 = 1000;

/// Where and why it failed.
#[derive(Debug)]
struct Failed {
    step: u32,
    errno: Errno,
}

fn at(step: u32) -> impl Fn(Errno) -> Failed {
    move |errno| Failed { step, errno }
}

/// Whether the process is made anew or takes its place at the origin again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A fresh child of the job's init, with root's identity.
    Fresh,
    /// The process's own surrogate, with its identity.
    Home,
}

/// In a fresh child of a job's init: becomes the process, or ends.
pub(crate) fn run(device: &Device, image: u64) -> ! {
    let Ok(own) = device.as_fd().try_clone_to_owned() else { std::process::exit(1) };
    restore(Device::from_fd(own), image, Place::Fresh)
}

/// In a surrogate that execed `holon-restore`: becomes the process, or the surrogate again.
pub fn run_at_home(image: u64, device_fd: i32) -> ! {
    let Ok(own) = sys::take_fd(device_fd) else { std::process::exit(1) };
    restore(Device::from_fd(own), image, Place::Home)
}

fn restore(mut device: Device, image: u64, place: Place) -> ! {
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
    let mut own = std::panic::AssertUnwindSafe(&mut device);
    let result = std::panic::catch_unwind(move || become_process(&mut own, image, place));
    let failed = match result {
        Ok(Ok(never)) => match never {},
        Ok(Err(failed)) => failed,
        Err(_) => Failed { step: uapi::FAIL_STEP_CONTEXT, errno: Errno::EFAULT },
    };
    // At home this call does not come back: the task is the surrogate again.
    let _ = device.image_fail(image, failed.errno as i32, failed.step);
    std::process::exit(1)
}

fn become_process(device: &mut Device, image: u64, place: Place) -> Result<Infallible, Failed> {
    let bad_manifest = at(uapi::FAIL_STEP_MANIFEST);
    let image = device.image_attach(image).map_err(&bad_manifest)?;
    let bytes = device.image_read(&image).map_err(&bad_manifest)?;
    let manifest = Manifest::decode(&bytes).map_err(|_| bad_manifest(Errno::EBADMSG))?;
    drop(bytes);
    let own_fd_min = own_fd_min(&manifest);
    raise(device, own_fd_min).map_err(at(uapi::FAIL_STEP_FILES))?;
    files::open_all(device, &manifest.files, own_fd_min).map_err(at(uapi::FAIL_STEP_FILES))?;
    context::set(&manifest, place).map_err(at(uapi::FAIL_STEP_CONTEXT))?;
    match &manifest.body {
        Body::Live(_) => exec_image(&image, &manifest).map_err(at(uapi::FAIL_STEP_EXEC)),
        Body::Exec(exec) => {
            match device.exec_go(image.id) {
                Ok(()) => {}
                Err(Errno::ECANCELED) => std::process::exit(0),
                Err(errno) => return Err(at(uapi::FAIL_STEP_EXEC)(errno)),
            }
            exec_program(exec)
        }
    }
}

/// The lowest number for descriptors of ours: above all of the process's.
fn own_fd_min(manifest: &Manifest) -> u32 {
    let highest = manifest.files.fds.iter().map(|fd| fd.fd).max().unwrap_or(0);
    OWN_FD_MIN.max(highest.saturating_add(1))
}

/// The device under a high number, and nothing below it. It is the same that a failure is told by.
fn raise(device: &mut Device, min: u32) -> nix::Result<()> {
    context::make_room_for_fds(min)?;
    let number = i32::try_from(min).map_err(|_| Errno::EMFILE)?;
    let high = fcntl(&*device, FcntlArg::F_DUPFD_CLOEXEC(number))?;
    let own = sys::take_fd(high).map_err(|_| Errno::EBADF)?;
    *device = Device::from_fd(own);
    sys::close_range(0, min - 1)
}

/// Execs a file that says which image to load.
fn exec_image(image: &Image, manifest: &Manifest) -> nix::Result<Infallible> {
    let file: OwnedFd = memfd_create(c"holon-image", MFdFlags::MFD_CLOEXEC)?;
    let high = fcntl(&file, FcntlArg::F_DUPFD_CLOEXEC(i32::try_from(OWN_FD_MIN).unwrap_or(0)))?;
    drop(file);
    let mut file: std::fs::File = sys::take_fd(high).map_err(|_| Errno::EBADF)?.into();
    let mut bytes = uapi::IMAGE_MAGIC.to_vec();
    bytes.extend_from_slice(&image.id.to_le_bytes());
    file.write_all(&bytes).map_err(|_| Errno::EIO)?;
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    let name = CString::new(manifest.task.comm.as_slice()).map_err(|_| Errno::EINVAL)?;
    let none: [&CStr; 0] = [];
    nix::unistd::execveat(file.as_fd(), c"", &[name], &none, AtFlags::AT_EMPTY_PATH)
}

/// Execs a program that was placed here. From here on a failure is the program's own.
fn exec_program(exec: &ckpt::object::exec::Exec) -> ! {
    let strings = |list: &[ckpt::Bytes]| -> Vec<CString> {
        list.iter().filter_map(|s| CString::new(s.as_slice()).ok()).collect()
    };
    let (argv, envp) = (strings(&exec.argv), strings(&exec.envp));
    let errno = match CString::new(exec.path.as_slice()) {
        Err(_) => Errno::EINVAL,
        Ok(path) => match context::set_signals(exec.blocked, exec.ignored) {
            Err(errno) => errno,
            Ok(()) => {
                let Err(errno) = nix::unistd::execve(&path, &argv, &envp);
                errno
            }
        },
    };
    std::process::exit(if errno == Errno::ENOENT { 127 } else { 126 })
}
