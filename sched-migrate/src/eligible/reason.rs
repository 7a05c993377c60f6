//! The reasons and their codes.

use core::fmt;

use super::text::{Text, TEXTS};

/// Why a process can't move. Codes are stable: only add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// R01
    NotInJob,
    /// R02
    JobInit,
    /// R03
    KernelThread,
    /// R04
    Exiting,
    /// R05
    Threads,
    /// R06
    Children,
    /// R07
    SharedMapping,
    /// R08
    Socket,
    /// R09
    Epoll,
    /// R10
    Notify,
    /// R11
    TimerFd,
    /// R12
    SignalFd,
    /// R13
    EventFd,
    /// R14
    UserFault,
    /// R15
    IoUring,
    /// R16
    Traced,
    /// R17
    Vfork,
    /// R18
    Timers,
    /// R19
    Seccomp,
    /// R20
    LockedMemory,
    /// R21
    HugePages,
    /// R22
    DeviceMapping,
    /// R23
    DeletedMapping,
    /// R24
    Namespaces,
    /// R25
    Root,
    /// R26
    Uninterruptible,
    /// R27
    Stopped,
    /// R28
    FilesShared,
    /// R29
    MemoryShared,
    /// R30
    FileKind,
    /// R31
    FileLock,
    /// R32
    Async,
    /// R33
    MappingKind,
    /// R34
    Architecture,
    /// R35
    SemaphoreUndo,
    /// R36
    Realtime,
    /// R37
    TooMany,
    /// R38
    Path,
    /// R39
    Pinned,
    /// R40
    BeingMoved,
    /// R41
    OutsideView,
    /// R42
    KeyedState,
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = 42;

    /// All reasons, in the order of their codes.
    pub fn all() -> impl Iterator<Item = Self> {
        TEXTS.iter().map(|text| text.reason)
    }

    /// Its place in the table, and its bit in [`super::Reasons`].
    pub fn index(self) -> u32 {
        (0u32..).zip(&TEXTS).find(|(_, text)| text.reason == self).map_or(63, |(index, _)| index)
    }

    fn text(self) -> &'static Text {
        TEXTS.iter().find(|text| text.reason == self).unwrap_or(&TEXTS[0])
    }

    /// Its code: `R01` and so on.
    pub fn code(self) -> &'static str {
        self.text().code
    }

    /// Its short name.
    pub fn name(self) -> &'static str {
        self.text().name
    }

    /// What it is about, in a sentence.
    pub fn why(self) -> &'static str {
        self.text().why
    }

    /// What would help, in a sentence.
    pub fn help(self) -> &'static str {
        self.text().help
    }

    /// The reason with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        TEXTS.iter().find(|text| text.code.eq_ignore_ascii_case(code)).map(|text| text.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}
