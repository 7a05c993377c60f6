//! The datagrams of the fault path: bytes as they were agreed, and everything else refused.

use netproto::msg::lodge::{BatchFlags, LodgeGet};
use netproto::msg::page::{GetFlags, PageData, PageGet, PageStatus};
use netproto::page::{self, Addresses, Get, Path};
use netproto::wire::checksum;
use netproto::{DatagramError, Incarnation, RequestId, Slot, SpaceId};

fn slot(number: u8) -> Slot {
    Slot::new(number).expect("a slot")
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).expect("ascii"), 16);
    digits.chunks(2).map(|two| pair(two).expect("hex")).collect()
}

fn addresses() -> Addresses {
    Addresses {
        source: slot(1),
        source_incarnation: Incarnation([0x11; 16]),
        destination: slot(2),
        destination_incarnation: Incarnation([0x22; 16]),
    }
}

fn swapped() -> Addresses {
    Addresses {
        source: slot(2),
        source_incarnation: Incarnation([0x22; 16]),
        destination: slot(1),
        destination_incarnation: Incarnation([0x11; 16]),
    }
}

fn get() -> PageGet {
    PageGet {
        request: RequestId(0x0a),
        space: SpaceId(0x0b),
        index: 0x0c,
        count: 1,
        flags: GetFlags::FAULT,
    }
}

#[test]
fn golden_page_request() {
    let bytes = page::encode_get(&addresses(), &Get::Page(get()));
    let golden = hex("484f4c4e 05 04 01 02 00000000 00000000 0a00000000000000 2000 0100 09ddeee0
         11111111111111111111111111111111 22222222222222222222222222222222
         0a00000000000000 0b00000000000000 0c00000000000000 0100 0100 00000000");
    assert_eq!(bytes[..], golden);
    assert_eq!(page::classify(&bytes), Path::Get);
    let (header, got) = page::decode_get(&bytes).expect("good");
    assert_eq!(got, Get::Page(get()));
    assert!(netproto::wire::header::is_urgent(&bytes));
    assert_eq!(page::check_addresses(&header, &swapped()), Ok(()));
    assert_eq!(page::check_addresses(&header, &addresses()), Err(DatagramError::NotForUs));
    let reborn = Addresses { source_incarnation: Incarnation([0x23; 16]), ..swapped() };
    assert_eq!(page::check_addresses(&header, &reborn), Err(DatagramError::StaleIncarnation));
    let other = Addresses { destination: slot(3), ..swapped() };
    assert_eq!(page::check_addresses(&header, &other), Err(DatagramError::UnknownPeer));
}

#[test]
fn golden_request_for_a_lodged_page() {
    let get = LodgeGet {
        request: RequestId(0x0a),
        entry: 0x0b,
        generation: 0x0c,
        flags: BatchFlags::FAULT | BatchFlags::AGAIN,
    };
    let bytes = page::encode_get(&addresses(), &Get::Lodge(get));
    let golden = hex("484f4c4e 05 06 01 02 00000000 00000000 0a00000000000000 2000 0100 00000000
         11111111111111111111111111111111 22222222222222222222222222222222
         0a00000000000000 0c00000000000000 0b000000 0300 00000000000000000000");
    assert_eq!(bytes[..28], golden[..28]);
    assert_eq!(bytes[32..], golden[32..]);
    let (_, got) = page::decode_get(&bytes).expect("good");
    assert_eq!(got, Get::Lodge(get));
    let never = LodgeGet { generation: 0, ..get };
    let bytes = page::encode_get(&addresses(), &Get::Lodge(never));
    assert_eq!(page::decode_get(&bytes), Err(DatagramError::Malformed));
}

#[test]
fn every_flipped_bit_of_a_request_is_refused() {
    let good = page::encode_get(&addresses(), &Get::Page(get()));
    for bit in 0..good.len() * 8 {
        let mut bytes = good;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(page::decode_get(&bytes).is_err(), "bit {bit}");
    }
    for len in 0..good.len() {
        assert!(page::decode_get(&good[..len]).is_err(), "length {len}");
    }
}

#[test]
fn page_requests_have_bounds() {
    let is_good = |get: PageGet| {
        let bytes = page::encode_get(&addresses(), &Get::Page(get));
        page::decode_get(&bytes).is_ok()
    };
    for (count, good) in [(0, false), (1, true), (32, true), (33, false), (u16::MAX, false)] {
        assert_eq!(is_good(PageGet { count, ..get() }), good, "count {count}");
    }
    let end = 1 << 52;
    for (index, good) in [(0, true), (end - 1, true), (end, false), (u64::MAX, false)] {
        assert_eq!(is_good(PageGet { index, ..get() }), good, "index {index}");
    }
    assert!(!is_good(PageGet { index: end - 1, count: 2, ..get() }));
}

fn reply(status: PageStatus, content: &[u8]) -> Vec<u8> {
    let data = PageData {
        request: RequestId(1),
        space: SpaceId(2),
        index: 3,
        status,
        page_sum: if content.is_empty() { 0 } else { checksum(&[content]) },
    };
    [&data.encode()[..], content].concat()
}

#[test]
fn a_page_arrives_whole_or_not_at_all() {
    let content: Vec<u8> = (0..4096_u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
    let good = reply(PageStatus::Data, &content);
    let (head, data, rest) = page::decode_data(&good).expect("good");
    assert!(head.index == 3 && data == content && rest.is_empty());
    // The head is guarded by its datagram's checksum, the content by its own.
    for bit in 32 * 8..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(page::decode_data(&bytes).is_err(), "bit {bit}");
    }
    for len in 0..good.len() {
        assert!(page::decode_data(&good[..len]).is_err(), "length {len}");
    }
    for status in [PageStatus::Zero, PageStatus::Gone, PageStatus::Busy] {
        let bytes = reply(status, b"");
        assert!(page::decode_data(&bytes).is_ok());
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(PageData::decode(&longer).is_err());
        let (_, _, rest) = page::decode_data(&longer).expect("good");
        assert_eq!(rest, [0]);
        assert!(page::decode_data(rest).is_err(), "no page");
    }
}

#[test]
fn classify_never_fails() {
    assert_eq!(page::classify(b""), Path::Bad);
    assert_eq!(page::classify(&[0; 100]), Path::Bad);
    let mut bytes = page::encode_get(&addresses(), &Get::Page(get()));
    let cases = [
        (0, Path::Bad),
        (1, Path::Link),
        (2, Path::Link),
        (3, Path::Link),
        (5, Path::Bad),
        (6, Path::Get),
        (7, Path::Piece),
        (8, Path::Bad),
    ];
    for (kind, path) in cases {
        bytes[5] = kind;
        assert_eq!(page::classify(&bytes), path);
    }
    bytes[5] = 4;
    assert_eq!(page::classify(&bytes[..39]), Path::Bad);
    for version in [0, 1, 2, 3, 4, 255] {
        bytes[4] = version;
        assert_eq!(page::classify(&bytes), Path::Bad);
    }
}
