//! What keeps the module loaded, by area.

use core::fmt::Write;

use holon_uapi::base::{Held, Quiesce, HELD_COUNT_MAX};

use crate::areas::{Area, AREAS};

fn holders() -> impl Iterator<Item = &'static &'static Area> {
    AREAS.iter().filter(|area| !area.name.is_empty())
}

/// All that is held.
pub(crate) fn total() -> u64 {
    holders().map(|area| (area.held)()).sum()
}

/// For a program.
pub(crate) fn report() -> Quiesce {
    let mut report = Quiesce {
        total: total(),
        count: 0,
        reserved: 0,
        held: [Held { name: [0; 24], count: 0 }; HELD_COUNT_MAX],
    };
    for (entry, area) in report.held.iter_mut().zip(holders()) {
        let name = area.name.as_bytes();
        let len = name.len().min(entry.name.len());
        entry.name[..len].copy_from_slice(&name[..len]);
        entry.count = (area.held)();
        report.count += 1;
    }
    report
}

/// For a reader of the sysctl: "bodies 1, files 3", or "nothing".
pub(super) fn text(out: &mut dyn Write) {
    let mut separator = "";
    for area in holders() {
        let count = (area.held)();
        if count != 0 {
            // The buffer cuts; it does not fail.
            let _ = write!(out, "{separator}{} {count}", area.name);
            separator = ", ";
        }
    }
    if separator.is_empty() {
        let _ = out.write_str("nothing");
    }
}
