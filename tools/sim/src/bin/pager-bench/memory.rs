//! A memory that is too small for a program, and what has to be fetched.

use std::collections::{BTreeMap, HashSet};

use holon_sim::trace::Trace;

use crate::ahead::{self, Ahead};
use crate::policy::{self, Policy, BATCH};

/// Shares of the program's pages that memory has room for, in per cent.
const SHARES: [usize; 3] = [75, 50, 33];

/// Pages of all epochs.
pub(crate) fn footprint(trace: &Trace) -> usize {
    trace.iter().flatten().collect::<HashSet<_>>().len()
}

/// What a run took.
#[derive(Debug, Default)]
pub(crate) struct Took {
    /// Faults that had to wait for a page.
    pub(crate) faults: u64,
    /// Pages that were fetched, asked for or along.
    pub(crate) pages: u64,
}

/// Runs a trace in too small a memory.
pub(crate) fn run(
    trace: &Trace,
    room: usize,
    policy: &mut dyn Policy,
    ahead: &mut dyn Ahead,
) -> Took {
    let mut here: HashSet<u64> = HashSet::new();
    let mut away: HashSet<u64> = HashSet::new();
    let mut took = Took::default();
    for (number, epoch) in trace.iter().enumerate() {
        let mut touched: HashSet<u64> = HashSet::with_capacity(epoch.len());
        for page in epoch {
            touched.insert(*page);
            ahead.touched(*page);
            if !here.contains(page) {
                let is_back = away.remove(page);
                here.insert(*page);
                policy.came(*page, is_back);
                if is_back {
                    took.faults += 1;
                    took.pages += 1;
                    for along in ahead.fault(*page) {
                        if away.remove(&along) {
                            took.pages += 1;
                            here.insert(along);
                            policy.came(along, false);
                            ahead.came(along);
                        }
                    }
                }
            }
            policy.touched(number, *page);
            while here.len() > room {
                let victims = policy.victims(number, &here, &touched);
                assert!(!victims.is_empty() && victims.len() <= BATCH, "a batch");
                for victim in victims {
                    assert!(here.remove(&victim), "evicted twice");
                    away.insert(victim);
                    ahead.went(victim);
                }
            }
        }
        policy.end_epoch(number, &here, &touched);
    }
    took
}

pub(crate) fn report(traces: &[(String, Trace)]) {
    println!("Pages fetched again, as ratios to random choice (absolute in brackets).");
    println!("Batches of {BATCH} pages; memory as a share of the program's pages.");
    let names = policy::NAMES;
    print!("{:<10}{:>8}{:>7}", "program", "pages", "memory");
    names.iter().for_each(|name| print!("{name:>16}"));
    println!();
    let mut products: BTreeMap<&str, (f64, u32)> = BTreeMap::new();
    for (program, trace) in traces {
        let pages = footprint(trace);
        for share in SHARES {
            let room = pages * share / 100;
            print!("{program:<10}{pages:>8}{share:>6}%");
            let mut random = 0;
            for name in names {
                let mut chosen = policy::make(name, trace);
                let fetches = run(trace, room, chosen.as_mut(), &mut ahead::Nothing).faults;
                if name == "random" {
                    random = fetches.max(1);
                }
                let ratio = fetches as f64 / random as f64;
                let (sum, count) = products.entry(name).or_insert((0.0, 0));
                *sum += ratio.max(0.001).ln();
                *count += 1;
                print!("{:>16}", format!("{ratio:.2} ({fetches})"));
            }
            println!();
        }
    }
    print!("{:<25}", "geometric mean");
    for name in names {
        let (sum, count) = products.get(name).copied().unwrap_or((0.0, 1));
        print!("{:>16}", format!("{:.3}", (sum / f64::from(count.max(1))).exp()));
    }
    println!("\n");
}
