//! The restorer's part in the kernel: its two calls, and what becomes of its task at each.
//!
//! ```text
//! user mode: vDSO ── RESUME ──┐          ┌─> XRSTOR ── LOADED ──┐           ┌─> the process
//! kernel:                     └> parked ─┘ FINAL came           └> parked ──┘ the origin said yes
//! ```

use alloc::sync::Arc;

use kapi::{
    ctl::{self, Ctl},
    own::Own,
    park::{self, Parked},
    task::Task,
    Errno, Result,
};
use sched_migrate::Step;

use super::{
    incoming::{Incoming, Stage, Verdict},
    load, rights,
};

/// The restorer's way into the module.
pub(crate) struct Control(pub(crate) Arc<Incoming>);

impl Ctl for Control {
    fn ioctl(&self, _own: &Own, cmd: u32, arg: u64) -> Result<u64> {
        let incoming = &self.0;
        let at = match cmd {
            ctl::RESUME => Stage::AtWork,
            ctl::LOADED => Stage::Loading,
            _ => return Err(Errno::ENOTTY),
        };
        if !incoming.is_mine() {
            return Err(Errno::ENOTTY);
        }
        let outcome = arg as i64;
        if outcome < 0 {
            incoming.give_up(Step::Restorer, Errno::from_code(outcome))?;
        }
        park::request(&Task::current()?, Arc::new(Resume { incoming: incoming.clone(), at }))?;
        Ok(0)
    }
}

struct Resume {
    incoming: Arc<Incoming>,
    at: Stage,
}

impl Parked for Resume {
    fn parked(self: Arc<Self>, own: &Own) {
        let incoming = &self.incoming;
        // At another stage it is the surrogate again.
        if own.exiting() || incoming.stage() != self.at {
            return;
        }
        let mut rights = None;
        let verdict = match self.at {
            Stage::Loading => {
                if let Err(errno) = load::clean_up(own, incoming) {
                    let _ = incoming.give_up(Step::Restorer, errno);
                }
                // Made while a failure is still a refusal; told first, it comes before any success.
                rights = rights::make(own, &incoming.manifest.creds)
                    .map_err(|errno| incoming.give_up(Step::Creds, errno))
                    .ok();
                incoming.park_loaded(own)
            }
            _ => incoming.park(own),
        };
        match verdict {
            Verdict::Run => match rights {
                Some(rights) => {
                    rights::limit(own, &incoming.manifest.task);
                    own.take_on(rights);
                    load::finish(own, incoming);
                }
                // The failure was told before any success, so this word was never to come. A
                // process is lost rather than run with its helper's rights.
                None => {
                    log::error!("{}: released without its rights: ended", incoming.process);
                    own.exit(9, 0, 0);
                }
            },
            Verdict::Discard => incoming.leave(own),
            // The restorer goes on; or its end is reported.
            Verdict::Load | Verdict::Killed => {}
        }
    }
}

/// Turns a helper that is somewhere in user mode into the surrogate again.
pub(super) struct Reconvert(pub(super) Arc<Incoming>);

impl Parked for Reconvert {
    fn parked(self: Arc<Self>, own: &Own) {
        if !own.exiting() && self.0.is_to_leave() {
            self.0.leave(own);
        }
    }
}
