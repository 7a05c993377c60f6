//! One guest: its QEMU (`qemu`), QEMU's control socket (`qmp`), and commands inside it (`ssh`).

pub(crate) mod qemu;
pub(crate) mod qmp;
pub(crate) mod ssh;
mod tsc;
