//! The surrogate's life: its stub's call, its signals, its end.

use alloc::{sync::Arc, vec::Vec};

use kapi::{
    alloc::copied_vec,
    ctl::{self, Ctl},
    own::{ForSurrogate, Own, Stub, OOM_NEVER, STUB_ARGS_AT, STUB_ARGS_LEN_MAX},
    uaccess,
    wait::Mode,
    Errno, Result,
};
use netproto::AttemptId;

use super::{
    again,
    record::{Ended, Helping, Record},
    signals, state,
};
use crate::port::net;

/// Turns the calling task, wherever it came from, into the surrogate of a record. On an error it
/// is in no state to go on and must end.
#[inline(never)]
pub(crate) fn become_one(own: &Own, record: &Arc<Record>) -> Result {
    // One that comes back from being a helper shows what it showed before.
    let args = if record.before.lock().is_some() { Vec::new() } else { own.arguments()? };
    let fd = prepare(own, record, &args)?;
    let stub = record.state.lock().stub.ok_or(Errno::EIO)?;
    own.enter_stub(&stub, fd);
    Ok(())
}

/// What a surrogate was before, and is to be taken for.
pub(crate) struct Before {
    args: Vec<u8>,
    oom_score: i32,
}

/// All of it but the jump: for an exec, whose registers are set otherwise. Gives the control fd.
pub(crate) fn prepare(own: &Own, record: &Arc<Record>, args: &[u8]) -> Result<u32> {
    own.clear_thread_state();
    own.become_deaf();
    own.close_all();
    // The process's own limits are no reason to end it.
    let (stub, fd) = own.without_limits(|| {
        // With as many mappings as there may be, the kernel's own make room: no body fetches them.
        let stub = own.map_stub().or_else(|_| own.unmap_special().and_then(|()| own.map_stub()))?;
        resemble(own, record, &stub, args)?;
        let fd = ctl::open(own, Arc::new(Control(record.clone())), 0)?;
        Ok((stub, fd))
    })?;
    record.change(|state| {
        state.stub = Some(stub);
        state.helping = None;
        state.release = !state.keeps_memory;
    });
    Ok(fd)
}

/// Shows the command line of the process, and keeps the OOM killer from a task that has next to no
/// memory of its own, and whose end is the body's.
fn resemble(own: &Own, record: &Record, stub: &Stub, args: &[u8]) -> Result {
    let mut before = record.before.lock();
    let oom_score = own.set_oom_score(OOM_NEVER);
    if before.is_none() {
        let mut args = copied_vec(&args[..args.len().min(STUB_ARGS_LEN_MAX)])?;
        // Cut off or not: without a zero at its end the kernel would look for more behind it.
        if let Some(last) = args.last_mut() {
            *last = 0;
        }
        *before = Some(Before { args, oom_score });
    }
    before.as_ref().map_or(Ok(()), |before| own.show_arguments(stub, &before.args))
}

struct Control(Arc<Record>);

impl Ctl for Control {
    fn ioctl(&self, own: &Own, cmd: u32, arg: u64) -> Result<u64> {
        if cmd != ctl::WAIT || !self.0.task.is_current() {
            return Err(Errno::ENOTTY);
        }
        wait(own, &self.0, arg)
    }
}

/// What the surrogate's task has to do.
enum Duty {
    End(Ended),
    Stop,
    Release,
    Help(AttemptId),
    /// Signals may have come.
    Listen,
}

fn duty(record: &Record) -> Option<Duty> {
    let mut state = record.state.lock();
    if let Some(ended) = state.ended {
        return Some(Duty::End(ended));
    }
    if state.release {
        state.release = false;
        return Some(Duty::Release);
    }
    if state.stop {
        state.stop = false;
        return Some(Duty::Stop);
    }
    if let Some(attempt) = state.become_helper.take() {
        state.helping = Some(Helping { attempt, fds: None });
        return Some(Duty::Help(attempt));
    }
    None
}

fn has_duty(record: &Record) -> bool {
    let state = record.state.lock();
    state.ended.is_some() || state.release || state.stop || state.become_helper.is_some()
}

fn wait(own: &Own, record: &Record, arg: u64) -> Result<u64> {
    // Again, if it comes back from an exec that failed.
    own.set_oom_score(OOM_NEVER);
    came_back(own, record);
    loop {
        match next(own, record) {
            Duty::End(ended) => {
                own.exit(ended.status, ended.utime_ns, ended.stime_ns);
                return Err(Errno::ERESTARTNOINTR);
            }
            Duty::Stop => {
                own.stop();
                return Err(Errno::ERESTARTNOINTR);
            }
            Duty::Release => release(own, record),
            Duty::Help(attempt) => match exec_helper(own, record, attempt, arg) {
                Ok(()) => return Ok(u64::from(ctl::STUB_EXEC)),
                Err(errno) => helper_failed(record, attempt, errno),
            },
            Duty::Listen => forward(own, record)?,
        }
    }
}

/// The stub's exec of the helper failed, if it was told to execute one.
fn came_back(own: &Own, record: &Record) {
    let helping = record.state.lock().helping;
    let Some(Helping { attempt, fds }) = helping else { return };
    for fd in fds.into_iter().flatten() {
        // One that is not there does no harm.
        let _ = own.close(fd);
    }
    helper_failed(record, attempt, Errno::ENOEXEC);
}

fn next(own: &Own, record: &Record) -> Duty {
    if let Some(duty) = duty(record) {
        return duty;
    }
    let here = net::own_slot();
    if Some(record.peer().0) == here {
        // It is not known yet where the body is: signals stay in their queue.
        let known = || has_duty(record) || Some(record.peer().0) != here;
        let _ = record.wake.wait(Mode::Killable, None, known);
        return duty(record).unwrap_or(Duty::Listen);
    }
    own.listen(true);
    // A signal or a duty: looked at again in either case.
    let _ = record.wake.wait(Mode::Interruptible, None, || has_duty(record));
    match duty(record) {
        Some(duty) => {
            own.listen(false);
            duty
        }
        None => Duty::Listen,
    }
}

/// Sends on what has come. An error is how the call has to end.
fn forward(own: &Own, record: &Record) -> Result {
    if Some(record.peer().0) == net::own_slot() {
        return if kapi::thread::fatal_signal_pending() {
            Err(Errno::ERESTARTNOINTR)
        } else {
            Ok(())
        };
    }
    let outcome = loop {
        let (slot, epoch) = record.peer();
        match own.surrogate_signal() {
            ForSurrogate::Forward(signal) => {
                if signal.signo != signals::SIGCONT || goes_on(record) {
                    signals::forward(record.process, slot, epoch, &signal);
                }
            }
            ForSurrogate::Stop(signal) => {
                // The body's word of its stop is no news then.
                record.state.lock().stopped = true;
                signals::forward(record.process, slot, epoch, &signal);
                break Err(Errno::ERESTARTNOINTR);
            }
            // The end of the task is reported, and then the body is killed.
            ForSurrogate::Dying => break Err(Errno::ERESTARTNOINTR),
            ForSurrogate::Nothing if kapi::thread::signal_pending() => {
                break Err(Errno::ERESTARTNOINTR)
            }
            ForSurrogate::Nothing => break Ok(()),
        }
    };
    own.listen(false);
    outcome
}

/// A SIGCONT came. `false` if it was only sent to wake the surrogate, for its body went on.
fn goes_on(record: &Record) -> bool {
    let mut state = record.state.lock();
    state.stopped = false;
    state.stop = false;
    !core::mem::replace(&mut state.swallow_continue, false)
}

fn release(own: &Own, record: &Record) {
    let Some(stub) = record.state.lock().stub else {
        return;
    };
    if let Err(errno) = own.unmap_all_but(&stub) {
        log::debug!("{}: old memory: {errno}", record.process);
    }
}

const O_CLOEXEC: u32 = 0o2000000;
/// What the stub finds in its data page: fd, argv, envp, then "" for the path, then the strings.
const EMPTY_AT: usize = 24;
const ARGV_AT: usize = 32;
const ENVP_AT: usize = ARGV_AT + 6 * 8;
const STRINGS_AT: usize = 128;
const STRING_LEN: usize = 32;
const _: () = assert!(STRINGS_AT + 5 * STRING_LEN <= STUB_ARGS_AT);

#[inline(never)]
fn exec_helper(own: &Own, record: &Record, attempt: AttemptId, page: u64) -> Result {
    let (exec, device) = {
        let tables = state::get()?.tables.lock();
        let helper = tables.helper.as_ref().ok_or(Errno::ENOENT)?;
        (helper.exec.clone(), helper.device.clone())
    };
    // The helper can't do its work under the process's limits. It takes them on again at the end.
    own.lift_limits();
    let exec_fd = own.install(&exec, O_CLOEXEC)?;
    let device_fd = own.install(&device, 0)?;
    let mut data = [0; STRINGS_AT + 5 * STRING_LEN];
    let mut put = |at: usize, word: u64| data[at..at + 8].copy_from_slice(&word.to_ne_bytes());
    put(0, u64::from(exec_fd));
    put(8, page + ARGV_AT as u64);
    put(16, page + ENVP_AT as u64);
    put(EMPTY_AT, 0);
    for index in 0..5 {
        put(ARGV_AT + index * 8, page + (STRINGS_AT + index * STRING_LEN) as u64);
    }
    let mut digits = [0; 16];
    let number = decimal(device_fd);
    let image = hex(attempt.0, &mut digits);
    let strings: [&[u8]; 5] = [b"holon-restore", b"--image", image, b"--fd", &number];
    for (index, string) in strings.iter().enumerate() {
        let at = STRINGS_AT + index * STRING_LEN;
        data[at..at + string.len()].copy_from_slice(string);
    }
    uaccess::UserSlice::new(page, data.len()).write(&data)?;
    // A user's helper could not do it: what comes home must not stay spared.
    if let Some(before) = record.before.lock().as_ref() {
        own.set_oom_score(before.oom_score);
    }
    record.change(|state| {
        if let Some(helping) = &mut state.helping {
            helping.fds = Some([exec_fd, device_fd]);
        }
    });
    Ok(())
}

fn hex(number: u64, out: &mut [u8; 16]) -> &[u8] {
    for (index, digit) in out.iter_mut().enumerate() {
        let nibble = (number >> (60 - index * 4)) as usize & 15;
        *digit = b"0123456789abcdef"[nibble];
    }
    out
}

fn decimal(number: u32) -> [u8; 10] {
    let mut out = [b'0'; 10];
    let mut left = number;
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    out
}

fn helper_failed(record: &Record, attempt: AttemptId, errno: Errno) {
    record.change(|state| state.helping = None);
    if again::is_local(attempt) {
        again::not_run(record, attempt);
    } else if let Ok(proc) = state::get() {
        let failure = super::incoming::failure(sched_migrate::Step::Fork, errno);
        proc.push(state::Input::Target(attempt, Err(failure)));
    }
}
