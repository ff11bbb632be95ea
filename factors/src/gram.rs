//! The Gram matrix of a table of factors, YᵀY: what all pairs, seen or not, have in common. In f64, since it is
//! made once per table and stands in every solve.

use crate::ahead::Ahead;
use crate::factors::Factors;
use crate::lanes::{LANES, Lanes};
use crate::level::Level;
use crate::parallel::for_each;
use crate::triangle::{Triangle, add_rows};

/// Rows that are summed together, in order. Part of the meaning of the sum, not a knob.
const BLOCK: usize = 256;

/// Blocks that are held at once, to bound memory; they are added in order either way.
const HELD: usize = 64;

/// The sum of `y yᵀ` over all rows; the same for every number of threads.
pub(crate) fn gram(level: Level, factors: &Factors, threads: usize) -> Triangle<f64> {
    let mut total = Triangle::new(factors.rank());
    let blocks = factors.rows().div_ceil(BLOCK);
    let mut sums = vec![Triangle::new(factors.rank()); blocks.min(HELD)];
    for first in (0..blocks).step_by(HELD) {
        let held = &mut sums[..(blocks - first).min(HELD)];
        for_each(threads, held, Vec::new, |rows, number, sum| {
            sum_block(level, factors, first + number, rows, sum);
        });
        held.iter().for_each(|sum| total.add(sum));
    }
    total
}

/// The sum over one block of rows.
fn sum_block(
    level: Level,
    factors: &Factors,
    block: usize,
    rows: &mut Vec<Lanes<f64>>,
    sum: &mut Triangle<f64>,
) {
    let rank = factors.rank();
    let numbers = factors.as_slice().chunks_exact(rank).skip(block * BLOCK).take(BLOCK);
    sum.reset(rank);
    rows.clear();
    rows.extend(numbers.flat_map(|row| row.chunks(LANES).map(Lanes::load)));
    add_rows(level, sum, rows, &Ahead::NONE);
}
