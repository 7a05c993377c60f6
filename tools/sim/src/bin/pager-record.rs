//! `pager-record ACCESSES OUT`: makes a trace of pages out of what valgrind's lackey says of a run.
//!
//! ```text
//! valgrind --tool=lackey --trace-mem=yes --log-fd=9 PROGRAM… 9>&1 >/dev/null | pager-record N OUT
//! ```
//! Loads and stores count, instructions do not: those come from files. In each epoch of `N`
//! accesses every page is written down once, in the order of first touches, so a sample of accessed
//! bits at the end of an epoch is exact. The format is told in `holon_sim::trace`.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::ExitCode;

/// An address's bits within its page.
const PAGE_BITS: u32 = 12;

/// Appends a number, 7 bits a byte.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// The pages of one epoch, as ascending runs.
fn write_epoch(out: &mut Vec<u8>, pages: &[u64], last: &mut u64) {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for page in pages {
        match runs.last_mut() {
            Some((first, len)) if *first + *len == *page => *len += 1,
            _ => runs.push((*page, 1)),
        }
    }
    put(out, runs.len() as u64);
    for (first, len) in runs {
        let delta = zigzag(first.wrapping_sub(*last) as i64);
        // The low bit tells whether a length follows.
        put(out, delta << 1 | u64::from(len > 1));
        if len > 1 {
            put(out, len);
        }
        *last = first + len;
    }
}

/// The address of a line such as ` L 1ffeff,8`; none of an instruction's or a message's.
fn address(line: &[u8]) -> Option<u64> {
    let [b' ', b'L' | b'S' | b'M', b' ', rest @ ..] = line else {
        return None;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit());
    Some(digits.fold(0, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            _ => (digit | 0x20) - b'a' + 10,
        };
        sum << 4 | u64::from(value)
    }))
}

fn record(per_epoch: u64, path: &str) -> std::io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, std::io::stdin().lock());
    let (mut out, mut line) = (Vec::new(), Vec::new());
    let (mut touched, mut seen) = (Vec::new(), HashSet::new());
    let (mut accesses, mut epochs, mut last, mut recent) = (0u64, 0u64, 0, u64::MAX);
    loop {
        line.clear();
        let is_over = input.read_until(b'\n', &mut line)? == 0;
        if let Some(page) = address(&line).map(|address| address >> PAGE_BITS) {
            accesses += 1;
            if page != recent && seen.insert(page) {
                touched.push(page);
            }
            recent = page;
        }
        if (is_over || accesses == per_epoch) && !touched.is_empty() {
            write_epoch(&mut out, &touched, &mut last);
            touched.clear();
            seen.clear();
            (accesses, recent) = (0, u64::MAX);
            epochs += 1;
        }
        if is_over {
            break;
        }
    }
    eprintln!("{epochs} epochs, {} bytes", out.len());
    std::fs::File::create(path)?.write_all(&out)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [per_epoch, path] = &arguments[..] else {
        eprintln!("usage: pager-record ACCESSES OUT");
        return ExitCode::from(2);
    };
    let Some(per_epoch) = per_epoch.parse().ok().filter(|number| *number > 0) else {
        eprintln!("not a number of accesses: {per_epoch}");
        return ExitCode::from(2);
    };
    match record(per_epoch, path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}
