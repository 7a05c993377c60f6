//! From a message's kind to the area that it is for, from a session's event to all areas.

use netproto::{Class, Message, Slot};

use super::stats;
use crate::{areas::AREAS, port::net::Down};

/// Hands a message to its area.
pub(crate) fn message(message: Message) {
    let [class, _] = message.kind.0.to_be_bytes();
    match AREAS.iter().find(|area| area.kind_class == Some(class)) {
        Some(area) => (area.message)(message),
        None => stats::RX_UNKNOWN_KIND.add(1),
    }
}

/// Tells all areas of a session.
pub(crate) fn peer_up(slot: Slot) {
    AREAS.iter().for_each(|area| (area.peer_up)(slot));
}

/// Tells all areas of a session's end.
pub(crate) fn peer_down(slot: Slot, down: Down) {
    AREAS.iter().for_each(|area| (area.peer_down)(slot, down));
}

/// Tells all areas that there is room to send again.
pub(crate) fn writable(slot: Slot, class: Class) {
    AREAS.iter().for_each(|area| (area.writable)(slot, class));
}
