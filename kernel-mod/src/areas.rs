//! The module's areas: what each brings along, and the one list of them.

use kapi::{module::Unloading, Result};
use netproto::{Class, Message, Slot};

use crate::{
    ioctl::table::Record,
    port::net::{Down, Takers},
};

/// What an area of the module offers to the rest. All functions are called in process context.
pub(crate) struct Area {
    /// What it holds, in the plural: "bodies", "files".
    pub(crate) name: &'static str,
    /// Called at load, in list order; if one fails, those before it are unloaded.
    pub(crate) load: fn() -> Result,
    /// The machine goes down.
    pub(crate) shutdown: fn(),
    /// Called at unload, in reverse order. No message, event or ioctl comes any more.
    pub(crate) unload: fn(&Unloading),
    /// How many things of this area keep the module. Each must keep a `kapi::module::Hold` too.
    pub(crate) held: fn() -> u64,
    /// The high byte of its messages' kinds.
    pub(crate) kind_class: Option<u8>,
    /// A message of that class. On the driver thread: must not block.
    pub(crate) message: fn(Message),
    /// A session with a peer began. On the driver thread: must not block.
    pub(crate) peer_up: fn(Slot),
    /// A session with a peer ended, all in flight is gone. On the driver thread: must not block.
    pub(crate) peer_down: fn(Slot, Down),
    /// After a send was refused as busy there is room again. On the driver thread: must not block.
    pub(crate) writable: fn(Slot, Class),
    /// The daemon closed the device.
    pub(crate) daemon_died: fn(),
    /// Somebody closed the device, by the opener's number.
    pub(crate) opener_closed: fn(u64),
    /// Its control calls.
    pub(crate) ioctls: &'static [Record],
}

impl Area {
    /// An area that does nothing; name what differs with `..Area::NONE`.
    pub(crate) const NONE: Self = Self {
        name: "",
        load: || Ok(()),
        shutdown: || (),
        unload: |_| (),
        held: || 0,
        kind_class: None,
        message: |_| (),
        peer_up: |_| (),
        peer_down: |_, _| (),
        writable: |_, _| (),
        daemon_died: || (),
        opener_closed: |_| (),
        ioctls: &[],
    };
}

/// Who takes what a task waits for.
pub(crate) static TAKERS: Takers = Takers {
    page_get: crate::memory::page_get,
    space_piece: crate::memory::space_piece,
    lodge_get: crate::lodge::lodge_get,
    lodge_piece: crate::lodge::lodge_piece,
};

/// All areas, in the order in which they are loaded.
pub(crate) static AREAS: &[&Area] = &[
    &crate::control::AREA,
    // Memory.
    &crate::memory::AREA,
    &crate::lodge::AREA,
    // Processes.
    &crate::proc::AREA,
    &crate::proc::SURROGATES,
    // Files.
    &crate::port::file::AREA,
    #[cfg(feature = "selftest")]
    &crate::port::selftest::AREA,
];
