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

/// What a thread keeps from block to block, to spare allocations.
#[derive(Default)]
struct State {
    scratch: Scratch,
    pairs: Vec<Pair>,
    lengths: Vec<usize>,
    near: Vec<bool>,
}

/// Brings every row of `matrix` to what the other side's factors make of it, or near it where `descend` says so.
pub(crate) fn half_step(
    matrix: &Matrix,
    (others, side): (&Factors, &Side),
    out: &mut Factors,
    (threads, descend): (usize, bool),
    tell: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<(), TrainError> {
    let (rank, total) = (others.rank(), matrix.members());
    let mut large = Vec::new();
    for row in (0..total).filter(|&row| matrix.row(row).len() > LARGE) {
        let pairs: Vec<Pair> = matrix.row(row).iter().map(|&entry| matrix.pair(entry)).collect();
        let mut factor = vec![0.0; rank];
        side.factor_of_many(others, &pairs, threads, &mut factor);
        large.push((row, factor));
        if tell(0, total).is_break() {
            return Err(TrainError::Stopped);
        }
    }
    let work = |state: &mut State, block: usize, factors: &mut [f32]| {
        let State { scratch, pairs, lengths, near } = state;
        let rows = block * BLOCK..block * BLOCK + factors.len() / rank;
        pairs.clear();
        pairs.extend(rows.clone().flat_map(|row| matrix.row(row)).map(|&entry| matrix.pair(entry)));
        lengths.clear();
        lengths.extend(rows.map(|row| matrix.row(row).len()));
        if descend {
            side.improve(others, (pairs, lengths), scratch, near, factors);
        } else {
            near.clear();
            near.resize(lengths.len(), false);
        }
        let mut rest = &pairs[..];
        for ((&length, &near), factor) in lengths.iter().zip(&*near).zip(factors.chunks_exact_mut(rank)) {
            let own;
            (own, rest) = rest.split_at(length);
            if !near && length <= LARGE {
                side.factor(others, (own, &rest[..rest.len().min(rank)]), scratch, factor);
            }
        }
    };
    let mut watch = |blocks: usize| tell((blocks * BLOCK).min(total), total);
    let slice = (out.as_mut_slice(), BLOCK * rank);
    if for_blocks(threads, slice, State::default, work, &mut watch).is_break() {
        return Err(TrainError::Stopped);
    }
    for (row, factor) in large {
        out.as_mut_slice()[row * rank..][..rank].copy_from_slice(&factor);
    }
    Ok(())
}
