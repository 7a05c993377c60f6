//! What can be seen line by line.

mod leftovers;
mod licence;
mod modules;
mod sizes;

pub use sizes::COLUMNS_MAX;

use std::path::Path;

use crate::tree::{self, File};
use crate::Offence;

/// Checks the whole tree.
pub fn check(root: &Path) -> Result<Vec<Offence>, String> {
    Ok(check_files(&tree::files(root)?))
}

/// Checks some files as if they were a tree.
pub fn check_files(files: &[File]) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in files {
        sizes::check(file, &mut offences);
        leftovers::check(file, &mut offences);
        licence::check(file, &mut offences);
    }
    modules::check(files, &mut offences);
    offences.sort();
    offences
}
