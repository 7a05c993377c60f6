//! Builds the module and the tools, and packs them for the guests.

use std::path::PathBuf;

use anyhow::Result;

use crate::image::disk::Image;

/// The packages to install in a guest; none as long as the tree has no Holon to build.
pub(crate) fn packages(_image: &Image) -> Result<Vec<PathBuf>> {
    Ok(Vec::new())
}
