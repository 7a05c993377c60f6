//! Traces of pages that real programs touched, as `pager-record` writes them.
//!
//! An epoch is the number of its runs of pages and then each run: the distance of its first page
//! from the end of the run before (zigzag), doubled, plus one if a length follows; else it is one
//! page. Numbers have 7 bits a byte, low ones first. Runs are in the order of first touches.

/// The pages of each epoch, in the order in which they were touched first.
pub type Trace = Vec<Vec<u64>>;

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0_u64, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

fn epoch(bytes: &mut &[u8], last: &mut u64) -> Option<Vec<u64>> {
    let mut pages = Vec::new();
    for _ in 0..take(bytes)? {
        let word = take(bytes)?;
        let zigzag = word >> 1;
        let distance = (zigzag >> 1) ^ 0_u64.wrapping_sub(zigzag & 1);
        let first = last.wrapping_add(distance);
        let len = if word & 1 == 1 { take(bytes)? } else { 1 };
        *last = first.wrapping_add(len);
        pages.extend(first..*last);
    }
    Some(pages)
}

/// Reads a trace. `None` if it is damaged.
#[must_use]
pub fn read(mut bytes: &[u8]) -> Option<Trace> {
    let (mut trace, mut last) = (Vec::new(), 0);
    while !bytes.is_empty() {
        trace.push(epoch(&mut bytes, &mut last)?);
    }
    Some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_runs() {
        // Two runs: 5..8, then 3 (distance -5); then one: 4 (distance 0).
        let bytes = [2, (10 << 1) | 1, 3, 9 << 1, 1, 0];
        assert_eq!(read(&bytes), Some(vec![vec![5, 6, 7, 3], vec![4]]));
        assert_eq!(read(&bytes[..3]), Some(vec![]).filter(|_| false));
    }

    #[test]
    fn reads_what_is_committed() {
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/traces")).expect("dir")
        {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "trace") {
                let trace = read(&std::fs::read(&path).expect("a file")).expect("a whole trace");
                assert!(trace.len() > 100, "{path:?}");
            }
        }
    }
}
