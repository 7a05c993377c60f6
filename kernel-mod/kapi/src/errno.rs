//! The kernel's error numbers.

use core::fmt;

/// A positive error number, 1 to 4095.
///
/// # Invariants
/// The number is within that range.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(u16);

/// What a kernel call gives.
pub type Result<T = ()> = core::result::Result<T, Errno>;

macro_rules! numbers {
    ($($name:ident = $value:literal, $doc:literal;)*) => {
        impl Errno {
            $(#[doc = $doc] pub const $name: Self = Self($value);)*
        }

        fn name_of(errno: Errno) -> Option<&'static str> {
            match errno {
                $(Errno::$name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

numbers! {
    EPERM = 1, "Not allowed.";
    ENOENT = 2, "No such thing.";
    ESRCH = 3, "No such process.";
    EINTR = 4, "A signal came.";
    EIO = 5, "Input or output failed.";
    E2BIG = 7, "Too much.";
    ENOEXEC = 8, "Not our binary format.";
    EBADF = 9, "No such open file.";
    ECHILD = 10, "No such child.";
    EAGAIN = 11, "Not now.";
    ENOMEM = 12, "No memory.";
    EACCES = 13, "No permission.";
    EFAULT = 14, "A bad address.";
    EBUSY = 16, "In use.";
    EEXIST = 17, "Is there already.";
    ENODEV = 19, "No such device.";
    EINVAL = 22, "A bad argument.";
    ENOTTY = 25, "No such ioctl.";
    ENOSPC = 28, "No room.";
    EPIPE = 32, "Nobody reads.";
    ERANGE = 34, "Out of range.";
    ENOSYS = 38, "Not offered.";
    EPROTO = 71, "A peer broke the protocol.";
    EOVERFLOW = 75, "Does not fit.";
    EMSGSIZE = 90, "A message is too long.";
    EOPNOTSUPP = 95, "Not supported.";
    ENOTCONN = 107, "Not connected.";
    ESHUTDOWN = 108, "Shut down already.";
    ETIMEDOUT = 110, "The time is over.";
    EHOSTDOWN = 112, "The node is down.";
    EHOSTUNREACH = 113, "No way to the node.";
    ESTALE = 116, "Refers to something that is gone.";
    ERESTARTSYS = 512, "Restart the call after the signal's handler, if it says so.";
    ERESTARTNOINTR = 513, "Restart the call in any case.";
}

impl Errno {
    /// Of a C function's result: non-negative values are fine.
    pub fn check(code: i32) -> Result<u32> {
        u32::try_from(code).map_err(|_| Self::from_code(i64::from(code)))
    }

    /// Of a C function's 64-bit result.
    pub fn check_len(code: i64) -> Result<usize> {
        usize::try_from(code).map_err(|_| Self::from_code(code))
    }

    /// Out of a negative code; one out of range becomes `EIO`.
    pub fn from_code(code: i64) -> Self {
        match u16::try_from(code.unsigned_abs()) {
            Ok(number @ 1..=4095) => Self(number),
            _ => Self::EIO,
        }
    }

    /// The negative number that C expects.
    pub const fn code(self) -> i32 {
        -(self.0 as i32)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name_of(*self) {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl From<rust_alloc::collections::TryReserveError> for Errno {
    fn from(_: rust_alloc::collections::TryReserveError) -> Self {
        Self::ENOMEM
    }
}

/// What C expects of a call: 0 or a negative number.
pub(crate) fn to_code(result: Result) -> i32 {
    result.map_or_else(Errno::code, |()| 0)
}
