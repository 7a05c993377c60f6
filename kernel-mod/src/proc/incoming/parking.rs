//! A helper in its parking place: what it is told, does in its own context, and has written by the
//! driver.

use kapi::{own::Own, wait::Mode, Errno, Result};
use sched_migrate::Step;

use super::{failure, Incoming, Stage};
use crate::proc::{live, load, state::Done};

/// What a parked helper does next.
pub(super) enum Command {
    /// Put the final part in.
    Apply,
    /// Run.
    Release,
    /// End, or be the surrogate again.
    Discard,
}

/// How long a task may take from its last word to its sleep.
const SETTLE_US_MAX: u32 = 200_000;

/// What a parked helper goes on with.
pub(in crate::proc) enum Verdict {
    /// The process.
    Run,
    /// User mode, to load the vector state that it was given.
    Load,
    /// Its end, or the surrogate.
    Discard,
    /// Its end: it was killed.
    Killed,
}

impl Incoming {
    /// From user mode to the parking place, unless it was discarded meanwhile.
    fn enter(&self, from: Stage) -> bool {
        let mut state = self.state.lock();
        let may = !state.discarded && state.stage == from;
        if may {
            state.stage = Stage::Parked;
            state.waits = true;
        }
        may
    }

    /// Own context: parks before the commit.
    pub(in crate::proc) fn park(&self, own: &Own) -> Verdict {
        if !self.enter(Stage::AtWork) {
            return Verdict::Discard;
        }
        self.tell(Ok(Done::Restored));
        self.obey(own)
    }

    /// Own context: parks again, with its vector state loaded, and puts the rest in.
    pub(in crate::proc) fn park_loaded(&self, own: &Own) -> Verdict {
        if !self.enter(Stage::Loading) {
            return Verdict::Discard;
        }
        self.apply(own);
        self.obey(own)
    }

    fn obey(&self, own: &Own) -> Verdict {
        let verdict = self.next_verdict(own);
        self.stop_waiting();
        verdict
    }

    fn next_verdict(&self, own: &Own) -> Verdict {
        loop {
            match self.next_command() {
                Some(Command::Apply) if self.is_exec() => self.tell(Ok(Done::Applied(0))),
                Some(Command::Apply) => match self.feed_restorer(own) {
                    Ok(()) => {
                        self.set_stage(Stage::Loading);
                        return Verdict::Load;
                    }
                    Err(errno) => self.tell(Err(failure(Step::Apply, errno))),
                },
                Some(Command::Release) => {
                    self.set_stage(Stage::Over);
                    return Verdict::Run;
                }
                Some(Command::Discard) => return Verdict::Discard,
                None => return Verdict::Killed,
            }
        }
    }

    fn feed_restorer(&self, own: &Own) -> Result {
        let (restorer, _) = self.state.lock().restorer.ok_or(Errno::EINVAL)?;
        let part = self.final_part.lock();
        let part = part.as_ref().ok_or(Errno::EINVAL)?;
        own.feed_restorer(&restorer, &part.xstate.0)
    }

    /// A killed helper ends only when nobody writes to its stack: soon, see [`SETTLE_US_MAX`].
    fn stop_waiting(&self) {
        let left = || {
            let mut state = self.state.lock();
            state.waits &= state.settling;
            !state.waits
        };
        // A wait of this mode ends in no other way.
        let _ = self.wake.wait(Mode::Idle, None, left);
    }

    fn next_command(&self) -> Option<Command> {
        let told = || self.state.lock().command.is_some();
        let waited = self.wake.wait(Mode::Killable, None, told);
        let command = self.state.lock().command.take();
        waited.ok().and(command)
    }

    #[inline(never)]
    fn apply(&self, own: &Own) {
        let result = match &*self.final_part.lock() {
            Some(part) => load::apply(own, self, part)
                .and_then(|()| live::put_back(own, part))
                .map(|regs| self.state.lock().regs = Some(regs)),
            None => Err(Errno::EINVAL),
        };
        self.tell(match result {
            Ok(()) => Ok(Done::Applied(self.bytes_away())),
            Err(errno) => Err(failure(Step::Apply, errno)),
        });
    }

    fn bytes_away(&self) -> u64 {
        self.space.lock().as_ref().map_or(0, |space| space.stat().outstanding * 4096)
    }

    pub(super) fn command(&self, command: Command) {
        self.state.lock().command = Some(command);
        self.wake.wake_all();
    }

    /// Driver: has the final part put in.
    pub(crate) fn begin_apply(&self) {
        self.command(Command::Apply);
    }

    /// Driver: lets it run.
    pub(crate) fn release(&self) {
        self.command(Command::Release);
    }

    /// Driver, after the final part was put in: writes what only another task can write.
    pub(crate) fn settle(&self) -> Result {
        let regs = {
            let mut state = self.state.lock();
            let Some(regs) = state.regs else {
                return Ok(());
            };
            if !state.waits {
                return Err(Errno::ESRCH);
            }
            state.settling = true;
            regs
        };
        let outcome = self.write(&regs);
        self.state.lock().settling = false;
        self.wake.wake_all();
        outcome
    }

    /// While `settling` holds the helper in the kernel.
    fn write(&self, regs: &[u64; kapi::own::REGS]) -> Result {
        let helper = self.helper.lock().clone().ok_or(Errno::ESRCH)?;
        helper.settled(SETTLE_US_MAX)?;
        helper.set_regs(regs)
    }
}
