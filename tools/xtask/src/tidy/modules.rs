//! No file of a crate is dead: each one is a module of its parent.

use std::collections::BTreeMap;

use crate::tree::File;
use crate::Offence;

pub(super) fn check(files: &[File], offences: &mut Vec<Offence>) {
    let texts: BTreeMap<&str, &str> = files
        .iter()
        .filter(|file| file.extension() == "rs")
        .filter_map(|file| Some((file.path.as_str(), file.text()?)))
        .collect();
    for path in texts.keys() {
        let parents = parents(path);
        let named = || texts.iter().any(|(other, text)| names(text, other, path));
        let declared = parents.iter().any(|parent| declares(&texts, parent, path));
        if !parents.is_empty() && !declared && !named() {
            let what = "is a module of nothing".to_string();
            offences.push(Offence { path: (*path).to_string(), line: 0, what });
        }
    }
}

/// The files that may declare a module; none for what is a crate's root.
fn parents(path: &str) -> Vec<String> {
    let Some((crate_dir, inner)) = path.split_once("/src/") else {
        return Vec::new();
    };
    let root = |name: &str| format!("{crate_dir}/src/{name}");
    let is_root = matches!(inner, "lib.rs" | "main.rs") || inner.starts_with("bin/");
    if is_root {
        return Vec::new();
    }
    let module = inner.strip_suffix("/mod.rs").or(inner.strip_suffix(".rs")).unwrap_or(inner);
    match module.rsplit_once('/') {
        None => vec![root("lib.rs"), root("main.rs")],
        Some((dir, _)) => vec![root(&format!("{dir}.rs")), root(&format!("{dir}/mod.rs"))],
    }
}

fn declares(texts: &BTreeMap<&str, &str>, parent: &str, path: &str) -> bool {
    let module = path.strip_suffix("/mod.rs").or(path.strip_suffix(".rs")).unwrap_or(path);
    let name = module.rsplit('/').next().unwrap_or_default();
    let declaration = format!("mod {name};");
    texts
        .get(parent)
        .is_some_and(|text| text.lines().any(|line| line.trim().ends_with(&declaration)))
}

/// Whether a file beside it takes it in by its path.
fn names(text: &str, other: &str, path: &str) -> bool {
    let (Some((dir, file)), Some((other_dir, _))) = (path.rsplit_once('/'), other.rsplit_once('/'))
    else {
        return false;
    };
    dir == other_dir && text.contains(&format!("path = \"{file}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_files_are_found() {
        let files = [
            File::new("a/src/lib.rs", "mod used;\npub mod dir;\n"),
            File::new("a/src/used.rs", "mod below;\n#[path = \"used_tests.rs\"]\nmod tests;\n"),
            File::new("a/src/used/below.rs", ""),
            File::new("a/src/dir/mod.rs", "pub(crate) mod leaf;\n"),
            File::new("a/src/dir/leaf.rs", ""),
            File::new("a/src/dir/dead.rs", ""),
            File::new("a/src/used_tests.rs", ""),
            File::new("a/src/dead.rs", ""),
            File::new("a/src/bin/tool.rs", ""),
            File::new("a/tests/x.rs", ""),
        ];
        let mut offences = Vec::new();
        check(&files, &mut offences);
        let found: Vec<_> = offences.iter().map(|offence| offence.path.as_str()).collect();
        assert_eq!(found, ["a/src/dead.rs", "a/src/dir/dead.rs"]);
    }
}
