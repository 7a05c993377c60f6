//! Which package mirror to use: the one that the host itself is configured with.

use std::fs;
use std::path::Path;

/// The URI of the first Debian archive among the host's sources, if it is a Debian host.
pub(crate) fn of_host() -> Option<String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !release.lines().any(|line| line == "ID=debian") {
        return None;
    }
    let mut files = vec![Path::new("/etc/apt/sources.list").to_owned()];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut listed: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        listed.sort();
        files.extend(listed);
    }
    files.iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        match path.extension()?.to_str()? {
            "list" => from_list(&text),
            "sources" => from_deb822(&text),
            _ => None,
        }
    })
}

fn from_list(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = match line.split_once('[') {
            Some((before, after)) => format!("{before} {}", after.split_once(']')?.1),
            None => line.to_owned(),
        };
        let mut words = line.split_whitespace();
        let (kind, uri, suite) = (words.next()?, words.next()?, words.next()?);
        (kind == "deb" && is_archive(suite, words)).then(|| uri.to_owned())
    })
}

fn from_deb822(text: &str) -> Option<String> {
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let enabled = field("Enabled").is_none_or(|value| value != "no");
        let suite = field("Suites")?.split_whitespace().next()?;
        let archive = is_archive(suite, field("Components")?.split_whitespace());
        (enabled && archive).then(|| field("URIs")?.split_whitespace().next().map(str::to_owned))?
    })
}

fn is_archive<'a>(suite: &str, mut components: impl Iterator<Item = &'a str>) -> bool {
    let is_release = suite.chars().all(|c| c.is_ascii_alphabetic());
    is_release && components.any(|component| component == "main")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_formats() {
        let list = "# deb http://no/ x main\n\
                    deb [arch=amd64 signed-by=/k] http://a/debian bookworm main\n";
        assert_eq!(from_list(list).as_deref(), Some("http://a/debian"));
        let security =
            "Types: deb\nURIs: http://s/security\nSuites: bookworm-security\nComponents: main\n";
        let archive = "Types: deb\nURIs: http://a/debian\n\
                       Suites: bookworm bookworm-updates\nComponents: main\n";
        let text = format!("{security}\n{archive}");
        assert_eq!(from_deb822(&text).as_deref(), Some("http://a/debian"));
        assert_eq!(from_deb822(security), None);
        assert_eq!(from_list("deb http://a/ stable contrib"), None);
    }
}
