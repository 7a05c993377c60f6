//! User, groups and capabilities.

use alloc::vec::Vec;

use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::GROUPS_MAX;

/// The four ids of a user or of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ids {
    /// Real.
    pub real: u32,
    /// Effective.
    pub effective: u32,
    /// Saved.
    pub saved: u32,
    /// For access to files.
    pub fs: u32,
}

/// Capability sets, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caps {
    /// Inheritable.
    pub inheritable: u64,
    /// Permitted.
    pub permitted: u64,
    /// Effective.
    pub effective: u64,
    /// Bounding.
    pub bounding: u64,
    /// Ambient.
    pub ambient: u64,
}

/// Credentials, in the ids of the initial user namespace.
#[derive(Debug, PartialEq, Eq)]
pub struct Creds {
    /// User ids.
    pub user: Ids,
    /// Group ids.
    pub group: Ids,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Capabilities.
    pub caps: Caps,
    /// `SECBIT_*`.
    pub securebits: u32,
    /// `PR_GET_DUMPABLE`: 0, 1 or 2.
    pub dumpable: u8,
    /// `PR_GET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
}

fn encode_ids(ids: &Ids, out: &mut Writer) -> Result<(), EncodeError> {
    out.u32(ids.real)?;
    out.u32(ids.effective)?;
    out.u32(ids.saved)?;
    out.u32(ids.fs)
}

fn decode_ids(reader: &mut Reader<'_>) -> Result<Ids, DecodeError> {
    Ok(Ids {
        real: reader.u32()?,
        effective: reader.u32()?,
        saved: reader.u32()?,
        fs: reader.u32()?,
    })
}

impl Record for Creds {
    const KIND: Kind = Kind::Creds;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        match self.dumpable {
            0..=2 => Ok(()),
            _ => Err(Field::Dumpable),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        encode_ids(&self.user, out)?;
        encode_ids(&self.group, out)?;
        out.count(self.groups.len(), GROUPS_MAX, Field::Groups)?;
        for group in &self.groups {
            out.u32(*group)?;
        }
        let Caps { inheritable, permitted, effective, bounding, ambient } = self.caps;
        for set in [inheritable, permitted, effective, bounding, ambient] {
            out.u64(set)?;
        }
        out.u32(self.securebits)?;
        out.u8(self.dumpable)?;
        out.u8(u8::from(self.no_new_privs))
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let user = decode_ids(reader)?;
        let group = decode_ids(reader)?;
        let groups = reader.list(GROUPS_MAX, 4, Field::Groups, Reader::u32)?;
        let caps = Caps {
            inheritable: reader.u64()?,
            permitted: reader.u64()?,
            effective: reader.u64()?,
            bounding: reader.u64()?,
            ambient: reader.u64()?,
        };
        let securebits = reader.u32()?;
        let dumpable = reader.u8()?;
        let no_new_privs = flag(reader)?;
        Ok(Self { user, group, groups, caps, securebits, dumpable, no_new_privs })
    }
}

/// Takes a flag: 0 or 1.
pub(crate) fn flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Bound(Field::Flags)),
    }
}
