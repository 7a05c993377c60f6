//! Policy about remote memory, and what is told of it.
//!
//! The module lends, evicts and fetches by itself. This node's configuration is written to its
//! knobs ([`knobs`]); how long programs wait for memory is measured here ([`pressure`]); a node
//! that is gone for good is given up by the votes of the others ([`verdict`]); users are told who
//! has what of whom ([`rows`]) and who would be hurt by a loss ([`blast`]).

pub(crate) mod blast;
pub(crate) mod knobs;
pub(crate) mod pressure;
pub(crate) mod rows;
pub(crate) mod verdict;

use crate::kernel::event::Lost;
use crate::node::Node;
use blast::Named;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is remembered from second to second.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// What there was so far, and when that was.
    counted: Option<(Instant, Counts)>,
    rates: Rates,
    /// Who has pages elsewhere, by number here: to be named when it has died of their loss.
    names: HashMap<u32, Named>,
    /// When that was found out.
    named: Option<Instant>,
    /// Whose loss was told lately.
    told: HashMap<u32, Instant>,
}

/// Since the module was loaded: faults, pages that went, pages that came back.
type Counts = [u64; 3];
/// The same, per second.
type Rates = [f64; 3];

fn rates(before: Counts, now: Counts, seconds: f64) -> Rates {
    let seconds = seconds.max(0.001);
    // A module that was loaded anew counts from zero. Far below 2^53 in any second.
    std::array::from_fn(|at| now[at].saturating_sub(before[at]) as f64 / seconds)
}

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often it is found out who has pages elsewhere: it takes a look at each of them, on a node
/// that is short of memory. Who came since then is asked for its name when it has lost a page.
const NAMES_PAUSE: Duration = Duration::from_secs(10);

/// Looks at this node's remote memory; each second.
pub(crate) fn look(node: &Node) {
    let Some(status) = node.device.as_ref().and_then(|device| device.memory().ok()) else {
        return;
    };
    let now = Instant::now();
    let named = node.memory.inner().named;
    let is_due = named.is_none_or(|at| now.duration_since(at) >= NAMES_PAUSE);
    // The first that has pages elsewhere is named at once: before that nothing is found out.
    let found = match status.lodged {
        0 => Some((None, HashMap::new())),
        _ if is_due => Some((Some(now), blast::names(node, None))),
        _ => None,
    };
    let mut inner = node.memory.inner();
    let counts = [status.faults, status.evicted, status.fetched];
    if let Some((at, before)) = inner.counted {
        inner.rates = rates(before, counts, now.duration_since(at).as_secs_f64());
    }
    inner.counted = Some((now, counts));
    if let Some((named, names)) = found {
        inner.named = named;
        inner.names = names.into_iter().map(|(pid, (named, _))| (pid, named)).collect();
    }
}

/// A process that keeps touching what it lost is told of so often.
const TELL_PAUSE: Duration = Duration::from_secs(10);

/// Memory was lost: tells whose.
pub(crate) fn on_lost(node: &Node, lost: &Lost) {
    let Some(pid) = lost.pid else {
        return verdict::note_lost(node, &Named::default(), lost.slot, lost.text().into());
    };
    {
        let mut inner = node.memory.inner();
        inner.told.retain(|_, at| at.elapsed() < TELL_PAUSE);
        if inner.told.insert(pid, Instant::now()).is_some() {
            return;
        }
    }
    let named = name_of(node, pid);
    let reason = format!("{}: {}", named.text(pid), lost.text());
    verdict::note_lost(node, &named, lost.slot, reason);
}

/// The name of a process here that has pages elsewhere, or had lately.
fn name_of(node: &Node, pid: u32) -> Named {
    let known = node.memory.inner().names.get(&pid).cloned();
    known.unwrap_or_else(|| blast::name(node, pid))
}
