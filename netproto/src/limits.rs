//! Every bound of the protocol, and the relations between them that the code relies on.

/// Slots in a cluster: one bit each in a 64-bit set of nodes.
pub const SLOT_COUNT: u8 = 64;

/// What every datagram begins with.
pub const FRONT_LEN: usize = 32;

/// The header of a datagram outside of a session: the front and both incarnations.
pub const HEADER_LEN: usize = FRONT_LEN + 32;

/// The header of a datagram of a session: the front and the session's tag.
pub const LINK_HEADER_LEN: usize = FRONT_LEN + 8;

/// Header of one message fragment inside a link datagram.
pub const FRAGMENT_HEADER_LEN: usize = 22;

/// Longest acknowledgement inside a link datagram.
pub const ACK_LEN_MAX: usize = 16 + (RANGES_MAX - 1) * 8;

/// One credit inside a link datagram.
pub const CREDIT_LEN: usize = 20;

/// One ping or pong inside a link datagram.
pub const PING_LEN: usize = 12;

/// Classes of reliable messages.
pub const CLASS_COUNT: usize = 3;

/// A reliable message's payload at most.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024;

/// Suggested size of a chunk of a longer stream (an image): leaves room for any message head.
pub const CHUNK_LEN_MAX: usize = 60 * 1024;

/// What IP and UDP put before a datagram; the larger of both IP versions.
pub const IP_UDP_LEN: u16 = 48;

/// Smallest datagram that a link may be configured to: a path of 1280 bytes, which every IPv6 path
/// has.
pub const MTU_PAYLOAD_MIN: u16 = 1280 - IP_UDP_LEN;

/// A datagram that fits an Ethernet frame with room for a tunnel's header.
pub const MTU_PAYLOAD_DEFAULT: u16 = 1392;

/// Largest datagram that a link may be configured to: a jumbo frame's.
pub const MTU_PAYLOAD_MAX: u16 = 9000 - IP_UDP_LEN;

/// Bytes in a page. The cluster has one page size.
pub const PAGE_LEN: usize = 4096;

/// The head of a page request or reply.
pub const PAGE_HEAD_LEN: usize = 32;

/// Pages in one reply that is a message.
pub const REPLY_PAGES_MAX: usize = 15;

const _: () = assert!(REPLY_PAGES_MAX * (PAGE_HEAD_LEN + PAGE_LEN) <= MESSAGE_LEN_MAX);

/// Datagrams that a page's content is cut into at most, when a task waits for it.
pub const PARTS_MAX: usize = 4;

/// Pages that one page request may ask for: one fault's readahead window (128 KiB).
pub const PAGE_COUNT_MAX: u16 = 32;

/// Pages in one batch between an owner and a holder: one bit each in a word.
pub const LODGE_PAGES_MAX: u16 = 32;

/// Bytes of all contents in one message of such a batch: what fits a message.
pub const LODGE_CONTENTS_LEN_MAX: usize = 15 * PAGE_LEN;

/// Longest datagram of any kind.
pub const DATAGRAM_LEN_MAX: usize = 9000 - 48;

/// Messages of each class (fault, control, bulk) between the oldest that the receiver's caller has
/// not taken and the newest that may be sent. Both sides know it.
pub const WINDOW_MESSAGES: [usize; CLASS_COUNT] = [256, 256, 1024];

/// Bytes of such messages, per class. Both sides know it.
pub const WINDOW_BYTES: [usize; CLASS_COUNT] = [MIB, MIB, 4 * MIB];

/// Messages of each class of which only some fragments were received.
pub const ASSEMBLIES_MAX: [usize; CLASS_COUNT] = [64, 64, 128];

/// Pieces with gaps between them of one incomplete message.
pub const PIECES_MAX: usize = 32;

/// Messages waiting to be sent or acknowledged, per class.
pub const SEND_QUEUE_MESSAGES: [usize; CLASS_COUNT] = [256, 256, 1024];

/// Bytes of such messages, per class.
pub const SEND_QUEUE_BYTES: [usize; CLASS_COUNT] = [MIB, MIB, 4 * MIB];

const MIB: usize = 1 << 20;

/// Contents that one message refers to instead of having copies of them.
pub const HELD_MAX: usize = REPLY_PAGES_MAX;

/// Messages of each class that may do so at a time: a queue full of pages.
pub const HELD_MESSAGES_MAX: [usize; CLASS_COUNT] = [0, 0, 64];

/// Lanes of messages that stay in order among themselves, per class. A sender's matter.
pub const LANE_COUNT: usize = 64;

/// Datagrams in flight to one peer.
pub const FLIGHT_MAX: usize = 2048;

/// Frames that one datagram is remembered to have carried.
pub const CARRIED_MAX: usize = 8;

/// Runs of received packet numbers that are kept and told.
pub const RANGES_MAX: usize = 32;

/// Datagrams that may wait for one acknowledgement.
pub const ACK_EVERY: u32 = 2;

/// Pongs owed to one peer. More pings than that without a transmission between are a flood.
pub const PONGS_OWED_MAX: usize = 2;

/// Events that the caller has not taken yet.
pub const EVENTS_MAX: usize = 1024;

/// Free places for events without which no datagram is taken: one end of a session for each peer,
/// and what a single datagram can cause.
pub const EVENTS_SPARE: usize = 128;

/// Packets acknowledged after one that make it lost, while no reordering was seen (RFC 8985).
pub const REORDER_PACKETS_MAX: u64 = 3;

/// Doublings of the retransmission timeout at most.
pub const RTO_DOUBLINGS_MAX: u32 = 6;

/// Largest time scale: a simulated machine 1000 times slower than a real one.
pub const TIMESCALE_MAX: u32 = 1000;

/// Buffers for message content, by size; a node keeps some of each ready.
pub const BUFFER_LEN: [usize; 3] = [512, PAGE_LEN + 256, MESSAGE_LEN_MAX];

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
    // All that a session may owe at once fits in the smallest datagram, without any fragment.
    assert!(
        1232 >= LINK_HEADER_LEN
            + ACK_LEN_MAX
            + CLASS_COUNT * CREDIT_LEN
            + (1 + PONGS_OWED_MAX) * PING_LEN
            && MTU_PAYLOAD_MIN == 1232
    );
    // A message's fragments are bits of a u64; the pieces of one that lacks every other fragment
    // can be told apart.
    assert!(MESSAGE_LEN_MAX.div_ceil(1232 - LINK_HEADER_LEN - FRAGMENT_HEADER_LEN) <= 64);
    assert!(PIECES_MAX * 2 >= 64);
    // A distance between messages fits the fragment's field and leaves its special values free.
    let [fault, control, bulk] = WINDOW_MESSAGES;
    assert!(fault < 65_535 && control < 65_535 && bulk < 65_535);
    assert!(fault >= 4 && control >= 4 && bulk >= 4, "credit is told in quarters");
    let [fault, control, bulk] = WINDOW_BYTES;
    let two = 2 * MESSAGE_LEN_MAX;
    assert!(fault >= two && control >= two && bulk >= two, "the longest message can be sent");
    let [fault, control, bulk] = SEND_QUEUE_BYTES;
    let one = MESSAGE_LEN_MAX;
    assert!(fault >= one && control >= one && bulk >= one, "the longest message can be queued");
    assert!(DATAGRAM_LEN_MAX == 8952 && MTU_PAYLOAD_MAX == 8952);
    // Contents, items and the head of the fullest batch.
    assert!(LODGE_CONTENTS_LEN_MAX + 32 * 24 + 24 <= MESSAGE_LEN_MAX && LODGE_PAGES_MAX == 32);
    assert!(EVENTS_SPARE > 64 + 8 && EVENTS_MAX > EVENTS_SPARE);
    assert!(RTO_DOUBLINGS_MAX < 32, "doubling is a shift");
    let [_, page, large] = BUFFER_LEN;
    assert!(page >= PAGE_HEAD_LEN + PAGE_LEN && large == MESSAGE_LEN_MAX);
};
