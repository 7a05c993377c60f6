//! Bounds of all that an image may hold.

/// Bytes of one part of an image.
pub const IMAGE_LEN_MAX: usize = 16 << 20;
/// Bytes of one record's payload.
pub const RECORD_LEN_MAX: usize = 8 << 20;
/// Bytes of a path, as the kernel's `PATH_MAX`.
pub const PATH_LEN_MAX: usize = 4096;
/// Bytes of one argument or environment string, as the kernel's `MAX_ARG_STRLEN`.
pub const ARG_LEN_MAX: usize = 128 << 10;
/// Bytes of all arguments and environment strings together.
pub const ARGS_LEN_MAX: usize = 4 << 20;
/// Number of argument strings, and of environment strings.
pub const ARGS_MAX: usize = 1 << 16;
/// Bytes of the saved auxiliary vector.
pub const AUXV_LEN_MAX: usize = 1024;
/// Bytes of the extended processor state.
pub const XSTATE_LEN_MAX: usize = 16 << 10;
/// Open file descriptors.
pub const FDS_MAX: usize = 4096;
/// Highest file descriptor plus one.
pub const FD_NUMBER_MAX: u32 = 1 << 20;
/// Mappings of one process: Linux' default `max_map_count` and a little.
pub const VMAS_MAX: usize = 1 << 16;
/// Ranges of places.
pub const PLACES_MAX: usize = 1 << 18;
/// Ranges of huge pages.
pub const HUGE_MAX: usize = 1 << 16;
/// Supplementary groups.
pub const GROUPS_MAX: usize = 1 << 16;
/// Resource limits, as the kernel's `RLIM_NLIMITS`.
pub const RLIMITS: usize = 16;
/// Signals, as the kernel's `_NSIG`.
pub const SIGNALS: usize = 64;
/// Signals that were pending at the freeze.
pub const PENDING_MAX: usize = 1024;
/// Bytes of one `siginfo_t`.
pub const SIGINFO_LEN: usize = 128;
/// Registers of `user_regs_struct`.
pub const REGS: usize = 27;
/// Bytes of `comm` without its terminating zero.
pub const COMM_LEN_MAX: usize = 15;
/// End of the user's half of the address space, with five-level page tables.
pub const ADDRESS_MAX: u64 = 1 << 56;
/// Bytes of a page.
pub const PAGE_LEN: u64 = 4096;
/// Pages of a huge page.
pub const HUGE_PAGES: u64 = 512;

const _: () = assert!(RECORD_LEN_MAX < IMAGE_LEN_MAX);
// The greatest lists fit in one record each.
const _: () = assert!((PLACES_MAX + HUGE_MAX) * 16 + 8 <= RECORD_LEN_MAX);
const _: () = assert!(ARGS_LEN_MAX + ARGS_MAX * 4 * 2 <= RECORD_LEN_MAX);
const _: () = assert!(PENDING_MAX * (SIGINFO_LEN + 4) <= RECORD_LEN_MAX);
