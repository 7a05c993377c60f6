//! Talking to the other nodes' daemons, over the module's transport.
//!
//! [`wire`] splits and joins, [`rpc`] matches replies to requests, [`message`] is the vocabulary.

pub mod message;
pub mod rpc;
pub(crate) mod serve;
pub mod wire;
