//! Registers and extended processor state of a thread.

use crate::bytes::Bytes;
use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::{ADDRESS_MAX, REGS, XSTATE_LEN_MAX};

/// `user_regs_struct`, in its order, as the kernel's regset gives it: raw, nothing emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Regs(pub [u64; REGS]);

impl Regs {
    /// Index of `rax`.
    pub const RAX: usize = 10;
    /// Index of `orig_rax`.
    pub const ORIG_RAX: usize = 15;
    /// Index of `rip`.
    pub const RIP: usize = 16;
    /// Index of `cs`.
    pub const CS: usize = 17;
    /// Index of `eflags`.
    pub const EFLAGS: usize = 18;
    /// Index of `rsp`.
    pub const RSP: usize = 19;
    /// Index of `ss`.
    pub const SS: usize = 20;
    /// Index of `fs_base`.
    pub const FS_BASE: usize = 21;
    /// Index of `gs_base`.
    pub const GS_BASE: usize = 22;
}

impl Record for Regs {
    const KIND: Kind = Kind::Regs;
    const VERSION: u16 = 1;

    /// What a peer may put in: 64-bit user code, with addresses of the user's half.
    ///
    /// The kernel's regset checks the rest (it masks `eflags` itself).
    fn check(&self) -> Result<(), Field> {
        const USER_CS: u64 = 0x33;
        const USER_SS: u64 = 0x2b;
        let word = |index: usize| self.0.get(index).copied().unwrap_or_default();
        let (cs, ss) = (word(Self::CS), word(Self::SS));
        let mut addresses = [Self::RIP, Self::FS_BASE, Self::GS_BASE].into_iter();
        let user_half = addresses.all(|index| word(index) < ADDRESS_MAX);
        match cs == USER_CS && ss == USER_SS && user_half {
            true => Ok(()),
            false => Err(Field::Regs),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        for register in self.0 {
            out.u64(register)?;
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut regs = Self([0; REGS]);
        for register in &mut regs.0 {
            *register = reader.u64()?;
        }
        Ok(regs)
    }
}

/// The `NT_X86_XSTATE` regset: the legacy area, the header and what follows.
#[derive(Debug, PartialEq, Eq)]
pub struct Xstate(pub Bytes);

impl Xstate {
    /// Bytes of the legacy area and the header.
    pub const LEN_MIN: usize = 576;
    /// Where in the legacy area Linux puts the mask of the enabled features.
    const XFEATURES_AT: usize = 464;
    const XSTATE_BV_AT: usize = 512;

    /// The features that were enabled where it was taken, 0 if it is cut off.
    pub fn xfeatures(&self) -> u64 {
        self.word(Self::XFEATURES_AT)
    }

    /// The features whose state it holds.
    pub fn present(&self) -> u64 {
        self.word(Self::XSTATE_BV_AT)
    }

    fn word(&self, at: usize) -> u64 {
        let rest = self.0.get(at..).unwrap_or_default();
        rest.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
    }
}

impl Record for Xstate {
    const KIND: Kind = Kind::Xstate;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        let within = (Self::LEN_MIN..=XSTATE_LEN_MAX).contains(&self.0.len());
        match within && self.present() & !self.xfeatures() == 0 {
            true => Ok(()),
            false => Err(Field::Xstate),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.string(&self.0, XSTATE_LEN_MAX, Field::Xstate)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.string(XSTATE_LEN_MAX, Field::Xstate)?))
    }
}
