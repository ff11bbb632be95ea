//! The factors that training starts from: a function of the seed alone, the same on every machine. Not a source
//! of secrets.

use crate::factors::Factors;

/// `rows` factors, normal with deviation 0.1 / √rank.
pub(crate) fn start(seed: u64, rows: usize, rank: usize) -> Factors {
    let mut random = SplitMix64(seed);
    let deviation = 0.1 / (rank as f64).sqrt();
    let mut factors = Factors::zeros(rank, rows);
    for x in factors.as_mut_slice() {
        *x = (random.normal() * deviation) as f32;
    }
    factors
}

/// Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    /// From 0 to below 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Nearly normal with deviation 1: twelve uniforms less six. Sums only, so no machine's logarithm matters.
    fn normal(&mut self) -> f64 {
        let mut sum = -6.0;
        for _ in 0..12 {
            sum += self.uniform();
        }
        sum
    }
}
