//! The identity and rights of a process on its way in. Its helper has others: it restores with what
//! it needs, at home those of the surrogate, and the exec of an image computes new ones.

use ckpt::object::{creds::Creds, task::Task};
use kapi::{
    creds::{Creds as Raw, NewCreds},
    own::{Limits, Own},
    Result,
};

/// Makes those of an image, to be taken on when the process runs.
pub(super) fn make(own: &Own, creds: &Creds) -> Result<NewCreds> {
    let Creds { user, group, caps, .. } = creds;
    let raw = Raw {
        uid: user.real,
        euid: user.effective,
        suid: user.saved,
        fsuid: user.fs,
        gid: group.real,
        egid: group.effective,
        sgid: group.saved,
        fsgid: group.fs,
        cap_inheritable: caps.inheritable,
        cap_permitted: caps.permitted,
        cap_effective: caps.effective,
        cap_bset: caps.bounding,
        cap_ambient: caps.ambient,
        securebits: creds.securebits,
        no_new_privs: u32::from(creds.no_new_privs),
        dumpable: u32::from(creds.dumpable),
        ..Raw::default()
    };
    own.make_creds(raw, &creds.groups)
}

/// Sets the limits of an image: the helper could not have worked under them.
pub(super) fn limit(own: &Own, task: &Task) {
    let mut limits = Limits::default();
    for ((soft, hard), limit) in limits.soft.iter_mut().zip(&mut limits.hard).zip(&task.rlimits) {
        (*soft, *hard) = (limit.soft.min(limit.hard), limit.hard);
    }
    own.set_limits(&limits);
}
