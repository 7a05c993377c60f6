//! Processes: looking at them, capturing and restoring them, standing in for them, and the driver
//! of their hand-offs.
//!
//! ```text
//! ioctl ──────────┐                                  ┌─> source (workers): manifest, comparison
//! messages ───────┼─> state's queue ─> driver ─> effects ─> leaving: a task that parks
//! ends of tasks ──┘        │   ▲                     ├─> incoming: a helper that parks
//!                     sched_migrate::Mover           └─> record: surrogates and bodies
//! exec hook ─> exec ─> leaving        image's exec ─> load        stub's ioctl ─> surrogate
//! ```
//! Locks, outermost first: the mover; the tables; an object's mutex; an object's spin lock.

mod again;
mod area;
mod arrive;
mod assembly;
mod counters;
mod driver;
mod effects;
mod events;
mod exec;
mod facts;
mod files;
mod gate;
mod images;
mod incoming;
mod ioctl;
mod jobs;
mod leaving;
mod live;
mod load;
mod manifest;
mod outbox;
mod place;
mod record;
mod restorer;
mod rights;
mod signals;
mod source;
mod state;
mod surrogate;
mod survey;

pub(crate) use area::{has_jobs, put_job_spaces, AREA, SURROGATES};
