//! Hello and bye: which datagrams begin and end a session. The rules are told in [`super`].

use super::payload::Holdable;
use super::state::{Candidate, Context, HelloOwed, Identity, Link};
use crate::error::DatagramError;
use crate::event::DownReason;
use crate::id::Incarnation;
use crate::msg::member::Hello;
use crate::time::Instant;
use crate::wire::header::{tag, Header, Lives};

impl<C: Holdable> Link<C> {
    /// Takes a hello that is for this node's slot.
    pub(super) fn on_hello(
        &mut self,
        now: Instant,
        header: &Header,
        body: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<(), DatagramError> {
        let hello = Hello::decode(body).map_err(|_| DatagramError::Malformed)?;
        if header.source_session == 0 {
            return Err(DatagramError::BadField);
        }
        if self.is_closed {
            return Err(DatagramError::StaleSession);
        }
        let (identity, named) = names_of(header).ok_or(DatagramError::BadField)?;
        let candidate = Candidate { identity, hello };
        let is_unnamed = named.0.is_none();
        let own = cx.config.incarnation;
        if let Some(session) = self.session.as_mut().filter(|session| session.peer == identity) {
            if is_unnamed {
                self.hello_owed =
                    Some(HelloOwed { own_session: session.own_session, to: Some(identity) });
            } else if named == (own, session.own_session) {
                // The peer may still wait for a sign that we are in session.
                session.is_ping_owed = true;
            } else {
                return Err(DatagramError::StaleSession);
            }
            return Ok(());
        }
        if named == (own, self.opening) {
            self.establish(now, candidate, cx);
            return Ok(());
        }
        // One that answers somebody else begins nothing: else an old hello, repeated to the peer,
        // would make it answer, and that answer would end a good session here.
        if !is_unnamed || self.is_outdated(identity) {
            return Err(DatagramError::StaleSession);
        }
        self.candidate = Some(candidate);
        self.hello_owed = Some(HelloOwed { own_session: self.opening, to: Some(identity) });
        Ok(())
    }

    /// Whether the peer has since begun a later session in the same life.
    fn is_outdated(&self, identity: Identity) -> bool {
        let session = self.session.as_ref().map(|session| session.peer);
        let known = self.known.map(|known| known.peer.identity);
        let candidate = self.candidate.map(|candidate| candidate.identity);
        [session, known, candidate].into_iter().flatten().any(|later| {
            later.incarnation == identity.incarnation && later.session > identity.session
        })
    }

    /// Takes the peer's farewell.
    pub(super) fn on_bye(
        &mut self,
        now: Instant,
        header: &Header,
        body: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<(), DatagramError> {
        if !body.is_empty() {
            return Err(DatagramError::Malformed);
        }
        self.check_session(header)?;
        self.end(now, DownReason::Left, cx);
        Ok(())
    }

    /// Lets a datagram that names our opening number begin the session, if it is from the
    /// candidate. If another hello has come between, asks the sender to say who it is. Our
    /// incarnation was checked before.
    pub(super) fn on_confirmation(&mut self, now: Instant, header: &Header, cx: &mut Context<'_>) {
        if self.is_closed || header.destination_session != self.opening {
            return;
        }
        match self.candidate {
            Some(candidate) if is_from(header, candidate.identity, cx.config.incarnation) => {
                self.establish(now, candidate, cx);
            }
            Some(_) | None => {
                self.hello_owed = Some(HelloOwed { own_session: self.opening, to: None });
            }
        }
    }

    /// Checks that a datagram belongs to the present session. Our incarnation was checked before.
    pub(super) fn check_session(&self, header: &Header) -> Result<(), DatagramError> {
        let Some(session) = &self.session else {
            return Err(DatagramError::StaleSession);
        };
        let is_of_these_lives = match header.lives {
            Lives::Tag(tag) => tag == session.tag_in,
            Lives::Named { source, .. } => source == session.peer.incarnation,
        };
        if !is_of_these_lives {
            return Err(DatagramError::StaleIncarnation);
        }
        if header.source_session != session.peer.session
            || header.destination_session != session.own_session
        {
            return Err(DatagramError::StaleSession);
        }
        Ok(())
    }
}

/// Who says hello, and whom it names: an incarnation and a session.
fn names_of(header: &Header) -> Option<(Identity, (Incarnation, u32))> {
    let Lives::Named { source, destination } = header.lives else {
        return None;
    };
    let identity = Identity { incarnation: source, session: header.source_session };
    Some((identity, (destination, header.destination_session)))
}

/// Whether a datagram of a session is from this peer to our present life.
fn is_from(header: &Header, peer: Identity, own: Incarnation) -> bool {
    header.lives == Lives::Tag(tag(peer.incarnation, own)) && header.source_session == peer.session
}
