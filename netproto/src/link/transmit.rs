//! What a link sends next.

use super::flight::Carried;
use super::frame::{encode_ping, encode_pong};
use super::gather::{Content, Contents, Transmit, OUTSIDE_MAX};
use super::payload::Holdable;
use super::state::{Context, HelloOwed, Identity, Link, Session};
use crate::config::Config;
use crate::event::Class;
use crate::id::Incarnation;
use crate::limits::{CARRIED_MAX, FRAGMENT_HEADER_LEN, HEADER_LEN, LINK_HEADER_LEN};
use crate::msg::member::Hello;
use crate::time::Instant;
use crate::wire::header::Lives;
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

/// The frames in a packet that must arrive.
struct Load {
    carried: [Carried; CARRIED_MAX],
    len: usize,
    class: Class,
}

impl Load {
    const fn new() -> Self {
        Self { carried: [Carried::Credit(Class::Fault); CARRIED_MAX], len: 0, class: Class::Fault }
    }

    fn add(&mut self, carried: Carried) {
        if let Some(place) = self.carried.get_mut(self.len) {
            *place = carried;
            self.len = self.len.saturating_add(1);
        }
    }

    fn as_slice(&self) -> &[Carried] {
        self.carried.get(..self.len).unwrap_or_default()
    }
}

impl<C: Holdable> Link<C> {
    /// Whether there is something to send now, and how urgent it is.
    pub(crate) fn urgency(&self, now: Instant) -> Option<Urgency> {
        if self.bye_owed.is_some() || self.hello_owed.is_some() {
            return Some(Urgency::Fault);
        }
        let session = self.session.as_ref()?;
        let is_credit_owed =
            self.flight.has_room() && self.recv.iter().any(|queue| queue.is_credit_owed());
        let is_owed = session.is_ping_owed
            || session.pongs.iter().any(Option::is_some)
            || session.seen.is_due(now)
            || is_credit_owed;
        if is_owed {
            return Some(Urgency::Fault);
        }
        match self.class_to_send(now)? {
            Class::Fault => Some(Urgency::Fault),
            Class::Control => Some(Urgency::Control),
            Class::Bulk => Some(Urgency::Bulk),
        }
    }

    /// The highest class with something to send, if the window has room for it.
    fn class_in_window(&self) -> Option<Class> {
        let session = self.session.as_ref()?;
        let class = Class::ALL.into_iter().find(|class| class.of(&self.send).wants())?;
        let has_window = self.flight.bytes_down_to(class) < session.copa.window();
        let may = self.flight.has_room() && (has_window || self.flight.is_probe_owed());
        may.then_some(class)
    }

    /// As above, if it may leave now.
    fn class_to_send(&self, now: Instant) -> Option<Class> {
        let session = self.session.as_ref()?;
        let class = self.class_in_window()?;
        let is_free = class == Class::Fault || self.flight.is_probe_owed();
        let is_open = |at| session.pacer.is_open(at);
        let may = is_free || is_open(now) || is_open(now.after(session.copa.ahead()));
        may.then_some(class)
    }

    /// When the pacer lets go what only it keeps back.
    pub(super) fn pacer_deadline(&self) -> Option<Instant> {
        let session = self.session.as_ref()?;
        self.class_in_window().map(|_| session.pacer.next_at())
    }

    /// Writes the next datagram; `None` when there is nothing to send, or the buffer is too short.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Option<Transmit> {
        let buffer = buffer.get_mut(..usize::from(self.mtu_payload))?;
        let slot = self.slot;
        let whole = |head_len| Transmit { slot, head_len, contents: Contents::new() };
        if let Some((peer, own_session)) = self.bye_owed.take() {
            return self.write_bye(buffer, peer, own_session, cx.config).map(whole);
        }
        if let Some(owed) = self.hello_owed.take() {
            return self.write_hello(buffer, owed, cx.config).map(whole);
        }
        self.urgency(now)?;
        self.write_frames(now, buffer, cx)
    }

    /// What a datagram carries of a queued message.
    pub(crate) fn content(&self, content: &Content) -> &[u8] {
        content.class.of(&self.send).content(content)
    }

    fn write_bye(
        &mut self,
        buffer: &mut [u8],
        peer: Identity,
        own_session: u32,
        config: &Config,
    ) -> Option<usize> {
        let header = self.header(config, DatagramKind::Bye, own_session, Some(peer));
        header.encode(buffer.get_mut(..HEADER_LEN)?).ok()?;
        Some(HEADER_LEN)
    }

    fn write_hello(
        &mut self,
        buffer: &mut [u8],
        owed: HelloOwed,
        config: &Config,
    ) -> Option<usize> {
        let hello = Hello { module_version: config.module_version, features: config.features };
        let len = HEADER_LEN.checked_add(Hello::LEN)?;
        let datagram = buffer.get_mut(..len)?;
        datagram.get_mut(HEADER_LEN..)?.copy_from_slice(&hello.encode());
        let header = self.header(config, DatagramKind::Hello, owed.own_session, owed.to);
        header.encode(datagram).ok()?;
        Some(len)
    }

    fn header(
        &mut self,
        config: &Config,
        kind: DatagramKind,
        own_session: u32,
        to: Option<Identity>,
    ) -> Header {
        self.hello_packet = self.hello_packet.saturating_add(1);
        Header {
            kind,
            source: config.slot,
            destination: self.slot,
            lives: Lives::Named {
                source: config.incarnation,
                destination: to.map_or(Incarnation::NONE, |peer| peer.incarnation),
            },
            source_session: own_session,
            destination_session: to.map_or(0, |peer| peer.session),
            packet: self.hello_packet,
            is_urgent: true,
        }
    }

    fn write_frames(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Option<Transmit> {
        let mut load = Load::new();
        let mut contents = Contents::new();
        let head_len = {
            let class = self.class_to_send(now);
            let session = self.session.as_mut()?;
            let mut w = Writer::new(buffer);
            w.bytes(&[0; LINK_HEADER_LEN]).ok()?;
            write_signs_of_life(now, session, &mut w);
            if session.seen.is_due(now) {
                write_ack(now, session, &mut w);
            }
            if self.flight.has_room() {
                self.write_credits(&mut load, &mut w);
            }
            if let Some(class) = class {
                self.write_fragments(class, &mut load, (&mut w, &mut contents), cx);
            }
            // One that is not due yet saves a datagram later.
            write_ack(now, self.session.as_mut()?, &mut w);
            w.len()
        };
        let transmit = Transmit { slot: self.slot, head_len, contents };
        let packet = if load.len == 0 { 0 } else { self.flight.next() };
        if load.len > 0 {
            self.note_sent(now, transmit.len(), &load);
        }
        let session = self.session.as_ref()?;
        let header = Header {
            kind: DatagramKind::Link,
            source: cx.config.slot,
            destination: self.slot,
            lives: Lives::Tag(session.tag_out),
            source_session: session.own_session,
            destination_session: session.peer.session,
            packet,
            is_urgent: load.class == Class::Fault,
        };
        let mut outside: [(usize, &[u8]); OUTSIDE_MAX] = [(0, &[]); OUTSIDE_MAX];
        let list = transmit.contents.as_slice();
        for (place, content) in outside.iter_mut().zip(list) {
            *place = (usize::from(content.at), self.content(content));
        }
        let outside = outside.get(..list.len())?;
        header.encode_gathered(buffer.get_mut(..head_len)?, outside).ok()?;
        Some(transmit)
    }

    /// A packet that must arrive leaves.
    fn note_sent(&mut self, now: Instant, len: usize, load: &Load) {
        let bytes = u16::try_from(len).unwrap_or(u16::MAX);
        self.flight.on_sent(now, bytes, load.class, load.as_slice());
        let is_waited_for = self.class_in_window().is_some_and(|class| class != Class::Fault);
        if let Some(session) = &mut self.session {
            let spacing = session.copa.spacing(u64::from(bytes));
            session.pacer.on_sent(now, spacing, is_waited_for);
        }
    }

    fn write_credits(&mut self, load: &mut Load, w: &mut Writer<'_>) {
        for class in Class::ALL {
            let queue = class.of_mut(&mut self.recv);
            if queue.is_credit_owed() && queue.credit().encode(w).is_ok() {
                queue.on_credit_sent();
                load.add(Carried::Credit(class));
            }
        }
    }

    /// Fills the datagram with fragments of a class.
    fn write_fragments(
        &mut self,
        class: Class,
        load: &mut Load,
        (w, out): (&mut Writer<'_>, &mut Contents),
        cx: &mut Context<'_>,
    ) {
        let data_max = usize::from(self.mtu_payload)
            .saturating_sub(LINK_HEADER_LEN)
            .saturating_sub(FRAGMENT_HEADER_LEN);
        let data_max = u16::try_from(data_max).unwrap_or(u16::MAX);
        while load.len < CARRIED_MAX {
            let Some((carried, is_again)) =
                class.of_mut(&mut self.send).write_next(data_max, (w, out))
            else {
                return;
            };
            load.add(carried);
            load.class = class;
            let again = &mut cx.counters.tx_fragments_again;
            *again = again.saturating_add(u64::from(is_again));
        }
    }
}

fn write_ack(now: Instant, session: &mut Session, w: &mut Writer<'_>) {
    if let Some(ack) = session.seen.ack(now) {
        if ack.encode(w).is_ok() {
            session.seen.on_ack_sent();
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
