//! Which bytes of a message were received: a few intervals with gaps between them.
//!
//! Invariant: `runs[..len]` are ascending, not empty, and do not touch.

use super::inbox::Taken;
use crate::limits::PIECES_MAX;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Pieces {
    runs: [(u32, u32); PIECES_MAX],
    len: usize,
}

impl Pieces {
    pub(crate) const fn new() -> Self {
        Self { runs: [(0, 0); PIECES_MAX], len: 0 }
    }

    fn runs(&self) -> &[(u32, u32)] {
        self.runs.get(..self.len).unwrap_or_default()
    }

    /// Adds the bytes from `start` up to `end`, which are some. Refused when they would make more
    /// intervals than there is room for, which a sender's cuts never do.
    pub(crate) fn add(&mut self, start: usize, end: usize) -> Taken {
        let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end)) else {
            return Taken::Refused;
        };
        // The runs that overlap or touch the new one become one with it.
        let first = self.runs().iter().take_while(|run| run.1 < start).count();
        let touching = self.runs().iter().skip(first).take_while(|run| run.0 <= end);
        let (mut low, mut high, mut count) = (start, end, 0_usize);
        for run in touching {
            if run.0 <= start && end <= run.1 {
                return Taken::Again;
            }
            (low, high) = (low.min(run.0), high.max(run.1));
            count = count.saturating_add(1);
        }
        if count == 0 {
            if self.len >= PIECES_MAX {
                return Taken::Refused;
            }
            self.len = self.len.saturating_add(1);
            if let Some(tail) = self.runs.get_mut(first..self.len) {
                tail.rotate_right(1);
            }
            count = 1;
        }
        if let Some(run) = self.runs.get_mut(first) {
            *run = (low, high);
        }
        let merged = count.saturating_sub(1);
        if let Some(tail) = self.runs.get_mut(first.saturating_add(1)..self.len) {
            tail.rotate_left(merged.min(tail.len()));
        }
        self.len = self.len.saturating_sub(merged);
        Taken::New
    }

    /// Whether all bytes up to `len` are there.
    pub(crate) fn covers(&self, len: usize) -> bool {
        len == 0 || matches!(self.runs(), [(0, end)] if usize::try_from(*end) == Ok(len))
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn any_order_of_any_pieces_fills_the_whole() {
        let mut x = 7_u64;
        for _ in 0..2000 {
            let mut pieces = Pieces::new();
            let mut got = [false; 24];
            loop {
                x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let start = usize::try_from((x >> 33) % 24).unwrap_or(0);
                let end = (start + 1 + usize::try_from((x >> 50) % 5).unwrap_or(0)).min(24);
                let is_known = got[start..end].iter().all(|got| *got);
                let expected = if is_known { Taken::Again } else { Taken::New };
                assert_eq!(pieces.add(start, end), expected);
                got[start..end].fill(true);
                assert_eq!(pieces.covers(24), got.iter().all(|got| *got));
                if pieces.covers(24) {
                    break;
                }
            }
        }
    }

    #[test]
    fn too_many_gaps_are_refused() {
        let mut pieces = Pieces::new();
        for piece in 0..PIECES_MAX {
            assert_eq!(pieces.add(piece * 4, piece * 4 + 1), Taken::New);
        }
        assert_eq!(pieces.add(1000, 1001), Taken::Refused);
        assert_eq!(pieces.add(1, 4), Taken::New);
        assert_eq!(pieces.add(1000, 1001), Taken::New);
        assert!(!pieces.covers(1001) && Pieces::new().covers(0));
    }
}
