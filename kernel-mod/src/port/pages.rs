//! The fault path: requests without the transport's lock, replies as its messages.

use kapi::{module::Unloading, udp::crc32c_update, Errno, Global, Result};
use netproto::{
    limits::PAGE_LEN,
    msg::page::{PageData, PageGet, PageStatus},
    page::{self, Addresses},
    Class, DatagramError, Message, SendError, Slot,
};

use super::net::{self, Line, Net};
use crate::control::stats;

/// A request for pages, or a reply; the content is a whole page with [`PageStatus::Data`], else
/// nothing.
#[derive(Clone, Copy)]
pub(crate) enum PageDatagram<'a> {
    Get(PageGet),
    Data(PageData, &'a [u8]),
}

/// Takes good requests and replies, on the driver thread: must not block.
pub(crate) type PageHandler = fn(Slot, PageDatagram<'_>);

static HANDLER: Global<PageHandler> = Global::new();

/// Names who takes page requests and replies; once, at load.
pub(crate) fn set_page_handler(handler: PageHandler) -> Result {
    HANDLER.set(handler).map(|_| ())
}

pub(super) fn clear(token: &Unloading) {
    HANDLER.clear(token);
}

/// The checksum for [`PageData::page_crc`].
pub(crate) fn page_checksum(content: &[u8]) -> u32 {
    page::content_checksum(content, crc32c_update)
}

fn up(slot: Slot) -> Result<(&'static Net, Line, Addresses)> {
    let net = net::get().ok_or(Errno::ENOTCONN)?;
    let line = net.line(slot).ok_or(Errno::ENOENT)?;
    let addresses = line.up.ok_or(Errno::EHOSTDOWN)?;
    Ok((net, line, addresses))
}

/// Asks a peer for pages. Takes no lock that can be held long, allocates nothing of ours, never
/// waits. The request may be lost: repeat it, under the same number.
pub(crate) fn send_page_get(slot: Slot, get: &PageGet) -> Result {
    let (net, line, addresses) = up(slot)?;
    let datagram = page::encode_get(&addresses, get, crc32c_update);
    stats::TX_PAGE.add(1);
    net.send_datagram(true, line.address, &[&datagram]);
    Ok(())
}

/// Answers a request: [`Class::Fault`] if somebody waits for it. May sleep for the transport's
/// lock, never for the peer: `EAGAIN` if the queue is full, and then the peer will ask again.
/// `content` is a whole page with [`PageStatus::Data`], else nothing.
pub(crate) fn send_page_data(slot: Slot, class: Class, data: &PageData, content: &[u8]) -> Result {
    let whole = if data.status == PageStatus::Data { PAGE_LEN } else { 0 };
    if content.len() != whole {
        return Err(Errno::EINVAL);
    }
    let net = net::get().ok_or(Errno::ENOTCONN)?;
    let mut inner = net.inner.lock();
    let sent = inner.transport.send_page(net::now(), slot, class, data, content);
    sent.map_err(|error| match error {
        SendError::UnknownPeer => Errno::ENOENT,
        SendError::Down => Errno::EHOSTDOWN,
        SendError::Busy => Errno::EAGAIN,
        SendError::TooLong => Errno::EMSGSIZE,
        SendError::NoMemory => Errno::ENOMEM,
    })?;
    stats::TX_PAGE.add(1);
    net.transmit(&mut inner);
    Ok(())
}

/// Checks a request and hands it on.
pub(super) fn receive(net: &Net, datagram: &[u8]) {
    match check(net, datagram) {
        Ok((from, get)) => hand_on(from, PageDatagram::Get(get)),
        Err(error) => {
            stats::RX_PAGE_BAD.add(1);
            log::debug!("page request refused: {error}");
        }
    }
}

/// Checks a reply and hands it on.
pub(super) fn receive_data(message: &Message) {
    match page::decode_data(&message.payload, crc32c_update) {
        Ok((data, content)) => hand_on(message.from, PageDatagram::Data(data, content)),
        Err(error) => {
            stats::RX_PAGE_BAD.add(1);
            log::debug!("page of node {} refused: {error}", message.from);
        }
    }
}

fn hand_on(from: Slot, page: PageDatagram<'_>) {
    stats::RX_PAGE.add(1);
    if let Some(handler) = HANDLER.get() {
        handler(from, page);
    }
}

fn check(net: &Net, datagram: &[u8]) -> core::result::Result<(Slot, PageGet), DatagramError> {
    let (header, get) = page::decode_get(datagram, crc32c_update)?;
    let line = net.line(header.source).ok_or(DatagramError::UnknownPeer)?;
    let ours = line.up.ok_or(DatagramError::StaleIncarnation)?;
    page::check_addresses(&header, &ours)?;
    Ok((header.source, get))
}
