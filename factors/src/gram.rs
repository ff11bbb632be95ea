//! The Gram matrix of a table of factors, YᵀY: what all pairs, seen or not, have in common. In f64, since it is
//! made once per table and stands in every solve.

use crate::factors::Factors;
use crate::lanes::{LANES, Lanes, panels};
use crate::level::Level;
use crate::pair::Pair;
use crate::parallel::for_each;
use crate::system::System;

/// Rows that are summed together, in order. Part of the meaning of the sum, not a knob.
const BLOCK: usize = 256;

/// Blocks that are held at once, to bound memory; they are added in order either way.
const HELD: usize = 64;

/// The sum of `y yᵀ` over all rows, laid out as [`System::matrix`]; the same for every number of threads.
pub(crate) fn gram(level: Level, factors: &Factors, threads: usize) -> Vec<Lanes<f64>> {
    let panels = panels(factors.rank());
    let mut total = vec![Lanes::ZERO; panels * LANES * panels];
    let blocks = factors.rows().div_ceil(BLOCK);
    let mut sums = vec![Vec::new(); blocks.min(HELD)];
    for first in (0..blocks).step_by(HELD) {
        let held = &mut sums[..(blocks - first).min(HELD)];
        for_each(
            threads,
            held,
            || System::new(factors.rank()),
            |system, number, sum| sum_block(level, factors, first + number, system, sum),
        );
        for sum in held {
            for (to, from) in total.iter_mut().zip(sum.iter()) {
                to.add_product(1.0, from);
            }
        }
    }
    total
}

/// The sum over one block of rows, each a pair of weight 1.
fn sum_block(
    level: Level,
    factors: &Factors,
    block: usize,
    system: &mut System<f64>,
    sum: &mut Vec<Lanes<f64>>,
) {
    let rows = block * BLOCK..((block + 1) * BLOCK).min(factors.rows());
    let pairs: Vec<Pair> = rows.map(|row| Pair { item: row as u32, a: 1.0, b: 0.0 }).collect();
    system.matrix.fill(Lanes::ZERO);
    system.add_pairs(level, factors.as_slice(), &pairs);
    sum.clone_from(&system.matrix);
}
