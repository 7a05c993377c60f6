//! As whom a job runs.

use holon_api::{ApiError, Code};
use nix::unistd::{getgrouplist, Uid, User};
use serde::{Deserialize, Serialize};
use std::ffi::CString;

/// A user with groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// User number.
    pub(crate) uid: u32,
    /// Primary group.
    pub(crate) gid: u32,
    /// All groups.
    pub(crate) groups: Vec<u32>,
    /// Name, or the number as text.
    pub(crate) name: String,
    /// Home directory.
    pub(crate) home: String,
    /// Shell.
    pub(crate) shell: String,
}

/// A user's name, or the number as text.
pub(crate) fn user_name(uid: u32) -> String {
    let found = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    found.map_or_else(|| uid.to_string(), |user| user.name)
}

/// Looks an account up by name or number; a number without a name is fine.
pub(crate) fn account(wanted: &str) -> Result<Account, ApiError> {
    let by_name = User::from_name(wanted).ok().flatten();
    let found = by_name.or_else(|| {
        let uid = wanted.parse().ok()?;
        User::from_uid(Uid::from_raw(uid)).ok().flatten()
    });
    if let Some(user) = found {
        let groups = CString::new(user.name.as_str())
            .ok()
            .and_then(|name| getgrouplist(&name, user.gid).ok())
            .unwrap_or_else(|| vec![user.gid]);
        return Ok(Account {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            groups: groups.iter().map(|gid| gid.as_raw()).collect(),
            name: user.name,
            home: user.dir.to_string_lossy().into_owned(),
            shell: user.shell.to_string_lossy().into_owned(),
        });
    }
    match wanted.parse::<u32>() {
        Ok(uid) if uid != u32::MAX => Ok(Account {
            uid,
            gid: uid,
            groups: vec![uid],
            name: uid.to_string(),
            home: "/".into(),
            shell: "/bin/sh".into(),
        }),
        _ => Err(ApiError::new(Code::RunFailed, "can't run", format!("no user \"{wanted}\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let root = account("root").expect("everywhere");
        assert_eq!((root.uid, root.gid, root.name.as_str()), (0, 0, "root"));
        assert_eq!(account("0").expect("by number"), root);
        let nobody = account("4000123").expect("a number is enough");
        assert_eq!((nobody.uid, nobody.name.as_str()), (4_000_123, "4000123"));
        assert!(account("no such user").is_err());
        assert!(account("4294967295").is_err(), "-1 means: leave as it is");
    }
}
