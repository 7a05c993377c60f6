//! Talking to the other nodes' daemons, over the module's transport.
//!
//! [`wire`] splits and joins, [`rpc`] matches replies to requests, [`message`] is the vocabulary.

pub(crate) mod message;
pub(crate) mod rpc;
pub(crate) mod serve;
pub(crate) mod wire;
