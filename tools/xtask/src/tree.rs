//! The files of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path, from the top of the repository.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl File {
    /// A file of this text.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_string(), bytes: text.as_bytes().to_vec() }
    }

    /// Its text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self.bytes.contains(&0) {
            true => None,
            false => std::str::from_utf8(&self.bytes).ok(),
        }
    }

    /// What its name ends with, after the last dot.
    pub fn extension(&self) -> &str {
        let name = self.name();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// Its name without its directory.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it is only for tests.
    pub fn is_test(&self) -> bool {
        let parts = self.path.split('/');
        parts.into_iter().any(|part| part == "tests" || part == "scenario" || part == "fuzz")
            || self.name().ends_with("tests.rs")
    }
}

/// The top of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// All files that git has, or would have: not those that it ignores.
pub fn files(root: &Path) -> Result<Vec<File>, String> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().map_err(|error| format!("git does not run: {error}"))?;
    if !output.status.success() {
        return Err("git does not list the files".to_string());
    }
    let list = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        // One that was deleted and is still in the index is no file of the tree any more.
        if let Ok(bytes) = std::fs::read(root.join(path)) {
            files.push(File { path: path.to_string(), bytes });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    Ok(files)
}
