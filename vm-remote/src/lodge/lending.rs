//! How many frames a node sets aside to be lent.
//!
//! ```text
//!  frames = promised + a few ahead, as long as more than `keep` stays available
//!  short of memory: what nobody was promised goes at once, for the rest owners are asked
//! ```
//! A node is short from when less than `keep` is available until a quarter more is: else pages
//! would come and go with every program that starts. All numbers are pages.

/// What the administrator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Frames at most.
    pub max: u32,
    /// Memory that stays available to the node itself.
    pub keep: u64,
    /// Frames that are set aside before anybody asks.
    pub ahead: u32,
}

/// How it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// What programs could still be given.
    pub available: u64,
    /// Frames that are set aside.
    pub frames: u32,
    /// Those that owners were promised.
    pub promised: u32,
}

/// Whether the node lends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It does.
    Open,
    /// What is promised stays; there is no more.
    Closed,
    /// All is to leave.
    Leaving,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// So many frames are to be set aside: more are taken, or those go that nobody was promised.
    pub frames: u32,
    /// For [`super::holder::Holder::set_pressure`].
    pub pressure: Option<u32>,
}

/// Decides; remembers whether the node is short of memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lending {
    is_short: bool,
}

fn pages(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Lending {
    /// Whether the node was short of memory at the last look.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.is_short
    }

    /// What is to be done now.
    pub fn plan(&mut self, limits: &Limits, now: &Now, gate: Gate) -> Plan {
        let well = limits.keep.saturating_add(limits.keep / 4);
        if now.available >= well {
            self.is_short = false;
        }
        self.is_short |= now.available < limits.keep;
        if gate != Gate::Open {
            let pressure = Some(if gate == Gate::Leaving { 0 } else { now.promised });
            return Plan { frames: 0, pressure };
        }
        if self.is_short {
            // Half way to being well, so that it does not end at the edge.
            let goal = limits.keep.saturating_add(limits.keep / 8);
            let missing = pages(goal.saturating_sub(now.available));
            let frames = now.frames.saturating_sub(missing).min(limits.max);
            return Plan { frames, pressure: Some(frames) };
        }
        if now.promised > limits.max {
            return Plan { frames: limits.max, pressure: Some(limits.max) };
        }
        let can_grow = pages(now.available.saturating_sub(well));
        let wanted = now.promised.saturating_add(limits.ahead).min(limits.max);
        // Between once and twice what is to be ahead nothing happens.
        let is_too_much =
            now.frames > wanted.saturating_add(limits.ahead) || now.frames > limits.max;
        let frames = if is_too_much {
            wanted
        } else {
            wanted.min(now.frames.saturating_add(can_grow)).max(now.frames)
        };
        Plan { frames, pressure: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max: 1000, keep: 800, ahead: 100 };

    fn now(available: u64, frames: u32, promised: u32) -> Now {
        Now { available, frames, promised }
    }

    fn plan(lending: &mut Lending, now: &Now) -> (u32, Option<u32>) {
        let plan = lending.plan(&LIMITS, now, Gate::Open);
        (plan.frames, plan.pressure)
    }

    #[test]
    fn a_few_are_ahead_of_what_is_promised() {
        let mut lending = Lending::default();
        assert_eq!(plan(&mut lending, &now(5000, 0, 0)), (100, None));
        assert_eq!(plan(&mut lending, &now(5000, 100, 80)), (180, None));
        assert_eq!(plan(&mut lending, &now(5000, 280, 80)), (280, None), "not worth the work");
        assert_eq!(plan(&mut lending, &now(5000, 281, 80)), (180, None));
        assert_eq!(plan(&mut lending, &now(5000, 990, 990)), (1000, None), "no more than the most");
        assert_eq!(plan(&mut lending, &now(1003, 10, 5)), (13, None), "what is free beside `keep`");
    }

    #[test]
    fn a_node_that_is_short_asks_for_its_memory() {
        let mut lending = Lending::default();
        assert_eq!(plan(&mut lending, &now(799, 500, 450)), (399, Some(399)));
        // What nobody was promised went; it is still short until it is well again.
        assert_eq!(plan(&mut lending, &now(850, 450, 450)), (400, Some(400)));
        assert_eq!(plan(&mut lending, &now(900, 400, 400)), (400, Some(400)), "and grants nothing");
        assert!(lending.is_short());
        assert_eq!(plan(&mut lending, &now(1000, 400, 400)), (400, None));
        assert_eq!(plan(&mut lending, &now(900, 400, 400)), (400, None), "not short from above");
        assert_eq!(plan(&mut lending, &now(0, 400, 400)), (0, Some(0)));
    }

    #[test]
    fn a_lower_limit_makes_pages_leave() {
        let mut lending = Lending::default();
        let limits = Limits { max: 50, ..LIMITS };
        let plan = lending.plan(&limits, &now(5000, 200, 120), Gate::Open);
        assert_eq!(plan, Plan { frames: 50, pressure: Some(50) });
        let plan = lending.plan(&limits, &now(5000, 200, 20), Gate::Open);
        assert_eq!(plan, Plan { frames: 50, pressure: None });
        let none = Limits { max: 0, ..LIMITS };
        let plan = lending.plan(&none, &now(5000, 0, 0), Gate::Open);
        assert_eq!(plan, Plan { frames: 0, pressure: None });
    }

    #[test]
    fn a_closed_node_keeps_what_it_has() {
        let mut lending = Lending::default();
        let plan = lending.plan(&LIMITS, &now(5000, 200, 120), Gate::Closed);
        assert_eq!(plan, Plan { frames: 0, pressure: Some(120) });
        let plan = lending.plan(&LIMITS, &now(5000, 200, 120), Gate::Leaving);
        assert_eq!(plan, Plan { frames: 0, pressure: Some(0) });
    }
}
