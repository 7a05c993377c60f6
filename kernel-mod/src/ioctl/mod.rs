//! `/dev/holon`: the table of control calls, and what an open file does.

pub(crate) mod base;
pub(crate) mod open;
pub(crate) mod table;
