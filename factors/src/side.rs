//! The item side of a model: item factors, and all that is derived from them once.

use crate::factors::{Factors, Pair, Regularisation};
use crate::kernels::{TILE, add_scaled, dot};
use crate::level::Level;
use crate::solve::{Padded, Scratch, gram, solve};

/// Item factors with their Gram matrix and their layout for scoring.
#[derive(Clone, Debug)]
pub struct ItemSide {
    pub(crate) level: Level,
    factors: Factors,
    padded: Padded,
    regularisation: Regularisation,
    /// α₀ YᵀY: upper triangle, padded.
    base: Vec<f32>,
    /// Items in tiles: for each tile, for each k, the k-th number of its items.
    pub(crate) tiles: Vec<[f32; TILE]>,
}

impl ItemSide {
    /// Derives all that is needed from item factors.
    pub fn new(items: Factors, regularisation: Regularisation) -> Self {
        ItemSide::with_level(items, regularisation, Level::detect())
    }

    /// The same on given instructions, for tests; falls back to the best there are.
    #[doc(hidden)]
    pub fn with_level(items: Factors, regularisation: Regularisation, level: Level) -> Self {
        let level = if level.available() { level } else { Level::detect() };
        let padded = Padded::new(items.rank(), items.as_slice());
        let base = base(level, &padded, regularisation.alpha0);
        let mut tiles = vec![[0.0; TILE]; items.rows().div_ceil(TILE) * items.rank()];
        for row in 0..items.rows() {
            for (k, number) in items.row(row).iter().enumerate() {
                tiles[row / TILE * items.rank() + k][row % TILE] = *number;
            }
        }
        ItemSide { level, factors: items, padded, regularisation, base, tiles }
    }

    /// The item factors.
    pub fn factors(&self) -> &Factors {
        &self.factors
    }

    /// The length of a factor.
    pub fn rank(&self) -> usize {
        self.factors.rank()
    }

    /// How many items there are.
    pub fn items(&self) -> usize {
        self.factors.rows()
    }

    /// How factors are held small.
    pub fn regularisation(&self) -> Regularisation {
        self.regularisation
    }

    /// Folds a member in: the solution of `(α₀ YᵀY + Σ a y yᵀ + λ (n + α₀ N)^ν I) x = Σ b y`, into `out` of the
    /// rank's length. `pairs` are sorted by item; every item is one of the model.
    pub fn fold_in(&self, pairs: &[Pair], scratch: &mut Scratch, out: &mut [f32]) {
        let ridge = self.regularisation.ridge(pairs.len(), self.items());
        solve(self.level, &self.base, &self.padded, pairs, ridge, scratch, out);
    }

    /// Folds many members in: the pairs of member `m` are `pairs[offsets[m]..offsets[m + 1]]`. `out` becomes
    /// their factors, one after the other.
    pub fn fold_in_batch(&self, offsets: &[usize], pairs: &[Pair], out: &mut Vec<f32>) {
        let rank = self.rank();
        out.clear();
        out.resize(offsets.len().saturating_sub(1) * rank, 0.0);
        let mut scratch = Scratch::default();
        for (bounds, factor) in offsets.windows(2).zip(out.chunks_exact_mut(rank)) {
            self.fold_in(&pairs[bounds[0]..bounds[1]], &mut scratch, factor);
        }
    }

    /// The score of a member's factor and an item.
    pub fn score(&self, member: &[f32], item: u32) -> f32 {
        dot(self.level, member, self.factors.row(item as usize))
    }

    /// What each pair adds to the score of an item (Hu, Koren and Volinsky 2008, section 5): with the member's
    /// matrix A, pair j adds `b_j · y_itemᵀ A⁻¹ y_j`. The parts sum to the score but for rounding.
    pub fn explain(&self, pairs: &[Pair], item: u32) -> Vec<f32> {
        // A⁻¹ y_item is the solution with y_item on the right: a pair of no weight in the matrix.
        let mut asked: Vec<Pair> = pairs.iter().map(|pair| Pair { b: 0.0, ..*pair }).collect();
        asked.push(Pair { item, a: 0.0, b: 1.0 });
        let ridge = self.regularisation.ridge(pairs.len(), self.items());
        let mut direction = vec![0.0; self.rank()];
        solve(self.level, &self.base, &self.padded, &asked, ridge, &mut Scratch::default(), &mut direction);
        pairs.iter().map(|pair| pair.b * self.score(&direction, pair.item)).collect()
    }
}

/// α₀ times the Gram matrix.
pub(crate) fn base(level: Level, rows: &Padded, alpha0: f32) -> Vec<f32> {
    let gram = gram(level, rows);
    let mut base = vec![0.0; gram.len()];
    add_scaled(level, &mut base, &gram, alpha0);
    base
}
