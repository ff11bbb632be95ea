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
    let state = || (Scratch::new(), Vec::new());
    let work = |(scratch, pairs): &mut (Scratch, Vec<Pair>), block: usize, factors: &mut [f32]| {
        for (i, factor) in factors.chunks_exact_mut(rank).enumerate() {
            pairs.clear();
            let row = matrix.row(block * BLOCK + i);
            pairs.extend(row.iter().map(|&(item, weight)| Pair::from_signed(item, weight)));
            side.factor(others, pairs, scratch, factor);
        }
    };
    let mut watch = |blocks: usize| tell((blocks * BLOCK).min(total), total);
    match for_blocks(threads, (out.as_mut_slice(), BLOCK * rank), state, work, &mut watch) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(TrainError::Stopped),
    }
}
