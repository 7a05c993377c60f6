//! `holon-sim [pager] [FIRST [COUNT]]`: runs seeds, twice each. A broken promise prints the last
//! events, the promise and the seed's options, and the exit status is 1.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::catch_unwind;
use std::process::ExitCode;

use holon_sim::{pager, run, Options};

/// What a run came to, and what it was drawn from.
type Lived = (u64, BTreeMap<String, u64>);

fn live(is_pager: bool, seed: u64) -> Lived {
    if is_pager {
        let outcome = pager::run(seed);
        (outcome.hash, outcome.seen)
    } else {
        let outcome = run(seed);
        (outcome.hash, outcome.seen)
    }
}

fn options(is_pager: bool, seed: u64) -> Box<dyn Debug> {
    if is_pager {
        Box::new(pager::Options::draw(seed))
    } else {
        Box::new(Options::draw(seed))
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let is_pager = arguments.next_if(|text| text == "pager").is_some();
    let mut numbers = arguments.map(|text| text.parse::<u64>());
    let first = numbers.next().unwrap_or(Ok(0));
    let count = numbers.next().unwrap_or(Ok(100));
    let (Ok(first), Ok(count)) = (first, count) else {
        eprintln!("usage: holon-sim [pager] [FIRST [COUNT]]");
        return ExitCode::from(2);
    };
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in first..first.saturating_add(count) {
        let Ok((once, twice)) = catch_unwind(|| (live(is_pager, seed), live(is_pager, seed)))
        else {
            eprintln!("seed {seed}: {:#?}", options(is_pager, seed));
            return ExitCode::FAILURE;
        };
        if once != twice {
            eprintln!("seed {seed}: two runs differ");
            return ExitCode::FAILURE;
        }
        for (what, times) in once.1 {
            *seen.entry(what).or_default() += times;
        }
    }
    for (what, times) in seen {
        println!("{times:>10}  {what}");
    }
    ExitCode::SUCCESS
}
