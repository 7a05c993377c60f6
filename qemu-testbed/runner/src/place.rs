//! Where things are: the repository, the cache, an instance's folder.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The repository that this testbed was built from.
pub(crate) fn repo() -> PathBuf {
    let runner = Path::new(env!("CARGO_MANIFEST_DIR"));
    runner.ancestors().nth(2).unwrap_or(runner).to_owned()
}

/// The guest's recipe.
pub(crate) fn recipe() -> PathBuf {
    repo().join("qemu-testbed/guest")
}

/// Where images are kept between runs: `$XDG_CACHE_HOME/holon`, or `~/.cache/holon`.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from(env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let dir = base.join("holon");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    Ok(dir)
}

/// Where an instance lives unless `--dir` says otherwise.
pub(crate) fn default_instance() -> PathBuf {
    repo().join("target/testbed")
}

/// A lock on a part of the cache, held until dropped. Waits for whoever has it.
pub(crate) fn lock(name: &str) -> Result<File> {
    let path = cache()?.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    file.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(file)
}

/// A short name for content: the start of its SHA-256.
#[derive(Default)]
pub(crate) struct Key(Sha256);

impl Key {
    /// Adds some bytes, delimited.
    pub(crate) fn add(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a file, or all files below a folder, with their names and modes.
    pub(crate) fn add_tree(&mut self, path: &Path) -> Result<&mut Self> {
        use std::os::unix::fs::PermissionsExt;
        let meta = fs::symlink_metadata(path).with_context(|| path.display().to_string())?;
        self.add(path.file_name().unwrap_or_default().as_encoded_bytes());
        if meta.is_dir() {
            let mut entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
            entries.sort_by_key(|entry| entry.file_name());
            for entry in entries {
                self.add_tree(&entry.path())?;
            }
        } else if meta.is_symlink() {
            self.add(fs::read_link(path)?.as_os_str().as_encoded_bytes());
        } else {
            self.add((meta.permissions().mode() & 0o777).to_le_bytes());
            self.add(fs::read(path)?);
        }
        Ok(self)
    }

    /// The name, 16 hexadecimal digits.
    pub(crate) fn finish(&self) -> String {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}
