//! Training from beginning to end. It reads no clock and keeps no time; who wants a bar or a deadline watches the
//! progress it tells, and who wants to save, measure or stop in between steps a [`Trainer`].

use std::ops::ControlFlow;

use crate::factors::Factors;
use crate::level::Level;
use crate::matrix::Matrix;
use crate::progress::{Progress, TrainError};
use crate::regularisation::Regularisation;
use crate::trainer::Trainer;

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
    /// How each half-step but the last solves its rows.
    pub solve: Solve,
}

/// How a half-step of training solves its rows. Either way what training ends with is the exact solve, and the loss falls
/// alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Solve {
    /// Exactly up to rank 32; above it by conjugate gradients from the row's last factor, until little
    /// is left. Rows that these do not serve are solved exactly.
    #[default]
    Quickest,
    /// Exactly, at every rank.
    Exact,
}

/// What training made.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Member factors, solved against `items`: what fold-in gives for each row, to the bit.
    pub members: Factors,
    /// Item factors.
    pub items: Factors,
    /// The [`loss`](crate::loss) after each iteration, from where the [`Trainer`] began. The last member half-step
    /// lowers it a little further.
    pub losses: Vec<f64>,
}

/// Lowers the [`loss`](crate::loss) by alternating least squares (Hu, Koren, Volinsky 2008, section 4; ridge as
/// in [`Regularisation`]): a [`Trainer`] stepped `options.iterations` times and finished. `progress` is called on
/// this thread and may break off.
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
    let mut trainer = Trainer::with_level(matrix, options, level)?;
    while trainer.iteration() < options.iterations {
        trainer.step(progress)?;
    }
    trainer.finish(progress)
}
