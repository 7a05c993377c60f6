//! A batch under way.

use netproto::limits::LODGE_PAGES_MAX;
use netproto::msg::lodge::BatchFlags;
use netproto::{Instant, RequestId, Slot};

use crate::lodge::owner::entry::EntryId;
use crate::lodge::{bit, first_bits, PAGES_MAX};
use crate::retry::{Policy, Retry};

/// The number of a batch at its owner. Used again, but not while the batch is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u16);

/// What a batch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpKind {
    /// Stores pages that are here.
    Evict,
    /// Reads pages for the driver.
    Fetch,
    /// Reads pages in order to store them elsewhere.
    MendRead,
    /// Stores what was read.
    MendStore,
    /// Tells one holder that pages are not needed.
    Release,
}

/// Destinations of a batch at most.
pub(super) const LANES: usize = 2;

/// To one holder: which positions it was not answered for, and which are to be sent now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lane {
    pub(super) holder: Option<Slot>,
    pub(super) open: u32,
    pub(super) unsent: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Op {
    pub(super) kind: OpKind,
    pub(super) request: RequestId,
    /// Of FETCH, while the first page is open.
    pub(super) flags: BatchFlags,
    pub(super) entries: [Option<EntryId>; PAGES_MAX],
    /// Where a page is read from at present.
    pub(super) sources: [Option<Slot>; PAGES_MAX],
    pub(super) lanes: [Lane; LANES],
    /// Positions that did not succeed.
    pub(super) failed: u32,
    /// Positions that were read.
    pub(super) done: u32,
    pub(super) retry: Retry,
    pub(super) is_over: bool,
    /// The driver was told that it is over.
    pub(super) is_told: bool,
}

impl Op {
    pub(super) fn new(
        kind: OpKind,
        request: RequestId,
        entries: &[EntryId],
        (policy, now): (Policy, Instant),
    ) -> Self {
        let mut op = Self {
            kind,
            request,
            flags: BatchFlags::empty(),
            entries: [None; PAGES_MAX],
            sources: [None; PAGES_MAX],
            lanes: [Lane::default(); LANES],
            failed: 0,
            done: 0,
            retry: Retry::new(policy, now),
            is_over: false,
            is_told: false,
        };
        let most = usize::from(LODGE_PAGES_MAX);
        for (place, entry) in op.entries.iter_mut().zip(entries.iter().take(most)) {
            *place = Some(*entry);
        }
        op
    }

    /// Opens all positions towards a holder, or towards each page's own source.
    pub(super) fn open_lane(&mut self, lane: usize, holder: Option<Slot>) {
        let all = first_bits(self.entries.iter().flatten().count());
        if let Some(lane) = self.lanes.get_mut(lane) {
            *lane = Lane { holder, open: all, unsent: 0 };
        }
    }

    pub(super) fn entry(&self, position: u8) -> Option<EntryId> {
        self.entries.get(usize::from(position)).copied().flatten()
    }

    pub(super) fn position_of(&self, entry: EntryId) -> Option<u8> {
        let at = self.entries.iter().position(|other| *other == Some(entry))?;
        u8::try_from(at).ok()
    }

    pub(super) fn source(&self, position: u8) -> Option<Slot> {
        self.sources.get(usize::from(position)).copied().flatten()
    }

    pub(super) fn set_source(&mut self, position: u8, source: Option<Slot>) {
        if let Some(place) = self.sources.get_mut(usize::from(position)) {
            *place = source;
        }
    }

    pub(super) fn open(&self) -> u32 {
        self.lanes.iter().fold(0, |open, lane| open | lane.open)
    }

    pub(super) fn is_reading(&self) -> bool {
        matches!(self.kind, OpKind::Fetch | OpKind::MendRead)
    }

    pub(super) fn is_storing(&self) -> bool {
        matches!(self.kind, OpKind::Evict | OpKind::MendStore)
    }

    /// The lane that an answer from `from` about `position` is for.
    pub(super) fn lane_for(&self, from: Slot, position: u8) -> Option<usize> {
        if self.is_reading() && self.source(position) != Some(from) {
            return None;
        }
        self.lanes.iter().position(|lane| {
            lane.open & bit(position) != 0 && lane.holder.is_none_or(|holder| holder == from)
        })
    }

    pub(super) fn close(&mut self, lane: usize, position: u8) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.open &= !bit(position);
            lane.unsent &= !bit(position);
        }
    }

    /// The position is of no interest any more.
    pub(super) fn fail(&mut self, position: u8) {
        self.failed |= bit(position);
        (0..LANES).for_each(|lane| self.close(lane, position));
    }

    /// The position's entry may be used for something else.
    pub(super) fn forget(&mut self, position: u8) {
        (0..LANES).for_each(|lane| self.close(lane, position));
        self.done &= !bit(position);
        if let Some(place) = self.entries.get_mut(usize::from(position)) {
            *place = None;
        }
    }

    /// Everything that is open is to be sent (again).
    pub(super) fn send_open(&mut self) {
        for lane in &mut self.lanes {
            lane.unsent = lane.open;
        }
    }

    pub(super) fn send_again(&mut self, position: u8) {
        for lane in &mut self.lanes {
            lane.unsent |= lane.open & bit(position);
        }
    }
}
