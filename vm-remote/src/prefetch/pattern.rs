//! Faults that belong together: their distances, and what was asked for along them.

use super::{Shape, AHEAD_MAX};

/// Distances that are remembered.
const HISTORY: usize = 32;

/// The first window that is voted on.
const WINDOW_MIN: usize = 4;

/// So many new patterns may begin before one that has a stride gives its place up.
const KEPT: u32 = 256;

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
        let steps = distance(from, to).checked_div(self.stride)?;
        let is_on = steps.checked_mul(self.stride) == Some(distance(from, to));
        let reach = 2 * i64::from(AHEAD_MAX);
        (is_on && (-reach..=reach).contains(&steps)).then_some(steps)
    }
}

const fn distance(from: u64, to: u64) -> i64 {
    i64::from_le_bytes(to.wrapping_sub(from).to_le_bytes())
}

/// Faults that belong together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pattern {
    last: Option<u64>,
    run: Option<Run>,
    /// None is remembered that does not fit: no stride is so wide.
    distances: [i32; HISTORY],
    at: usize,
    known: usize,
    /// New patterns since it was last used.
    passed_by: u32,
    is_single: bool,
}

impl Pattern {
    /// Without faults.
    pub(super) const fn new() -> Self {
        let distances = [0; HISTORY];
        let (at, known, passed_by) = (0, 0, 0);
        Self { last: None, run: None, distances, at, known, passed_by, is_single: false }
    }

    /// With its first fault, and what is known of another.
    pub(super) fn begin(page: u64, parent: Option<Self>) -> Self {
        let known = parent.unwrap_or(Self::new());
        Self { last: Some(page), run: None, passed_by: 0, is_single: true, ..known }
    }

    /// Whether it has had one fault.
    pub(super) fn is_single(&self) -> bool {
        self.is_single
    }

    /// The distance `back` faults ago.
    fn distance(&self, back: usize) -> i32 {
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
        (votes > window / 2 && candidate != 0).then_some(candidate.into())
    }

    /// The distance that most of its faults have.
    pub(super) fn stride(&self) -> Option<i64> {
        let mut window = WINDOW_MIN;
        while window <= self.known.min(HISTORY) {
            if let Some(stride) = self.majority(window) {
                return Some(stride);
            }
            window = window.saturating_mul(2);
        }
        None
    }

    pub(super) fn shape(&self) -> Shape {
        self.stride().map_or(Shape::Around, Shape::Stride)
    }

    /// The program is at this page.
    pub(super) fn step(&mut self, page: u64) {
        (self.passed_by, self.is_single) = (0, false);
        if let Some(last) = self.last.replace(page) {
            if let Some(place) = self.distances.get_mut(self.at) {
                *place = i32::try_from(distance(last, page)).unwrap_or(0);
            }
            self.at = self.at.wrapping_add(1) % HISTORY;
            self.known = self.known.saturating_add(1).min(HISTORY);
        }
    }

    /// Another pattern begins.
    pub(super) fn pass_by(&mut self) {
        self.passed_by = self.passed_by.saturating_add(1);
    }

    /// For how long it was not used; one that was never used, for longest.
    pub(super) fn idle(&self) -> u32 {
        match self.last {
            None => u32::MAX,
            Some(_) if self.stride().is_some() && !self.is_single => self.passed_by,
            Some(_) => self.passed_by.saturating_add(KEPT),
        }
    }

    /// How far a page is from its last fault.
    pub(super) fn distance_to(&self, page: u64) -> Option<u64> {
        self.last.map(|last| last.abs_diff(page))
    }

    /// Whether its last fault is in there.
    pub(super) fn is_within(&self, low: u64, high: u64) -> bool {
        self.last.is_some_and(|last| (low..=high).contains(&last))
    }

    /// Its run, while it has its stride still.
    fn run(&self) -> Option<Run> {
        let run = self.run?;
        (self.shape() == Shape::Stride(run.stride)).then_some(run)
    }

    /// Whether what was asked for has, or nearly has, this page.
    pub(super) fn has_run_over(&self, page: u64) -> bool {
        self.run().is_some_and(|run| run.steps(run.first, page).is_some())
    }

    /// If the page is in the last chunk, where that ends. Before it nothing is missing.
    pub(super) fn chunk_over(&self, page: u64) -> Option<u64> {
        let run = self.run()?;
        run.steps(run.first, page).filter(|past| *past >= 0).map(|_| run.last)
    }

    /// Another chunk is asked for.
    pub(super) fn run_on(&mut self, page: u64, stride: i64, count: u8) {
        let step = |steps: u8| page.checked_add_signed(stride.checked_mul(steps.into())?);
        let ends = step(1).zip(step(count));
        self.run = ends.map(|(first, last)| Run { stride, first, last });
    }

    /// The program has gone on without faults: to that end of these pages which it goes to.
    pub(super) fn placed(&mut self, low: u64, high: u64) {
        let goes_down = self.known > 0 && self.distance(0) < 0;
        self.last = Some(if goes_down { low } else { high });
    }
}
