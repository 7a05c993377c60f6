//! Comparing open files.

use alloc::vec::Vec;

use super::Incompatible;
use crate::object::file::{FileKind, Files};
use crate::object::position::{Position, Positions};

/// Descriptors and descriptions must be the same but for positions and flags.
pub(super) fn compare(old: &Files, new: &Files) -> Result<Positions, Incompatible> {
    if old.fds != new.fds || old.descriptions.len() != new.descriptions.len() {
        return Err(Incompatible::Files);
    }
    let mut positions = Vec::new();
    positions.try_reserve_exact(new.descriptions.len())?;
    let pairs = old.descriptions.iter().zip(&new.descriptions);
    for (group, (old, new)) in (0u32..).zip(pairs) {
        match (old, new) {
            (
                FileKind::Path { path: old_path, mode: old_mode, .. },
                FileKind::Path { path, flags, position, mode },
            ) if old_path == path && old_mode == mode => {
                positions.push(Position { group, position: *position, flags: *flags });
            }
            (FileKind::Remote { .. }, FileKind::Remote { .. }) if old == new => {}
            (FileKind::Dev { .. }, FileKind::Dev { .. }) if old == new => {}
            _ => return Err(Incompatible::Files),
        }
    }
    Ok(Positions(positions))
}
