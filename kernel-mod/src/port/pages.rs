//! Page datagrams: the fault path, without the transport's lock.

use kapi::{module::Unloading, udp::crc32c_update, Errno, Global, Result};
use netproto::{
    msg::page::{PageData, PageGet, PageStatus},
    page::{self, Addresses, PageDatagram},
    DatagramError, Slot,
};

use super::net::{self, Line, Net};
use crate::control::stats;

/// Takes good page datagrams, on the driver thread: must not block.
pub(crate) type PageHandler = fn(Slot, PageDatagram<'_>);

static HANDLER: Global<PageHandler> = Global::new();

/// Names who takes page datagrams; once, at load.
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
    net.send_datagram(line.address, &[&datagram]);
    Ok(())
}

/// Answers a request, under the same conditions. `content` is a whole page with
/// [`PageStatus::Data`], else nothing.
pub(crate) fn send_page_data(slot: Slot, data: &PageData, content: &[u8]) -> Result {
    let whole = if data.status == PageStatus::Data { netproto::limits::PAGE_LEN } else { 0 };
    if content.len() != whole {
        return Err(Errno::EINVAL);
    }
    let (net, line, addresses) = up(slot)?;
    let front = page::encode_data(&addresses, data, crc32c_update);
    stats::TX_PAGE.add(1);
    net.send_datagram(line.address, &[&front, content]);
    Ok(())
}

/// Checks a page datagram and hands it on.
pub(super) fn receive(net: &Net, datagram: &[u8]) {
    match check(net, datagram) {
        Ok((from, page)) => {
            stats::RX_PAGE.add(1);
            if let Some(handler) = HANDLER.get() {
                handler(from, page);
            }
        }
        Err(error) => {
            stats::RX_PAGE_BAD.add(1);
            log::debug!("page datagram refused: {error}");
        }
    }
}

fn check<'a>(
    net: &Net,
    datagram: &'a [u8],
) -> core::result::Result<(Slot, PageDatagram<'a>), DatagramError> {
    let (header, page) = page::decode(datagram, crc32c_update)?;
    let line = net.line(header.source).ok_or(DatagramError::UnknownPeer)?;
    let ours = line.up.ok_or(DatagramError::StaleIncarnation)?;
    page::check_addresses(&header, &ours)?;
    Ok((header.source, page))
}
