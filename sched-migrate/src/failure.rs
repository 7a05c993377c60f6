//! Why a hand-off failed.

/// What a target was doing when it failed. Numbers are on the wire: only add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Something that this node has no name for.
    Other,
    /// Making the helper with the process' PID.
    Fork,
    /// Reading the manifest.
    Manifest,
    /// Users, groups, capabilities, limits.
    Creds,
    /// Opening the files.
    Files,
    /// Changing to the working directory.
    Cwd,
    /// Executing the image, or the file of a placed exec.
    Exec,
    /// Laying out the address space.
    Layout,
    /// Inserting the places.
    Places,
    /// The restorer's own calls.
    Restorer,
    /// Parking before the commit.
    Park,
    /// Applying the final part.
    Apply,
}

impl Step {
    /// All steps.
    pub const ALL: [Self; 12] = [
        Self::Other,
        Self::Fork,
        Self::Manifest,
        Self::Creds,
        Self::Files,
        Self::Cwd,
        Self::Exec,
        Self::Layout,
        Self::Places,
        Self::Restorer,
        Self::Park,
        Self::Apply,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::Other => 0,
            Self::Fork => 1,
            Self::Manifest => 2,
            Self::Creds => 3,
            Self::Files => 4,
            Self::Cwd => 5,
            Self::Exec => 6,
            Self::Layout => 7,
            Self::Places => 8,
            Self::Restorer => 9,
            Self::Park => 10,
            Self::Apply => 11,
        }
    }

    /// The step with this number; [`Step::Other`] for one that is not known here.
    pub fn from_number(number: u16) -> Self {
        Self::ALL.into_iter().find(|step| step.number() == number).unwrap_or(Self::Other)
    }

    /// A word for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "restore",
            Self::Fork => "fork",
            Self::Manifest => "manifest",
            Self::Creds => "creds",
            Self::Files => "files",
            Self::Cwd => "cwd",
            Self::Exec => "exec",
            Self::Layout => "layout",
            Self::Places => "places",
            Self::Restorer => "restorer",
            Self::Park => "park",
            Self::Apply => "apply",
        }
    }
}

/// Why a process was not moved. It runs on where it was, unless the variant says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The target is down, or went down.
    #[error("target is down")]
    TargetDown,
    /// The target takes no more bodies, or has no memory for this one.
    #[error("target is full")]
    Full,
    /// The target is cordoned.
    #[error("target is cordoned")]
    Cordoned,
    /// The target's module is of another version.
    #[error("target's module is of another version")]
    Version,
    /// The target's kernel is another build.
    #[error("target's kernel is another build")]
    Kernel,
    /// Another hand-off of the process is under way there.
    #[error("target is busy with the process")]
    Busy,
    /// A step took too long.
    #[error("timed out")]
    Timeout,
    /// The target could not restore it.
    #[error("target failed at {}: errno {errno}", step.name())]
    Helper {
        /// What it was doing.
        step: Step,
        /// The error, positive.
        errno: u16,
    },
    /// The process was killed meanwhile.
    #[error("process was killed")]
    Killed,
    /// The node that keeps the process' directory entry is down; the process is ended.
    #[error("origin is down")]
    OriginDown,
    /// Someone asked to stop it.
    #[error("aborted")]
    Aborted,
    /// A node had no memory for it.
    #[error("no memory")]
    NoMemory,
    /// The target could not read the image.
    #[error("image was refused")]
    BadImage,
    /// The target knows nothing of the attempt (any more).
    #[error("target does not know the attempt")]
    Unknown,
    /// The source's place or epoch is not what the directory says.
    #[error("process is elsewhere")]
    Stale,
    /// The source could not capture it.
    #[error("source failed to capture: errno {errno}")]
    Capture {
        /// The error, positive.
        errno: u16,
    },
    /// The process can't move: see [`crate::eligible`].
    #[error("process can't move")]
    Ineligible,
    /// The processors differ in what the process' state needs.
    #[error("target lacks a processor feature")]
    Processor,
    /// The target has no link to the process' origin.
    #[error("target can't reach the origin")]
    OriginUnreachable,
    /// The memory left at the source of its last move was not fetched in time.
    #[error("memory of the last move is not fetched yet")]
    Fetching,
}

const HELPER_BIT: u16 = 0x8000;
const CAPTURE_BIT: u16 = 0x4000;
const ERRNO_MASK: u16 = 0x01ff;
const STEP_SHIFT: u32 = 9;
const STEP_MASK: u16 = 0x1f;

impl Failure {
    /// The number on the wire. Only add. A capture failure never leaves its node, and yet has one,
    /// as events carry it as well.
    pub fn number(self) -> u16 {
        match self {
            Self::TargetDown => 1,
            Self::Full => 2,
            Self::Cordoned => 3,
            Self::Version => 4,
            Self::Busy => 5,
            Self::Timeout => 6,
            Self::Killed => 7,
            Self::OriginDown => 8,
            Self::Aborted => 9,
            Self::NoMemory => 10,
            Self::BadImage => 11,
            Self::Unknown => 12,
            Self::Stale => 13,
            Self::Ineligible => 14,
            Self::Processor => 15,
            Self::Fetching => 16,
            Self::OriginUnreachable => 17,
            Self::Kernel => 18,
            Self::Capture { errno } => CAPTURE_BIT | errno.min(ERRNO_MASK),
            Self::Helper { step, errno } => {
                HELPER_BIT | (step.number() << STEP_SHIFT) | errno.min(ERRNO_MASK)
            }
        }
    }

    /// The failure with this number; [`Failure::Unknown`] for one that is not known here.
    pub fn from_number(number: u16) -> Self {
        let errno = number & ERRNO_MASK;
        if number & HELPER_BIT != 0 {
            let step = Step::from_number((number >> STEP_SHIFT) & STEP_MASK);
            return Self::Helper { step, errno };
        }
        if number & CAPTURE_BIT != 0 {
            return Self::Capture { errno };
        }
        match number {
            1 => Self::TargetDown,
            2 => Self::Full,
            3 => Self::Cordoned,
            4 => Self::Version,
            5 => Self::Busy,
            6 => Self::Timeout,
            7 => Self::Killed,
            8 => Self::OriginDown,
            9 => Self::Aborted,
            10 => Self::NoMemory,
            11 => Self::BadImage,
            13 => Self::Stale,
            14 => Self::Ineligible,
            15 => Self::Processor,
            16 => Self::Fetching,
            17 => Self::OriginUnreachable,
            18 => Self::Kernel,
            _ => Self::Unknown,
        }
    }

    /// A word for events and counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TargetDown => "target-down",
            Self::Full => "target-full",
            Self::Cordoned => "target-cordoned",
            Self::Version => "version-differs",
            Self::Kernel => "kernel-differs",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Helper { .. } => "restore-failed",
            Self::Killed => "killed",
            Self::OriginDown => "origin-lost",
            Self::Aborted => "aborted",
            Self::NoMemory => "no-memory",
            Self::BadImage => "bad-image",
            Self::Unknown => "unknown-attempt",
            Self::Stale => "stale",
            Self::Capture { .. } => "capture-failed",
            Self::Ineligible => "ineligible",
            Self::Processor => "processor-differs",
            Self::Fetching => "still-fetching",
            Self::OriginUnreachable => "origin-unreachable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for number in 0..=u16::MAX {
            let failure = Failure::from_number(number);
            let again = Failure::from_number(failure.number());
            assert_eq!(failure, again, "{number:#06x}");
        }
        for step in Step::ALL {
            let failure = Failure::Helper { step, errno: 17 };
            assert_eq!(Failure::from_number(failure.number()), failure);
        }
        let capture = Failure::Capture { errno: 12 };
        assert_eq!(Failure::from_number(capture.number()), capture);
        assert_eq!(Failure::from_number(0xfff0).name(), "restore-failed");
        assert_eq!(Failure::from_number(77), Failure::Unknown);
    }
}
