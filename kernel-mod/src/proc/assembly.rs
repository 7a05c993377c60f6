//! Images on their way here, piece by piece.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use ckpt::{limits::IMAGE_LEN_MAX, object::subject::ImageKind as SubjectKind, Final, Manifest};
use kapi::{clock, own, Result};
use netproto::{
    msg::migrate::{self, ImageKind},
    AttemptId, Slot,
};
use sched_migrate::{effect::Arrival, table::Table, Failure, Offer};

use super::{
    driver::{self, with_mover},
    gate,
    incoming::{Incoming, Parts},
    record::Role,
    source::kernel_build,
    state::Proc,
};
use crate::port::net;

/// Images that are incomplete at one time.
const ASSEMBLIES_MAX: usize = 256;
/// Bytes of incomplete images of one peer, which sends one after the other, or a few at once.
const PEER_BYTES_MAX: usize = 4 * IMAGE_LEN_MAX;
/// How long an image may stay incomplete without another piece, times the time scale: longer than
/// its source would wait to send one.
const IDLE_MAX: Duration = Duration::from_secs(10);

struct Assembly {
    from: Slot,
    total: usize,
    bytes: Vec<u8>,
    touched_ns: u64,
}

impl Assembly {
    fn new(from: Slot, total: u32) -> Option<Self> {
        let total = usize::try_from(total).ok().filter(|total| *total <= IMAGE_LEN_MAX)?;
        Some(Self { from, total, bytes: Vec::new(), touched_ns: 0 })
    }

    /// Takes the next piece; `None` if it is not the next one or does not fit what was announced,
    /// `Some(true)` when all are here.
    fn add(&mut self, total: u32, offset: u32, piece: &[u8]) -> Option<bool> {
        let is_next = usize::try_from(offset).ok()? == self.bytes.len();
        let is_same = usize::try_from(total).ok()? == self.total;
        if !is_next || !is_same || piece.len() > self.total - self.bytes.len() {
            return None;
        }
        self.touched_ns = clock::now_ns();
        // Memory for what came, not for what was announced.
        self.bytes.try_reserve(piece.len()).ok()?;
        self.bytes.extend_from_slice(piece);
        Some(self.bytes.len() == self.total)
    }
}

/// All images that are incomplete.
#[derive(Default)]
pub(super) struct Assemblies {
    manifests: Table<AttemptId, Assembly>,
    finals: Table<AttemptId, Assembly>,
}

fn grow(
    table: &mut Table<AttemptId, Assembly>,
    from: Slot,
    key: (AttemptId, u32, u32),
    piece: &[u8],
) -> Option<Option<Vec<u8>>> {
    let (attempt, total, offset) = key;
    if offset == 0 {
        drop_idle(table);
        if table.len() >= ASSEMBLIES_MAX {
            return None;
        }
        table.insert(attempt, Assembly::new(from, total)?).ok()?;
    }
    let of_peer = table.iter().filter(|(_, assembly)| assembly.from == from);
    let bytes: usize = of_peer.map(|(_, assembly)| assembly.bytes.len()).sum();
    let assembly = table.get_mut(attempt).filter(|assembly| assembly.from == from)?;
    if bytes + piece.len() > PEER_BYTES_MAX {
        table.remove(attempt);
        return None;
    }
    match assembly.add(total, offset, piece) {
        Some(true) => table.remove(attempt).map(|assembly| Some(assembly.bytes)),
        Some(false) => Some(None),
        None => {
            table.remove(attempt);
            None
        }
    }
}

/// Images of which nothing comes any more.
fn drop_idle(table: &mut Table<AttemptId, Assembly>) {
    let idle_ns = own::nanos(IDLE_MAX).saturating_mul(u64::from(net::timescale()));
    let now_ns = clock::now_ns();
    table.retain(|_, assembly| now_ns.saturating_sub(assembly.touched_ns) < idle_ns);
}

impl Assemblies {
    /// The source gave an attempt up: the rest won't come.
    pub(super) fn abort(&mut self, from: Slot, payload: &[u8]) {
        let Ok(abort) = migrate::Abort::decode(payload) else { return };
        for table in [&mut self.manifests, &mut self.finals] {
            if table.get(abort.attempt).is_some_and(|assembly| assembly.from == from) {
                table.remove(abort.attempt);
            }
        }
    }

    /// A peer's session ended: the rest won't come.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.manifests.retain(|_, assembly| assembly.from != slot);
        self.finals.retain(|_, assembly| assembly.from != slot);
    }

    /// A piece of a manifest.
    pub(super) fn prepare(&mut self, proc: &'static Proc, from: Slot, payload: &[u8]) {
        let Ok((head, piece)) = migrate::Prepare::decode(payload) else {
            log::warn!("a bad piece of an image of node {from}");
            return;
        };
        let attempt = head.attempt;
        let offer = Offer {
            attempt,
            process: head.process,
            kind: head.kind,
            origin: head.origin,
            epoch: head.epoch,
        };
        if head.offset == 0 {
            let refusal = with_mover(proc, |mover, _| mover.screen(from, &offer)).flatten();
            if let Some(failure) = refusal {
                with_mover(proc, |mover, now| mover.refuse(now, from, attempt, failure));
                return;
            }
        } else if self.manifests.get(attempt).is_none() {
            // The rest of an image that was refused at its first piece.
            return;
        }
        let key = (attempt, head.total_len, head.offset);
        match grow(&mut self.manifests, from, key, piece) {
            Some(None) => {}
            Some(Some(bytes)) => take_offer(proc, from, offer, bytes),
            None => {
                with_mover(proc, |mover, now| mover.refuse(now, from, attempt, Failure::BadImage));
            }
        }
    }

    /// A piece of a final part.
    pub(super) fn finish(&mut self, proc: &'static Proc, from: Slot, payload: &[u8]) {
        let Ok((head, piece)) = migrate::Final::decode(payload) else {
            log::warn!("a bad piece of a final part of node {from}");
            return;
        };
        let attempt = head.attempt;
        let expected = {
            let tables = proc.tables.lock();
            tables.incoming.get(attempt).is_some_and(|incoming| incoming.source == from)
        };
        if !expected {
            // The machine answers, once.
            if head.offset == 0 {
                with_mover(proc, |mover, now| mover.handle_final(now, from, attempt));
            }
            return;
        }
        let key = (attempt, head.total_len, head.offset);
        let outcome = match grow(&mut self.finals, from, key, piece) {
            Some(None) => return,
            Some(Some(bytes)) => take_final(proc, from, attempt, &bytes),
            None => Err(Failure::BadImage),
        };
        with_mover(proc, |mover, now| match outcome {
            Ok(()) => mover.handle_final(now, from, attempt),
            Err(failure) => mover.restore_failed(now, attempt, failure),
        });
    }
}

fn take_offer(proc: &'static Proc, from: Slot, offer: Offer, bytes: Vec<u8>) {
    let attempt = offer.attempt;
    if let Err(failure) = add_incoming(proc, from, &offer, bytes) {
        with_mover(proc, |mover, now| mover.refuse(now, from, attempt, failure));
        return;
    }
    let taken = with_mover(proc, |mover, now| {
        mover.handle_offer(now, from, offer);
        mover.target_phase(attempt).is_some()
    });
    if taken != Some(true) {
        proc.tables.lock().incoming.remove(attempt);
    }
}

#[inline(never)]
fn add_incoming(
    proc: &Proc,
    from: Slot,
    offer: &Offer,
    bytes: Vec<u8>,
) -> core::result::Result<(), Failure> {
    let manifest = Manifest::decode(&bytes).map(Box::new).map_err(|error| {
        log::warn!("image of {} of node {from}: {error}", offer.process);
        Failure::BadImage
    })?;
    let subject = &manifest.subject;
    let kind = match subject.kind {
        SubjectKind::Live => ImageKind::Live,
        SubjectKind::Exec => ImageKind::Exec,
    };
    let as_offered = subject.attempt == offer.attempt
        && subject.process == offer.process
        && subject.origin == offer.origin
        && subject.source == from
        && subject.epoch == offer.epoch
        && kind == offer.kind;
    if !as_offered {
        return Err(Failure::BadImage);
    }
    if subject.kernel_build != kernel_build() {
        return Err(Failure::Kernel);
    }
    let into = match driver::configured() {
        Ok(own) if own == offer.origin => Arrival::Home,
        _ => Arrival::Guest,
    };
    if !gate::has_room(&proc.tables.lock(), &manifest) {
        return Err(Failure::Full);
    }
    insert(proc, from, offer, into, manifest, bytes).map_err(|_| Failure::NoMemory)
}

#[inline(never)]
fn insert(
    proc: &Proc,
    source: Slot,
    offer: &Offer,
    into: Arrival,
    manifest: Box<Manifest>,
    manifest_bytes: Vec<u8>,
) -> Result {
    let mut tables = proc.tables.lock();
    let record = match into {
        Arrival::Home => tables.records.get(offer.process).cloned(),
        Arrival::Guest => None,
    };
    let record = record.filter(|record| record.role() == Role::Surrogate);
    let attempt = offer.attempt;
    let incoming =
        Incoming::new(Parts { attempt, source, into, manifest, manifest_bytes, record })?;
    Ok(tables.incoming.insert(attempt, incoming)?)
}

#[inline(never)]
fn take_final(
    proc: &Proc,
    from: Slot,
    attempt: AttemptId,
    bytes: &[u8],
) -> core::result::Result<(), Failure> {
    let incoming = proc.tables.lock().incoming.get(attempt).cloned();
    // One that is not known is answered by the machine.
    let Some(incoming) = incoming.filter(|incoming| incoming.source == from) else {
        return Ok(());
    };
    if incoming.is_exec() {
        return Ok(());
    }
    let part = Final::decode(bytes).map(Box::new).map_err(|error| {
        log::warn!("final part of {} of node {from}: {error}", incoming.process);
        Failure::BadImage
    })?;
    let freeze = &part.freeze;
    let fits = freeze.attempt == attempt
        && freeze.process == incoming.process
        && freeze.epoch == incoming.epoch;
    if !fits {
        return Err(Failure::BadImage);
    }
    // One that is in use, or there, is not replaced: a source sends one.
    match incoming.final_part.try_lock() {
        Some(mut place) if place.is_none() => *place = Some(part),
        _ => return Err(Failure::BadImage),
    }
    Ok(())
}
