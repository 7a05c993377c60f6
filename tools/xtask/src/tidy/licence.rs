//! Each package and each file of C says under which licence it is.

use crate::tree::File;
use crate::Offence;

/// The licence of all that is ours.
const LICENCE: &str = "BSD-2-Clause OR GPL-2.0";

pub(super) fn check(file: &File, offences: &mut Vec<Offence>) {
    let Some(text) = file.text() else {
        return;
    };
    let good = match (file.name(), file.extension()) {
        ("Cargo.toml", _) => is_licensed_package(text),
        (_, "c" | "h" | "S") => {
            let head = text.lines().next().unwrap_or_default();
            head.contains("SPDX-License-Identifier:") && head.contains(LICENCE)
        }
        _ => true,
    };
    if !good {
        let what = format!("does not say that it is licensed \"{LICENCE}\"");
        offences.push(Offence { path: file.path.clone(), line: 0, what });
    }
}

fn is_licensed_package(text: &str) -> bool {
    let own = format!("license = \"{LICENCE}\"");
    let package = text.lines().any(|line| line.trim() == "[package]");
    let licensed = text.lines().any(|line| {
        let line = line.trim();
        line == own || line == "license.workspace = true"
    });
    !package || licensed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_good(path: &str, text: &str) -> bool {
        let mut offences = Vec::new();
        check(&File::new(path, text), &mut offences);
        offences.is_empty()
    }

    #[test]
    fn packages() {
        assert!(is_good("a/Cargo.toml", "[package]\nlicense.workspace = true\n"));
        assert!(is_good("Cargo.toml", "[workspace]\n"));
        assert!(is_good("a/Cargo.toml", &format!("[package]\nlicense = \"{LICENCE}\"\n")));
        assert!(!is_good("a/Cargo.toml", "[package]\n"));
        assert!(!is_good("a/Cargo.toml", "[package]\nlicense = \"MIT\"\n"));
    }

    #[test]
    fn c_files() {
        let head = format!("// SPDX-License-Identifier: {LICENCE}\n");
        assert!(is_good("s/x.c", &head));
        assert!(!is_good("s/x.c", "int x;\n"));
        assert!(!is_good("s/x.h", &format!("\n{head}")));
    }
}
