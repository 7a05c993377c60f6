//! How much is lent: frames, limits, pressure and drain.

use netproto::msg::lodge::{HandBack, HandBackReason, Limit};
use netproto::{Instant, Slot};

use crate::lodge::holder::state::Tenant;
use crate::lodge::holder::table::Frame;
use crate::lodge::holder::Holder;
use crate::lodge::Peer;

impl Holder {
    /// The driver gives a frame to be lent. False if there are as many as there may be.
    pub fn add_frame(&mut self, frame: Frame) -> bool {
        let fits = self.frames < self.config.frames && self.target.is_none();
        if fits {
            self.free.push(frame);
            self.frames = self.frames.saturating_add(1);
        }
        fits
    }

    /// Frames that nobody was promised.
    #[must_use]
    pub fn spare(&self) -> u32 {
        if self.target.is_some() {
            return 0;
        }
        self.frames.saturating_sub(self.promised())
    }

    /// A frame that the driver may have back: none that was promised to anyone, and under pressure
    /// or a drain none that is to stay.
    pub fn take_frame(&mut self) -> Option<Frame> {
        let floor = self.target.map_or(0, |(target, _)| target).max(self.promised());
        if self.frames <= floor {
            return None;
        }
        let frame = self.free.pop()?;
        self.frames = self.frames.saturating_sub(1);
        Some(frame)
    }

    /// The most that one owner may be granted.
    pub fn set_quota(&mut self, slot: Slot, pages: u32) {
        if let Some(tenant) = self.tenants.get_mut(slot.index()) {
            tenant.quota = pages;
        }
    }

    /// This node needs its memory: only `frames` are to stay lent. `None`: no longer. While it
    /// lasts nothing more is granted, and owners are asked to take pages elsewhere.
    pub fn set_pressure(&mut self, frames: Option<u32>) {
        let is_drain = matches!(self.target, Some((_, HandBackReason::Drain)));
        if !is_drain {
            self.target = frames.map(|frames| (frames, HandBackReason::Pressure));
        }
    }

    /// This node is to be left by all pages.
    pub fn drain(&mut self) {
        self.target = Some((0, HandBackReason::Drain));
    }

    /// It is not to be left after all.
    pub fn undrain(&mut self) {
        self.target = None;
    }

    /// Whether nothing is here, nor was promised.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.promised() == 0 && self.held() == 0
    }

    /// An owner wants another limit: the answer. What it has here, it keeps.
    pub fn reserve(&mut self, from: Peer, wish: &Limit) -> Option<Limit> {
        let spare = self.spare();
        let tenant = self.known(from)?;
        if wish.sequence > tenant.sequence {
            tenant.sequence = wish.sequence;
            let most = tenant.limit.saturating_add(spare).min(tenant.quota.max(tenant.limit));
            tenant.limit = wish.limit.min(most).max(tenant.held);
        } else if wish.sequence < tenant.sequence {
            return None;
        }
        let (sequence, limit, quota) = (tenant.sequence, tenant.limit, tenant.quota);
        let spare = self.spare().min(quota.saturating_sub(limit));
        Some(Limit { sequence, limit, spare })
    }

    /// Frames that have to leave, and why.
    fn excess(&self) -> Option<(u32, HandBackReason)> {
        let (target, reason) = self.target?;
        let excess = self.promised().saturating_sub(target);
        (excess > 0).then_some((excess, reason))
    }

    /// The next HAND_BACK to send. Each owner is asked for its share, by what it may have here.
    pub fn poll_hand_back(&mut self, now: Instant) -> Option<(Peer, HandBack)> {
        let (excess, reason) = self.excess()?;
        let promised = u64::from(self.promised());
        let pause = self.config.hand_back_pause;
        let is_due =
            |tenant: &&mut Tenant| tenant.is_up && tenant.limit > 0 && tenant.hand_back_at <= now;
        let tenant = self.tenants.iter_mut().find(is_due)?;
        tenant.hand_back_at = now.after(pause);
        let share = u64::from(excess).saturating_mul(u64::from(tenant.limit));
        let share = share.div_ceil(promised.max(1));
        let pages = u32::try_from(share).unwrap_or(u32::MAX).min(tenant.limit);
        self.stats.hand_backs = self.stats.hand_backs.saturating_add(1);
        Some((tenant.peer, HandBack { pages, reason, limit: tenant.limit }))
    }

    /// When [`Self::poll_hand_back`] has something next.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.excess()?;
        let due = self.tenants.iter().filter(|tenant| tenant.is_up && tenant.limit > 0);
        due.map(|tenant| tenant.hand_back_at.max(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use netproto::{Duration, Incarnation};

    use super::super::Config;
    use super::*;

    fn peer(slot: u8) -> Peer {
        Peer { slot: Slot::new(slot).expect("a slot"), incarnation: Incarnation([slot + 1; 16]) }
    }

    #[test]
    fn one_owner_gets_no_more_than_its_quota() {
        let config = Config { frames: 20, tombs: 8, hand_back_pause: Duration::from_ms(50) };
        let mut holder = Holder::new(config).expect("memory");
        assert!((0..20).all(|frame| holder.add_frame(Frame(frame))));
        let ask = |holder: &mut Holder, slot, sequence, limit| {
            let told = holder.reserve(peer(slot), &Limit { sequence, limit, spare: 0 });
            told.map(|told| (told.limit, told.spare))
        };
        for slot in [0, 1] {
            holder.peer_up(peer(slot));
            holder.set_quota(peer(slot).slot, 8);
        }
        assert_eq!(ask(&mut holder, 0, 1, 16), Some((8, 0)));
        assert_eq!(ask(&mut holder, 1, 1, 5), Some((5, 3)), "the quota is each one's own");
        holder.set_quota(peer(0).slot, 6);
        assert_eq!(ask(&mut holder, 0, 2, 16), Some((8, 0)), "what was promised stays");
        assert_eq!(ask(&mut holder, 0, 3, 2), Some((2, 4)));
        assert_eq!(ask(&mut holder, 0, 4, 16), Some((6, 0)));
        holder.set_quota(peer(0).slot, u32::MAX);
        assert_eq!(ask(&mut holder, 0, 5, 99), Some((15, 0)), "all that nobody else was promised");
    }
}
