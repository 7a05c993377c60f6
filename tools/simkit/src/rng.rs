//! The generator.

/// SplitMix64: small, seedable, and random enough for faults and test data.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The generator of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Any number of 32 bits.
    pub fn u32(&mut self) -> u32 {
        u32::try_from(self.draw() >> 32).expect("32 bits")
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.draw().to_le_bytes()[0]
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    /// A number of 32 bits below `end`, which is not zero.
    pub fn below_u32(&mut self, end: u32) -> u32 {
        u32::try_from(self.below(end.into())).expect("below 32 bits")
    }

    /// An index or a length below `end`, which is not zero.
    pub fn index(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("an index");
        usize::try_from(self.below(end)).expect("below an index")
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// One of these, of which there is at least one.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// True every other time.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// True one time in `times`; never, if that is 0.
    pub fn one_in(&mut self, times: u64) -> bool {
        times > 0 && self.below(times) == 0
    }

    /// True in `ppm` of a million cases.
    pub fn chance(&mut self, ppm: u64) -> bool {
        self.below(1_000_000) < ppm
    }

    /// Uniform, from 0 to 1 without 1.
    pub fn unit(&mut self) -> f64 {
        // 53 bits: all that the type holds exactly.
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Roughly exponentially distributed with the given mean, at most 20 times it.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        // -ln(u) by halvings: each leading zero of a random number counts one ln 2.
        let halvings = u64::from(self.draw().leading_zeros().min(28));
        mean * (halvings * 1000 + self.below(1000)) * 693 / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_its_numbers_for_ever() {
        let mut rng = Rng::new(0);
        let drawn = [rng.draw(), rng.draw(), rng.draw()];
        // The published first numbers of SplitMix64.
        let wanted = [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        assert_eq!(drawn, wanted);
    }

    #[test]
    fn all_that_is_drawn_is_within_its_bounds() {
        let mut rng = Rng::new(1);
        let (mut coins, mut thirds, mut means) = (0, 0, 0);
        for _ in 0..100_000 {
            assert!(rng.below(7) < 7 && rng.below_u32(3) < 3 && rng.index(2) < 2);
            assert!((5..=6).contains(&rng.between(5, 6)));
            assert!([1, 4].contains(&rng.pick(&[1, 4])));
            assert!((0.0..1.0).contains(&rng.unit()));
            assert!(!rng.one_in(0) && rng.one_in(1) && !rng.chance(0) && rng.chance(1_000_000));
            coins += u64::from(rng.coin());
            thirds += u64::from(rng.one_in(3));
            let delay = rng.exponential(1000);
            assert!(delay <= 20_000);
            means += delay;
        }
        assert!((49_000..51_000).contains(&coins), "{coins}");
        assert!((32_000..35_000).contains(&thirds), "{thirds}");
        assert!((950..1150).contains(&(means / 100_000)), "{means}");
    }
}
