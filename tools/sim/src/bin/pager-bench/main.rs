//! `pager-bench [TRACE…]`: which pages to evict, and which to fetch ahead, over recorded traces.
//! Prints fetches on a fault as ratios to those of the choice at random; the less the better.

mod ahead;
mod memory;
mod policy;

use std::path::PathBuf;
use std::process::ExitCode;

use holon_sim::trace::{self, Trace};

fn traces(arguments: Vec<String>) -> Result<Vec<(String, Trace)>, String> {
    let paths: Vec<PathBuf> = if arguments.is_empty() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/traces");
        let entries = std::fs::read_dir(dir).map_err(|error| format!("{dir}: {error}"))?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "trace"));
        paths.sort();
        paths
    } else {
        arguments.into_iter().map(PathBuf::from).collect()
    };
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).map_err(|error| format!("{name}: {error}"))?;
        Ok((name.clone(), trace::read(&bytes).ok_or(format!("{name}: damaged"))?))
    };
    paths.into_iter().map(read).collect()
}

fn main() -> ExitCode {
    let traces = match traces(std::env::args().skip(1).collect()) {
        Ok(traces) => traces,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    memory::report(&traces);
    ahead::report(&traces);
    ExitCode::SUCCESS
}
