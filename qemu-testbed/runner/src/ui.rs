//! What a person sees of long steps: each named when it starts, timed when it ends. On stderr, so
//! that the output of commands stays clean.

use std::time::Instant;

/// A step under way.
#[derive(Debug)]
pub(crate) struct Step {
    what: String,
    started: Instant,
}

impl Step {
    /// Announces a step.
    pub(crate) fn start(what: impl Into<String>) -> Self {
        let what = what.into();
        eprintln!("testbed: {what} …");
        Self { what, started: Instant::now() }
    }

    /// Reports its end.
    pub(crate) fn done(self) {
        eprintln!("testbed: {} took {:.1} s", self.what, self.started.elapsed().as_secs_f64());
    }
}

/// Tells something that happened at once.
pub(crate) fn note(text: impl AsRef<str>) {
    eprintln!("testbed: {}", text.as_ref());
}
