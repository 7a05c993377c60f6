//! What was left behind: unfinished code, rejects, and words that belong to one machine.

use crate::tree::File;
use crate::Offence;

/// Words that may not stand in code. Written in two halves, so that this file may stand itself.
const CODE_WORDS: [(&str, &str, &str); 9] = [
    ("to", "do!(", "finish it"),
    ("unimple", "mented!(", "finish it"),
    ("db", "g!(", "remove it"),
    ("FIX", "ME", "mend it, or say what holds"),
    ("XX", "X", "mend it, or say what holds"),
    ("TO", "DO", "do it, or write an issue"),
    ("HA", "CK", "mend it, or say what holds"),
    ("#if", " 0", "delete it"),
    ("<<<<", "<<<", "resolve it"),
];

/// Words that may stand nowhere: paths of the machines that we work on.
const MACHINE_WORDS: [(&str, &str); 4] =
    [("/work/", "main"), ("/work/", "shared"), ("/tmp/", "holon/brief"), ("/work/", ".")];

/// Hosts that a text may refer to, with their subdomains.
const HOSTS: [&str; 8] = [
    "github.com",
    "kernel.org",
    "debian.org",
    "rust-lang.org",
    "docs.rs",
    "example.org",
    "example.com",
    "spdx.org",
];

/// Hosts among those that serve packages: which one is used is the machine's matter.
const REGISTRIES: [&str; 4] = ["deb.", "index.", "static.", "snapshot."];

const CODE: [&str; 8] = ["rs", "c", "h", "S", "sh", "py", "toml", ""];

pub(super) fn check(file: &File, offences: &mut Vec<Offence>) {
    let mut push = |line: usize, what: String| {
        offences.push(Offence { path: file.path.clone(), line, what });
    };
    if ["rej", "orig", "swp", "bak"].contains(&file.extension()) {
        push(0, "left behind by a tool".to_string());
    }
    let Some(text) = file.text() else {
        return;
    };
    for (index, line) in text.lines().enumerate() {
        if CODE.contains(&file.extension()) {
            for (head, tail, help) in CODE_WORDS {
                if has_word(line, &format!("{head}{tail}")) {
                    push(index + 1, format!("{head}{tail}: {help}"));
                }
            }
        }
        for (head, tail) in MACHINE_WORDS {
            if line.contains(&format!("{head}{tail}")) {
                push(index + 1, format!("a path of one machine: {head}{tail}"));
            }
        }
        for host in hosts(line).filter(|host| !is_known(host)) {
            push(index + 1, format!("a host that is not known: {host}"));
        }
        let locked = file.name() == "Cargo.lock" && line.starts_with("source = ");
        if locked && !line.contains("github.com/rust-lang/crates.io-index") {
            push(index + 1, "a package from elsewhere than the public index".to_string());
        }
    }
}

/// Whether `word` stands in `line`, not as a part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let open = word.ends_with('(') || word.ends_with('<');
        !joins(before) && (open || !joins(after))
    })
}

/// The hosts of all addresses in a line that have a dot in them.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.split("://").skip(1).filter_map(|rest| {
        let host = rest.split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '-')).next()?;
        let host = host.trim_end_matches('.');
        let number = host.chars().all(|c| c.is_ascii_digit() || c == '.');
        (host.contains('.') && !number).then_some(host)
    })
}

fn is_known(host: &str) -> bool {
    if REGISTRIES.iter().any(|registry| host.starts_with(registry)) {
        return false;
    }
    HOSTS.iter().any(|known| {
        host.strip_suffix(known).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        let mut offences = Vec::new();
        check(&File::new(path, text), &mut offences);
        offences.len()
    }

    #[test]
    fn words() {
        for (head, tail, _) in CODE_WORDS {
            let line = format!("x {head}{tail} y\n");
            assert_eq!(count("a/src/x.rs", &line), 1, "{line}");
            assert_eq!(count("a.md", &line), 0, "{line}");
        }
        assert_eq!(count("a/src/x.rs", &format!("mktemp name.{}{}XX\n", "XX", "X")), 0);
        for (head, tail) in MACHINE_WORDS {
            assert_eq!(count("a.md", &format!("see {head}{tail}/x")), 1);
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(count("a.md", "http://10.0.0.1:80/ http://node1/ https://docs.kernel.org/a"), 0);
        let registry = ["deb.", "debian.org"].concat();
        assert_eq!(count("a.md", &format!("http://{registry}/debian")), 1);
        let other = ["packages.", "inside.net"].concat();
        assert_eq!(count("a.toml", &format!("registry = \"https://{other}/\"")), 1);
        let lock = format!("source = \"registry+https://{other}/\"");
        assert_eq!(count("Cargo.lock", &lock), 2);
    }

    #[test]
    fn files_of_tools() {
        assert_eq!(count("a/src/x.rs.rej", ""), 1);
        assert_eq!(count("a/src/x.rs", ""), 0);
    }
}
