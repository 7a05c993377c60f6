//! The binary format at the head of the kernel's list.

use core::{marker::PhantomData, ptr::NonNull};

use rust_alloc::vec::Vec;

use crate::{
    alloc::zeroed_vec,
    errno::{to_code, Errno, Result},
    fileref::FileRef,
    global::Global,
    module::Unloading,
    own::Own,
    panic::poisoned,
    raw,
};

/// An exec that goes on.
pub struct Bprm<'a>(NonNull<raw::linux_binprm>, PhantomData<&'a mut ()>);

/// Names and strings of an exec.
pub struct Strings {
    /// argv's strings, then envp's, each with its terminating zero; more may follow.
    pub bytes: Vec<u8>,
    /// How many are argv's.
    pub argc: usize,
    /// How many are envp's.
    pub envc: usize,
}

/// Who answers execs. `ENOEXEC`: not ours, the kernel goes on.
pub trait Loader: Sync {
    /// The file is an image with this number.
    fn image(&self, own: &Own, bprm: Bprm<'_>, image: u64) -> Result;
    /// The file is an ELF binary and placement is on.
    fn exec(&self, own: &Own, bprm: Bprm<'_>) -> Result;
}

static LOADER: Global<&'static dyn Loader> = Global::new();

/// The registered format; dropping it takes it away.
pub struct Format(());

impl Format {
    /// Puts it at the head of the kernel's list.
    pub fn new(loader: &'static dyn Loader) -> Result<Self> {
        LOADER.set(loader)?;
        // SAFETY: the shim's format is static and registered once.
        Errno::check(unsafe { raw::kpi_binfmt_register() }).map(|_| Self(()))
    }

    /// Ends it for good.
    pub fn end(self, token: &Unloading) {
        drop(self);
        LOADER.clear(token);
    }
}

impl Drop for Format {
    fn drop(&mut self) {
        // SAFETY: registered by `new`.
        unsafe { raw::kpi_binfmt_unregister() }
    }
}

/// Whether execs of ELF binaries are shown to the loader.
pub fn placement(on: bool) {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_placement(on) }
}

/// The calling task's binary format, for [`Bprm::keep_format`].
pub struct FormatOfTask(*mut core::ffi::c_void);

impl Bprm<'_> {
    /// The name that was executed.
    pub fn name(&self) -> Result<Vec<u8>> {
        let mut name = zeroed_vec(raw::KPI_FILE_NAME_LEN_MAX as usize)?;
        // SAFETY: a live exec, a buffer of that length.
        let n = unsafe { raw::kpi_bprm_name(self.0.as_ptr(), name.as_mut_ptr(), name.len()) };
        name.truncate(Errno::check_len(n)?);
        Ok(name)
    }

    /// The file that is executed.
    pub fn file(&self) -> Result<FileRef> {
        // SAFETY: a live exec, which holds its file; we take a reference of our own.
        unsafe {
            let file = raw::kpi_bprm_file(self.0.as_ptr());
            raw::kpi_file_get(file);
            FileRef::from_raw(file).ok_or(Errno::EBADF)
        }
    }

    /// Arguments and environment.
    pub fn strings(&self, len_max: usize) -> Result<Strings> {
        let mut bytes = zeroed_vec(len_max)?;
        let (mut argc, mut envc) = (0, 0);
        // SAFETY: a live exec, a buffer of that length, writable integers.
        let n = unsafe {
            raw::kpi_bprm_args(
                self.0.as_ptr(),
                bytes.as_mut_ptr(),
                bytes.len(),
                &raw mut argc,
                &raw mut envc,
            )
        };
        bytes.truncate(Errno::check_len(n)?);
        Ok(Strings { bytes, argc: argc as usize, envc: envc as usize })
    }

    /// The calling task's format, before [`Bprm::begin`].
    pub fn format_now(&self) -> FormatOfTask {
        // SAFETY: own context, which an exec is.
        FormatOfTask(unsafe { raw::kpi_binfmt_current() })
    }

    /// Has the task written up by that format again, if it dumps core.
    pub fn keep_format(&self, format: &FormatOfTask) {
        // SAFETY: own context; the format was the task's before.
        unsafe { raw::kpi_binfmt_set(format.0) }
    }

    /// The point of no return: gives the task an empty address space. An error ends the task.
    pub fn begin(&self, personality: u32) -> Result {
        // SAFETY: a live exec.
        Errno::check(unsafe { raw::kpi_bprm_begin(self.0.as_ptr(), personality) }).map(drop)
    }

    /// User mode goes on at `ip`, with these values in rbx, r12 and r14.
    pub fn start(&self, ip: u64, rbx: u64, r12: u64, r14: u64) -> Result {
        // SAFETY: a live exec after `begin`.
        Errno::check(unsafe { raw::kpi_bprm_start(self.0.as_ptr(), ip, rbx, r12, r14) }).map(drop)
    }
}

fn with_loader(
    bprm: *mut raw::linux_binprm,
    call: impl FnOnce(&dyn Loader, &Own, Bprm<'_>) -> Result,
) -> i32 {
    let (Some(loader), Some(bprm), false) = (LOADER.get(), NonNull::new(bprm), poisoned()) else {
        return Errno::ENOEXEC.code();
    };
    // SAFETY: only called by the loaders below, which the kernel calls in the task's own context.
    let own = unsafe { Own::new() };
    to_code(call(*loader, &own, Bprm(bprm, PhantomData)))
}

/// # Safety
/// The kernel's call of a binary format.
#[no_mangle]
unsafe extern "C" fn kapi_image_load(bprm: *mut raw::linux_binprm, image: u64) -> i32 {
    with_loader(bprm, |loader, own, bprm| loader.image(own, bprm, image))
}

/// # Safety
/// The kernel's call of a binary format.
#[no_mangle]
unsafe extern "C" fn kapi_exec(bprm: *mut raw::linux_binprm) -> i32 {
    with_loader(bprm, |loader, own, bprm| loader.exec(own, bprm))
}
