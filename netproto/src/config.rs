//! What a node sets before it talks.

use crate::error::ConfigError;
use crate::id::{Incarnation, Slot};
use crate::limits::{MTU_PAYLOAD_DEFAULT, MTU_PAYLOAD_MAX, MTU_PAYLOAD_MIN, TIMESCALE_MAX};
use crate::pool::{allocate, AllocateFn};
use crate::time::Duration;

/// Message buffers of one size at most.
const BUFFERS_MAX: usize = 1 << 16;

/// Settings of a [`crate::Transport`]. Times are for real hardware; `timescale` multiplies them.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Own slot.
    pub slot: Slot,
    /// Own incarnation; never [`Incarnation::NONE`].
    pub incarnation: Incarnation,
    /// Longest datagram (UDP payload) that is sent, in bytes: the path's MTU less
    /// [`crate::limits::IP_UDP_LEN`]. [`crate::Transport::set_mtu`] sets it for one peer.
    pub mtu_payload: u16,
    /// A ping is sent this often; a hello too while there is no session.
    pub heartbeat: Duration,
    /// A peer not heard for so long is down. At least four heartbeats.
    pub silence: Duration,
    /// Retransmission timeout before the first round trip was measured.
    pub rto_initial: Duration,
    /// By how much the retransmission timeout exceeds the round trip at least.
    pub rto_min: Duration,
    /// Longest retransmission timeout.
    pub rto_max: Duration,
    /// Delays in the network's queues that are not worth reacting to.
    pub queue_slack: Duration,
    /// How long an acknowledgement may wait for company. Not scaled.
    pub ack_delay: Duration,
    /// Multiplies all the times above but `ack_delay`: 1 on hardware, more where CPUs are emulated.
    pub timescale: u32,
    /// Version of the module, told to peers in the handshake; a difference is theirs to judge.
    pub module_version: u32,
    /// Feature bits, told to peers in the handshake.
    pub features: u64,
    /// Message buffers kept ready: short ones, pages, and long ones.
    pub buffers: [usize; 3],
    /// How to get a buffer when none is ready. Must not wait.
    pub allocate: AllocateFn,
}

impl Config {
    /// The defaults for a node.
    #[must_use]
    pub const fn new(slot: Slot, incarnation: Incarnation) -> Self {
        Self {
            slot,
            incarnation,
            mtu_payload: MTU_PAYLOAD_DEFAULT,
            heartbeat: Duration::from_ms(200),
            silence: Duration::from_ms(4000),
            rto_initial: Duration::from_ms(50),
            rto_min: Duration::from_ms(10),
            rto_max: Duration::from_ms(500),
            queue_slack: Duration::from_us(50),
            ack_delay: Duration::from_ms(1),
            timescale: 1,
            module_version: 1,
            features: 0,
            buffers: [256, 512, 64],
            allocate,
        }
    }

    /// Checks the settings and applies the time scale once.
    ///
    /// # Errors
    /// Names the first setting that is out of its range.
    pub(crate) fn scaled(mut self) -> Result<Self, ConfigError> {
        if self.incarnation.is_none() {
            return Err(ConfigError::Incarnation);
        }
        if !(MTU_PAYLOAD_MIN..=MTU_PAYLOAD_MAX).contains(&self.mtu_payload) {
            return Err(ConfigError::MtuPayload);
        }
        if self.timescale == 0 || self.timescale > TIMESCALE_MAX {
            return Err(ConfigError::Timescale);
        }
        if self.heartbeat < Duration::from_ms(1) || self.silence < self.heartbeat.times(4) {
            return Err(ConfigError::Heartbeat);
        }
        let rto_in_order = Duration::from_ms(1) <= self.rto_min
            && self.rto_min <= self.rto_initial
            && self.rto_initial <= self.rto_max;
        if !rto_in_order || self.ack_delay > self.rto_min {
            return Err(ConfigError::Retransmission);
        }
        if self.buffers.iter().any(|count| *count > BUFFERS_MAX) {
            return Err(ConfigError::Buffers);
        }
        let scale = u64::from(self.timescale);
        for time in [
            &mut self.heartbeat,
            &mut self.silence,
            &mut self.rto_initial,
            &mut self.rto_min,
            &mut self.rto_max,
            &mut self.queue_slack,
        ] {
            *time = time.times(scale);
        }
        Ok(self)
    }
}
