//! The identity and rights of a process on its way in. Its helper has others: it restores with what
//! it needs, at home those of the surrogate, and the exec of an image computes new ones.

use ckpt::object::creds::Creds;
use kapi::{
    creds::{Creds as Raw, NewCreds},
    own::Own,
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
