//! An instance: a set of guests on a network of their own, kept by one process (`supervisor`) that
//! commands talk to (`control`). `up` makes one, `client` is every other command's view of it.

pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod ready;
pub(crate) mod supervisor;
pub(crate) mod up;
