//! The dual form, for fewer pairs than the rank: a system with one unknown a pair.
//!
//! With M = alpha0 YᵀY + ridge I, a diagonal in the basis of the eigenvectors, a row's solution is
//! `M⁻¹ (Σ √a t z + Σ₀ b z)`, where `(I + Σ √a z M⁻¹ zᵀ √a) t = b ÷ √a − √a z M⁻¹ Σ₀ b z` and Σ₀ is over the pairs whose
//! a is zero (Woodbury's identity; Golub and Van Loan, Matrix Computations, 4th ed., section 2.1.4).

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

/// Panels of the solution that are held in registers together.
const HELD: usize = 4;

/// One system, its right side, and the rows it is made of.
pub(crate) struct Dual {
    matrix: Triangle<f32>,
    right: Vec<Lanes<f32>>,
    /// The pairs' rows times √a M^-½, padded to whole tiles.
    rows: Vec<Lanes<f32>>,
    /// The same turned around: row k holds the k-th number of every pair.
    columns: Vec<Lanes<f32>>,
    /// `M^-½ Σ₀ b z`, then the solution.
    solution: Vec<Lanes<f32>>,
}

impl Dual {
    pub(crate) fn new() -> Self {
        let matrix = Triangle::new(0);
        Dual { matrix, right: Vec::new(), rows: Vec::new(), columns: Vec::new(), solution: Vec::new() }
    }

    /// The solution for these pairs, fewer than the rank; none where f32 cannot. `next` are pairs to come.
    pub(crate) fn solve(
        &mut self,
        level: Level,
        basis: &Basis,
        (pairs, next): (&[Pair], &[Pair]),
        workspace: &mut Workspace<f32>,
    ) -> Option<&[Lanes<f32>]> {
        self.reset(basis.panels, pairs.len());
        gather(level, basis, pairs, self);
        add_rows(level, &mut self.matrix, &self.columns, &Ahead::of(basis, next));
        for i in 0..self.right.len() * LANES {
            *self.matrix.diagonal(i) += 1.0;
        }
        if !cholesky::solve(level, &mut self.matrix, &mut self.right, workspace) {
            return None;
        }
        combine(level, basis.scale(pairs.len()), pairs.len(), self);
        Some(&self.solution)
    }

    fn reset(&mut self, panels: usize, pairs: usize) {
        self.matrix.reset(pairs);
        let pairs = self.matrix.panels;
        for (groups, length) in [
            (&mut self.right, pairs),
            (&mut self.rows, pairs * LANES * panels),
            (&mut self.columns, panels * LANES * pairs),
            (&mut self.solution, panels),
        ] {
            groups.clear();
            groups.resize(length, Lanes::ZERO);
        }
    }
}

kernel! {
    /// Fills in rows, columns and the right side.
    fn gather(basis: &Basis, pairs: &[Pair], dual: &mut Dual)
        = gather_body::<Avx512>, gather_body::<Avx2>, gather_body::<Lanes<f32>>;
}

#[inline(always)]
fn gather_body<V: Vector<Real = f32>>(basis: &Basis, pairs: &[Pair], dual: &mut Dual) {
    let (panels, scale) = (basis.panels, basis.scale(pairs.len()));
    let mut without = false;
    for (i, (pair, to)) in pairs.iter().zip(dual.rows.chunks_exact_mut(panels)).enumerate() {
        let (row, root) = (basis.row(pair.item), pair.a.sqrt());
        for ((z, scale), to) in row.iter().zip(scale).zip(to.iter_mut()) {
            V::load(z).times(V::splat(root)).times(V::load(scale)).store(to);
        }
        if pair.a > 0.0 {
            dual.right[i / LANES].0[i % LANES] = pair.b / root;
        } else {
            without = true;
            for ((z, scale), to) in row.iter().zip(scale).zip(&mut dual.solution) {
                to.add_products(&z.scaled(pair.b), scale);
            }
        }
    }
    if without {
        take_those_without(pairs.len(), dual);
    }
    turn_around::<V>(panels, dual);
}

/// Takes `√a z M⁻¹ Σ₀ b z` from the right side.
#[inline(always)]
fn take_those_without(pairs: usize, dual: &mut Dual) {
    for (i, row) in dual.rows.chunks_exact(dual.solution.len()).enumerate().take(pairs) {
        let mut sum = Lanes::ZERO;
        for (x, y) in row.iter().zip(&dual.solution) {
            sum.add_products(x, y);
        }
        dual.right[i / LANES].0[i % LANES] += -sum.sum();
    }
}

#[inline(always)]
fn turn_around<V: Vector<Real = f32>>(panels: usize, dual: &mut Dual) {
    let across = dual.right.len();
    for (q, rows) in dual.rows.chunks_exact(LANES * panels).enumerate() {
        for p in 0..panels {
            let mut tile = [V::zero(); LANES];
            for r in 0..LANES {
                tile[r] = V::load(&rows[r * panels + p]);
            }
            V::transpose(&mut tile);
            let columns = &mut dual.columns[p * LANES * across..][..LANES * across];
            for (lanes, to) in tile.into_iter().zip(columns.chunks_exact_mut(across)) {
                lanes.store(&mut to[q]);
            }
        }
    }
}

kernel! {
    /// From the dual's unknowns to the solution.
    fn combine(scale: &[Lanes<f32>], pairs: usize, dual: &mut Dual)
        = combine_body::<Avx512>, combine_body::<Avx2>, combine_body::<Lanes<f32>>;
}

#[inline(always)]
fn combine_body<V: Vector<Real = f32>>(scale: &[Lanes<f32>], pairs: usize, dual: &mut Dual) {
    let mut first = 0;
    while first + HELD <= scale.len() {
        combine_panels::<V, HELD>(scale, pairs, dual, first);
        first += HELD;
    }
    for first in first..scale.len() {
        combine_panels::<V, 1>(scale, pairs, dual, first);
    }
}

#[inline(always)]
fn combine_panels<V: Vector<Real = f32>, const HELD: usize>(
    scale: &[Lanes<f32>],
    pairs: usize,
    dual: &mut Dual,
    first: usize,
) {
    let mut held = [V::zero(); HELD];
    for (held, start) in held.iter_mut().zip(&dual.solution[first..]) {
        *held = V::load(start);
    }
    let unknowns = dual.right.iter().flat_map(|lanes| &lanes.0).take(pairs);
    for (t, row) in unknowns.zip(dual.rows.chunks_exact(scale.len())) {
        for (held, z) in held.iter_mut().zip(&row[first..]) {
            *held = held.fma(V::splat(*t), V::load(z));
        }
    }
    for (h, held) in held.iter().enumerate() {
        held.times(V::load(&scale[first + h])).store(&mut dual.solution[first + h]);
    }
}
