//! One row from its pairs: the normal equations and their solution.
//!
//! `(base + Σ a y yᵀ + ridge I) x = Σ b y`, sums over pairs in order. The same function solves members in
//! fold-in and members and items in training.

use crate::factors::Pair;
use crate::kernels::{ROWS, add_outer, add_scaled, cholesky, stride};
use crate::level::Level;

/// Memory that solving uses again and again.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    matrix: Vec<f32>,
    right: Vec<f32>,
    rows: Vec<f32>,
    scaled: Vec<f32>,
}

/// Rows padded to whole registers.
#[derive(Clone, Debug)]
pub(crate) struct Padded {
    pub(crate) rank: usize,
    pub(crate) stride: usize,
    data: Vec<f32>,
}

impl Padded {
    pub(crate) fn new(rank: usize, rows: &[f32]) -> Self {
        let stride = stride(rank);
        let mut data = vec![0.0; rows.len() / rank * stride];
        for (padded, row) in data.chunks_exact_mut(stride).zip(rows.chunks_exact(rank)) {
            padded[..rank].copy_from_slice(row);
        }
        Padded { rank, stride, data }
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.stride..(row + 1) * self.stride]
    }
}

/// How many rows are summed up before they are added to the Gram matrix; fixed, so that the sum is.
const GRAM_BLOCK: usize = 256;

/// Yᵀ Y of padded rows: upper triangle, padded. Blocks of rows are summed in order and added in order.
pub(crate) fn gram(level: Level, rows: &Padded) -> Vec<f32> {
    let size = rows.stride * rows.stride;
    let mut total = vec![0.0_f32; size];
    let mut block = vec![0.0_f32; size];
    for of_block in rows.data.chunks(GRAM_BLOCK * rows.stride) {
        block.fill(0.0);
        for few in of_block.chunks(ROWS * rows.stride) {
            add_outer(level, &mut block, few, few, rows.stride);
        }
        total.iter_mut().zip(&block).for_each(|(total, block)| *total += block);
    }
    total
}

/// Solves one row. `base` is α₀ times the Gram matrix of `others`. `pairs` are sorted by index.
pub(crate) fn solve(
    level: Level,
    base: &[f32],
    others: &Padded,
    pairs: &[Pair],
    ridge: f32,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    sum_up(level, base, others, pairs, ridge, scratch);
    let stride = others.stride;
    if cholesky(level, &mut scratch.matrix, &mut scratch.right, others.rank, stride)
        && scratch.right[..others.rank].iter().all(|number| number.is_finite())
    {
        out.copy_from_slice(&scratch.right[..others.rank]);
        return;
    }
    // Single precision does not do: the ridge is tiny beside the matrix. The same sums, solved in double.
    sum_up(level, base, others, pairs, ridge, scratch);
    solve_double(&scratch.matrix, &scratch.right, others.rank, stride, f64::from(ridge), out);
}

fn sum_up(level: Level, base: &[f32], others: &Padded, pairs: &[Pair], ridge: f32, scratch: &mut Scratch) {
    let stride = others.stride;
    scratch.matrix.clear();
    scratch.matrix.extend_from_slice(base);
    scratch.right.clear();
    scratch.right.resize(stride, 0.0);
    for few in pairs.chunks(ROWS) {
        scratch.rows.clear();
        scratch.scaled.clear();
        for pair in few {
            let row = others.row(pair.item as usize);
            scratch.rows.extend_from_slice(row);
            scratch.scaled.extend(row.iter().map(|number| pair.a * number));
            add_scaled(level, &mut scratch.right, row, pair.b);
        }
        add_outer(level, &mut scratch.matrix, &scratch.rows, &scratch.scaled, stride);
    }
    for k in 0..others.rank {
        scratch.matrix[k * stride + k] += ridge;
    }
}

/// Cholesky's method in double precision; zeros where even that finds no solution.
fn solve_double(matrix: &[f32], right: &[f32], rank: usize, stride: usize, ridge: f64, out: &mut [f32]) {
    let mut upper: Vec<f64> =
        (0..rank * rank).map(|at| f64::from(matrix[at / rank * stride + at % rank])).collect();
    let mut x: Vec<f64> = right[..rank].iter().map(|number| f64::from(*number)).collect();
    let largest = (0..rank).map(|k| upper[k * rank + k]).fold(0.0, f64::max);
    // What single precision lost of the sums may leave them indefinite by a few roundings of the largest pivot.
    let lost = if largest.is_finite() { largest * 1e-6 + ridge } else { ridge };
    for k in 0..rank {
        upper[k * rank + k] += lost;
    }
    for k in 0..rank {
        let pivot = upper[k * rank + k];
        if !(pivot > 0.0 && pivot.is_finite()) {
            out.fill(0.0);
            return;
        }
        let root = pivot.sqrt();
        (k..rank).for_each(|j| upper[k * rank + j] /= root);
        for i in k + 1..rank {
            let factor = upper[k * rank + i];
            (i..rank).for_each(|j| upper[i * rank + j] -= factor * upper[k * rank + j]);
        }
        x[k] /= root;
        (k + 1..rank).for_each(|j| x[j] -= x[k] * upper[k * rank + j]);
    }
    for k in (0..rank).rev() {
        let known: f64 = (k + 1..rank).map(|j| upper[k * rank + j] * x[j]).sum();
        x[k] = (x[k] - known) / upper[k * rank + k];
    }
    let finite = x.iter().all(|number| (*number as f32).is_finite());
    out.iter_mut().zip(&x).for_each(|(out, x)| *out = if finite { *x as f32 } else { 0.0 });
}
