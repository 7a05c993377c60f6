//! Fetching ahead, over recorded traces.

use std::collections::HashMap;

use holon_sim::trace::Trace;
use vm_remote::prefetch::{Prefetch, Shape};

use crate::memory;
use crate::policy;

/// Room in memory, in per cent of the program's pages.
const SHARE: usize = 50;

/// A round trip's cost in pages' time on the wire: 4 KiB at 10 Gbit/s take 3.3 us, a small request
/// and its answer some 30 us.
const ROUND_TRIP_PAGES: u64 = 9;

pub(crate) trait Ahead {
    /// The pages to fetch along with one that was faulted on.
    fn fault(&mut self, page: u64) -> Vec<u64>;
    /// A page came along.
    fn came(&mut self, page: u64);
    fn touched(&mut self, page: u64);
    fn went(&mut self, page: u64);
}

/// Only what is asked for.
pub(crate) struct Nothing;

impl Ahead for Nothing {
    fn fault(&mut self, _: u64) -> Vec<u64> {
        Vec::new()
    }

    fn came(&mut self, _: u64) {}

    fn touched(&mut self, _: u64) {}

    fn went(&mut self, _: u64) {}
}

/// The aligned block of eight, always, as swap readahead does at its default.
struct Block;

impl Ahead for Block {
    fn fault(&mut self, page: u64) -> Vec<u64> {
        (page & !7..=page | 7).filter(|other| *other != page).collect()
    }

    fn came(&mut self, _: u64) {}

    fn touched(&mut self, _: u64) {}

    fn went(&mut self, _: u64) {}
}

/// Ours.
struct Adaptive {
    prefetch: Prefetch,
    shape: Shape,
    open: HashMap<u64, Shape>,
}

impl Ahead for Adaptive {
    fn fault(&mut self, page: u64) -> Vec<u64> {
        let plan = self.prefetch.fault(page);
        self.shape = plan.shape();
        plan.collect()
    }

    fn came(&mut self, page: u64) {
        self.open.insert(page, self.shape);
    }

    fn touched(&mut self, page: u64) {
        if let Some(shape) = self.open.remove(&page) {
            self.prefetch.touched(shape, Some(page));
        }
    }

    fn went(&mut self, page: u64) {
        if let Some(shape) = self.open.remove(&page) {
            self.prefetch.wasted(shape);
        }
    }
}

fn make(name: &str) -> Box<dyn Ahead> {
    match name {
        "nothing" => Box::new(Nothing),
        "block-of-8" => Box::new(Block),
        _ => Box::new(Adaptive {
            prefetch: Prefetch::new(),
            shape: Shape::Around,
            open: HashMap::new(),
        }),
    }
}

pub(crate) fn report(traces: &[(String, Trace)]) {
    println!("Fetching ahead, memory {SHARE}% of the program's pages, eviction by coldness:");
    println!("faults that wait, pages fetched, and time as a ratio to no prefetch, where a fault");
    println!("costs the time of {ROUND_TRIP_PAGES} pages and each page one.");
    println!("{:<10}{:<12}{:>10}{:>10}{:>8}", "program", "ahead", "faults", "pages", "time");
    for (program, trace) in traces {
        let room = memory::footprint(trace) * SHARE / 100;
        let mut before = 0;
        for name in ["nothing", "block-of-8", "adaptive"] {
            let mut policy = policy::make("coldness", trace);
            let mut ahead = make(name);
            let took = memory::run(trace, room, policy.as_mut(), ahead.as_mut());
            let time = took.faults * ROUND_TRIP_PAGES + took.pages;
            if name == "nothing" {
                before = time.max(1);
            }
            let ratio = time as f64 / before as f64;
            println!("{program:<10}{name:<12}{:>10}{:>10}{ratio:>8.2}", took.faults, took.pages);
        }
    }
}
