//! Counters of a transport. They only grow.

use crate::error::DatagramError;

/// What a [`crate::Transport`] has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams handed out for sending.
    pub tx_datagrams: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Messages taken for sending.
    pub tx_messages: u64,
    /// Messages that were not queued since the same answer was under way already.
    pub tx_answers_spared: u64,
    /// Contents that messages referred to, so that they were not copied.
    pub tx_contents_held: u64,
    /// Contents that were copied since too many were referred to.
    pub tx_contents_copied: u64,
    /// Packets given up for lost.
    pub tx_packets_lost: u64,
    /// Times that a sign of the last packet had to be asked for.
    pub tx_probes: u64,
    /// Times that the retransmission timeout ran out.
    pub tx_timeouts: u64,
    /// Peers to which only short datagrams are sent since long ones got lost.
    pub mtu_fallbacks: u64,
    /// Message buffers that had to be allocated since none was ready.
    pub buffer_misses: u64,
    /// Fragments sent again.
    pub tx_fragments_again: u64,
    /// Sends refused because a queue was full.
    pub tx_busy: u64,
    /// Good datagrams.
    pub rx_datagrams: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Whole messages received.
    pub rx_messages: u64,
    /// Fragments that had been received before.
    pub rx_fragments_again: u64,
    /// Fragments not taken because they were past the window or there was no memory.
    pub rx_fragments_refused: u64,
    /// Whole messages dropped because their session ended before they were taken.
    pub rx_messages_dropped: u64,
    /// Times that a peer came up.
    pub peer_up: u64,
    /// Times that a peer went down, restarts included.
    pub peer_down: u64,
    /// Times that this node itself had stood still and gave its peers the time back.
    pub stalls: u64,
    /// Refused datagrams by [`DatagramError::index`].
    pub rx_bad: [u64; DatagramError::COUNT],
}

impl Counters {
    /// How many datagrams were refused for this reason.
    #[must_use]
    pub fn bad(&self, error: DatagramError) -> u64 {
        self.rx_bad.get(error.index()).copied().unwrap_or(0)
    }

    /// How many datagrams were refused.
    #[must_use]
    pub fn bad_total(&self) -> u64 {
        self.rx_bad.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    pub(crate) fn count_bad(&mut self, error: DatagramError) {
        if let Some(count) = self.rx_bad.get_mut(error.index()) {
            *count = count.saturating_add(1);
        }
    }
}
