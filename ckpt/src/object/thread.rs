//! Addresses that the kernel holds for a thread.

use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::ADDRESS_MAX;

/// Addresses that the kernel holds for a thread, 0 where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thread {
    /// `rseq(2)`: the address.
    pub rseq_address: u64,
    /// `rseq(2)`: the length.
    pub rseq_len: u32,
    /// `rseq(2)`: the signature.
    pub rseq_signature: u32,
    /// `set_robust_list(2)`: the head.
    pub robust_list: u64,
    /// `set_tid_address(2)`.
    pub clear_child_tid: u64,
    /// `PR_SET_PDEATHSIG`.
    pub parent_death_signal: u32,
    /// What the kernel last wrote into the `rseq` area, and will want to find there: the processor,
    /// the memory's concurrency id and the memory node.
    pub rseq_ids: [u32; 3],
}

impl Record for Thread {
    const KIND: Kind = Kind::Thread;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        if self.parent_death_signal > 64 {
            return Err(Field::Signal);
        }
        let mut addresses = [self.rseq_address, self.robust_list, self.clear_child_tid].into_iter();
        match addresses.all(|address| address < ADDRESS_MAX) {
            true => Ok(()),
            false => Err(Field::Address),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.u64(self.rseq_address)?;
        out.u32(self.rseq_len)?;
        out.u32(self.rseq_signature)?;
        out.u64(self.robust_list)?;
        out.u64(self.clear_child_tid)?;
        out.u32(self.parent_death_signal)?;
        self.rseq_ids.iter().try_for_each(|id| out.u32(*id))
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            rseq_address: reader.u64()?,
            rseq_len: reader.u32()?,
            rseq_signature: reader.u32()?,
            robust_list: reader.u64()?,
            clear_child_tid: reader.u64()?,
            parent_death_signal: reader.u32()?,
            rseq_ids: [reader.u32()?, reader.u32()?, reader.u32()?],
        })
    }
}
