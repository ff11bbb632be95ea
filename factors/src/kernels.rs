//! The inner loops, each written once and compiled for every level (see `level.rs`).

use crate::level::kernel;

/// Floats of two AVX-512 registers. Rows inside the core are padded to a multiple of it.
pub(crate) const LANES: usize = 32;
/// Floats of one AVX-512 register.
const REGISTER: usize = 16;
/// Items of one tile: two registers wide.
pub(crate) const TILE: usize = 32;
/// Members that are scored against a tile at once.
pub(crate) const MEMBERS: usize = 4;

/// The padded length of a row.
pub(crate) fn stride(rank: usize) -> usize {
    rank.next_multiple_of(LANES)
}

/// Lines of the matrix that are kept in registers at once.
const LINES: usize = 4;
/// Rows that are added to the matrix in one go: few enough for the first-level cache.
pub(crate) const ROWS: usize = 64;

kernel! {
    /// Adds `scaled_p rows_pᵀ` of all rows p, in order, to the upper triangle of `matrix`, stride by stride. `rows`
    /// and `scaled` hold padded rows one after the other; `scaled_p` is row p times its weight.
    ///
    /// Each element is one chain of fused multiply-adds in the order of the rows, so neither tiles nor groups of
    /// rows matter. What lies left of the diagonal within a tile is filled as well and never read.
    add_outer = add_outer_body, (matrix: &mut [f32], rows: &[f32], scaled: &[f32], stride: usize)
}

#[inline(always)]
fn add_outer_body(matrix: &mut [f32], rows: &[f32], scaled: &[f32], stride: usize) {
    let (across, down) = (stride / LANES, stride / LINES);
    let matrix = matrix.as_chunks_mut::<LANES>().0;
    let rows = rows.as_chunks::<LANES>().0;
    let scaled = scaled.as_chunks::<LINES>().0;
    for i in 0..down {
        for j in i * LINES / LANES..across {
            let mut sums = [[0.0_f32; LANES]; LINES];
            for line in 0..LINES {
                sums[line] = matrix[(i * LINES + line) * across + j];
            }
            for (row, scaled) in rows.chunks_exact(across).zip(scaled.chunks_exact(down)) {
                let (row, scaled) = (&row[j], &scaled[i]);
                for (sums, scaled) in sums.iter_mut().zip(scaled) {
                    let scaled = *scaled;
                    for lane in 0..LANES {
                        sums[lane] = scaled.mul_add(row[lane], sums[lane]);
                    }
                }
            }
            for line in 0..LINES {
                matrix[(i * LINES + line) * across + j] = sums[line];
            }
        }
    }
}

/// `out += scale · row`, fused.
#[inline(always)]
fn axpy(scale: f32, row: &[f32], out: &mut [f32]) {
    for (out, row) in out.as_chunks_mut::<REGISTER>().0.iter_mut().zip(row.as_chunks::<REGISTER>().0) {
        for lane in 0..REGISTER {
            out[lane] = scale.mul_add(row[lane], out[lane]);
        }
    }
}

kernel! {
    /// Adds `weight · row` to `sum`.
    add_scaled = add_scaled_body, (sum: &mut [f32], row: &[f32], weight: f32)
}

#[inline(always)]
fn add_scaled_body(sum: &mut [f32], row: &[f32], weight: f32) {
    axpy(weight, row, sum);
}

kernel! {
    /// Solves `matrix x = right` for a symmetric positive definite matrix by Cholesky's method, in place: the upper
    /// triangle becomes U with UᵀU = matrix, `right` becomes x. Says whether every pivot was above zero.
    cholesky = cholesky_body, (matrix: &mut [f32], right: &mut [f32], rank: usize, stride: usize) -> bool
}

#[inline(always)]
fn cholesky_body(matrix: &mut [f32], right: &mut [f32], rank: usize, stride: usize) -> bool {
    for k in 0..rank {
        let pivot = matrix[k * stride + k];
        if !(pivot > 0.0 && pivot.is_finite()) {
            return false;
        }
        let root = pivot.sqrt();
        let (upper, lower) = matrix.split_at_mut((k + 1) * stride);
        let line = &mut upper[k * stride..];
        for number in &mut line[k / REGISTER * REGISTER..] {
            *number /= root;
        }
        for (row, below) in lower.chunks_exact_mut(stride).take(rank - k - 1).enumerate() {
            let i = k + 1 + row;
            let first = i / REGISTER * REGISTER;
            axpy(-line[i], &line[first..], &mut below[first..]);
        }
        // Forward substitution, along the way: what comes before k in the register is not read again.
        let solved = right[k] / line[k];
        let first = (k + 1) / REGISTER * REGISTER;
        for j in first..stride {
            let update = (-solved).mul_add(line[j], right[j]);
            right[j] = if j > k { update } else { right[j] };
        }
        right[k] = solved;
    }
    for k in (0..rank).rev() {
        let line = &matrix[k * stride..k * stride + rank];
        let mut sum = right[k];
        for j in k + 1..rank {
            sum = (-line[j]).mul_add(right[j], sum);
        }
        right[k] = sum / line[k];
    }
    true
}

kernel! {
    /// The score of one factor and one item: a chain of fused multiply-adds over k.
    dot = dot_body, (member: &[f32], item: &[f32]) -> f32
}

#[inline(always)]
fn dot_body(member: &[f32], item: &[f32]) -> f32 {
    member.iter().zip(item).fold(0.0_f32, |sum, (x, y)| x.mul_add(*y, sum))
}

kernel! {
    /// The scores of four members against one tile of items; the same chain for each as [`dot`].
    score_tile = score_tile_body, (
        members: &[&[f32]; MEMBERS],
        tile: &[[f32; TILE]],
        scores: &mut [[f32; TILE]; MEMBERS],
    )
}

#[inline(always)]
fn score_tile_body(members: &[&[f32]; MEMBERS], tile: &[[f32; TILE]], scores: &mut [[f32; TILE]; MEMBERS]) {
    let rank = tile.len();
    let members = members.map(|member| &member[..rank]);
    let mut sums = [[0.0_f32; TILE]; MEMBERS];
    for k in 0..rank {
        let items = &tile[k];
        for (sums, member) in sums.iter_mut().zip(&members) {
            let x = member[k];
            for lane in 0..TILE {
                sums[lane] = x.mul_add(items[lane], sums[lane]);
            }
        }
    }
    *scores = sums;
}
