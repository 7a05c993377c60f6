//! Jobs: their records (known to all nodes), their init (one per node), their start and end.

pub(crate) mod adopt;
pub(crate) mod end;
pub(crate) mod handle;
pub(crate) mod inits;
pub(crate) mod keep;
pub(crate) mod lost;
pub(crate) mod merge;
pub(crate) mod number;
pub(crate) mod record;
pub(crate) mod session;
pub(crate) mod start;
pub(crate) mod stdio;
pub(crate) mod table;
pub(crate) mod takeover;
pub(crate) mod users;
