//! The normal equations of a row, for as many pairs as the rank or more.

use crate::ahead::Ahead;
use crate::basis::Basis;
use crate::cholesky::{self, Workspace};
use crate::lanes::{LANES, Lanes};
use crate::level::{Level, kernel};
use crate::pair::Pair;
use crate::triangle::{Triangle, add_rows};
use crate::vector::Vector;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};

/// Pairs whose rows are gathered before the matrix takes them up: they stay in the first cache. No sum depends
/// on it, since each element's chain goes on where it stood.
const GATHERED: usize = 64;

/// Pairs of one row that are summed together, in order; the sums of blocks are added in order. Part of the meaning
/// of the sum: it lets threads share one row.
pub(crate) const BLOCK: usize = 8192;

/// Panels whose part of the right side is held in registers together.
const HELD: usize = 4;

/// `Σ a z zᵀ` and `Σ b z` over some pairs.
#[derive(Clone, Debug)]
pub(crate) struct Sum {
    matrix: Triangle<f32>,
    right: Vec<Lanes<f32>>,
    gathered: Vec<Lanes<f32>>,
}

impl Sum {
    pub(crate) fn new() -> Self {
        Sum { matrix: Triangle::new(0), right: Vec::new(), gathered: Vec::new() }
    }

    /// Becomes the sum over these pairs; `next` are pairs to come.
    pub(crate) fn of(&mut self, level: Level, basis: &Basis, (pairs, next): (&[Pair], &[Pair])) {
        let (first, mut rest) = pairs.split_at(pairs.len().min(BLOCK));
        self.of_block(level, basis, (first, if rest.is_empty() { next } else { rest }));
        let mut block = Sum::new();
        while !rest.is_empty() {
            let some;
            (some, rest) = rest.split_at(rest.len().min(BLOCK));
            block.of_block(level, basis, (some, if rest.is_empty() { next } else { rest }));
            self.add(&block);
        }
    }

    /// Becomes the sum over one block, of at most [`BLOCK`] pairs.
    pub(crate) fn of_block(&mut self, level: Level, basis: &Basis, (pairs, next): (&[Pair], &[Pair])) {
        self.matrix.reset(basis.rank);
        self.right.clear();
        self.right.resize(basis.panels, Lanes::ZERO);
        self.gathered.resize(GATHERED * basis.panels, Lanes::ZERO);
        for (number, some) in pairs.chunks(GATHERED).enumerate() {
            let gathered = &mut self.gathered[..some.len() * basis.panels];
            gather(level, basis, some, gathered, &mut self.right);
            let rest = &pairs[number * GATHERED + some.len()..];
            let soon = if rest.is_empty() { next } else { rest };
            let ahead = Ahead::of(basis, &soon[..soon.len().min(GATHERED)]);
            add_rows(level, &mut self.matrix, gathered, &ahead);
        }
    }

    /// Adds the sum over the block that follows.
    pub(crate) fn add(&mut self, other: &Sum) {
        self.matrix.add(&other.matrix);
        for (to, from) in self.right.iter_mut().zip(&other.right) {
            to.add_product(1.0, from);
        }
    }

    /// Solves `(alpha0 YᵀY + ridge I + Σ a z zᵀ) x = Σ b z`; false where f32 cannot. The sum is used up.
    pub(crate) fn solve(
        &mut self,
        level: Level,
        basis: &Basis,
        ridge: f64,
        workspace: &mut Workspace<f32>,
    ) -> Option<&[Lanes<f32>]> {
        for (k, value) in basis.values.iter().enumerate() {
            *self.matrix.diagonal(k) += (value + ridge) as f32;
        }
        for k in basis.rank..basis.panels * LANES {
            *self.matrix.diagonal(k) = 1.0;
        }
        cholesky::solve(level, &mut self.matrix, &mut self.right, workspace).then_some(&self.right[..])
    }
}

kernel! {
    /// Copies the rows of `some` pairs times √a side by side, and adds b times each to the right side.
    fn gather(basis: &Basis, some: &[Pair], gathered: &mut [Lanes<f32>], right: &mut [Lanes<f32>])
        = gather_body::<Avx512>, gather_body::<Avx2>, gather_body::<Lanes<f32>>;
}

#[inline(always)]
fn gather_body<V: Vector<Real = f32>>(
    basis: &Basis,
    some: &[Pair],
    gathered: &mut [Lanes<f32>],
    right: &mut [Lanes<f32>],
) {
    let mut first = 0;
    while first + HELD <= basis.panels {
        gather_panels::<V, HELD>(basis, some, gathered, right, first);
        first += HELD;
    }
    for first in first..basis.panels {
        gather_panels::<V, 1>(basis, some, gathered, right, first);
    }
}

/// [`gather`] of a few panels, their part of the right side held in registers.
#[inline(always)]
fn gather_panels<V: Vector<Real = f32>, const HELD: usize>(
    basis: &Basis,
    some: &[Pair],
    gathered: &mut [Lanes<f32>],
    right: &mut [Lanes<f32>],
    first: usize,
) {
    let mut held = [V::zero(); HELD];
    for h in 0..HELD {
        held[h] = V::load(&right[first + h]);
    }
    for (pair, to) in some.iter().zip(gathered.chunks_exact_mut(basis.panels)) {
        let (row, to) = (&basis.row(pair.item)[first..][..HELD], &mut to[first..][..HELD]);
        let (root, b) = (V::splat(pair.a.sqrt()), V::splat(pair.b));
        for h in 0..HELD {
            let z = V::load(&row[h]);
            held[h] = held[h].fma(b, z);
            z.times(root).store(&mut to[h]);
        }
    }
    for h in 0..HELD {
        held[h].store(&mut right[first + h]);
    }
}
