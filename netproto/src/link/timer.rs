//! What time does to a link.

use super::payload::Holdable;
use super::state::{Context, HelloOwed, Link, Session};
use crate::config::Config;
use crate::event::DownReason;
use crate::time::Instant;

impl<C: Holdable> Link<C> {
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
        self.on_flight_time(now, cx);
    }

    /// When time will do something next.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        let Some(session) = &self.session else {
            return Some(self.hello_at);
        };
        let heartbeat = session.ping_at.min(silence_deadline(session, config));
        let flight = self.flight.deadline(&session.rtt);
        let rest = [flight, session.seen.deadline(), self.pacer_deadline()];
        rest.into_iter().flatten().chain([heartbeat]).min()
    }
}

fn silence_deadline(session: &Session, config: &Config) -> Instant {
    session.last_heard.after(config.silence)
}
