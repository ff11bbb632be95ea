//! Half an iteration: every row of one side solved against the other side's factors. The same solve as fold-in;
//! only the sharing out among threads is added here.

use std::ops::ControlFlow;

use crate::factors::Factors;
use crate::matrix::Matrix;
use crate::pair::Pair;
use crate::parallel::for_blocks;
use crate::progress::{Progress, Step, TrainError};
use crate::side::{Scratch, Side};

/// Rows that a thread takes at a time.
const BLOCK: usize = 32;

/// A row of more pairs is shared out itself, before all others, so that no thread is left with it at the end.
const LARGE: usize = 4 * crate::primal::BLOCK;

/// Turns (done, total) into progress of one half-step.
pub(crate) fn teller(
    progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    iteration: usize,
    step: Step,
) -> impl FnMut(usize, usize) -> ControlFlow<()> {
    move |done, total| progress(&Progress::Rows { iteration, step, done, total })
}

/// Solves every row of `matrix` against the factors of the other side.
pub(crate) fn half_step(
    matrix: &Matrix,
    (others, side): (&Factors, &Side),
    out: &mut Factors,
    threads: usize,
    tell: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<(), TrainError> {
    let (rank, total) = (others.rank(), matrix.members());
    for row in (0..total).filter(|&row| matrix.row(row).len() > LARGE) {
        let pairs: Vec<Pair> = matrix.row(row).iter().map(|&entry| matrix.pair(entry)).collect();
        let factor = &mut out.as_mut_slice()[row * rank..][..rank];
        side.factor_of_many(others, &pairs, threads, factor);
        if tell(0, total).is_break() {
            return Err(TrainError::Stopped);
        }
    }
    let state = || (Scratch::new(), Vec::new());
    let work = |(scratch, pairs): &mut (Scratch, Vec<Pair>), block: usize, factors: &mut [f32]| {
        pairs.clear();
        let rows = block * BLOCK..block * BLOCK + factors.len() / rank;
        pairs.extend(rows.clone().flat_map(|row| matrix.row(row)).map(|&entry| matrix.pair(entry)));
        let mut rest = &pairs[..];
        for (row, factor) in rows.zip(factors.chunks_exact_mut(rank)) {
            let own;
            (own, rest) = rest.split_at(matrix.row(row).len());
            if own.len() > LARGE {
                continue;
            }
            side.factor(others, (own, &rest[..rest.len().min(rank)]), scratch, factor);
        }
    };
    let mut watch = |blocks: usize| tell((blocks * BLOCK).min(total), total);
    match for_blocks(threads, (out.as_mut_slice(), BLOCK * rank), state, work, &mut watch) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(TrainError::Stopped),
    }
}
