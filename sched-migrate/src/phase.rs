//! The phases of a hand-off on either side.
//!
//! ```text
//! SOURCE                                                  TARGET
//!
//! Waiting    for the last move's fetch                    Waiting   for an older attempt to go
//!   │ fetched                                               │
//! Preparing ──── PREPARE ───────────────────────────────> Restoring
//!   │  <──────── PREPARED ────────────────────────────────  │ restored
//! Freezing   stop, capture, compare                       Prepared
//!   │ │ incompatible: ABORT, thaw, and Preparing again;     │
//!   │ └─> the third time without a thaw                     │
//!   │ compatible                                            │
//! Committing ─── FINAL ─────────────────────────────────> Applying
//!   │                                                       │ applied
//!   │                                    CAS to origin <─ Claiming
//!   │                                    result ────────>   │ won: release
//!   │  <──────── COMMITTED ───────────────────────────────  │
//!   │                                                     Ended
//!   │ refused, timed out, target down, killed, aborted
//! Reclaiming ─── CAS to origin                            Discarding  (from any but Claiming; from
//!   │ won:  ABORT, thaw                                     │          Claiming only if it lost)
//!   │ lost: it runs there                                   │ discarded: REFUSED, where there is
//! Ended                                                   Ended        one to tell
//! ```
//!
//! Before FINAL either side may give up by itself: the target can't run without it. After FINAL
//! only the origin decides.

/// Where a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourcePhase {
    /// The memory of the last move is still being fetched.
    Waiting,
    /// The manifest was sent.
    Preparing,
    /// The process is being stopped, captured and compared.
    Freezing,
    /// FINAL was sent.
    Committing,
    /// The origin was asked to give the process back.
    Reclaiming,
    /// Nothing is left to do.
    Ended,
}

impl SourcePhase {
    /// Whether a source may go from here to `next`.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Waiting => matches!(next, Self::Preparing | Self::Ended),
            // Ended from any phase: the origin may be lost in any.
            Self::Preparing => matches!(next, Self::Freezing | Self::Ended),
            Self::Freezing => matches!(next, Self::Preparing | Self::Committing | Self::Ended),
            Self::Committing => matches!(next, Self::Reclaiming | Self::Ended),
            Self::Reclaiming => matches!(next, Self::Ended),
            Self::Ended => false,
        }
    }

    /// Whether the target may be running the process, as far as the source can know.
    pub const fn is_promised(self) -> bool {
        matches!(self, Self::Committing | Self::Reclaiming)
    }
}

/// Where a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetPhase {
    /// What an older attempt made of the same process is not gone yet.
    Waiting,
    /// The helper is at work.
    Restoring,
    /// Ready for FINAL.
    Prepared,
    /// FINAL is being applied.
    Applying,
    /// The origin was asked.
    Claiming,
    /// What was made is being dropped.
    Discarding,
    /// Nothing is left to do.
    Ended,
}

impl TargetPhase {
    /// Whether a target may go from here to `next`.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Waiting => matches!(next, Self::Restoring | Self::Ended),
            Self::Restoring => matches!(next, Self::Prepared | Self::Discarding),
            Self::Prepared => matches!(next, Self::Applying | Self::Discarding),
            Self::Applying => matches!(next, Self::Claiming | Self::Discarding),
            Self::Claiming => matches!(next, Self::Ended | Self::Discarding),
            Self::Discarding => matches!(next, Self::Ended),
            Self::Ended => false,
        }
    }
}
