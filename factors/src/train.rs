//! Training: alternating least squares over both sides. It reads no clock and keeps no time; who wants a bar or
//! a deadline watches the progress it tells.

use std::ops::ControlFlow;

use crate::factors::Factors;
use crate::half_step::{half_step, teller};
use crate::level::Level;
use crate::loss::Loss;
use crate::matrix::Matrix;
use crate::progress::{Iteration, Progress, Step, TrainError};
use crate::regularisation::Regularisation;
use crate::side::Side;
use crate::start::start;

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// Length of a factor, 1 or more.
    pub rank: usize,
    /// Passes over members and items, 1 or more.
    pub iterations: usize,
    /// What holds the factors back.
    pub regularisation: Regularisation,
    /// Where the first factors come from.
    pub seed: u64,
    /// Threads to work on, 1 or more; the result does not depend on it.
    pub threads: usize,
}

/// What training made.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Member factors, solved against `items`: what fold-in gives for each row, to the bit.
    pub members: Factors,
    /// Item factors.
    pub items: Factors,
    /// The [`loss`](crate::loss) after each iteration. The last member half-step lowers it a little further.
    pub losses: Vec<f64>,
}

/// Lowers the [`loss`](crate::loss) by alternating least squares (Hu, Koren, Volinsky 2008, section 4; ridge as
/// in [`Regularisation`]). Item factors start as small normal numbers; each iteration solves all members, then
/// all items; at the end members are solved once more against the final items. `progress` is called on this
/// thread and may break off.
///
/// # Errors
///
/// Where an option is out of its range, there is nothing to learn from, or `progress` broke off.
pub fn train(
    matrix: &Matrix,
    options: &TrainOptions,
    progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    train_with_level(matrix, options, progress, Level::best())
}

/// [`train`] with a forced instruction set, for tests that compare them.
#[doc(hidden)]
pub fn train_with_level(
    matrix: &Matrix,
    options: &TrainOptions,
    progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    level: Level,
) -> Result<Trained, TrainError> {
    let regularisation = checked(matrix, options)?;
    let (rank, threads) = (options.rank, options.threads);
    let by_item = matrix.transpose();
    let columns: Vec<usize> = (0..by_item.members()).map(|item| by_item.row(item).len()).collect();
    let loss = Loss { matrix, columns: &columns, threads };
    let side = |factors: &Factors| Side::new(level, factors, regularisation, threads);

    let mut items = start(options.seed, matrix.items(), rank);
    let mut members = Factors::zeros(rank, matrix.members());
    let mut item_side = side(&items);
    let mut losses = Vec::with_capacity(options.iterations);
    for iteration in 1..=options.iterations {
        half_step(
            matrix,
            (&items, &item_side),
            &mut members,
            threads,
            &mut teller(progress, iteration, Step::Members),
        )?;
        let member_side = side(&members);
        half_step(
            &by_item,
            (&members, &member_side),
            &mut items,
            threads,
            &mut teller(progress, iteration, Step::Items),
        )?;
        item_side = side(&items);
        let loss = loss.of((&members, &member_side), (&items, &item_side));
        losses.push(loss);
        if progress(&Progress::Iteration(Iteration { iteration, loss })).is_break() {
            return Err(TrainError::Stopped);
        }
    }
    half_step(
        matrix,
        (&items, &item_side),
        &mut members,
        threads,
        &mut teller(progress, options.iterations, Step::LastMembers),
    )?;
    Ok(Trained { members, items, losses })
}

fn checked(matrix: &Matrix, options: &TrainOptions) -> Result<Regularisation, TrainError> {
    for (option, value) in
        [("rank", options.rank), ("iterations", options.iterations), ("threads", options.threads)]
    {
        if value == 0 {
            return Err(TrainError::Zero(option));
        }
    }
    if matrix.nnz() == 0 {
        return Err(TrainError::NoPairs);
    }
    options.regularisation.checked().map_err(TrainError::Regularisation)
}
