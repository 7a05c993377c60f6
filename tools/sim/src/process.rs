//! A process as the simulator, which sees all nodes at once, knows it.

use std::collections::BTreeMap;

use netproto::{Epoch, GlobalPid};

/// What a process' task on a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// The body.
    Running(Epoch),
    /// Stopped for a hand-off.
    Frozen,
    /// Stands for the body.
    Surrogate,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: GlobalPid,
    pub(crate) origin: usize,
    /// Its origin knows that it has ended.
    pub(crate) has_ended: bool,
    /// Why it may be dead.
    pub(crate) excuse: Option<&'static str>,
    /// Which node ran it at which epoch.
    pub(crate) ran: BTreeMap<Epoch, usize>,
    /// Since when it runs somewhere without its origin's leave.
    pub(crate) disowned_since_ns: Option<u64>,
}

impl Process {
    pub(crate) fn new(number: usize, origin: usize) -> Self {
        let pid = u32::try_from(number).expect("few") + 2;
        Self {
            name: GlobalPid::new(1, pid),
            origin,
            has_ended: false,
            excuse: None,
            ran: BTreeMap::new(),
            disowned_since_ns: None,
        }
    }
}
