//! Keys: the public ones of `nodes.toml`, and this node's private one, which never leaves it.
//!
//! The private key is made on the node by `wg genkey` and kept in a file that only root reads. It
//! is given to `wg` through pipes: not in arguments, not in a log.

use super::problem::Problem;
use super::run::{self, Call};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::str::FromStr;
use thiserror::Error;

/// This node's private key.
pub(crate) const PATH: &str = "/var/lib/holon/wireguard.key";
/// 32 bytes in base64.
const TEXT_LEN: usize = 44;
const OTHERS: u32 = 0o077;

/// What is wrong with a key, or with its file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum KeyError {
    /// Not what `wg` prints.
    #[error("it is no key: 32 bytes in base64 are, as `holond key` prints them")]
    Shape,
    /// Others may read it.
    #[error(
        "others may read it (mode {0:03o}): make a new one, and give nodes.toml its public key"
    )]
    Open(u32),
    /// Not root's file.
    #[error("it belongs to uid {0}")]
    Owner(u32),
    /// Not a plain file.
    #[error("it is not a file")]
    NoFile,
    /// The file system says no.
    #[error("{0}")]
    Io(String),
}

impl From<std::io::Error> for KeyError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// A node's public key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicKey(String);

impl PublicKey {
    /// As `wg` writes it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        is_key(text).then(|| Self(text.into())).ok_or(KeyError::Shape)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A node's private key. It can be neither printed nor copied.
pub(super) struct PrivateKey(String);

impl PrivateKey {
    /// For `wg` alone.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// The key that belongs to it.
    pub(super) fn public(&self) -> Result<PublicKey, Problem> {
        let text = run::output(&Call::new("wg", &["pubkey"]).input(&self.0))?;
        text.trim().parse().map_err(Problem::Key)
    }
}

/// 32 bytes in base64, written in the one way that `wg` takes; not all zero, which means "none".
fn is_key(text: &str) -> bool {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let Some(digits) = text.strip_suffix('=').filter(|_| text.len() == TEXT_LEN) else {
        return false;
    };
    let values: Option<Vec<u8>> = digits.bytes().map(digit).collect();
    // The last digit has but four bits of the key.
    values.is_some_and(|v| v.iter().any(|d| *d != 0) && v.last().is_some_and(|d| d % 4 == 0))
}

/// The private key in a file, made if there is none.
pub(super) fn ensure(path: &Path) -> Result<PrivateKey, Problem> {
    let found = read(path).map_err(|why| Problem::KeyFile(path.display().to_string(), why))?;
    if let Some(key) = found {
        return Ok(key);
    }
    let key = run::output(&Call::new("wg", &["genkey"]))?;
    let said = |error: std::io::Error| {
        Problem::KeyFile(path.display().to_string(), KeyError::Io(error.to_string()))
    };
    write(path, key.trim()).map_err(said)?;
    let again = read(path).map_err(|why| Problem::KeyFile(path.display().to_string(), why))?;
    again.ok_or_else(|| said(ErrorKind::NotFound.into()))
}

/// The private key in a file, if there is one; an error if it can't be trusted.
fn read(path: &Path) -> Result<Option<PrivateKey>, KeyError> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // What a link in its place gives.
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Err(KeyError::NoFile),
        Err(error) => return Err(error.into()),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(KeyError::NoFile);
    }
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(KeyError::Owner(meta.uid()));
    }
    if meta.mode() & OTHERS != 0 {
        return Err(KeyError::Open(meta.mode() & 0o777));
    }
    let mut text = String::new();
    // Whatever is longer is no key either.
    file.take(TEXT_LEN as u64 + 2).read_to_string(&mut text).map_err(|_| KeyError::Shape)?;
    let key = text.strip_suffix('\n').unwrap_or(&text);
    is_key(key).then(|| Some(PrivateKey(key.into()))).ok_or(KeyError::Shape)
}

/// Written whole or not at all: a key that was printed must be the one that is kept. Who comes
/// second finds the first one's.
fn write(path: &Path, key: &str) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let fresh = path.with_extension(format!("new.{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(format!("{key}\n").as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => File::open(dir)?.sync_all(),
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
pub(super) mod tests;
