//! Bounds and addresses of the address space.

use crate::bytes::Bytes;
use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::{ADDRESS_MAX, AUXV_LEN_MAX};

/// The fields of `mm_struct` that a process can see or that later calls depend on.
#[derive(Debug, PartialEq, Eq)]
pub struct Mm {
    /// Code.
    pub start_code: u64,
    /// End of code.
    pub end_code: u64,
    /// Data.
    pub start_data: u64,
    /// End of data.
    pub end_data: u64,
    /// Heap.
    pub start_brk: u64,
    /// End of the heap.
    pub brk: u64,
    /// Stack.
    pub start_stack: u64,
    /// Arguments.
    pub arg_start: u64,
    /// End of arguments.
    pub arg_end: u64,
    /// Environment.
    pub env_start: u64,
    /// End of the environment.
    pub env_end: u64,
    /// From where new mappings are placed.
    pub mmap_base: u64,
    /// The lowest special mapping (vvar), or 0 if there is none: what `ARCH_MAP_VDSO_64` is given.
    pub vdso_start: u64,
    /// End of the special mappings.
    pub vdso_end: u64,
    /// `mm->flags` that are inherited over an exec or set by `prctl`.
    pub flags: u64,
    /// The saved auxiliary vector.
    pub auxv: Bytes,
}

impl Mm {
    fn addresses(&self) -> [u64; 14] {
        [
            self.start_code,
            self.end_code,
            self.start_data,
            self.end_data,
            self.start_brk,
            self.brk,
            self.start_stack,
            self.arg_start,
            self.arg_end,
            self.env_start,
            self.env_end,
            self.mmap_base,
            self.vdso_start,
            self.vdso_end,
        ]
    }
}

impl Record for Mm {
    const KIND: Kind = Kind::Mm;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        if self.auxv.len() % 16 != 0 {
            return Err(Field::Auxv);
        }
        let ordered = self.start_code <= self.end_code
            && self.start_data <= self.end_data
            && self.start_brk <= self.brk
            && self.arg_start <= self.arg_end
            && self.env_start <= self.env_end
            && self.vdso_start <= self.vdso_end;
        match ordered && self.addresses().iter().all(|address| *address <= ADDRESS_MAX) {
            true => Ok(()),
            false => Err(Field::Address),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        for address in self.addresses() {
            out.u64(address)?;
        }
        out.u64(self.flags)?;
        out.string(&self.auxv, AUXV_LEN_MAX, Field::Auxv)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            start_code: reader.u64()?,
            end_code: reader.u64()?,
            start_data: reader.u64()?,
            end_data: reader.u64()?,
            start_brk: reader.u64()?,
            brk: reader.u64()?,
            start_stack: reader.u64()?,
            arg_start: reader.u64()?,
            arg_end: reader.u64()?,
            env_start: reader.u64()?,
            env_end: reader.u64()?,
            mmap_base: reader.u64()?,
            vdso_start: reader.u64()?,
            vdso_end: reader.u64()?,
            flags: reader.u64()?,
            auxv: reader.string(AUXV_LEN_MAX, Field::Auxv)?,
        })
    }
}
