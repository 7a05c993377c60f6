//! What a run of the pager draws for itself.

use holon_simkit::Rng;

/// A millisecond.
pub(super) const MS: u64 = 1_000_000;

/// The knobs of one run; chances in millionths per datagram, or per node and millisecond.
#[derive(Debug, Clone)]
pub struct Options {
    /// Nodes.
    pub nodes: usize,
    /// Pages of the program on each.
    pub pages: usize,
    /// Copies of an evicted page.
    pub copies: u8,
    /// Frames that each may lend.
    pub frames: u32,
    /// Released pages that a holder may remember.
    pub tombs: u32,
    /// Entries of an owner.
    pub entries: u32,
    /// Batches of an owner.
    pub ops: u16,
    /// How long faults go on, in ms.
    pub storm_ms: u64,
    /// Whether nodes die one by one only, each when all is mended. With two copies nothing may be
    /// lost then.
    pub is_gentle: bool,
    /// Datagrams lost.
    pub loss_ppm: u64,
    /// Datagrams doubled.
    pub duplicate_ppm: u64,
    /// Datagrams damaged.
    pub corrupt_ppm: u64,
    /// The longest datagram that paths take, without what IP and UDP put before it.
    pub payload: usize,
    /// Mean of the delay.
    pub delay_mean_ns: u64,
    /// A path is cut for a while.
    pub cut_ppm: u64,
    /// Whether a cut takes one direction only.
    pub is_one_way: bool,
    /// A node dies.
    pub crash_ppm: u64,
    /// Of what may be under way when a node dies, that which is waited for.
    pub aim: Option<usize>,
    /// A node stands still for a while.
    pub pause_ppm: u64,
    /// A node answers late, all the time: the mean of how much.
    pub slow_ns: u64,
    /// A frame rots.
    pub rot_ppm: u64,
    /// A frame rots while a page is copied into it.
    pub bad_copy_ppm: u64,
    /// No memory for a page that came home, per page.
    pub no_memory_ppm: u64,
    /// A holder comes under pressure, or is relieved.
    pub pressure_ppm: u64,
    /// A holder is drained, or no longer.
    pub drain_ppm: u64,
    /// A program ends, with all that it has under way.
    pub exit_ppm: u64,
    /// A node is cut off until the others give it up.
    pub isolate_ppm: u64,
    /// A node leaves in order.
    pub leave_ppm: u64,
}

impl Options {
    /// The knobs of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x9a6e_5eed);
        let mut some = |share: u64, most: u64| {
            let drawn = rng.below(most);
            if rng.below(100) < share {
                drawn
            } else {
                0
            }
        };
        let is_gentle = some(80, 2) == 1;
        let copies = if is_gentle { 2 } else { 1 + u8::try_from(some(60, 2)).expect("small") };
        // There is little to mend where there is one copy, or nobody dies meanwhile.
        let aims = if copies == 2 && !is_gentle { &[2_usize, 4][..] } else { &[0, 1, 3, 4, 5] };
        let aim = usize::try_from(some(60, 5)).expect("small").checked_sub(1);
        // Few runs have anything to mend: those are for that.
        let aim = aim.or((copies == 2 && !is_gentle).then_some(0));
        Self {
            nodes: 3 + usize::try_from(some(60, 3)).expect("small"),
            pages: 40 + usize::try_from(some(100, 160)).expect("small"),
            copies,
            frames: 60 + u32::try_from(some(100, 400)).expect("small"),
            tombs: 8 + u32::try_from(some(80, 200)).expect("small"),
            entries: 40 + u32::try_from(some(100, 200)).expect("small"),
            ops: 6 + u16::try_from(some(80, 60)).expect("small"),
            storm_ms: 1_000 + some(100, 3_000),
            is_gentle,
            loss_ppm: some(60, 250_000),
            duplicate_ppm: some(50, 300_000),
            corrupt_ppm: some(30, 50_000),
            payload: [1_232, 1_452, 4_052, 8_952][usize::try_from(seed % 4).expect("small")],
            delay_mean_ns: some(70, 8 * MS),
            cut_ppm: some(40, 6_000),
            is_one_way: some(50, 2) == 1,
            crash_ppm: some(50, 2_000).max(if is_gentle { 1_000 } else { 0 }),
            aim: aim.map(|aim| aims[aim % aims.len()]),
            pause_ppm: some(30, 3_000),
            slow_ns: some(20, 60 * MS),
            rot_ppm: if is_gentle { 0 } else { some(25, 20_000) },
            bad_copy_ppm: some(30, 50_000),
            no_memory_ppm: some(30, 300_000),
            pressure_ppm: some(40, 4_000),
            drain_ppm: some(30, 2_000),
            exit_ppm: some(40, 4_000),
            isolate_ppm: some(25, 800),
            leave_ppm: some(25, 1_000),
        }
    }
}
