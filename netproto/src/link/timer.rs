//! What time does to a link.

use super::send::SendQueue;
use super::state::{Context, HelloOwed, Link, Session};
use crate::config::Config;
use crate::event::{Class, DownReason};
use crate::time::Instant;

impl Link {
    /// Lets time pass.
    pub(crate) fn on_time(&mut self, now: Instant, cx: &mut Context<'_>) {
        if self.is_closed {
            return;
        }
        let silent_at = self.session.as_ref().map(|session| silence_deadline(session, cx.config));
        if silent_at.is_some_and(|at| at <= now) {
            self.end(now, DownReason::Silence, cx);
        }
        let Some(session) = &mut self.session else {
            if self.hello_at <= now {
                self.hello_at = now.after(cx.config.heartbeat);
                self.hello_owed = Some(HelloOwed { own_session: self.opening, to: None });
            }
            return;
        };
        if session.ping_at <= now {
            session.ping_at = now.after(cx.config.heartbeat);
            session.is_ping_owed = true;
        }
        for class in Class::ALL {
            let queue = class.of_mut(&mut self.send);
            let rto = session.rtt.rto(queue.doublings());
            if queue.on_time(now, rto) && class == Class::Bulk {
                session.congestion.on_timeout(queue.order_next());
            }
        }
    }

    /// When time will do something next.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        let Some(session) = &self.session else {
            return Some(self.hello_at);
        };
        let retransmit = |queue: &SendQueue| queue.deadline(session.rtt.rto(queue.doublings()));
        let retransmits = self.send.iter().filter_map(retransmit);
        let acks = self.recv.iter().filter_map(|queue| queue.ack_deadline());
        let heartbeat = session.ping_at.min(silence_deadline(session, config));
        retransmits.chain(acks).chain([heartbeat]).min()
    }
}

fn silence_deadline(session: &Session, config: &Config) -> Instant {
    session.last_heard.after(config.silence)
}
