//! `holon-sim [FIRST [COUNT]]`: runs seeds, twice each. A broken promise prints the last events,
//! the promise and the seed's options, and the exit status is 1.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::process::ExitCode;

use holon_sim::{run, Options};

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let first = numbers.next().unwrap_or(Ok(0));
    let count = numbers.next().unwrap_or(Ok(100));
    let (Ok(first), Ok(count)) = (first, count) else {
        eprintln!("usage: holon-sim [FIRST [COUNT]]");
        return ExitCode::from(2);
    };
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in first..first.saturating_add(count) {
        let Ok((once, twice)) = catch_unwind(|| (run(seed), run(seed))) else {
            eprintln!("seed {seed}: {:#?}", Options::draw(seed));
            return ExitCode::FAILURE;
        };
        if once != twice {
            eprintln!("seed {seed}: two runs differ");
            return ExitCode::FAILURE;
        }
        for (what, times) in once.seen {
            *seen.entry(what).or_default() += times;
        }
    }
    for (what, times) in seen {
        println!("{times:>10}  {what}");
    }
    ExitCode::SUCCESS
}
