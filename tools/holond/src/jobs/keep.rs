//! The job table on disk, for the next daemon on this node.

use super::record::JobRecord;
use crate::node::Node;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::PoisonError;

/// The daemon's own directory.
pub(crate) const STATE_DIR: &str = "/var/lib/holon";
const RECORDS: &str = "jobs.json";
const NUMBER_MAX: &str = "job-max";

/// Writes the table if it has changed since it was written last.
pub(crate) fn write(node: &Node) {
    // Held over the writing, so that an older table never replaces a newer one.
    let mut written = node.written.lock().unwrap_or_else(PoisonError::into_inner);
    let (records, max) = {
        let state = node.state();
        (state.jobs.all().cloned().collect::<Vec<_>>(), state.jobs.number_max())
    };
    let json = serde_json::to_vec(&records).unwrap_or_default();
    let kept = [&max.to_le_bytes()[..], &json].concat();
    if kept == *written {
        return;
    }
    match put(NUMBER_MAX, max.to_string().as_bytes()).and_then(|()| put(RECORDS, &json)) {
        Ok(()) => *written = kept,
        Err(error) => log::warn!("can't keep the job table: {error}"),
    }
}

fn put(name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let path = Path::new(STATE_DIR).join(name);
    let fresh = path.with_extension("new");
    // Records have environments in them, which are their users' own. (An old file keeps its mode.)
    let _ = fs::remove_file(&fresh);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(&fresh)?.write_all(bytes)?;
    fs::rename(fresh, path)
}

/// The highest job number that was known.
pub(crate) fn read_number_max() -> u32 {
    let text = fs::read_to_string(Path::new(STATE_DIR).join(NUMBER_MAX)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// The records that an earlier daemon kept.
pub(crate) fn read() -> Vec<JobRecord> {
    let bytes = fs::read(Path::new(STATE_DIR).join(RECORDS)).unwrap_or_default();
    parse(&bytes)
}

/// What can be read of it: one record of another version must not cost the others.
fn parse(bytes: &[u8]) -> Vec<JobRecord> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let values = serde_json::from_slice::<Vec<serde_json::Value>>(bytes);
    let values = values.unwrap_or_else(|error| {
        log::error!("{RECORDS} can't be read: {error}: the other nodes are asked for its jobs");
        Vec::new()
    });
    let mut records = Vec::new();
    for value in values {
        match serde_json::from_value(value) {
            Ok(record) => records.push(record),
            Err(error) => log::error!("{RECORDS} has a record that can't be read: {error}"),
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::record::tests::record;

    #[test]
    fn one_bad_record_costs_no_other() {
        let mut values: Vec<serde_json::Value> =
            [1, 2, 3].map(|job| serde_json::to_value(record(job, 0)).expect("JSON")).into();
        values[1]["state"] = "of a later version".into();
        let read = parse(&serde_json::to_vec(&values).expect("JSON"));
        assert_eq!(read.iter().map(|r| r.job).collect::<Vec<_>>(), [1, 3]);
        assert!(parse(b"[{").is_empty() && parse(b"").is_empty());
    }
}
