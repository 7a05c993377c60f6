//! What a datagram does to a link.

use super::frame::{Ack, Fragment, Frame};
use super::recv::Taken;
use super::state::{Context, Link};
use crate::error::DatagramError;
use crate::event::{Class, DownReason, Event};
use crate::time::{Duration, Instant};
use crate::wire::{DatagramKind, Header, Reader};

impl Link {
    /// Takes a datagram from the peer's slot for ours.
    pub(crate) fn on_datagram(
        &mut self,
        now: Instant,
        header: &Header,
        body: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<(), DatagramError> {
        if header.kind == DatagramKind::Hello {
            // One that names our former life still tells that the peer wants to connect.
            return self.on_hello(now, header, body, cx);
        }
        if header.destination_incarnation != cx.config.incarnation {
            return Err(DatagramError::StaleIncarnation);
        }
        match header.kind {
            DatagramKind::Bye => self.on_bye(now, header, body, cx),
            DatagramKind::Link => self.on_frames(now, header, body, cx),
            DatagramKind::Hello | DatagramKind::PageGet | DatagramKind::PageData => {
                Err(DatagramError::WrongPath)
            }
        }
    }

    fn on_frames(
        &mut self,
        now: Instant,
        header: &Header,
        body: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<(), DatagramError> {
        // All frames are checked before the first one has an effect.
        let mut r = Reader::new(body);
        while !r.is_empty() {
            Frame::decode(&mut r).map_err(|_| DatagramError::Malformed)?;
        }
        self.on_confirmation(now, header, cx);
        self.check_session(header)?;
        if let Some(session) = &mut self.session {
            session.last_heard = now;
        }
        let mut r = Reader::new(body);
        while !r.is_empty() {
            let frame = Frame::decode(&mut r).map_err(|_| DatagramError::Malformed)?;
            self.on_frame(now, &frame, cx)?;
        }
        for class in Class::ALL {
            self.advance(now, class, cx);
        }
        Ok(())
    }

    fn on_frame(
        &mut self,
        now: Instant,
        frame: &Frame<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), DatagramError> {
        match frame {
            Frame::Fragment(fragment) => self.on_fragment(now, fragment, cx),
            Frame::Ack(ack) => self.on_ack(now, ack, cx),
            Frame::Ping { stamp } => {
                self.owe_pong(*stamp);
                Ok(())
            }
            Frame::Pong { stamp } => {
                self.on_pong(now, *stamp);
                Ok(())
            }
        }
    }

    fn on_fragment(
        &mut self,
        now: Instant,
        fragment: &Fragment<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), DatagramError> {
        let queue = fragment.class.of_mut(&mut self.recv);
        let before = queue.ready_len();
        let taken = queue.on_fragment(now, cx.config.ack_delay, fragment);
        let whole = queue.ready_len().saturating_sub(before);
        let counters = &mut *cx.counters;
        let whole = u64::try_from(whole).unwrap_or(u64::MAX);
        counters.rx_messages = counters.rx_messages.saturating_add(whole);
        match taken {
            Ok(Taken::New) => Ok(()),
            Ok(Taken::Again) => {
                counters.rx_fragments_again = counters.rx_fragments_again.saturating_add(1);
                Ok(())
            }
            Ok(Taken::Refused) => {
                counters.rx_fragments_refused = counters.rx_fragments_refused.saturating_add(1);
                Ok(())
            }
            Err(_) => {
                self.end(now, DownReason::Violation, cx);
                Err(DatagramError::Violation)
            }
        }
    }

    fn on_ack(
        &mut self,
        now: Instant,
        ack: &Ack,
        cx: &mut Context<'_>,
    ) -> Result<(), DatagramError> {
        let queue = ack.class.of_mut(&mut self.send);
        let acked = queue.on_ack(now, ack).map_err(|_| DatagramError::BadAck)?;
        let order_next = queue.order_next();
        if let Some(session) = &mut self.session {
            if let Some(sample) = acked.rtt {
                session.rtt.on_sample(sample);
            }
            if ack.class == Class::Bulk {
                session.congestion.on_acked(acked.count);
                if let Some(order) = acked.lost {
                    session.congestion.on_loss(order, order_next);
                }
            }
        }
        if acked.is_writable {
            let (slot, class) = (self.slot, ack.class);
            cx.events.push_back(Event::Writable { slot, class });
        }
        Ok(())
    }

    /// Remembers a ping to answer. When too many are owed the oldest is forgotten.
    fn owe_pong(&mut self, stamp: u64) {
        if let Some(session) = &mut self.session {
            session.pongs.rotate_right(1);
            if let Some(newest) = session.pongs.first_mut() {
                *newest = Some(stamp);
            }
        }
    }

    fn on_pong(&mut self, now: Instant, stamp: u64) {
        if let Some(session) = &mut self.session {
            if session.ping_stamp == Some(stamp) {
                session.ping_stamp = None;
                let round_trip: Duration = now.since(Instant::from_ns(stamp));
                session.rtt.on_sample(round_trip);
            }
        }
    }
}
