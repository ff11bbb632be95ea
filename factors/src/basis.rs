//! A table of factors in the basis of its Gram matrix's eigenvectors. There `alpha0 YᵀY + ridge I` is a diagonal
//! whatever the ridge, so rows of any number of pairs share one decomposition: systems begin as a diagonal, and the
//! dual form has its inverse at hand.

use crate::factors::Factors;
use crate::lanes::{LANES, Lanes, panels};
use crate::level::{Level, kernel};
use crate::parallel::for_each;
use crate::regularisation::Regularisation;
use crate::spectrum::Spectrum;
use crate::triangle::Triangle;
use crate::vector::Vector;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};

/// Rows that a thread turns at a time.
const AT_ONCE: usize = 1024;

/// Groups of a turned row that are held in registers together.
const TOGETHER: usize = 4;

/// Workspace for turning rows back.
#[derive(Default)]
pub(crate) struct Turned {
    flat: Vec<f32>,
    rows: Vec<Lanes<f32>>,
}

pub(crate) struct Basis {
    pub(crate) rank: usize,
    pub(crate) panels: usize,
    /// The factors in this basis, `panels` groups each, zeros past the rank.
    rows: Vec<Lanes<f32>>,
    /// The eigenvalues of alpha0 YᵀY, the greatest first.
    pub(crate) values: Vec<f64>,
    /// Into this basis, in [`slabs`]: row k is what the k-th unit vector becomes.
    into: Vec<Lanes<f32>>,
    /// From this basis back, in [`slabs`]: row k is eigenvector k.
    back: Vec<Lanes<f32>>,
    /// For each number of pairs below the rank, one over the root of the diagonal `alpha0 YᵀY + ridge I`.
    scales: Vec<Lanes<f32>>,
}

impl Basis {
    pub(crate) fn new(
        level: Level,
        factors: &Factors,
        gram: &Triangle<f64>,
        regularisation: Regularisation,
        threads: usize,
    ) -> Self {
        let rank = factors.rank();
        let Spectrum { values, vectors } = Spectrum::of(level, threads, rank, |i, j| gram.element(i, j));
        let values: Vec<f64> = values.iter().map(|x| f64::from(regularisation.alpha0) * x.max(0.0)).collect();
        let into = slabs(rank, |k, j| vectors[j * rank + k]);
        let back = slabs(rank, |k, j| vectors[k * rank + j]);
        let scales = (0..rank).flat_map(|pairs| {
            let ridge = regularisation.ridge(pairs, factors.rows());
            groups(values.iter().map(|value| 1.0 / (value + ridge).sqrt()))
        });
        let scales = scales.collect();
        let panels = panels(rank);
        let mut rows = vec![Lanes::ZERO; factors.rows() * panels];
        let mut parts: Vec<&mut [Lanes<f32>]> = rows.chunks_mut(AT_ONCE * panels).collect();
        for_each(
            threads,
            &mut parts,
            || (),
            |(), number, part| {
                let from = &factors.as_slice()[number * AT_ONCE * rank..][..part.len() / panels * rank];
                turn(level, from, rank, &into, part);
            },
        );
        Basis { rank, panels, rows, values, into, back, scales }
    }

    /// Row `i`.
    #[inline(always)]
    pub(crate) fn row(&self, i: u32) -> &[Lanes<f32>] {
        &self.rows[i as usize * self.panels..][..self.panels]
    }

    /// One over the root of the diagonal of a row with so many pairs, fewer than the rank.
    pub(crate) fn scale(&self, pairs: usize) -> &[Lanes<f32>] {
        &self.scales[pairs * self.panels..][..self.panels]
    }

    /// Writes `factors`, `rank` numbers each, in this basis into `to`, `panels` groups each.
    pub(crate) fn turn_in(&self, level: Level, factors: &[f32], to: &mut [Lanes<f32>]) {
        turn(level, factors, self.rank, &self.into, to);
    }

    /// Writes what are `solutions` in this basis, `panels` groups each, into `out`, `rank` numbers each.
    pub(crate) fn turn_back(
        &self,
        level: Level,
        solutions: &[Lanes<f32>],
        Turned { flat, rows }: &mut Turned,
        out: &mut [f32],
    ) {
        flat.clear();
        for solution in solutions.chunks_exact(self.panels) {
            flat.extend(solution.iter().flat_map(|lanes| lanes.0).take(self.rank));
        }
        rows.resize(solutions.len(), Lanes::ZERO);
        turn(level, flat, self.rank, &self.back, rows);
        for (to, from) in out.chunks_exact_mut(self.rank).zip(rows.chunks_exact(self.panels)) {
            for (to, from) in to.chunks_mut(LANES).zip(from) {
                to.copy_from_slice(&from.0[..to.len()]);
            }
        }
    }
}

/// Numbers in groups of sixteen, zeros after their end.
fn groups(numbers: impl Iterator<Item = f64>) -> Vec<Lanes<f32>> {
    let numbers: Vec<f32> = numbers.map(|x| x as f32).collect();
    numbers.chunks(LANES).map(Lanes::load).collect()
}

/// A square matrix, four panels of its columns after the other, the last ones panel by panel: what [`turn`] reads
/// lies together.
fn slabs(rank: usize, element: impl Fn(usize, usize) -> f64) -> Vec<Lanes<f32>> {
    let mut lanes = Vec::with_capacity(rank * panels(rank));
    let mut first = 0;
    while first < panels(rank) {
        let count = if first + TOGETHER <= panels(rank) { TOGETHER } else { 1 };
        let columns = first * LANES..((first + count) * LANES).min(rank);
        for k in 0..rank {
            lanes.extend(groups(columns.clone().map(|j| element(k, j))));
        }
        first += count;
    }
    lanes
}

kernel! {
    /// `to = Σ from[k] matrix[k]` for each row of `from`: every element is one chain over k.
    fn turn(from: &[f32], rank: usize, matrix: &[Lanes<f32>], to: &mut [Lanes<f32>])
        = turn_body::<Avx512, 4>, turn_body::<Avx2, 1>, turn_body::<Lanes<f32>, 1>;
}

/// `R` rows at a time, all of them past one slab before the next.
#[inline(always)]
fn turn_body<V: Vector<Real = f32>, const R: usize>(
    from: &[f32],
    rank: usize,
    matrix: &[Lanes<f32>],
    to: &mut [Lanes<f32>],
) {
    let panels = panels(rank);
    let mut first = 0;
    while first + TOGETHER <= panels {
        turn_past::<V, R, TOGETHER>(from, rank, &matrix[first * rank..][..TOGETHER * rank], to, first);
        first += TOGETHER;
    }
    for first in first..panels {
        turn_past::<V, R, 1>(from, rank, &matrix[first * rank..][..rank], to, first);
    }
}

#[inline(always)]
fn turn_past<V: Vector<Real = f32>, const R: usize, const C: usize>(
    from: &[f32],
    rank: usize,
    slab: &[Lanes<f32>],
    to: &mut [Lanes<f32>],
    first: usize,
) {
    let panels = panels(rank);
    let (mut from, mut to) = (from.chunks_exact(R * rank), to.chunks_exact_mut(R * panels));
    for (from, to) in (&mut from).zip(&mut to) {
        chains::<V, R, C>(from, slab, to, first);
    }
    let rest = from.remainder().chunks_exact(rank);
    for (from, to) in rest.zip(to.into_remainder().chunks_exact_mut(panels)) {
        chains::<V, 1, C>(from, slab, to, first);
    }
}

#[inline(always)]
fn chains<V: Vector<Real = f32>, const R: usize, const C: usize>(
    from: &[f32],
    slab: &[Lanes<f32>],
    to: &mut [Lanes<f32>],
    first: usize,
) {
    let (rank, panels) = (from.len() / R, to.len() / R);
    let mut held = [[V::zero(); C]; R];
    for (k, row) in slab.chunks_exact(C).enumerate() {
        for c in 0..C {
            let y = V::load(&row[c]);
            for r in 0..R {
                held[r][c] = held[r][c].fma(V::splat(from[r * rank + k]), y);
            }
        }
    }
    for r in 0..R {
        for c in 0..C {
            held[r][c].store(&mut to[r * panels + first + c]);
        }
    }
}
