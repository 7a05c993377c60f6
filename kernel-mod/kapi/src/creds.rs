//! Identities and rights.

use core::{marker::PhantomData, ptr::NonNull};

use crate::{
    errno::{Errno, Result},
    own::Own,
    raw,
};

/// All of them but the groups, in the numbers of the first user namespace.
pub use crate::raw::kpi_creds as Creds;

/// Made for the calling task, and not taken on yet.
///
/// # Invariants
/// The pointer owns credentials that nobody else has seen. Only their maker takes them on: they are
/// a copy of its own where `Creds` says nothing.
pub struct NewCreds {
    raw: NonNull<raw::cred>,
    dumpable: u32,
    no_new_privs: bool,
    _of_this_task: PhantomData<*mut ()>,
}

impl Own {
    /// Makes credentials. `EPERM` if they are another real user's, `EINVAL` if no task can have
    /// them.
    pub fn make_creds(&self, creds: Creds, groups: &[u32]) -> Result<NewCreds> {
        let groups_count = u32::try_from(groups.len()).map_err(|_| Errno::EINVAL)?;
        let whole = Creds { groups_count, groups: groups.as_ptr(), ..creds };
        let mut err = 0;
        // SAFETY: own context; a whole structure that points to that many groups.
        let raw = unsafe { raw::kpi_creds_make(&raw const whole, &raw mut err) };
        match NonNull::new(raw) {
            Some(raw) => Ok(NewCreds {
                raw,
                dumpable: creds.dumpable,
                no_new_privs: creds.no_new_privs != 0,
                _of_this_task: PhantomData,
            }),
            None => Err(Errno::check(err).err().unwrap_or(Errno::ENOMEM)),
        }
    }

    /// Takes them on.
    pub fn take_on(&self, creds: NewCreds) {
        let made = core::mem::ManuallyDrop::new(creds);
        // SAFETY: own context; the value gives its credentials away and is not dropped.
        unsafe { raw::kpi_creds_commit(made.raw.as_ptr(), made.dumpable, made.no_new_privs) }
    }
}

impl Drop for NewCreds {
    fn drop(&mut self) {
        // SAFETY: ours, and nobody has seen them.
        unsafe { raw::kpi_creds_drop(self.raw.as_ptr()) }
    }
}
