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

/// Faults in a memory that has room for so many of a hundred pages.
fn faults(name: &str, trace: &Trace, share: usize) -> u64 {
    let room = footprint(trace) * share / 100;
    run(trace, room, policy::make(name, trace).as_mut(), &mut ahead::Nothing).faults
}

/// The mean of ratios to a choice at random, so that no program counts for more than another.
#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, ratio: f64) {
        self.sum += ratio.max(0.001).ln();
        self.count += 1;
    }

    fn get(&self) -> f64 {
        (self.sum / f64::from(self.count.max(1))).exp()
    }
}

pub(crate) fn report(traces: &[(String, Trace)]) {
    println!("Pages fetched again, as ratios to random choice (absolute in brackets).");
    println!("Batches of {BATCH} pages; memory as a share of the program's pages.");
    let names = policy::NAMES;
    print!("{:<10}{:>8}{:>7}", "program", "pages", "memory");
    names.iter().for_each(|name| print!("{name:>16}"));
    println!();
    let mut means: BTreeMap<&str, Mean> = BTreeMap::new();
    for (program, trace) in traces {
        let pages = footprint(trace);
        for share in SHARES {
            print!("{program:<10}{pages:>8}{share:>6}%");
            let mut random = 0;
            for name in names {
                let fetches = faults(name, trace, share);
                if name == "random" {
                    random = fetches.max(1);
                }
                let ratio = fetches as f64 / random as f64;
                means.entry(name).or_default().add(ratio);
                print!("{:>16}", format!("{ratio:.2} ({fetches})"));
            }
            println!();
        }
    }
    print!("{:<25}", "geometric mean");
    for name in names {
        print!("{:>16}", format!("{:.3}", means.get(name).map_or(1.0, Mean::get)));
    }
    println!("\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coldness_beats_random_and_lru_by_fault() {
        let traces = crate::traces(Vec::new()).expect("the recorded ones");
        assert!(traces.len() >= 3, "{} traces", traces.len());
        let (mut coldness, mut by_fault) = (Mean::default(), Mean::default());
        for (program, trace) in &traces {
            for share in SHARES {
                let of = |name| faults(name, trace, share) as f64;
                let (random, cold) = (of("random").max(1.0), of("coldness"));
                assert!(cold < random, "{program}, {share} %: {cold} faults, at random {random}");
                coldness.add(cold / random);
                by_fault.add(of("lru-by-fault") / random);
            }
        }
        let (coldness, by_fault) = (coldness.get(), by_fault.get());
        // It is 0.40 and 0.72.
        assert!(coldness < 0.75 * by_fault, "{coldness:.3} of random, by fault {by_fault:.3}");
    }
}
