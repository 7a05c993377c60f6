//! The node's own events: kept in memory, appended to a bounded file, and told to followers.

use holon_api::rows::EventRow;
use holon_api::time::now_rfc3339;
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

const KEPT_MAX: usize = 2000;
const FILE_LEN_MAX: u64 = 4 << 20;

/// The log.
pub(crate) struct EventLog {
    node: String,
    path: PathBuf,
    inner: Mutex<Inner>,
    news: Condvar,
}

struct Inner {
    kept: VecDeque<EventRow>,
    next_seq: u64,
    file: Option<File>,
}

impl EventLog {
    /// Opens the log of `node`, with what the file still has.
    pub(crate) fn open(node: &str, path: PathBuf) -> Self {
        let mut kept = VecDeque::new();
        if let Ok(file) = File::open(&path) {
            for line in BufReader::new(file).lines().map_while(Result::ok) {
                // A line cut by a power loss is no event.
                if let Ok(event) = serde_json::from_str::<EventRow>(&line) {
                    kept.push_back(event);
                }
                if kept.len() > KEPT_MAX {
                    kept.pop_front();
                }
            }
        }
        let next_seq = kept.back().map_or(1, |event| event.seq + 1);
        let file = OpenOptions::new().create(true).append(true).open(&path).ok();
        let inner = Inner { kept, next_seq, file };
        Self { node: node.into(), path, inner: Mutex::new(inner), news: Condvar::new() }
    }

    /// Notes an event; time, node and number are filled in.
    pub(crate) fn note(&self, mut event: EventRow) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        event.time = now_rfc3339();
        event.node = self.node.clone();
        event.seq = inner.next_seq;
        inner.next_seq += 1;
        log::info!("{}", summary(&event));
        self.append(&mut inner, &event);
        inner.kept.push_back(event);
        if inner.kept.len() > KEPT_MAX {
            inner.kept.pop_front();
        }
        self.news.notify_all();
    }

    fn append(&self, inner: &mut Inner, event: &EventRow) {
        let Ok(mut line) = serde_json::to_vec(event) else {
            return;
        };
        line.push(b'\n');
        let Some(file) = &mut inner.file else { return };
        // The log is for people; a full disk must not stop the node.
        let _ = file.write_all(&line);
        if file.metadata().is_ok_and(|meta| meta.len() > FILE_LEN_MAX) {
            let _ = fs::rename(&self.path, self.path.with_extension("jsonl.1"));
            inner.file = OpenOptions::new().create(true).append(true).open(&self.path).ok();
        }
    }

    /// Events after a number, oldest first, and the number of the last one that there is.
    pub(crate) fn after(&self, seq: u64) -> (Vec<EventRow>, u64) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let events = inner.kept.iter().filter(|event| event.seq > seq).cloned().collect();
        (events, inner.next_seq - 1)
    }

    /// The same, waiting for up to `time` until there is one.
    pub(crate) fn wait_after(&self, seq: u64, time: Duration) -> Vec<EventRow> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.news.wait_timeout_while(inner, time, |inner| inner.next_seq <= seq + 1);
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        inner.kept.iter().filter(|event| event.seq > seq).cloned().collect()
    }
}

/// One line for a log.
fn summary(event: &EventRow) -> String {
    let mut text = event.kind.clone();
    if let Some(process) = event.process {
        text += &format!(" {process}");
    } else if let Some(job) = event.job {
        text += &format!(" job {job}");
    }
    for (word, value) in [("from", &event.from), ("to", &event.to), ("because", &event.reason)] {
        if let Some(value) = value {
            text += &format!(" {word} {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str) -> EventLog {
        let path = std::env::temp_dir().join(format!("holon-events-{}-{name}", std::process::id()));
        EventLog::open("node1", path)
    }

    fn event(kind: &str) -> EventRow {
        EventRow { kind: kind.into(), ..EventRow::default() }
    }

    #[test]
    fn numbers_go_on_after_a_restart() {
        let first = log("restart");
        first.note(event("node-up"));
        first.note(event("node-down"));
        let again = EventLog::open("node1", first.path.clone());
        again.note(event("node-up"));
        let (all, last_seq) = again.after(0);
        assert_eq!(last_seq, 3);
        assert_eq!(all.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(again.after(2).0.len(), 1);
        let _ = fs::remove_file(&again.path);
    }

    #[test]
    fn followers_are_woken() {
        let log = std::sync::Arc::new(log("follow"));
        let follower = std::thread::spawn({
            let log = log.clone();
            move || log.wait_after(0, Duration::from_secs(20))
        });
        log.note(event("job-started"));
        let got = follower.join().expect("no panic");
        assert_eq!(got[0].kind, "job-started");
        assert!(log.wait_after(1, Duration::from_millis(1)).is_empty());
        let _ = fs::remove_file(&log.path);
    }
}
