//! What a link sends next.

use super::frame::{encode_ping, encode_pong};
use super::send::Wrote;
use super::state::{Context, Identity, Link, Session};
use crate::config::Config;
use crate::event::Class;
use crate::id::Incarnation;
use crate::limits::{FRAGMENT_HEADER_LEN, HEADER_LEN, WINDOW_LEN};
use crate::msg::member::Hello;
use crate::time::Instant;
use crate::wire::{DatagramKind, Header, Writer};

/// How urgent a link's next datagram is. Smaller is more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Handshake, heartbeat, acknowledgement, or a fragment of the fault class.
    Fault,
    /// A fragment of the control class.
    Control,
    /// A fragment of the bulk class.
    Bulk,
}

impl Link {
    /// Whether there is something to send now, and how urgent it is.
    pub(crate) fn urgency(&self, now: Instant) -> Option<Urgency> {
        if self.bye_owed.is_some() || self.hello_owed.is_some() {
            return Some(Urgency::Fault);
        }
        let session = self.session.as_ref()?;
        let is_owed = session.is_ping_owed
            || session.pongs.iter().any(Option::is_some)
            || self.recv.iter().any(|queue| queue.wants_ack(now));
        if is_owed {
            return Some(Urgency::Fault);
        }
        let [fault, control, bulk] = &self.send;
        if fault.wants(WINDOW_LEN) {
            Some(Urgency::Fault)
        } else if control.wants(WINDOW_LEN) {
            Some(Urgency::Control)
        } else if bulk.wants(session.congestion.window()) {
            Some(Urgency::Bulk)
        } else {
            None
        }
    }

    /// Writes the next datagram and gives its length; `None` when there is nothing to send, or the
    /// buffer is too short.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        let buffer = buffer.get_mut(..usize::from(cx.config.mtu_payload))?;
        if let Some((peer, own_session)) = self.bye_owed.take() {
            let packet = self.next_hello_packet();
            let header = self.header(cx.config, DatagramKind::Bye, own_session, Some(peer), packet);
            return seal(&header, buffer, 0, cx.config);
        }
        if let Some(owed) = self.hello_owed.take() {
            let hello =
                Hello { module_version: cx.config.module_version, features: cx.config.features };
            let place = buffer.get_mut(HEADER_LEN..)?.get_mut(..Hello::LEN)?;
            place.copy_from_slice(&hello.encode());
            let packet = self.next_hello_packet();
            let kind = DatagramKind::Hello;
            let header = self.header(cx.config, kind, owed.own_session, owed.to, packet);
            return seal(&header, buffer, Hello::LEN, cx.config);
        }
        self.urgency(now)?;
        self.write_frames(now, buffer, cx)
    }

    fn write_frames(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        let session = self.session.as_mut()?;
        session.packet = session.packet.saturating_add(1);
        let (peer, own_session, packet) = (session.peer, session.own_session, session.packet);
        let mut w = Writer::new(buffer.get_mut(HEADER_LEN..)?);
        write_signs_of_life(now, session, &mut w);
        for queue in &mut self.recv {
            if let Some(ack) = queue.ack() {
                if ack.encode(&mut w).is_ok() {
                    queue.on_ack_sent();
                }
            }
        }
        let window = session.congestion.window();
        let again = self.write_fragments(now, window, &mut w, cx.config);
        cx.counters.tx_fragments_again = cx.counters.tx_fragments_again.saturating_add(again);
        let body_len = w.len();
        let header = self.header(cx.config, DatagramKind::Link, own_session, Some(peer), packet);
        seal(&header, buffer, body_len, cx.config)
    }

    /// Fills the datagram with fragments, highest class first; how many of them were sent before.
    fn write_fragments(
        &mut self,
        now: Instant,
        bulk_window: u64,
        w: &mut Writer<'_>,
        config: &Config,
    ) -> u64 {
        let overhead = HEADER_LEN.saturating_add(FRAGMENT_HEADER_LEN);
        let data_max = usize::from(config.mtu_payload).saturating_sub(overhead);
        let mut again = 0_u64;
        for class in Class::ALL {
            let window = match class {
                Class::Fault | Class::Control => WINDOW_LEN,
                Class::Bulk => bulk_window,
            };
            let queue = class.of_mut(&mut self.send);
            if !queue.wants(window) {
                continue;
            }
            queue.begin_datagram();
            loop {
                match queue.write_next(now, window, data_max, w) {
                    Wrote::New => (),
                    Wrote::Again => again = again.saturating_add(1),
                    Wrote::Nothing => break,
                }
            }
            if queue.wants(window) {
                // The datagram is full: what is left goes before any lower class.
                break;
            }
        }
        again
    }

    fn next_hello_packet(&mut self) -> u64 {
        self.hello_packet = self.hello_packet.saturating_add(1);
        self.hello_packet
    }

    fn header(
        &self,
        config: &Config,
        kind: DatagramKind,
        own_session: u32,
        to: Option<Identity>,
        packet: u64,
    ) -> Header {
        Header {
            kind,
            source: config.slot,
            destination: self.slot,
            source_incarnation: config.incarnation,
            destination_incarnation: to.map_or(Incarnation::NONE, |peer| peer.incarnation),
            source_session: own_session,
            destination_session: to.map_or(0, |peer| peer.session),
            packet,
        }
    }
}

/// Writes the ping and the pongs that are owed.
fn write_signs_of_life(now: Instant, session: &mut Session, w: &mut Writer<'_>) {
    for pong in &mut session.pongs {
        if let Some(stamp) = pong.take() {
            // Room for these is asserted with the limits.
            let written = encode_pong(stamp, w);
            debug_assert!(written.is_ok());
        }
    }
    if core::mem::take(&mut session.is_ping_owed) {
        session.ping_stamp = Some(now.as_ns());
        let written = encode_ping(now.as_ns(), w);
        debug_assert!(written.is_ok());
    }
}

/// Puts the header before a body; the datagram's length.
fn seal(header: &Header, buffer: &mut [u8], body_len: usize, config: &Config) -> Option<usize> {
    let len = HEADER_LEN.checked_add(body_len)?;
    let datagram = buffer.get_mut(..len)?;
    header.encode(datagram, body_len, config.checksum).ok()?;
    Some(len)
}
