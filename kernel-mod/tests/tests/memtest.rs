//! The test of moved memory needs a guest to run; here it is only built, so that it can be.

use std::path::Path;
use std::process::Command;

#[test]
fn it_builds() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("memory");
    let mut make = Command::new("make");
    make.arg("-C").arg(dir).arg(concat!("OUT=", env!("CARGO_TARGET_TMPDIR")));
    let output = make.output().expect("make runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
