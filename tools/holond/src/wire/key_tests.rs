//! Which keys and which key files are taken.

use super::*;
use std::fs::Permissions;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::PathBuf;

const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

/// A private key for other tests.
pub(in crate::wire) fn private(text: &str) -> PrivateKey {
    PrivateKey(text.into())
}

/// A folder of its own for a test; removed with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("holon-key-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("makes it");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("wireguard.key")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn keys_are_what_wg_prints() {
    assert!(KEY.parse::<PublicKey>().is_ok());
    let zero = format!("{}=", "A".repeat(43));
    let odd = KEY.replace("mk=", "ml=");
    let plus = KEY.replace('+', "-");
    let long = format!("{KEY}A");
    let bad = ["", "x", &KEY[1..], &long, &zero, &odd, &plus, &KEY[..43], "\u{e4}"];
    for text in bad {
        assert_eq!(text.parse::<PublicKey>(), Err(KeyError::Shape), "{text}");
    }
}

#[test]
fn a_written_key_is_read_and_nobody_elses() {
    let dir = Dir::new("written");
    write(&dir.file(), KEY).expect("writes");
    assert_eq!(fs::metadata(dir.file()).expect("there").mode() & 0o777, 0o600);
    assert_eq!(read(&dir.file()).ok().flatten().expect("a key").reveal(), KEY);
    // Another one that is made at the same time does not replace it.
    let other = format!("B{}", &KEY[1..]);
    write(&dir.file(), &other).expect("finds one");
    assert_eq!(read(&dir.file()).ok().flatten().expect("a key").reveal(), KEY);
    assert_eq!(fs::read_dir(&dir.0).expect("a folder").count(), 1, "no leftovers");
}

#[test]
fn what_cannot_be_trusted_is_refused() {
    let dir = Dir::new("refused");
    let why = |path: &Path| read(path).err();
    assert!(matches!(read(&dir.file()), Ok(None)));
    for (text, is_good) in [(KEY, true), ("x\n", false), ("", false), (&KEY.repeat(20), false)] {
        fs::write(dir.file(), text).expect("writes");
        fs::set_permissions(dir.file(), Permissions::from_mode(0o600)).expect("chmod");
        let expected = (!is_good).then_some(KeyError::Shape);
        assert_eq!(why(&dir.file()), expected, "{text}");
    }
    fs::write(dir.file(), [0xff; 44]).expect("writes");
    assert_eq!(why(&dir.file()), Some(KeyError::Shape));
    fs::write(dir.file(), KEY).expect("writes");
    fs::set_permissions(dir.file(), Permissions::from_mode(0o640)).expect("chmod");
    assert_eq!(why(&dir.file()), Some(KeyError::Open(0o640)));
    let link = dir.0.join("link");
    symlink(dir.file(), &link).expect("links");
    assert_eq!(why(&link), Some(KeyError::NoFile));
    assert_eq!(why(&dir.0), Some(KeyError::NoFile));
}
