//! Which crate may use which.
//!
//! Pure crates decide and know no operating system; `kapi` alone touches it; the module drives.
//! Arrows go down only:
//!
//! ```text
//! holon (the module) ─> kapi          tools, testbed ─> holon-api, holon-uapi
//!   │ └─> holon-uapi                  holond ─> also ckpt and sched-migrate (restore, policy)
//!   ├─> sched-migrate ─> ckpt ─> netproto
//!   └─> vm-remote ─────────────> netproto
//! simulations, tests and the testbed ─> holon-simkit
//! ```

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::Offence;

/// A crate of ours and which of ours it may use.
const EDGES: [(&str, &[&str]); 15] = [
    ("netproto", &[]),
    ("vm-remote", &["netproto"]),
    ("ckpt", &["netproto"]),
    ("sched-migrate", &["netproto", "ckpt"]),
    ("holon-uapi", &[]),
    ("kapi", &[]),
    ("holon", &["kapi", "holon-uapi", "netproto", "vm-remote", "ckpt", "sched-migrate"]),
    ("holon-devtest", &["holon-simkit", "holon-uapi", "netproto"]),
    ("holon-api", &[]),
    ("clusterctl", &["holon-api", "holon-uapi"]),
    ("holond", &["holon-api", "holon-uapi", "netproto", "ckpt", "sched-migrate"]),
    ("holon-simkit", &[]),
    ("holon-sim", &["holon-simkit", "netproto", "vm-remote", "ckpt", "sched-migrate"]),
    ("holon-testbed", &["holon-api", "holon-simkit", "holon-uapi"]),
    ("xtask", &[]),
];

/// Crates that decide.
pub const PURE: [&str; 4] = ["netproto", "vm-remote", "ckpt", "sched-migrate"];

/// What the pure ones may use of others: data structures and macros that need no system.
const PURE_EXTERNAL: [&str; 5] = ["zerocopy", "bitflags", "log", "thiserror", "xxhash-rust"];

/// What the crates in the kernel may use besides.
const KERNEL_EXTERNAL: [&str; 3] = ["spin", "crossbeam-queue", "bindgen"];

/// Checks all workspaces of the repository.
pub fn check(root: &Path) -> Result<Vec<Offence>, String> {
    let mut offences = Vec::new();
    for manifest in ["Cargo.toml", "kernel-mod/Cargo.toml"] {
        if root.join(manifest).exists() {
            let metadata = metadata(root, manifest)?;
            check_metadata(&metadata, &mut offences);
        }
    }
    for name in PURE {
        check_attributes(root, name, &mut offences)?;
    }
    offences.sort();
    offences.dedup();
    Ok(offences)
}

fn metadata(root: &Path, manifest: &str) -> Result<Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]);
    command.args(["--offline", "--manifest-path", manifest]);
    let output = command.output().map_err(|error| format!("cargo does not run: {error}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo metadata of {manifest}: {error}"));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// Checks what `cargo metadata` tells of one workspace.
pub fn check_metadata(metadata: &Value, offences: &mut Vec<Offence>) {
    for package in list(metadata, "packages") {
        let name = text(package, "name");
        let mut push = |what: String| {
            let path = format!("package {name}");
            offences.push(Offence { path, line: 0, what });
        };
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
            push("has no place in the layers (tools/xtask/src/layers.rs)".to_string());
            continue;
        };
        for dependency in list(package, "dependencies") {
            if let Some(what) = judge(name, allowed, dependency) {
                push(what);
            }
        }
    }
}

/// What is wrong with a dependency.
fn judge(name: &str, allowed: &[&str], dependency: &Value) -> Option<String> {
    let used = text(dependency, "name");
    let for_tests = text(dependency, "kind") == "dev";
    let ours = EDGES.iter().any(|(known, _)| *known == used);
    if ours {
        let fine = allowed.contains(&used) || for_tests;
        return (!fine).then(|| format!("may not use {used}: that points up"));
    }
    let in_kernel = PURE.contains(&name) || ["kapi", "holon", "holon-uapi"].contains(&name);
    if !in_kernel || for_tests {
        return None;
    }
    let known =
        PURE_EXTERNAL.contains(&used) || (!PURE.contains(&name) && KERNEL_EXTERNAL.contains(&used));
    if !known {
        return Some(format!("may not use {used}: not known to work in a kernel"));
    }
    let defaults = dependency.get("uses_default_features") == Some(&Value::Bool(true));
    defaults.then(|| format!("uses {used} with its default features, which may need std"))
}

fn check_attributes(root: &Path, name: &str, offences: &mut Vec<Offence>) -> Result<(), String> {
    let path = format!("{name}/src/lib.rs");
    let text =
        std::fs::read_to_string(root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
    for attribute in ["#![no_std]", "#![forbid(unsafe_code)]"] {
        if !text.lines().any(|line| line == attribute) {
            let what = format!("is pure, and lacks {attribute}");
            offences.push(Offence { path: path.clone(), line: 0, what });
        }
    }
    Ok(())
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn offences(name: &str, dependency: Value) -> Vec<String> {
        let metadata = json!({"packages": [{"name": name, "dependencies": [dependency]}]});
        let mut offences = Vec::new();
        check_metadata(&metadata, &mut offences);
        offences.into_iter().map(|offence| offence.what).collect()
    }

    fn uses(name: &str) -> Value {
        json!({"name": name, "kind": null, "uses_default_features": false})
    }

    #[test]
    fn edges_go_down() {
        assert!(offences("ckpt", uses("netproto")).is_empty());
        assert_eq!(offences("netproto", uses("ckpt")).len(), 1);
        assert_eq!(offences("vm-remote", uses("sched-migrate")).len(), 1);
        assert_eq!(offences("sched-migrate", uses("kapi")).len(), 1);
        assert_eq!(offences("kapi", uses("netproto")).len(), 1);
        assert_eq!(offences("clusterctl", uses("sched-migrate")).len(), 1);
        assert_eq!(offences("netproto", uses("holon-simkit")).len(), 1);
        let test = json!({"name": "holon-simkit", "kind": "dev"});
        assert!(offences("netproto", test).is_empty());
        assert_eq!(offences("stranger", uses("netproto")).len(), 1);
    }

    #[test]
    fn pure_crates_need_no_system() {
        assert!(offences("ckpt", uses("thiserror")).is_empty());
        assert_eq!(offences("ckpt", uses("libc")).len(), 1);
        assert_eq!(offences("ckpt", uses("spin")).len(), 1);
        assert!(offences("holon", uses("spin")).is_empty());
        assert!(offences("holond", uses("libc")).is_empty());
        let default = json!({"name": "log", "kind": null, "uses_default_features": true});
        assert_eq!(offences("ckpt", default).len(), 1);
        let test = json!({"name": "proptest", "kind": "dev", "uses_default_features": true});
        assert!(offences("ckpt", test).is_empty());
    }
}
