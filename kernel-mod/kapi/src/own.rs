//! What only a task itself can do: read and write its own state at the edge to user mode, change
//! its address space and its files.

use core::{marker::PhantomData, time::Duration};

use rust_alloc::vec::Vec;

use crate::{
    alloc::zeroed_vec,
    errno::{Errno, Result},
    fileref::FileRef,
    raw,
    task::MmInfo,
};

/// A signal's disposition.
pub use crate::raw::kpi_action as Action;
/// Limits of a process, by their numbers.
pub use crate::raw::kpi_limits as Limits;
/// The call that is to be restarted.
pub use crate::raw::kpi_restart as Restart;
/// The pages of a restorer.
pub use crate::raw::kpi_restorer as Restorer;
/// A pending signal, or one to be sent.
pub use crate::raw::kpi_siginfo as SigInfo;
/// The pages of a surrogate's stub.
pub use crate::raw::kpi_stub as Stub;
/// Addresses and masks that the kernel holds for a thread.
pub use crate::raw::kpi_thread_state as ThreadState;
pub use crate::raw::{
    KPI_RESTART_FUTEX as RESTART_FUTEX, KPI_RESTART_NANOSLEEP as RESTART_NANOSLEEP,
    KPI_RESTART_NONE as RESTART_NONE, KPI_RESTART_OTHER as RESTART_OTHER,
    KPI_RESTART_POLL as RESTART_POLL,
};

/// Where in the stub's data page the command line begins.
pub const STUB_ARGS_AT: usize = raw::KPI_STUB_ARGS_AT as usize;
/// The longest command line of a surrogate.
pub const STUB_ARGS_LEN_MAX: usize = raw::KPI_STUB_ARGS_LEN_MAX as usize;
/// The score of what the OOM killer never takes.
pub const OOM_NEVER: i32 = raw::KPI_OOM_NEVER;
/// Words of `user_regs_struct`.
pub const REGS: usize = raw::KPI_REGS as usize;
/// Signals of Linux.
pub const SIGNALS: usize = 64;

/// Proof that the caller is a user task inside a call of its own into the kernel.
pub struct Own(PhantomData<*mut ()>);

/// A signal for a surrogate.
pub enum ForSurrogate {
    /// To be forwarded.
    Forward(SigInfo),
    /// A stop: forward it, then return to user mode so that the kernel stops the task.
    Stop(SigInfo),
    /// The task is being killed.
    Dying,
    /// There is none.
    Nothing,
}

impl Own {
    /// # Safety
    /// The calling context is a user task's, and stays it while the value lives.
    pub(crate) unsafe fn new() -> Self {
        Self(PhantomData)
    }

    /// Turns an EINTR that only our wake-up made into a restart of the call.
    pub fn mend_syscall(&self) {
        // SAFETY: own context, as all calls below.
        unsafe { raw::kpi_syscall_mend() }
    }

    /// Registers at the edge to user mode.
    pub fn regs(&self) -> Result<[u64; REGS]> {
        let mut regs = [0; REGS];
        // SAFETY: own context; REGS words.
        Errno::check(unsafe { raw::kpi_regs_get(regs.as_mut_ptr()) })?;
        Ok(regs)
    }

    /// Extended processor state.
    pub fn xstate(&self) -> Result<Vec<u8>> {
        // SAFETY: own context.
        let len = unsafe { raw::kpi_xstate_len() };
        let mut data = zeroed_vec(len as usize)?;
        // SAFETY: own context; `len` bytes.
        Errno::check(unsafe { raw::kpi_xstate_get(data.as_mut_ptr(), len) })?;
        Ok(data)
    }

    /// The call that is to be restarted.
    pub fn restart(&self) -> Restart {
        let mut restart = Restart::default();
        // SAFETY: own context; a writable structure.
        unsafe { raw::kpi_restart_get(&raw mut restart) };
        restart
    }

    /// Sets the call that is to be restarted; `ENOENT` if this kernel can't.
    pub fn set_restart(&self, restart: &Restart) -> Result {
        // SAFETY: own context; a whole structure.
        Errno::check(unsafe { raw::kpi_restart_set(restart) }).map(drop)
    }

    /// Shows the dispositions of signals 1 to 64, in order.
    pub fn each_action(&self, each: impl FnMut(&Action)) -> Result {
        let mut actions = Vec::new();
        actions.try_reserve_exact(SIGNALS)?;
        actions.resize(SIGNALS, Action::default());
        // SAFETY: own context; 64 entries.
        unsafe { raw::kpi_actions_get(actions.as_mut_ptr()) };
        actions.iter().for_each(each);
        Ok(())
    }

    /// Sets the dispositions of signals 1 to 64; `EINVAL` for another number of them.
    pub fn set_actions(&self, from: impl Iterator<Item = Action>) -> Result {
        let mut actions = Vec::new();
        actions.try_reserve_exact(SIGNALS)?;
        actions.extend(from.take(SIGNALS));
        if actions.len() != SIGNALS {
            return Err(Errno::EINVAL);
        }
        // SAFETY: own context; 64 entries.
        unsafe { raw::kpi_actions_set(actions.as_ptr()) };
        Ok(())
    }

    /// Masks and addresses.
    pub fn thread_state(&self) -> ThreadState {
        let mut state = ThreadState::default();
        // SAFETY: own context; a writable structure.
        unsafe { raw::kpi_thread_state_get(&raw mut state) };
        state
    }

    /// Sets masks and addresses.
    pub fn set_thread_state(&self, state: &ThreadState) {
        // SAFETY: own context; a whole structure.
        unsafe { raw::kpi_thread_state_set(state) }
    }

    /// Forgets the addresses in user memory.
    pub fn clear_thread_state(&self) {
        // SAFETY: own context.
        unsafe { raw::kpi_thread_state_clear() }
    }

    /// Pending signals, oldest first within each queue.
    pub fn pending(&self, count_max: u32) -> Result<Vec<SigInfo>> {
        let mut list: Vec<SigInfo> = Vec::new();
        list.try_reserve_exact(count_max as usize)?;
        list.resize(count_max as usize, SigInfo::default());
        // SAFETY: own context; room for that many.
        let n = unsafe { raw::kpi_pending_get(list.as_mut_ptr(), count_max) };
        list.truncate(Errno::check_len(n)?);
        Ok(list)
    }

    /// The first of the pending signals, so many at most.
    pub fn some_pending(&self, count_max: u32) -> Result<Vec<SigInfo>> {
        let mut list: Vec<SigInfo> = Vec::new();
        list.try_reserve_exact(count_max as usize)?;
        list.resize(count_max as usize, SigInfo::default());
        // SAFETY: own context; room for that many.
        let n = unsafe { raw::kpi_pending_some(list.as_mut_ptr(), count_max) };
        list.truncate(Errno::check_len(n)?);
        Ok(list)
    }

    /// Takes one instance of each out of the queues.
    pub fn drop_pending(&self, list: &[SigInfo]) {
        // SAFETY: own context; that many entries.
        unsafe { raw::kpi_pending_drop(list.as_ptr(), list.len() as u32) }
    }

    /// Sends signals to the task itself, as they were when they were pending elsewhere.
    pub fn send_self(&self, list: &[SigInfo]) {
        let Ok(task) = crate::task::Task::current() else {
            return;
        };
        for signal in list {
            // A signal that is not valid here was refused by the image's decoder.
            let _ = task.signal(signal);
        }
    }

    /// Whether the task is already ending.
    pub fn exiting(&self) -> bool {
        // SAFETY: no condition on the caller.
        unsafe { raw::kpi_current_exiting() }
    }

    /// Maps the stub of a surrogate.
    pub fn map_stub(&self) -> Result<Stub> {
        let mut stub = Stub::default();
        // SAFETY: own context; a writable structure.
        Errno::check(unsafe { raw::kpi_stub_map(&raw mut stub) })?;
        Ok(stub)
    }

    /// Calls something that the limits of the process must not stop: address space, descriptors.
    pub fn without_limits<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut saved = Limits::default();
        // SAFETY: own context; a writable structure.
        unsafe { raw::kpi_limits_lift(&raw mut saved) };
        let result = call();
        self.set_limits(&saved);
        result
    }

    /// Lifts those limits for good.
    pub fn lift_limits(&self) {
        let mut before = Limits::default();
        // SAFETY: own context; a writable structure.
        unsafe { raw::kpi_limits_lift(&raw mut before) };
    }

    /// Sets all limits but that of processor time, which only a system call can.
    pub fn set_limits(&self, limits: &Limits) {
        // SAFETY: own context; a whole structure.
        unsafe { raw::kpi_limits_set(limits) };
    }

    /// Unmaps what the kernel mapped by itself: the vDSO and its data.
    pub fn unmap_special(&self) -> Result {
        // SAFETY: own context.
        Errno::check(unsafe { raw::kpi_unmap_special() }).map(drop)
    }

    /// The command line that others see, as far as a surrogate can show it.
    pub fn arguments(&self) -> Result<Vec<u8>> {
        let mut args = zeroed_vec(STUB_ARGS_LEN_MAX)?;
        // SAFETY: own context; a buffer of that length.
        let n = unsafe { raw::kpi_args_get(args.as_mut_ptr(), args.len() as u32) };
        args.truncate(Errno::check_len(n)?);
        Ok(args)
    }

    /// Others see this command line from now on; each argument ends with a zero.
    pub fn show_arguments(&self, stub: &Stub, args: &[u8]) -> Result {
        // SAFETY: own context; the stub is mapped; that many bytes.
        Errno::check(unsafe { raw::kpi_args_set(stub, args.as_ptr(), args.len() as u32) }).map(drop)
    }

    /// Sets how gladly the OOM killer takes the process; what that was before.
    pub fn set_oom_score(&self, score: i32) -> i32 {
        // SAFETY: own context.
        unsafe { raw::kpi_oom_score_set(score) }
    }

    /// User mode goes on in the stub.
    pub fn enter_stub(&self, stub: &Stub, fd: u32) {
        // SAFETY: own context; the stub is mapped.
        unsafe { raw::kpi_stub_enter(stub, fd) }
    }

    /// Unmaps all but the stub.
    pub fn unmap_all_but(&self, stub: &Stub) -> Result {
        // SAFETY: own context.
        Errno::check(unsafe { raw::kpi_unmap_all_but(stub) }).map(drop)
    }

    /// Every signal is queued and none acts; all are blocked.
    pub fn become_deaf(&self) {
        // SAFETY: own context.
        unsafe { raw::kpi_surrogate_signals() }
    }

    /// Lets all signals wake the task, or none.
    pub fn listen(&self, open: bool) {
        // SAFETY: own context.
        unsafe { raw::kpi_surrogate_mask(open) }
    }

    /// The next signal of a surrogate.
    pub fn surrogate_signal(&self) -> ForSurrogate {
        let mut info = SigInfo::default();
        // SAFETY: own context; a writable structure.
        match unsafe { raw::kpi_surrogate_signal(&raw mut info) } {
            1 => ForSurrogate::Forward(info),
            2 => ForSurrogate::Stop(info),
            3 => ForSurrogate::Dying,
            _ => ForSurrogate::Nothing,
        }
    }

    /// The kernel stops the task when it returns to user mode.
    pub fn stop(&self) {
        // SAFETY: own context.
        unsafe { raw::kpi_stop_self() }
    }

    /// The task ends, when it returns to user mode, with this wait status and these times added.
    pub fn exit(&self, status: i32, utime_ns: u64, stime_ns: u64) {
        // SAFETY: own context.
        unsafe { raw::kpi_exit_self(status, utime_ns, stime_ns) }
    }

    /// Closes all files.
    pub fn close_all(&self) {
        // SAFETY: own context.
        unsafe { raw::kpi_fds_close_all() }
    }

    /// Closes one.
    pub fn close(&self, fd: u32) -> Result {
        // SAFETY: own context.
        Errno::check(unsafe { raw::kpi_fd_close(fd) }).map(drop)
    }

    /// Gives the task a descriptor for a file.
    pub fn install(&self, file: &FileRef, flags: u32) -> Result<u32> {
        // SAFETY: own context; a live file.
        Errno::check(unsafe { raw::kpi_fd_install(file.as_raw(), flags) })
    }

    /// Has exec close a descriptor.
    pub fn set_cloexec(&self, fd: u32) {
        // SAFETY: own context.
        unsafe { raw::kpi_cloexec_set(fd) }
    }

    /// Sets the numbers of the address space.
    pub fn set_mm_info(&self, info: &MmInfo) {
        // SAFETY: own context; a whole structure.
        unsafe { raw::kpi_mm_info_set(info) }
    }

    /// Sets the command name, which ends in a zero.
    pub fn set_comm(&self, comm: &[u8; 16]) {
        // SAFETY: own context; 16 bytes.
        unsafe { raw::kpi_comm_set(comm.as_ptr()) }
    }

    /// Maps at a fixed place that must be free. `prot` and `flags` as for `mmap`.
    pub fn map(
        &self,
        start: u64,
        len: u64,
        prot: u64,
        flags: u64,
        file: Option<(&FileRef, u64)>,
    ) -> Result {
        let (file, page_off) =
            file.map_or((core::ptr::null_mut(), 0), |(file, off)| (file.as_raw(), off));
        // SAFETY: own context; a live file or none.
        Errno::check(unsafe { raw::kpi_map(start, len, prot, flags, file, page_off) }).map(drop)
    }

    /// Sets `VM_*` hints of a mapping that was just made, as `madvise` would. `EINVAL` if the
    /// kernel has made it a part of another one.
    pub fn hint(&self, start: u64, end: u64, flags: u64) -> Result {
        // SAFETY: own context.
        Errno::check(unsafe { raw::kpi_vma_hint(start, end, flags) }).map(drop)
    }

    /// Unmaps.
    pub fn unmap(&self, start: u64, len: u64) -> Result {
        // SAFETY: own context.
        Errno::check(unsafe { raw::kpi_unmap(start, len) }).map(drop)
    }

    /// Writes into the own memory, also where the program may not.
    pub fn poke(&self, addr: u64, data: &[u8]) -> Result {
        // SAFETY: own context; that many bytes.
        Errno::check(unsafe { raw::kpi_poke(addr, data.as_ptr(), data.len()) }).map(drop)
    }

    /// Maps the restorer.
    pub fn map_restorer(&self) -> Result<Restorer> {
        let mut restorer = Restorer::default();
        // SAFETY: own context; a writable structure.
        Errno::check(unsafe { raw::kpi_restorer_map(&raw mut restorer) })?;
        Ok(restorer)
    }

    /// Unmaps the restorer.
    pub fn unmap_restorer(&self, restorer: &Restorer) -> Result {
        // SAFETY: own context; a whole structure.
        Errno::check(unsafe { raw::kpi_restorer_unmap(restorer) }).map(drop)
    }

    /// Gives the restorer the vector state that it is to load; `EOPNOTSUPP` if this processor
    /// could not.
    pub fn feed_restorer(&self, restorer: &Restorer, xstate: &[u8]) -> Result {
        let len = u32::try_from(xstate.len()).map_err(|_| Errno::EINVAL)?;
        // SAFETY: own context; a whole structure and `len` bytes.
        Errno::check(unsafe { raw::kpi_restorer_feed(restorer, xstate.as_ptr(), len) }).map(drop)
    }

    /// Replaces what is shown as the executable.
    pub fn set_exe(&self, exe: &FileRef) -> Result {
        // SAFETY: own context; a live file.
        Errno::check(unsafe { raw::kpi_exe_set(exe.as_raw()) }).map(drop)
    }
}

/// Runs what belongs in the calling task's own context. `EPERM` for a thread of the kernel.
pub fn in_control_call<T>(call: impl FnOnce(&Own) -> Result<T>) -> Result<T> {
    // SAFETY: no condition on the caller.
    if unsafe { raw::kpi_mm_current() }.is_null() {
        return Err(Errno::EPERM);
    }
    // SAFETY: a task with an address space of its own is a user's, and we are in a call of it.
    let own = unsafe { Own::new() };
    call(&own)
}

/// The present time of one of the kernel's clocks, 0 for one that it does not keep.
pub fn clock_now(clock: i32) -> u64 {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_clock_of(clock) }
}

/// A duration in whole nanoseconds, for deadlines.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Which kinds of restarts this kernel's functions are known for: bit `RESTART_x`.
pub fn restarts_known() -> u32 {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_restart_known() }
}
