//! A node's agent.
//!
//! `holond` is policy: it makes jobs and their namespaces, tells the module what it needs to know,
//! talks to the other nodes' daemons over the module's transport and to `clusterctl` over a Unix
//! socket. Mechanism (moving, pages, files) is the module's.
//!
//! ```text
//! clusterctl ─ socket ─ client, run, drain ─┐        ┌─ jobs ─ socket ─ job init (pid 1)
//!                                           ├─ node ─┤
//! other daemons ─ module ─ peer::serve ─────┘        └─ kernel ─ /dev/holon
//! ```

mod caller;
mod cgroup;
mod client;
mod config;
mod cordons;
pub mod daemon;
mod drain;
mod events;
mod events_all;
mod gather;
mod homes;
pub mod init;
mod input;
mod jobs;
mod kernel;
mod local;
mod memory;
mod moves;
mod nfs;
mod node;
mod nodes;
mod peer;
mod procs;
pub mod restarts;
pub mod restore;
mod run;
mod sys;
mod tasks;
mod tick;
pub mod wire;
