//! One module per kernel object that a process consists of.

pub mod change;
pub mod creds;
pub mod exec;
pub mod file;
pub mod fs;
pub mod mm;
pub mod places;
pub mod position;
pub mod regs;
pub mod restart;
pub mod signal;
pub mod subject;
pub mod task;
pub mod thread;
pub mod vma;
