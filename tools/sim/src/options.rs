//! What a run draws for itself. Some runs have no fault of a kind at all.

use holon_simkit::Rng;

/// A millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// The knobs of one run; times in ns, chances in millionths per 5 ms or per datagram.
#[derive(Debug, Clone)]
pub struct Options {
    /// Nodes.
    pub nodes: usize,
    /// Processes.
    pub processes: usize,
    /// How long faults go on.
    pub storm_ns: u64,
    /// Datagrams lost.
    pub loss_ppm: u64,
    /// Datagrams doubled.
    pub duplicate_ppm: u64,
    /// Datagrams damaged.
    pub corrupt_ppm: u64,
    /// Mean of the delay on top of a fixed one; it reorders.
    pub delay_mean_ns: u64,
    /// A path is cut.
    pub cut_ppm: u64,
    /// A path is mended.
    pub mend_ppm: u64,
    /// Whether a cut takes one direction only.
    pub is_one_way: bool,
    /// A node dies.
    pub crash_ppm: u64,
    /// A dead node comes back.
    pub start_ppm: u64,
    /// A node stands still for a while.
    pub pause_ppm: u64,
    /// A process is to move.
    pub move_ppm: u64,
    /// A process is killed.
    pub kill_ppm: u64,
    /// A move is called off.
    pub abort_ppm: u64,
    /// Local work fails.
    pub failure_ppm: u64,
    /// A freeze finds that too much has changed.
    pub incompatible_ppm: u64,
    /// Local work never ends.
    pub hang_ppm: u64,
    /// Longest image.
    pub image_len_max: u64,
}

impl Options {
    /// The knobs of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x0071_0175);
        let mut some = |share: u64, most: u64| {
            let drawn = rng.below(most);
            if rng.below(100) < share {
                drawn
            } else {
                0
            }
        };
        Self {
            nodes: 3 + usize::try_from(some(60, 3)).expect("small"),
            processes: 1 + usize::try_from(some(80, 5)).expect("small"),
            storm_ns: (5_000 + some(100, 25_000)) * MS,
            loss_ppm: some(60, 200_000),
            duplicate_ppm: some(40, 300_000),
            corrupt_ppm: some(30, 50_000),
            delay_mean_ns: some(70, 5 * MS),
            cut_ppm: some(40, 6_000),
            mend_ppm: 500 + some(100, 10_000),
            is_one_way: some(50, 2) == 1,
            crash_ppm: some(35, 800),
            start_ppm: 500 + some(100, 5_000),
            pause_ppm: some(35, 1_000),
            move_ppm: 2_000 + some(100, 40_000),
            kill_ppm: some(20, 500),
            abort_ppm: some(30, 5_000),
            failure_ppm: some(40, 100_000),
            incompatible_ppm: some(50, 300_000),
            hang_ppm: some(25, 30_000),
            image_len_max: [500, 20_000, 200_000][usize::try_from(some(100, 3)).expect("small")],
        }
    }
}
