//! Every bound of the protocol, and the relations between them that the code relies on.

/// Slots in a cluster: one bit each in a 64-bit set of nodes.
pub const SLOT_COUNT: u8 = 64;

/// The datagram header's length on the wire.
pub const HEADER_LEN: usize = 64;

/// Header of one message fragment inside a link datagram.
pub const FRAGMENT_HEADER_LEN: usize = 20;

/// One acknowledgement inside a link datagram.
pub const ACK_LEN: usize = 28;

/// One ping or pong inside a link datagram.
pub const PING_LEN: usize = 12;

/// Classes of reliable messages.
pub const CLASS_COUNT: usize = 3;

/// A reliable message's payload at most.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024;

/// Suggested size of a chunk of a longer stream (an image): leaves room for any message head.
pub const CHUNK_LEN_MAX: usize = 60 * 1024;

/// Smallest datagram that a link may be configured to: what every IPv4 host must take (576), less
/// the IP and UDP headers.
pub const MTU_PAYLOAD_MIN: u16 = 548;

/// A datagram that fits an Ethernet frame with room for a tunnel's header.
pub const MTU_PAYLOAD_DEFAULT: u16 = 1400;

/// Largest datagram that a link may be configured to: a jumbo frame's.
pub const MTU_PAYLOAD_MAX: u16 = 8960;

/// Bytes in a page. The cluster has one page size.
pub const PAGE_LEN: usize = 4096;

/// The head of a page request or reply, after the datagram header.
pub const PAGE_HEAD_LEN: usize = 32;

/// Longest page datagram: header, head and a whole page.
pub const PAGE_DATAGRAM_LEN_MAX: usize = HEADER_LEN + PAGE_HEAD_LEN + PAGE_LEN;

/// Pages that one page request may ask for: one fault's readahead window (128 KiB).
pub const PAGE_COUNT_MAX: u16 = 32;

/// Pages in one batch between an owner and a holder: one bit each in a word.
pub const LODGE_PAGES_MAX: u16 = 32;

/// Contents in one message of such a batch: what fits a message.
pub const LODGE_CONTENTS_MAX: u16 = 15;

/// Longest datagram of any kind.
pub const DATAGRAM_LEN_MAX: usize = 8960;

/// Fragments in flight per class, and how far ahead of a gap the receiver keeps fragments. Twice
/// the acknowledgement bitmap's word; 128 fragments of 1.3 KiB hide 170 KiB of round trip.
pub const WINDOW_LEN: u64 = 128;

/// The same, as a size.
pub const WINDOW_SLOTS: usize = 128;

/// Messages waiting to be sent, per peer and class.
pub const SEND_QUEUE_MESSAGES_MAX: usize = 256;

/// Bytes waiting to be sent or acknowledged, per peer and class: sixteen of the longest messages.
pub const SEND_QUEUE_BYTES_MAX: usize = 16 * MESSAGE_LEN_MAX;

/// Whole messages received but not yet taken by the caller, per peer and class. When reached, the
/// receiver stops to consume, so the sender's window closes.
pub const RECV_QUEUE_MESSAGES_MAX: usize = 64;

/// Bytes of such messages, per peer and class. The last message may go past it.
pub const RECV_QUEUE_BYTES_MAX: usize = 16 * MESSAGE_LEN_MAX;

/// Fragments of the control or bulk class that may wait for one acknowledgement.
pub const ACK_EVERY: u32 = 4;

/// Pongs owed to one peer. More pings than that without a transmission between are a flood.
pub const PONGS_OWED_MAX: usize = 2;

/// Events that the caller has not taken yet.
pub const EVENTS_MAX: usize = 1024;

/// Free places for events without which no datagram is taken: one end of a session for each peer,
/// and what a single datagram can cause.
pub const EVENTS_SPARE: usize = 128;

/// Fragments that must have been acknowledged out of order before one is held for lost.
pub const REORDER_FRAGMENTS_MAX: u64 = 3;

/// Doublings of the retransmission timeout at most.
pub const RTO_DOUBLINGS_MAX: u32 = 6;

/// Largest time scale: a simulated machine 1000 times slower than a real one.
pub const TIMESCALE_MAX: u32 = 1000;

const _: () = {
    assert!(SLOT_COUNT <= 64, "sets of slots are u64 masks");
    assert!(
        MESSAGE_LEN_MAX > CHUNK_LEN_MAX + 256,
        "a chunk and any message head fit in one message"
    );
    assert!(
        MTU_PAYLOAD_MIN <= MTU_PAYLOAD_DEFAULT && MTU_PAYLOAD_DEFAULT <= MTU_PAYLOAD_MAX,
        "the default must be a legal setting"
    );
    // A full heartbeat (acks of all classes, ping, pongs) and at least 256 bytes of a fragment fit
    // in the smallest datagram, so that no mix of frames can block a fragment for ever.
    assert!(
        548 >= HEADER_LEN
            + CLASS_COUNT * ACK_LEN
            + (1 + PONGS_OWED_MAX) * PING_LEN
            + FRAGMENT_HEADER_LEN
            + 256
            && MTU_PAYLOAD_MIN == 548
    );
    assert!(WINDOW_LEN == 128 && WINDOW_SLOTS == 128, "the ack bitmap has 128 bits");
    assert!(PAGE_DATAGRAM_LEN_MAX <= DATAGRAM_LEN_MAX);
    assert!(DATAGRAM_LEN_MAX == 8960 && MTU_PAYLOAD_MAX == 8960);
    assert!(SEND_QUEUE_BYTES_MAX >= MESSAGE_LEN_MAX, "the longest message can be queued");
    // Contents, items and the head of the fullest batch.
    assert!(15 * PAGE_LEN + 32 * 24 + 24 <= MESSAGE_LEN_MAX);
    assert!(LODGE_CONTENTS_MAX == 15 && LODGE_PAGES_MAX == 32);
    assert!(EVENTS_SPARE > 64 + 8 && EVENTS_MAX > EVENTS_SPARE);
    assert!(RTO_DOUBLINGS_MAX < 32, "doubling is a shift");
};
