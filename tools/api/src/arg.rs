//! Arguments and environment strings: bytes that are mostly, but not always, UTF-8.

use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// One argument, as readable in JSON as it can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Arg {
    /// The usual case.
    Text(String),
    /// Not UTF-8.
    Bytes {
        /// The bytes themselves.
        bytes: Vec<u8>,
    },
}

impl Arg {
    /// The argument's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes { bytes } => bytes,
        }
    }

    /// For showing to people.
    pub fn to_lossy(&self) -> String {
        String::from_utf8_lossy(self.as_bytes()).into_owned()
    }
}

impl From<&OsStr> for Arg {
    fn from(text: &OsStr) -> Self {
        match text.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes { bytes: text.as_bytes().to_vec() },
        }
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Arg> for OsString {
    fn from(arg: Arg) -> Self {
        match arg {
            Arg::Text(text) => text.into(),
            Arg::Bytes { bytes } => OsString::from_vec(bytes),
        }
    }
}

/// A command line for people: words with blanks or quotes in them are quoted.
pub fn command_line(argv: &[Arg]) -> String {
    let words: Vec<String> = argv.iter().map(|arg| quoted(&arg.to_lossy())).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(|c| plain(c) || !c.is_ascii() && !c.is_control()) {
        return word.to_owned();
    }
    let clean: String = word.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("'{}'", clean.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_survive_json() {
        for raw in [&b"plain"[..], b"\xff\x00z"] {
            let arg = Arg::from(OsStr::from_bytes(raw));
            let json = serde_json::to_string(&arg).expect("encodes");
            let back: Arg = serde_json::from_str(&json).expect("decodes");
            assert_eq!(back.as_bytes(), raw);
        }
    }

    #[test]
    fn lines_are_quoted_where_needed() {
        let line = command_line(&["sh".into(), "-c".into(), "echo 'a b'\n".into(), "".into()]);
        assert_eq!(line, "sh -c 'echo '\\''a b'\\'' ' ''");
    }
}
