//! What a node is, what it holds, and whom it tells what.

pub(crate) mod daemon;
pub(crate) mod dispatch;
pub(crate) mod events;
pub(crate) mod held;
pub(crate) mod knobs;
pub(crate) mod node;
pub(crate) mod stats;

use crate::{areas::Area, ioctl::base};

/// The base: the node itself, its daemon, the messages between daemons.
pub(crate) static AREA: Area = Area {
    name: "",
    load: || {
        node::load()?;
        events::load()
    },
    unload: |token| {
        events::unload(token);
        node::unload(token);
    },
    kind_class: Some(0x01),
    message: daemon::message,
    peer_up: events::peer_up,
    peer_down: events::peer_down,
    opener_closed: daemon::closed,
    ioctls: base::RECORDS,
    ..Area::NONE
};
