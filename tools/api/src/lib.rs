//! What `clusterctl` and `holond` say to each other.
//!
//! A connection to [`SOCKET_PATH`] carries [`frame`]s: a JSON value and, where it pays, raw bytes
//! beside it. The client sends one [`request::Request`]; the daemon answers with one or more
//! [`request::Reply`]s. The [`rows`] are also what `-o json` prints, so fields are only ever added.
//!
//! ```text
//! clusterctl ── Request ──> holond
//!            <── Reply*  ──
//! ```

pub mod arg;
pub mod error;
pub mod frame;
pub mod id;
pub mod request;
pub mod rows;
mod sys;
pub mod time;

pub use error::{ApiError, Code};
pub use id::ProcessId;

/// Where `holond` listens.
pub const SOCKET_PATH: &str = "/run/holon/holond.sock";

/// The version of the printed JSON; grows only when a field changes its meaning.
pub const API_VERSION: &str = "clusterctl/v1";

/// Exit status of a process that ended because the node under it died
/// (`docs/architecture.md`, "Death of a node").
pub const EXIT_NODE_LOST: i32 = 245;
