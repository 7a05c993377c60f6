//! Pages as messages.

use kapi::{module::Unloading, Errno, Global, Result};
use netproto::{msg::page::PageData, page, wire::checksum, Class, Message, SendError, Slot};

use super::net::{self, Piece};
use crate::control::stats;

/// Takes a good reply, on the driver thread: must not block. The content has the length that the
/// status says.
pub(crate) type PageHandler = fn(Slot, &PageData, &[u8]);

static HANDLER: Global<PageHandler> = Global::new();

/// Names who takes replies; once, at load.
pub(crate) fn set_page_handler(handler: PageHandler) -> Result {
    HANDLER.set(handler).map(|_| ())
}

pub(super) fn clear(token: &Unloading) {
    HANDLER.clear(token);
}

/// The checksum of a page's content: made where the page is read, checked where it is installed.
pub(crate) fn page_checksum(content: &[u8]) -> u32 {
    checksum(&[content])
}

/// Answers a request by a message of at most [`REPLY_PAGES_MAX`] pages; a page that a task waits
/// for has a faster way. May sleep for the transport's lock, never for the peer: `EAGAIN` if the
/// queue is full, and then the peer will ask again. Each content has the length that its status
/// says.
///
/// [`REPLY_PAGES_MAX`]: netproto::limits::REPLY_PAGES_MAX
pub(crate) fn send_page_data(slot: Slot, class: Class, pages: &[(PageData, Piece<'_>)]) -> Result {
    if pages.iter().any(|(data, content)| content.bytes().len() != data.status.content_len()) {
        return Err(Errno::EINVAL);
    }
    let net = net::get().ok_or(Errno::ENOTCONN)?;
    let mut inner = net.inner.lock();
    let sent = inner.transport.send_pages(slot, class, pages);
    sent.map_err(|error| match error {
        SendError::UnknownPeer => Errno::ENOENT,
        SendError::Down => Errno::EHOSTDOWN,
        SendError::Busy => Errno::EAGAIN,
        SendError::TooLong => Errno::EMSGSIZE,
        SendError::NoMemory => Errno::ENOMEM,
    })?;
    stats::TX_PAGE.add(1);
    net.transmit(inner);
    Ok(())
}

/// Checks a reply and hands on each of its pages that is right.
pub(super) fn receive_data(message: &Message) {
    let mut left = message.payload.as_slice();
    while !left.is_empty() {
        match page::decode_data(left) {
            Ok((data, content, rest)) => {
                stats::RX_PAGE.add(1);
                if let Some(handler) = HANDLER.get() {
                    handler(message.from, &data, content);
                }
                left = rest;
            }
            Err(error) => {
                stats::RX_PAGE_BAD.add(1);
                log::debug!("page of node {} refused: {error}", message.from);
                return;
            }
        }
    }
}
