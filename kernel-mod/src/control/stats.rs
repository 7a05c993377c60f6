//! Counters: under `/proc/sys/holon/stats` and by the control call.

use alloc::vec::Vec;
use core::{
    ffi::CStr,
    sync::atomic::{AtomicU64, Ordering},
};

use holon_uapi::base;
use kapi::{
    still,
    sysctl::{Entry, Table, Value},
    Result,
};
use netproto::{stats::Counters, DatagramError};

/// A number that grows.
pub(crate) struct Counter {
    name: &'static CStr,
    value: AtomicU64,
}

impl Counter {
    /// Zero. List it in [`ALL`] or in an area's own table.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self { name, value: AtomicU64::new(0) }
    }

    /// Counts.
    pub(crate) fn add(&self, count: u64) {
        self.value.fetch_add(count, Ordering::Relaxed);
    }

    /// Now.
    pub(crate) fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, value: u64) {
        self.value.store(value, Ordering::Relaxed);
    }

    /// The file that shows it.
    pub(crate) const fn entry(&'static self) -> Entry {
        Entry { name: self.name, value: Value::Counter(&self.value) }
    }
}

/// Control calls that failed, for whatever reason.
pub(crate) static IOCTL_REFUSED: Counter = Counter::new(c"ioctl_refused");
/// Events that no daemon read.
pub(crate) static EVENTS_LOST: Counter = Counter::new(c"events_lost");
/// Messages of a kind that this module does not know.
pub(crate) static RX_UNKNOWN_KIND: Counter = Counter::new(c"rx_unknown_kind");
/// Datagrams whose sender's address is not that of the slot they name.
pub(crate) static RX_WRONG_ADDRESS: Counter = Counter::new(c"rx_wrong_address");
/// Page datagrams that were good.
pub(crate) static RX_PAGE: Counter = Counter::new(c"rx_page");
/// Page datagrams that were refused.
pub(crate) static RX_PAGE_BAD: Counter = Counter::new(c"rx_page_bad");
/// Page datagrams sent.
pub(crate) static TX_PAGE: Counter = Counter::new(c"tx_page");
/// Datagrams that the socket did not take.
pub(crate) static TX_FAILED: Counter = Counter::new(c"tx_failed");
/// Bursts of datagrams that the socket took in one piece.
pub(crate) static TX_BURSTS: Counter = Counter::new(c"tx_bursts");
/// Receptions of several datagrams in one piece.
pub(crate) static RX_BURSTS: Counter = Counter::new(c"rx_bursts");
/// Turns of the driver.
pub(crate) static DRIVER_TURNS: Counter = Counter::new(c"driver_turns");

static OWN: &[&Counter] = &[
    &IOCTL_REFUSED,
    &EVENTS_LOST,
    &RX_UNKNOWN_KIND,
    &RX_WRONG_ADDRESS,
    &RX_PAGE,
    &RX_PAGE_BAD,
    &TX_PAGE,
    &TX_FAILED,
    &TX_BURSTS,
    &RX_BURSTS,
    &DRIVER_TURNS,
];

/// What the transport counts, in the order of [`values`].
static TRANSPORT: [Counter; 23] = [
    Counter::new(c"tx_datagrams"),
    Counter::new(c"tx_bytes"),
    Counter::new(c"tx_messages"),
    Counter::new(c"tx_fragments_again"),
    Counter::new(c"tx_busy"),
    Counter::new(c"tx_answers_spared"),
    Counter::new(c"tx_contents_held"),
    Counter::new(c"tx_contents_copied"),
    Counter::new(c"tx_packets_lost"),
    Counter::new(c"tx_probes"),
    Counter::new(c"tx_timeouts"),
    Counter::new(c"mtu_fallbacks"),
    Counter::new(c"buffer_misses"),
    Counter::new(c"rx_datagrams"),
    Counter::new(c"rx_bytes"),
    Counter::new(c"rx_messages"),
    Counter::new(c"rx_fragments_again"),
    Counter::new(c"rx_fragments_refused"),
    Counter::new(c"rx_messages_dropped"),
    Counter::new(c"rx_bad"),
    Counter::new(c"peer_up"),
    Counter::new(c"peer_down"),
    Counter::new(c"stalls"),
];

fn values(counters: &Counters) -> [u64; 23] {
    [
        counters.tx_datagrams,
        counters.tx_bytes,
        counters.tx_messages,
        counters.tx_fragments_again,
        counters.tx_busy,
        counters.tx_answers_spared,
        counters.tx_contents_held,
        counters.tx_contents_copied,
        counters.tx_packets_lost,
        counters.tx_probes,
        counters.tx_timeouts,
        counters.mtu_fallbacks,
        counters.buffer_misses,
        counters.rx_datagrams,
        counters.rx_bytes,
        counters.rx_messages,
        counters.rx_fragments_again,
        counters.rx_fragments_refused,
        counters.rx_messages_dropped,
        counters.bad_total(),
        counters.peer_up,
        counters.peer_down,
        counters.stalls,
    ]
}

/// Refused datagrams by [`DatagramError::index`].
static BAD: [Counter; DatagramError::COUNT] = [
    Counter::new(c"rx_bad_too_short"),
    Counter::new(c"rx_bad_too_long"),
    Counter::new(c"rx_bad_magic"),
    Counter::new(c"rx_bad_version"),
    Counter::new(c"rx_bad_length"),
    Counter::new(c"rx_bad_checksum"),
    Counter::new(c"rx_bad_kind"),
    Counter::new(c"rx_bad_field"),
    Counter::new(c"rx_bad_not_for_us"),
    Counter::new(c"rx_bad_unknown_peer"),
    Counter::new(c"rx_bad_wrong_path"),
    Counter::new(c"rx_bad_stale_incarnation"),
    Counter::new(c"rx_bad_stale_session"),
    Counter::new(c"rx_bad_malformed"),
    Counter::new(c"rx_bad_ack"),
    Counter::new(c"rx_bad_violation"),
    Counter::new(c"rx_bad_overrun"),
];

/// Shows what the transport counted.
pub(crate) fn publish(counters: &Counters) {
    for (counter, value) in TRANSPORT.iter().zip(values(counters)) {
        counter.set(value);
    }
    for (counter, value) in BAD.iter().zip(counters.rx_bad) {
        counter.set(value);
    }
}

fn all() -> impl Iterator<Item = &'static Counter> {
    OWN.iter().copied().chain(&TRANSPORT).chain(&BAD)
}

/// Registers the table.
pub(crate) fn table() -> Result<Table> {
    let mut entries = Vec::new();
    entries.try_reserve(OWN.len() + TRANSPORT.len() + BAD.len() + 1)?;
    entries.extend(all().map(Counter::entry));
    entries.push(Entry { name: c"pages_referred_to", value: Value::Counter(still::count()) });
    Table::new(c"holon/stats", &entries)
}

/// For a program.
pub(crate) fn list() -> Result<Vec<base::Counter>> {
    let mut list = Vec::new();
    list.try_reserve(OWN.len() + TRANSPORT.len() + BAD.len())?;
    list.extend(all().map(|counter| {
        let mut name = [0; 32];
        let bytes = counter.name.to_bytes();
        let len = bytes.len().min(name.len());
        name[..len].copy_from_slice(&bytes[..len]);
        base::Counter { name, value: counter.get() }
    }));
    Ok(list)
}
