//! How long each step may take.

use netproto::time::Duration;

/// Bounds of the steps of a hand-off. A bound makes a side ask or give up before it has promised
/// anything; it never decides where a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Source: how long the fetch after the last move may still take.
    pub fetch: Duration,
    /// Source: from PREPARE to PREPARED.
    pub prepare: Duration,
    /// Source: from asking the process to stop to its capture.
    pub freeze: Duration,
    /// Source: from FINAL to COMMITTED; then it asks the origin.
    pub commit: Duration,
    /// Target: until the helper is ready.
    pub restore: Duration,
    /// Target: how long a prepared body waits for FINAL.
    pub prepared: Duration,
    /// Target: applying FINAL.
    pub apply: Duration,
}

impl Timing {
    /// On real machines.
    pub const fn standard() -> Self {
        Self {
            fetch: Duration::from_ms(60_000),
            prepare: Duration::from_ms(10_000),
            freeze: Duration::from_ms(2_000),
            commit: Duration::from_ms(2_000),
            restore: Duration::from_ms(8_000),
            prepared: Duration::from_ms(15_000),
            apply: Duration::from_ms(2_000),
        }
    }

    /// All bounds times `factor`, for machines that are slower than real ones.
    pub fn scaled(self, factor: u32) -> Self {
        let scale = |bound: Duration| {
            Duration::from_ns(bound.as_ns().saturating_mul(u64::from(factor.max(1))))
        };
        Self {
            fetch: scale(self.fetch),
            prepare: scale(self.prepare),
            freeze: scale(self.freeze),
            commit: scale(self.commit),
            restore: scale(self.restore),
            prepared: scale(self.prepared),
            apply: scale(self.apply),
        }
    }
}
