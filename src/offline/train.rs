//! From live events to a model.
//!
//! Only item factors are kept. Training ends with a half-step over the members against the final items, so folding
//! a member's events in later gives the very factor that training ended with.

use std::ops::ControlFlow;

use nearline_dataflows::transform::Transform;
use nearline_factors::{
    Factors, Iteration, Matrix, MatrixError, Progress as Step, Regularisation, RegularisationError, Solve,
    TrainOptions, Trained,
};

use super::dataset::Dataset;
use super::live::LiveSet;
use super::model::Model;
use super::training::Training;
use crate::config::{self, KeyError, KindTable, Train};

/// One iteration is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// How many are done, from 1.
    pub iteration: usize,
    /// How many there will be.
    pub of: usize,
    /// The loss now (DESIGN.md section 5).
    pub loss: f64,
}

/// Why no model could be trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// An option that cannot be.
    #[error("cannot train: {0}")]
    Options(#[from] KeyError),
    /// Nothing to learn from.
    #[error(
        "cannot train: of {events} live events none gives a member a signal for an item; give logs with events of a \
         kind that has a weight, and see `[kinds]` of `nearline config`"
    )]
    NoSignal {
        /// How many events there were.
        events: u64,
    },
    /// A number that holds factors back is out of its range.
    #[error("cannot train: {0}")]
    Regularisation(#[from] RegularisationError),
    /// The numeric core says no.
    #[error("cannot train: {0}")]
    Core(#[from] nearline_factors::TrainError),
    /// The pairs are not sound, which they are by construction.
    #[error("cannot train: {0}; this is a fault of Nearline, please report it")]
    Matrix(#[from] MatrixError),
    /// Regularisation left nothing.
    #[error(
        "cannot train: with lambda {lambda} and nu {nu} every factor shrinks to nothing, and all lists would be alike; \
         give a smaller `lambda`"
    )]
    Vanished {
        /// The strength of regularisation.
        lambda: f32,
        /// Its power of the number of pairs.
        nu: f32,
    },
    /// Factors that are no numbers.
    #[error("cannot train: {0}; a greater `lambda` keeps factors small")]
    Diverged(String),
}

/// Item factors of numbers smaller than this throughout hold nothing: the first ones are about 0.1 / √rank.
const VANISHED: f32 = 1e-4;

/// Trains a model on all live events. `progress` is told of each iteration.
pub fn train(
    live: &LiveSet,
    table: &KindTable,
    options: &Train,
    progress: &mut dyn FnMut(Progress),
) -> Result<Model, TrainError> {
    let data = Dataset::new(live, &table.kinds, transform(options.transform), |_, _| true);
    Ok(train_on(live, &data, table, options, progress)?.0)
}

/// Trains on a data set, and returns the factors of its members too.
pub fn train_on(
    live: &LiveSet,
    data: &Dataset,
    table: &KindTable,
    options: &Train,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Model, Trained), TrainError> {
    let training = Training::new(live, data, table, options)?;
    let mut tell = |step: &Step| {
        if let Step::Iteration(Iteration { iteration, loss }) = *step {
            progress(Progress { iteration, of: options.iterations, loss });
        }
        ControlFlow::Continue(())
    };
    let mut trainer = training.begin()?;
    while trainer.iteration() < options.iterations {
        trainer.step(&mut tell)?;
    }
    let trained = trainer.finish(&mut tell)?;
    Ok((training.model(&trained.items, trained.losses.last().copied())?, trained))
}

/// Trains on pairs as they stand, by the numbers of their members and items.
pub fn train_factors(
    matrix: &Matrix,
    options: &Train,
    progress: &mut dyn FnMut(Progress),
) -> Result<Trained, TrainError> {
    let how = how(options)?;
    let mut tell = |step: &Step| {
        if let Step::Iteration(Iteration { iteration, loss }) = *step {
            progress(Progress { iteration, of: how.iterations, loss });
        }
        ControlFlow::Continue(())
    };
    let trained = nearline_factors::train(matrix, &how, &mut tell)?;
    vanished(&trained.items, options)?;
    Ok(trained)
}

/// The options as the numeric core takes them, on all cores.
pub(super) fn how(options: &Train) -> Result<TrainOptions, TrainError> {
    options.check()?;
    let Train { rank, iterations, alpha0, lambda, nu, seed, .. } = *options;
    let regularisation = Regularisation::new(alpha0, lambda, nu)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(TrainOptions { rank, iterations, regularisation, seed, threads, solve: Solve::default() })
}

/// Refuses item factors that hold nothing.
pub(super) fn vanished(items: &Factors, options: &Train) -> Result<(), TrainError> {
    let Train { lambda, nu, .. } = *options;
    if items.as_slice().iter().all(|number| number.abs() < VANISHED) {
        return Err(TrainError::Vanished { lambda, nu });
    }
    Ok(())
}

/// The transform that a config names.
pub fn transform(written: config::Transform) -> Transform {
    match written {
        config::Transform::Linear => Transform::Linear,
        config::Transform::Log1p => Transform::Log1p,
        config::Transform::Cap(at) => Transform::Cap { at },
    }
}

/// The time, to the second: RFC 3339 in UTC.
pub(super) fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

#[cfg(test)]
#[path = "train_tests.rs"]
mod tests;
