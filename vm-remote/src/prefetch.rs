//! What to fetch along with a page that was faulted on.
//!
//! One program's faults are looked at together. If most of the last distances between them are the
//! same (majority vote over a window that grows, Boyer and Moore; Leap, Maruf and Chowdhury, USENIX
//! ATC 2020), that is the *stride*, and pages along it are fetched ahead; one is a sequential scan.
//! If there is none, pages around the faulted one are. How many goes by how many of the last ones
//! were touched: it doubles when they pay, halves when they don't, and at zero nothing is fetched
//! ahead but a probe now and then, so that it can find out that it would pay again.
//!
//! Along a stride pages are asked for in *chunks*, each when the program reaches the one before it:
//! so one chunk travels while the other is used, and no page is asked for twice.

/// Distances that are remembered.
const HISTORY: usize = 32;

/// The first window that is voted on.
const WINDOW_MIN: usize = 4;

/// Pages in a chunk at most. Two chunks may be ahead of the program.
pub const AHEAD_MAX: u8 = 64;

/// Around a page: at most so many.
const AROUND_MAX: u8 = 7;

/// Outcomes after which the number is looked at again.
const TRIAL: u32 = 16;

/// Of a hundred pages ahead so many must be touched, to go on and to fetch more. A page that comes
/// along costs about a third of one that is asked for alone.
const PAYS: u32 = 35;
const PAYS_WELL: u32 = 60;

/// While nothing is fetched ahead, each so many faults one is tried.
const PROBE_EVERY: u32 = 32;

/// Which way the pages ahead lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Along a distance.
    Stride(i64),
    /// Around the page, in its block.
    Around,
}

/// The pages to fetch ahead of a fault.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// They lie beyond this page.
    page: u64,
    shape: Shape,
    count: u8,
    done: u8,
}

impl Plan {
    /// Which way they lie.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> u8 {
        self.count
    }
}

impl Iterator for Plan {
    type Item = u64;

    /// The next page, the nearest first.
    fn next(&mut self) -> Option<u64> {
        if self.done >= self.count {
            return None;
        }
        self.done = self.done.saturating_add(1);
        match self.shape {
            Shape::Stride(stride) => {
                self.page.checked_add_signed(stride.checked_mul(i64::from(self.done))?)
            }
            Shape::Around => {
                // The aligned block of eight, going up from the page and round.
                let block = u64::from(AROUND_MAX);
                let offset = self.page.wrapping_add(u64::from(self.done)) & block;
                Some(self.page & !block | offset)
            }
        }
    }
}

/// What was asked for along a stride, and not reached yet.
#[derive(Debug, Clone, Copy)]
struct Run {
    stride: i64,
    /// The last chunk's first and last page.
    first: u64,
    last: u64,
}

impl Run {
    /// Steps from one page to another; `None` if it is not reached by steps, or is far off.
    fn steps(&self, from: u64, to: u64) -> Option<i64> {
        let distance = i64::from_le_bytes(to.wrapping_sub(from).to_le_bytes());
        let steps = distance.checked_div(self.stride)?;
        let is_on = steps.checked_mul(self.stride) == Some(distance);
        let reach = 2 * i64::from(AHEAD_MAX);
        (is_on && (-reach..=reach).contains(&steps)).then_some(steps)
    }
}

/// One program's faults.
#[derive(Debug, Clone, Copy)]
pub struct Prefetch {
    last: Option<u64>,
    run: Option<Run>,
    distances: [i64; HISTORY],
    at: usize,
    known: usize,
    /// Pages ahead: along a stride, and around.
    ahead: [u8; 2],
    touched: [u32; 2],
    wasted: [u32; 2],
    since_probe: u32,
}

impl Default for Prefetch {
    fn default() -> Self {
        Self::new()
    }
}

const fn kind_of(shape: Shape) -> usize {
    match shape {
        Shape::Stride(_) => 0,
        Shape::Around => 1,
    }
}

impl Prefetch {
    /// Nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            last: None,
            run: None,
            distances: [0; HISTORY],
            at: 0,
            known: 0,
            ahead: [8, 7],
            touched: [0; 2],
            wasted: [0; 2],
            since_probe: 0,
        }
    }

    /// The distance `back` faults ago.
    fn distance(&self, back: usize) -> i64 {
        let at = self.at.wrapping_sub(back).wrapping_sub(1) % HISTORY;
        self.distances.get(at).copied().unwrap_or(0)
    }

    /// The distance that more than half of the last `window` have.
    fn majority(&self, window: usize) -> Option<i64> {
        let (mut candidate, mut lead) = (0, 0_usize);
        for back in 0..window {
            let distance = self.distance(back);
            if lead == 0 {
                (candidate, lead) = (distance, 1);
            } else if candidate == distance {
                lead = lead.saturating_add(1);
            } else {
                lead = lead.saturating_sub(1);
            }
        }
        let votes = (0..window).filter(|back| self.distance(*back) == candidate).count();
        (votes > window / 2 && candidate != 0).then_some(candidate)
    }

    fn stride(&self) -> Option<i64> {
        let mut window = WINDOW_MIN;
        while window <= self.known.min(HISTORY) {
            if let Some(stride) = self.majority(window) {
                return Some(stride);
            }
            window = window.saturating_mul(2);
        }
        None
    }

    /// A page was faulted on that nothing brings yet: what to fetch along with it.
    pub fn fault(&mut self, page: u64) -> Plan {
        self.step(page);
        let shape = self.shape();
        self.ask(page, shape)
    }

    /// A page was faulted on that was asked for ahead: what to ask for now.
    pub fn reached(&mut self, page: u64) -> Plan {
        self.step(page);
        let shape = self.shape();
        let run = self.run.filter(|run| shape == Shape::Stride(run.stride));
        match run.and_then(|run| Some((run, run.steps(run.first, page)?))) {
            // The last chunk; before it nothing is missing.
            Some((run, past)) if past >= 0 => self.ask(run.last, shape),
            _ => Plan { page, shape, count: 0, done: 0 },
        }
    }

    fn shape(&self) -> Shape {
        self.stride().map_or(Shape::Around, Shape::Stride)
    }

    /// The program is at this page.
    fn step(&mut self, page: u64) {
        if let Some(last) = self.last.replace(page) {
            let distance = i64::from_le_bytes(page.wrapping_sub(last).to_le_bytes());
            if let Some(place) = self.distances.get_mut(self.at) {
                *place = distance;
            }
            self.at = self.at.wrapping_add(1) % HISTORY;
            self.known = self.known.saturating_add(1).min(HISTORY);
        }
    }

    /// Asks for what comes after a page.
    fn ask(&mut self, page: u64, shape: Shape) -> Plan {
        let mut count = self.ahead.get(kind_of(shape)).copied().unwrap_or(0);
        if count == 0 {
            self.since_probe = self.since_probe.saturating_add(1);
            if self.since_probe >= PROBE_EVERY {
                self.since_probe = 0;
                count = 2;
            }
        }
        if let (Shape::Stride(stride), true) = (shape, count > 0) {
            let step = |steps: u8| page.checked_add_signed(stride.checked_mul(steps.into())?);
            let ends = step(1).zip(step(count));
            self.run = ends.map(|(first, last)| Run { stride, first, last });
        }
        Plan { page, shape, count, done: 0 }
    }

    /// Pages were put in beside one that was faulted on; with it they reach from `low` to `high`.
    /// The program does not fault on them: the next fault's distance counts from where it is then.
    pub fn placed(&mut self, low: u64, high: u64) {
        let goes_down = self.known > 0 && self.distance(0) < 0;
        self.last = Some(if goes_down { low } else { high });
    }

    /// A page that was fetched ahead was touched. If that was seen because it was faulted on (it is
    /// mapped lazily), this is a step of the program too: the next fault's distance counts from it.
    pub fn touched(&mut self, shape: Shape, page: Option<u64>) {
        if let Some(touched) = self.touched.get_mut(kind_of(shape)) {
            *touched = touched.saturating_add(1);
        }
        if page.is_some() {
            self.last = page;
        }
        self.judge(kind_of(shape));
    }

    /// A page that was fetched ahead went again untouched, or was looked at and was not.
    pub fn wasted(&mut self, shape: Shape) {
        if let Some(wasted) = self.wasted.get_mut(kind_of(shape)) {
            *wasted = wasted.saturating_add(1);
        }
        self.judge(kind_of(shape));
    }

    fn judge(&mut self, kind: usize) {
        let (Some(touched), Some(wasted), Some(ahead)) =
            (self.touched.get_mut(kind), self.wasted.get_mut(kind), self.ahead.get_mut(kind))
        else {
            return;
        };
        let all = touched.saturating_add(*wasted);
        if all < TRIAL {
            return;
        }
        let share = touched.saturating_mul(100) / all;
        let most = if kind == 0 { AHEAD_MAX } else { AROUND_MAX };
        if share >= PAYS_WELL {
            *ahead = ahead.saturating_mul(2).max(2).min(most);
        } else if share < PAYS {
            *ahead /= 2;
        }
        (*touched, *wasted) = (0, 0);
    }

    /// How many pages are fetched ahead at present: along a stride, and around.
    #[must_use]
    pub const fn ahead(&self) -> [u8; 2] {
        self.ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn after(faults: impl IntoIterator<Item = u64>) -> (Prefetch, Plan) {
        let mut prefetch = Prefetch::new();
        let mut plan = prefetch.fault(1_000_000);
        for page in faults {
            plan = prefetch.fault(page);
        }
        (prefetch, plan)
    }

    #[test]
    fn finds_strides() {
        for stride in [1, 3, -1, -7] {
            let faults = (1..10).map(|step| 500_u64.saturating_add_signed(stride * step));
            let (_, plan) = after(faults);
            assert_eq!(plan.shape(), Shape::Stride(stride));
            let first = 500_u64.saturating_add_signed(stride * 10);
            assert_eq!(plan.clone().next(), Some(first));
            assert_eq!(plan.count(), 8);
        }
    }

    #[test]
    fn a_majority_survives_noise() {
        let faults = [10, 12, 14, 900, 902, 904, 906, 13, 15, 17];
        let (_, plan) = after(faults);
        assert_eq!(plan.shape(), Shape::Stride(2));
    }

    #[test]
    fn without_a_stride_it_is_the_block() {
        let (_, plan) = after([77, 3, 900, 41, 500, 13]);
        assert_eq!(plan.shape(), Shape::Around);
        assert_eq!(plan.collect::<Vec<_>>(), [14, 15, 8, 9, 10, 11, 12]);
    }

    #[test]
    fn grows_while_it_pays_and_ends_when_it_does_not() {
        let mut prefetch = Prefetch::new();
        let stride = Shape::Stride(1);
        (0..200).for_each(|_| prefetch.touched(stride, None));
        assert_eq!(prefetch.ahead(), [AHEAD_MAX, AROUND_MAX]);
        (0..200).for_each(|_| prefetch.wasted(stride));
        (0..200).for_each(|_| prefetch.wasted(Shape::Around));
        assert_eq!(prefetch.ahead(), [0, 0]);
        let probes = (0..320).filter(|page| prefetch.fault(page * 7919 % 1000).count() > 0).count();
        assert_eq!(probes, 10, "one in a while");
        (0..16).for_each(|_| prefetch.touched(stride, None));
        assert_eq!(prefetch.ahead(), [2, 0], "and it is on again");
    }

    #[test]
    fn ends_of_the_numbers() {
        let (_, plan) = after((0..9).map(|step| u64::MAX - 8 + step));
        assert_eq!(plan.collect::<Vec<_>>(), [], "nothing past the last page");
        let (_, plan) = after((0..9).map(|step| 8 - step));
        assert_eq!(plan.collect::<Vec<_>>(), []);
    }

    /// Goes on from `page` by `stride`, faulting only on the first page of what was asked for at
    /// the same time. Gives what was asked for at each fault.
    fn scan(prefetch: &mut Prefetch, page: u64, stride: i64, faults: usize) -> Vec<Vec<u64>> {
        let mut asked = Vec::new();
        let mut at = page;
        for _ in 0..faults {
            let waiting: Vec<u64> = asked.iter().flatten().copied().collect();
            let plan = if asked.is_empty() { prefetch.fault(at) } else { prefetch.reached(at) };
            let plan: Vec<u64> = plan.collect();
            let mut end = at;
            while waiting.contains(&end.saturating_add_signed(stride)) && end.abs_diff(at) < 7 {
                end = end.saturating_add_signed(stride);
            }
            prefetch.placed(at.min(end), at.max(end));
            at = end.saturating_add_signed(stride);
            asked.push(plan);
        }
        asked
    }

    #[test]
    fn a_chunk_is_asked_for_when_the_one_before_it_is_reached() {
        for stride in [1, -1] {
            let faults = (1..=3).map(|step| 5_000_u64.saturating_add_signed(stride * step));
            let (mut prefetch, plan) = after(faults);
            assert_eq!(plan.shape(), Shape::Around, "too early to tell");
            let from = 5_000_u64.saturating_add_signed(stride * 4);
            let asked = scan(&mut prefetch, from, stride, 40);
            assert_eq!(asked.iter().take(2).map(Vec::len).collect::<Vec<_>>(), [8, 8]);
            let mut all: Vec<u64> = asked.into_iter().flatten().collect();
            let count = all.len();
            assert!(count >= 40, "{count}");
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "no page twice");
            let span = all.last().zip(all.first()).map(|(a, b)| a - b + 1);
            assert_eq!(span, u64::try_from(count).ok(), "and none left out");
        }
    }

    #[test]
    fn a_program_that_goes_elsewhere_begins_anew() {
        let (mut prefetch, _) = after((0..10).map(|step| 500 + step));
        let plan = prefetch.fault(90_000);
        assert_eq!((plan.shape(), plan.clone().next()), (Shape::Stride(1), Some(90_001)));
        assert_eq!(prefetch.reached(90_001).next(), Some(90_009));
        assert_eq!(prefetch.reached(90_002).count(), 0, "both chunks were asked for");
    }
}
