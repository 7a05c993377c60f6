//! Records: the number table, and what frames each of them.
//!
//! ```text
//! 0   kind       u16
//! 2   version    u16
//! 4   length     u32, of the payload
//! 8   checksum   u32, XXH64 (its low half) of bytes 0..8 and the payload
//! 12  payload
//! ```
//!
//! Records stand in ascending order of their kinds, each kind once. A kind with the top bit set may
//! be skipped by a reader that does not know it; any other must be understood. A reader that meets
//! a newer version of a record that it knows reads the fields that it knows: fields are only
//! added.

use netproto::wire::checksum;

use super::cursor::{Reader, Writer};
use super::header::{self, Part};
use crate::error::{DecodeError, EncodeError, Field};
use crate::limits::RECORD_LEN_MAX;

/// Bytes before a record's payload.
pub const RECORD_HEADER_LEN: usize = 12;

/// Kinds with this bit may be skipped.
pub const OPTIONAL: u16 = 0x8000;

/// The number of a record. Never renumber, never reuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// Who is moved, from where, in which attempt.
    Subject,
    /// Attributes of the task.
    Task,
    /// User, groups and capabilities.
    Creds,
    /// Working directory and umask.
    Fs,
    /// The executable file.
    Exe,
    /// Open files.
    Files,
    /// Bounds and addresses of the address space.
    Mm,
    /// Mappings.
    Vmas,
    /// Pages that live at the source.
    Places,
    /// What to execute.
    Exec,
    /// Which attempt a final part belongs to.
    Freeze,
    /// Registers.
    Regs,
    /// Extended processor state.
    Xstate,
    /// Signal state.
    Signals,
    /// Addresses that the kernel holds for a thread.
    Thread,
    /// The call that is to be restarted.
    Restart,
    /// Positions of open files.
    Positions,
    /// Changes of the layout since the manifest.
    Change,
}

impl Kind {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::Subject => 0x0001,
            Self::Task => 0x0010,
            Self::Creds => 0x0011,
            Self::Fs => 0x0012,
            Self::Exe => 0x0013,
            Self::Files => 0x0014,
            Self::Mm => 0x0020,
            Self::Vmas => 0x0021,
            Self::Places => 0x0022,
            Self::Exec => 0x0030,
            Self::Freeze => 0x0101,
            Self::Regs => 0x0110,
            Self::Xstate => 0x0111,
            Self::Signals => 0x0112,
            Self::Thread => 0x0113,
            Self::Restart => 0x0114,
            Self::Positions => 0x0120,
            Self::Change => 0x0121,
        }
    }
}

/// A record's content.
pub trait Record: Sized {
    /// Its number.
    const KIND: Kind;
    /// The version that is written, and up to which all fields are known.
    const VERSION: u16;

    /// Checks the values, each for itself and together. What fails is neither written nor read.
    fn check(&self) -> Result<(), Field> {
        Ok(())
    }

    /// Appends the payload of a record that was checked.
    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError>;

    /// Reads the payload; the caller checks it.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Writes a part, record by record.
#[derive(Debug)]
pub(crate) struct PartWriter {
    out: Writer,
    part: Part,
    records: u32,
}

impl PartWriter {
    pub(crate) fn new(part: Part) -> Result<Self, EncodeError> {
        let mut out = Writer::new();
        header::begin(&mut out)?;
        Ok(Self { out, part, records: 0 })
    }

    pub(crate) fn put<R: Record>(&mut self, record: &R) -> Result<(), EncodeError> {
        let start = self.out.len();
        self.out.u16(R::KIND.number())?;
        self.out.u16(R::VERSION)?;
        self.out.u32(0)?;
        self.out.u32(0)?;
        record.check().map_err(EncodeError::Bound)?;
        record.encode(&mut self.out)?;
        let len = self.out.len() - start - RECORD_HEADER_LEN;
        if len > RECORD_LEN_MAX {
            return Err(EncodeError::Bound(Field::Record));
        }
        let len = u32::try_from(len).map_err(|_| EncodeError::Bound(Field::Record))?;
        self.out.patch(start + 4, &len.to_le_bytes())?;
        let (head, rest) =
            self.out.since(start).split_at_checked(8).ok_or(EncodeError::Bound(Field::Record))?;
        let payload = rest.get(4..).unwrap_or_default();
        let sum = checksum(&[head, payload]);
        self.out.patch(start + 8, &sum.to_le_bytes())?;
        self.records += 1;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<alloc::vec::Vec<u8>, EncodeError> {
        header::finish(&mut self.out, self.part, self.records)?;
        Ok(self.out.into_bytes())
    }
}

/// One record as it stands in the image, its checksum verified.
#[derive(Debug, Clone)]
struct Raw<'a> {
    kind: u16,
    version: u16,
    payload: &'a [u8],
}

/// Reads a part, record by record.
#[derive(Debug)]
pub(crate) struct PartReader<'a> {
    reader: Reader<'a>,
    records: u32,
    kind_last: u16,
    next: Option<Raw<'a>>,
}

impl<'a> PartReader<'a> {
    pub(crate) fn new(image: &'a [u8], part: Part) -> Result<Self, DecodeError> {
        let (records, reader) = header::open(image, part)?;
        let mut this = Self { reader, records, kind_last: 0, next: None };
        this.advance()?;
        Ok(this)
    }

    fn advance(&mut self) -> Result<(), DecodeError> {
        self.next = None;
        if self.records == 0 {
            return match self.reader.remaining() {
                0 => Ok(()),
                _ => Err(DecodeError::Trailing),
            };
        }
        self.records -= 1;
        let head = self.reader.array::<8>()?;
        let mut fields = Reader::new(&head);
        let (kind, version) = (fields.u16()?, fields.u16()?);
        let len = usize::try_from(fields.u32()?).map_err(|_| DecodeError::Bound(Field::Record))?;
        let sum = self.reader.u32()?;
        if len > RECORD_LEN_MAX {
            return Err(DecodeError::Bound(Field::Record));
        }
        let payload = self.reader.raw(len)?;
        if checksum(&[&head, payload]) != sum {
            return Err(DecodeError::Checksum(kind));
        }
        if kind <= self.kind_last {
            return Err(DecodeError::Order(kind));
        }
        self.kind_last = kind;
        self.next = Some(Raw { kind, version, payload });
        Ok(())
    }

    /// Takes the next record if it is one of this kind.
    pub(crate) fn take<R: Record>(&mut self) -> Result<Option<R>, DecodeError> {
        while let Some(raw) = self.next.clone() {
            if raw.kind == R::KIND.number() {
                let mut reader = Reader::new(raw.payload);
                let record = R::decode(&mut reader)?;
                record.check().map_err(DecodeError::Bound)?;
                if raw.version == 0 {
                    return Err(DecodeError::Version(raw.version));
                }
                if raw.version <= R::VERSION && reader.remaining() != 0 {
                    return Err(DecodeError::Trailing);
                }
                self.advance()?;
                return Ok(Some(record));
            }
            if raw.kind & OPTIONAL == 0 {
                return Ok(None);
            }
            self.advance()?;
        }
        Ok(None)
    }

    /// Takes the next record, which must be one of this kind.
    pub(crate) fn need<R: Record>(&mut self) -> Result<R, DecodeError> {
        self.take()?.ok_or(DecodeError::Missing(R::KIND.number()))
    }

    /// Checks that only records that may be skipped are left.
    pub(crate) fn finish(mut self) -> Result<(), DecodeError> {
        while let Some(raw) = self.next.clone() {
            if raw.kind & OPTIONAL == 0 {
                return Err(DecodeError::UnknownRecord(raw.kind));
            }
            self.advance()?;
        }
        Ok(())
    }
}
