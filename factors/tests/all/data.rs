//! Seeded data for the tests: small, skewed, with dislikes.

use nearline_factors::{Factors, Matrix, Pair, Regularisation};

pub struct Random(pub u64);

impl Random {
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.uniform() * end as f64) as usize
    }
}

pub fn regularisation() -> Regularisation {
    Regularisation::new(0.1, 0.05, 0.8).unwrap()
}

/// Factors between −1 and 1.
pub fn factors(seed: u64, rows: usize, rank: usize) -> Factors {
    let mut random = Random(seed);
    let data = (0..rows * rank).map(|_| (random.uniform() * 2.0 - 1.0) as f32).collect();
    Factors::new(rank, data).unwrap()
}

/// Up to `count` pairs in order, one in six a dislike.
pub fn pairs(random: &mut Random, items: usize, count: usize) -> Vec<Pair> {
    let mut chosen: Vec<u32> = (0..count).map(|_| random.below(items) as u32).collect();
    chosen.sort_unstable();
    chosen.dedup();
    let signed = |random: &mut Random| {
        let weight = (0.1 + 3.0 * random.uniform()) as f32;
        if random.below(6) == 0 { -weight } else { weight }
    };
    chosen.into_iter().map(|item| Pair::from_signed(item, signed(random))).collect()
}

/// A matrix whose first member has nearly every item and whose last has none.
pub fn matrix(seed: u64, members: usize, items: usize) -> Matrix {
    let mut random = Random(seed);
    let (mut offsets, mut entries) = (vec![0], Vec::new());
    for member in 0..members {
        let count = match member {
            0 => items * 4,
            last if last + 1 == members => 0,
            _ => 1 + random.below(20),
        };
        for pair in pairs(&mut random, items, count) {
            entries.push((pair.item, if pair.b > 0.0 { pair.a } else { -pair.a }));
        }
        offsets.push(entries.len());
    }
    Matrix::from_rows(items, offsets, entries).unwrap()
}

pub fn row_pairs(matrix: &Matrix, member: usize) -> Vec<Pair> {
    matrix.row(member).iter().map(|&(item, weight)| Pair::from_signed(item, weight)).collect()
}

pub fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}
