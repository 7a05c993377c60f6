//! Whom this node lets in: the cordon that the daemon sets and the module keeps, and whether there
//! is memory for one more.

use ckpt::Manifest;
use holon_uapi::gate as uapi;
use kapi::{alloc::Memory, uaccess, Errno, Result};
use sched_migrate::Gate;
use vm_remote::lodge::lending::Gate as Lends;

use super::{
    driver::with_mover,
    state::{self, Tables},
};
use crate::{
    ioctl::{open::OpenFile, table::take},
    lodge,
};

/// One part in so many of the memory stays free of what comes from elsewhere.
const SPARE_PART: u64 = 32;
const PAGE_LEN: u64 = 4096;

/// The text that came with the gate.
pub(crate) struct Why(pub(crate) [u8; uapi::WHY_LEN]);

impl Default for Why {
    fn default() -> Self {
        Self([0; uapi::WHY_LEN])
    }
}

pub(super) fn set(_file: &OpenFile, arg: u64) -> Result<u64> {
    let gate: uapi::Gate = take(arg)?;
    let flags = gate.flags;
    let known = [0, uapi::GATE_CORDONED, uapi::GATE_CORDONED | uapi::GATE_LEAVING];
    if !known.contains(&flags) || gate.reserved != 0 || gate.why.last() != Some(&0) {
        return Err(Errno::EINVAL);
    }
    let bodies_max = match gate.bodies_max {
        0 => usize::MAX,
        bound => bound as usize,
    };
    let cordoned = flags & uapi::GATE_CORDONED != 0;
    let proc = state::get()?;
    let was = with_mover(proc, |mover, _| {
        let was = mover.gate();
        mover.set_gate(Gate { cordoned, bodies_max });
        was
    })
    .ok_or(Errno::ENOTCONN)?;
    proc.tables.lock().why = Why(gate.why);
    lodge::set_gate(match (cordoned, flags & uapi::GATE_LEAVING != 0) {
        (false, _) => Lends::Open,
        (true, false) => Lends::Closed,
        (true, true) => Lends::Leaving,
    });
    if was.cordoned != cordoned {
        log::info!("{}", if cordoned { "cordoned" } else { "no longer cordoned" });
    }
    Ok(0)
}

pub(super) fn get(_file: &OpenFile, arg: u64) -> Result<u64> {
    let proc = state::get()?;
    let gate = with_mover(proc, |mover, _| mover.gate()).unwrap_or(Gate::OPEN);
    let record = uapi::Gate {
        flags: match (gate.cordoned, lodge::gate()) {
            (false, _) => 0,
            (true, Lends::Leaving) => uapi::GATE_CORDONED | uapi::GATE_LEAVING,
            (true, Lends::Open | Lends::Closed) => uapi::GATE_CORDONED,
        },
        bodies_max: u32::try_from(gate.bodies_max).unwrap_or(0),
        reserved: 0,
        why: proc.tables.lock().why.0,
    };
    uaccess::write(arg, &record).map(|()| 0)
}

fn pages_of(manifest: &Manifest) -> u64 {
    manifest.memory().map_or(0, |memory| memory.places.pages())
}

/// Whether the memory of one more fits, beside what those that came or are coming still fetch.
pub(super) fn has_room(tables: &Tables, manifest: &Manifest) -> bool {
    let process = manifest.subject.process;
    let others = tables.incoming.iter().filter(|(_, incoming)| incoming.process != process);
    let coming: u64 = others.map(|(_, incoming)| pages_of(&incoming.manifest)).sum();
    let fetching: u64 = tables.spaces.iter().map(|(_, space)| space.stat().outstanding).sum();
    let memory = Memory::now();
    let wanted = (pages_of(manifest) + coming + fetching).saturating_mul(PAGE_LEN);
    wanted.saturating_add(memory.total / SPARE_PART) <= memory.available
}
