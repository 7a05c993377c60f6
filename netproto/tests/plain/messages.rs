//! Payloads of messages, by their numbers.

use super::Rule::{Any, Bits, From, NotZero, Signed, Zero};
use super::{field, number, Field, Format};

const PAGE_LEN: usize = 4096;
const DATA_LEN_MAX: usize = 60 * 1024;

fn nothing(_: &[u8], rest: &[u8]) -> bool {
    rest.is_empty()
}

fn some_data(_: &[u8], rest: &[u8]) -> bool {
    rest.len() <= DATA_LEN_MAX
}

fn anything(_: &[u8], _: &[u8]) -> bool {
    true
}

/// A piece of a whole: its length and the piece's offset lie at these places.
fn piece(head: &[u8], rest: &[u8], total_at: usize) -> bool {
    let (total, offset) = (number(head, total_at, 4), number(head, total_at + 4, 4));
    let len = u64::try_from(rest.len()).expect("small");
    offset + len <= total && (len > 0 || total == 0)
}

fn prepare(head: &[u8], rest: &[u8]) -> bool {
    piece(head, rest, 24)
}

fn last(head: &[u8], rest: &[u8]) -> bool {
    piece(head, rest, 8)
}

/// An exit's code, or a signal and whether there was a core.
fn exited(head: &[u8], rest: &[u8]) -> bool {
    let (low, high) = (head[40], number(head, 41, 3));
    let is_exit = low == 0 && high <= 0xff;
    let is_death = !matches!(low & 0x7f, 0 | 0x7f) && high == 0;
    rest.is_empty() && (is_exit || is_death)
}

fn page_get(head: &[u8], rest: &[u8]) -> bool {
    let end = u128::from(number(head, 16, 8)) + u128::from(number(head, 24, 2));
    rest.is_empty() && end <= 1 << 52
}

fn page_data(head: &[u8], rest: &[u8]) -> bool {
    match head[28] {
        1 => rest.len() == PAGE_LEN,
        5 => rest.len() == 16,
        _ => rest.is_empty() && number(head, 24, 4) == 0,
    }
}

/// What a batch's items may be: their statuses, and which of these has a content.
fn items(
    head: &[u8],
    rest: &[u8],
    statuses: std::ops::RangeInclusive<u8>,
    with: Option<u8>,
) -> bool {
    let count = usize::from(head[16]);
    if rest.len() < 24 * count {
        return false;
    }
    let (items, contents) = rest.split_at(24 * count);
    let items: Vec<&[u8]> = items.chunks(24).collect();
    let is_right = |item: &&[u8]| {
        item[0] < 32
            && statuses.contains(&item[1])
            && match with == Some(item[1]) {
                true => (1..=4096).contains(&number(item, 2, 2)),
                false => number(item, 2, 2) == 0 && number(item, 8, 4) == 0,
            }
            && number(item, 12, 4) == 0
            && number(item, 16, 8) != 0
    };
    let len: u64 = items.iter().map(|item| number(item, 2, 2)).sum();
    items.iter().all(is_right)
        && items.windows(2).all(|two| two[0][0] < two[1][0])
        && len <= 15 * 4096
        && u64::try_from(contents.len()) == Ok(len)
}

fn store(head: &[u8], rest: &[u8]) -> bool {
    items(head, rest, 0..=0, Some(0))
}

fn ask(head: &[u8], rest: &[u8]) -> bool {
    items(head, rest, 0..=0, None)
}

fn told(head: &[u8], rest: &[u8]) -> bool {
    items(head, rest, 1..=6, None)
}

fn pages(head: &[u8], rest: &[u8]) -> bool {
    items(head, rest, 1..=6, Some(1))
}

const PROCESS: [Field; 2] = [field(0, 4, Any), field(4, 4, Any)];
const BATCH_COUNT: Field = field(16, 2, From(1, 32));
const BATCH_ASKS: &[Field] =
    &[field(0, 8, Any), field(8, 8, Any), BATCH_COUNT, field(18, 2, Zero), field(20, 4, Zero)];
const BATCH_FETCHES: &[Field] =
    &[field(0, 8, Any), field(8, 8, Any), BATCH_COUNT, field(18, 2, Bits(3)), field(20, 4, Zero)];
const BATCH_TELLS: &[Field] =
    &[field(0, 8, Any), field(8, 8, Zero), BATCH_COUNT, field(18, 2, Zero), field(20, 4, Zero)];
const REASON: &[Field] = &[field(0, 8, Any), field(8, 2, Any), field(10, 6, Zero)];
const NUMBER: &[Field] = &[field(0, 8, Any)];
const NUMBERS: &[Field] = &[field(0, 8, Any), field(8, 8, Any)];
const LIMIT: &[Field] = &[field(0, 8, NotZero), field(8, 4, Any), field(12, 4, Any)];
const EPOCH: Field = field(8, 8, Any);
const STATE_END: Field = field(18, 6, Zero);

const fn message(
    kind: u16,
    name: &'static str,
    len: usize,
    fields: &'static [Field],
    rest: fn(&[u8], &[u8]) -> bool,
) -> (u16, Format) {
    (kind, Format { name, len, fields, rest })
}

/// All of them: number, name, length of the head, fields, and what follows.
pub(crate) const MESSAGES: &[(u16, Format)] = &[
    message(
        0x0201,
        "prepare",
        40,
        &[
            field(0, 8, Any),
            field(8, 4, Any),
            field(12, 4, Any),
            field(16, 8, Any),
            field(24, 4, Any),
            field(28, 4, Any),
            field(32, 1, From(0, 63)),
            field(33, 1, From(1, 2)),
            field(34, 6, Zero),
        ],
        prepare,
    ),
    message(0x0202, "prepared", 8, NUMBER, nothing),
    message(0x0203, "refused", 16, REASON, nothing),
    message(0x0204, "final", 16, &[field(0, 8, Any), field(8, 4, Any), field(12, 4, Any)], last),
    message(
        0x0205,
        "cas",
        32,
        &[
            field(0, 8, Any),
            field(8, 4, Any),
            field(12, 4, Any),
            field(16, 8, Any),
            field(24, 1, From(0, 63)),
            field(25, 7, Zero),
        ],
        nothing,
    ),
    message(
        0x0206,
        "cas result",
        24,
        &[field(0, 8, Any), EPOCH, field(16, 1, From(0, 2)), field(17, 1, From(0, 63)), STATE_END],
        nothing,
    ),
    message(0x0207, "committed", 24, &[field(0, 8, Any), EPOCH, field(16, 8, Any)], nothing),
    message(0x0208, "abort", 16, REASON, nothing),
    message(
        0x0301,
        "signal",
        48,
        &[
            PROCESS[0],
            PROCESS[1],
            EPOCH,
            field(16, 4, From(1, 64)),
            field(20, 4, Any),
            field(24, 4, Any),
            field(28, 4, Any),
            field(32, 4, Bits(3)),
            field(36, 4, Zero),
            field(40, 8, Any),
        ],
        nothing,
    ),
    message(
        0x0302,
        "exited",
        48,
        &[
            PROCESS[0],
            PROCESS[1],
            EPOCH,
            field(16, 8, Any),
            field(24, 8, Any),
            field(32, 8, Any),
            field(40, 4, Any),
            field(44, 4, Zero),
        ],
        exited,
    ),
    message(
        0x0303,
        "stopped",
        24,
        &[PROCESS[0], PROCESS[1], EPOCH, field(16, 2, From(1, 64)), STATE_END],
        nothing,
    ),
    message(
        0x0304,
        "continued",
        24,
        &[PROCESS[0], PROCESS[1], EPOCH, field(16, 2, Zero), STATE_END],
        nothing,
    ),
    message(
        0x0305,
        "gone",
        24,
        &[PROCESS[0], PROCESS[1], EPOCH, field(16, 2, From(1, 3)), STATE_END],
        nothing,
    ),
    message(
        0x0306,
        "exited ack",
        24,
        &[PROCESS[0], PROCESS[1], EPOCH, field(16, 2, Zero), STATE_END],
        nothing,
    ),
    message(0x0401, "done", 8, NUMBER, nothing),
    message(
        0x0402,
        "lost",
        16,
        &[field(0, 8, Any), field(8, 2, From(1, 2)), field(10, 6, Zero)],
        nothing,
    ),
    message(
        0x0501,
        "request",
        40,
        &[
            field(0, 8, Any),
            field(8, 8, Any),
            field(16, 8, Any),
            field(24, 8, Any),
            field(32, 2, Any),
            field(34, 2, Any),
            field(36, 4, Zero),
        ],
        some_data,
    ),
    message(
        0x0502,
        "reply",
        16,
        &[field(0, 8, Any), field(8, 8, Signed(-4095, i64::MAX))],
        some_data,
    ),
    message(0x0503, "cancel", 16, NUMBERS, nothing),
    message(
        0x0504,
        "ref",
        16,
        &[field(0, 8, Any), field(8, 4, NotZero), field(12, 4, Zero)],
        nothing,
    ),
    message(
        0x0505,
        "event",
        16,
        &[field(0, 8, Any), field(8, 4, Any), field(12, 4, Zero)],
        nothing,
    ),
    message(0x0601, "reserve", 16, LIMIT, nothing),
    message(0x0602, "grant", 16, LIMIT, nothing),
    message(0x0603, "store", 24, BATCH_ASKS, store),
    message(0x0604, "stored", 24, BATCH_TELLS, told),
    message(0x0605, "fetch", 24, BATCH_FETCHES, ask),
    message(0x0606, "pages", 24, BATCH_TELLS, pages),
    message(0x0607, "release", 24, BATCH_ASKS, ask),
    message(0x0608, "released", 24, BATCH_TELLS, told),
    message(
        0x0609,
        "hand back",
        16,
        &[field(0, 4, Any), field(4, 4, Any), field(8, 2, From(1, 2)), field(10, 6, Zero)],
        nothing,
    ),
    message(0x060a, "offer", 8, &[field(0, 4, Any), field(4, 4, Zero)], nothing),
    message(
        0x0701,
        "page data",
        32,
        &[
            field(0, 8, Any),
            field(8, 8, Any),
            field(16, 8, From(0, (1 << 52) - 1)),
            field(24, 4, Any),
            field(28, 1, From(1, 5)),
            field(29, 3, Zero),
        ],
        page_data,
    ),
    // Without a number: bodies of datagrams, and a part of a reply.
    message(HELLO, "hello", 16, &[field(0, 4, From(4096, 4096)), field(4, 4, Any), EPOCH], nothing),
    message(
        PAGE_GET,
        "page get",
        32,
        &[
            field(0, 8, Any),
            field(8, 8, Any),
            field(16, 8, Any),
            field(24, 2, From(1, 32)),
            field(26, 2, Bits(15)),
            field(28, 4, Zero),
        ],
        page_get,
    ),
    message(
        HELD,
        "held page",
        16,
        &[field(0, 8, NotZero), field(8, 4, Any), field(12, 4, Zero)],
        nothing,
    ),
    message(
        LODGE_GET,
        "lodge get",
        32,
        &[
            field(0, 8, Any),
            field(8, 8, NotZero),
            field(16, 4, Any),
            field(20, 2, Bits(3)),
            field(22, 8, Zero),
            field(30, 2, Zero),
        ],
        nothing,
    ),
    message(
        PIECE,
        "piece",
        32,
        &[
            field(0, 8, Any),
            field(8, 8, Any),
            field(16, 4, Any),
            field(20, 1, From(1, 2)),
            field(21, 1, From(1, 6)),
            field(22, 1, From(0, 3)),
            field(23, 1, From(0, 4)),
            field(24, 2, From(0, 4096)),
            field(26, 6, Zero),
        ],
        part,
    ),
    message(STATUS, "file status", 48, FILE_STATUS, anything),
];

/// Stand for what has no message number.
pub(crate) const HELLO: u16 = 1;
pub(crate) const PAGE_GET: u16 = 2;
pub(crate) const STATUS: u16 = 3;
pub(crate) const LODGE_GET: u16 = 4;
pub(crate) const PIECE: u16 = 5;
pub(crate) const HELD: u16 = 6;

/// Status 1 says of either sort of page that its content follows.
fn part(head: &[u8], rest: &[u8]) -> bool {
    let (name, index) = (number(head, 0, 8), number(head, 8, 8));
    let is_page = match number(head, 20, 1) {
        1 => index < 1 << 52 && number(head, 21, 1) <= 4,
        _ => index != 0 && name < 1 << 32,
    };
    let (part, count) = (number(head, 22, 1), number(head, 23, 1));
    let len = number(head, 24, 2);
    let is_part = match (number(head, 21, 1), number(head, 20, 1)) {
        (1, 1) => part < count && len == 4096,
        // No part is empty.
        (1, _) => part < count && part * len.div_ceil(count) < len,
        _ => part == 0 && count == 0 && len == 0 && number(head, 16, 4) == 0,
    };
    is_page && is_part && rest.is_empty()
}

/// What a file is: the beginning of some replies' data.
const FILE_STATUS: &[Field] = &[
    field(0, 4, Any),
    field(4, 4, Any),
    field(8, 4, Any),
    field(12, 4, Any),
    field(16, 4, Any),
    field(20, 4, Any),
    field(24, 4, Any),
    field(28, 4, Any),
    field(32, 8, Any),
    field(40, 8, Signed(0, i64::MAX)),
];
