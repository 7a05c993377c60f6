//! Signal state: dispositions, masks, the alternate stack and what is pending.

use alloc::vec::Vec;

use super::creds::flag;
use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::{PENDING_MAX, SIGINFO_LEN, SIGNALS};

/// A signal's disposition, as `rt_sigaction` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Action {
    /// The handler's address, 0 for the default, 1 for ignoring.
    pub handler: u64,
    /// `SA_*`.
    pub flags: u64,
    /// The restorer's address.
    pub restorer: u64,
    /// Signals blocked while it runs.
    pub mask: u64,
}

/// The alternate signal stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AltStack {
    /// Its address.
    pub address: u64,
    /// Its size.
    pub len: u64,
    /// `SS_*`.
    pub flags: u32,
}

/// A signal that was sent and not yet taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Whether it was sent to the process, not to the thread.
    pub shared: bool,
    /// Its `siginfo_t`, which begins with the signal's number.
    pub info: [u8; SIGINFO_LEN],
}

impl Pending {
    /// The signal's number.
    pub fn signo(&self) -> i32 {
        self.info.first_chunk().map_or(0, |number| i32::from_le_bytes(*number))
    }
}

/// Signal state.
#[derive(Debug, PartialEq, Eq)]
pub struct Signals {
    /// Blocked signals; bit 0 is signal 1.
    pub blocked: u64,
    /// The mask to go back to, if a call such as `sigsuspend` was interrupted.
    pub saved: Option<u64>,
    /// Dispositions of signals 1 to 64.
    pub actions: Vec<Action>,
    /// The alternate stack.
    pub alt_stack: AltStack,
    /// Pending signals, oldest first.
    pub pending: Vec<Pending>,
}

impl Record for Signals {
    const KIND: Kind = Kind::Signals;
    const VERSION: u16 = 1;

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.u64(self.blocked)?;
        out.u8(u8::from(self.saved.is_some()))?;
        out.u64(self.saved.unwrap_or_default())?;
        if self.actions.len() != SIGNALS {
            return Err(EncodeError::Bound(Field::Signal));
        }
        for action in &self.actions {
            for word in [action.handler, action.flags, action.restorer, action.mask] {
                out.u64(word)?;
            }
        }
        out.u64(self.alt_stack.address)?;
        out.u64(self.alt_stack.len)?;
        out.u32(self.alt_stack.flags)?;
        out.count(self.pending.len(), PENDING_MAX, Field::Pending)?;
        for pending in &self.pending {
            check_signo(pending.signo()).map_err(EncodeError::Bound)?;
            out.u8(u8::from(pending.shared))?;
            out.raw(&pending.info)?;
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let blocked = reader.u64()?;
        let has_saved = flag(reader)?;
        let saved = Some(reader.u64()?).filter(|_| has_saved);
        let mut actions = Vec::new();
        actions.try_reserve_exact(SIGNALS)?;
        for _ in 0..SIGNALS {
            actions.push(Action {
                handler: reader.u64()?,
                flags: reader.u64()?,
                restorer: reader.u64()?,
                mask: reader.u64()?,
            });
        }
        let alt_stack =
            AltStack { address: reader.u64()?, len: reader.u64()?, flags: reader.u32()? };
        let pending = reader.list(PENDING_MAX, SIGINFO_LEN + 1, Field::Pending, |reader| {
            let pending = Pending { shared: flag(reader)?, info: reader.array()? };
            check_signo(pending.signo()).map_err(DecodeError::Bound)?;
            Ok(pending)
        })?;
        Ok(Self { blocked, saved, actions, alt_stack, pending })
    }
}

fn check_signo(signo: i32) -> Result<(), Field> {
    const SIGKILL: i32 = 9;
    const SIGSTOP: i32 = 19;
    match signo {
        SIGKILL | SIGSTOP => Err(Field::Signal),
        1..=64 => Ok(()),
        _ => Err(Field::Signal),
    }
}
