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

/// Rows that a thread turns at a time.
const AT_ONCE: usize = 1024;

/// Groups of a turned row that are held in registers together.
const TOGETHER: usize = 4;

pub(crate) struct Basis {
    pub(crate) rank: usize,
    pub(crate) panels: usize,
    /// The factors in this basis, `panels` groups each, zeros past the rank.
    rows: Vec<Lanes<f32>>,
    /// The eigenvalues of alpha0 YᵀY, the greatest first.
    pub(crate) values: Vec<f64>,
    /// From this basis back: row k is eigenvector k.
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
        let Spectrum { values, vectors } = Spectrum::of(rank, |i, j| gram.element(i, j));
        let values: Vec<f64> = values.iter().map(|x| f64::from(regularisation.alpha0) * x.max(0.0)).collect();
        let column = |j: usize| (0..rank).map(move |k| (k, j));
        let into: Vec<Lanes<f32>> =
            (0..rank).flat_map(|j| groups(column(j).map(|(k, j)| vectors[k * rank + j]))).collect();
        let back = vectors.chunks_exact(rank).flat_map(|vector| groups(vector.iter().copied())).collect();
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
                let from = &factors.as_slice()[number * AT_ONCE * rank..];
                for (to, from) in part.chunks_exact_mut(panels).zip(from.chunks_exact(rank)) {
                    turn(level, from, &into, to);
                }
            },
        );
        Basis { rank, panels, rows, values, back, scales }
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

    /// Writes what is `solution` in this basis into `out`, `rank` numbers.
    pub(crate) fn turn_back(
        &self,
        level: Level,
        solution: &[Lanes<f32>],
        turned: &mut [Lanes<f32>],
        out: &mut [f32],
    ) {
        turn_groups(level, solution, self.rank, &self.back, turned);
        for (to, from) in out.chunks_mut(LANES).zip(turned) {
            to.copy_from_slice(&from.0[..to.len()]);
        }
    }
}

/// Numbers in groups of sixteen, zeros after their end.
fn groups(numbers: impl Iterator<Item = f64>) -> Vec<Lanes<f32>> {
    let numbers: Vec<f32> = numbers.map(|x| x as f32).collect();
    numbers.chunks(LANES).map(Lanes::load).collect()
}

kernel! {
    /// `to = Σ from[k] matrix[k]`: every element is one chain over k.
    fn turn(from: &[f32], matrix: &[Lanes<f32>], to: &mut [Lanes<f32>]) = turn_body, turn_body, turn_body;
}

kernel! {
    /// [`turn`] of the first `rank` numbers of groups.
    fn turn_groups(from: &[Lanes<f32>], rank: usize, matrix: &[Lanes<f32>], to: &mut [Lanes<f32>])
        = turn_groups_body, turn_groups_body, turn_groups_body;
}

#[inline(always)]
fn turn_groups_body(from: &[Lanes<f32>], rank: usize, matrix: &[Lanes<f32>], to: &mut [Lanes<f32>]) {
    chains(from.iter().flat_map(|lanes| &lanes.0).take(rank), matrix, to);
}

#[inline(always)]
fn turn_body(from: &[f32], matrix: &[Lanes<f32>], to: &mut [Lanes<f32>]) {
    chains(from.iter(), matrix, to);
}

#[inline(always)]
fn chains<'a>(from: impl Iterator<Item = &'a f32> + Clone, matrix: &[Lanes<f32>], to: &mut [Lanes<f32>]) {
    let panels = to.len();
    let mut first = 0;
    while first + TOGETHER <= panels {
        let mut held = [Lanes::ZERO; TOGETHER];
        for (x, row) in from.clone().zip(matrix.chunks_exact(panels)) {
            for (c, lanes) in held.iter_mut().enumerate() {
                lanes.add_product(*x, &row[first + c]);
            }
        }
        to[first..first + TOGETHER].copy_from_slice(&held);
        first += TOGETHER;
    }
    for at in first..panels {
        let mut held = Lanes::ZERO;
        for (x, row) in from.clone().zip(matrix.chunks_exact(panels)) {
            held.add_product(*x, &row[at]);
        }
        to[at] = held;
    }
}
