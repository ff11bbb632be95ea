//! How good the lists are: part of the log trains a model, the rest says what should have been listed.
//!
//! Six protocols: `time`, `members` and `prequential` are of our own logs, `lightgcn` and `ncf` of files as the papers
//! publish them, and `strong` of either. docs/evaluation.md says what each measures and what counts as found;
//! `metrics` defines every measure and says where it comes from. The lists are made by the same functions that the
//! graph uses.

pub(super) mod alike;
mod comparison;
mod fitted;
mod formats;
mod left_one_out;
pub(super) mod lists;
pub(super) mod members;
pub mod metrics;
pub(super) mod moments;
mod prequential;
mod published;
mod report;
pub(super) mod spread;
mod strong_log;
mod table;
pub(super) mod tally;
pub(super) mod time;

use crate::config::{KindTable, Train};

pub use alike::Shared;
pub use comparison::{Cases, Comparison, Figure};
pub use formats::InputError;
pub use left_one_out::evaluate_ncf;
pub use prequential::{
    Figures, Prequential, PrequentialGroup, PrequentialOptions, PrequentialRow, Rates, Walked, Window,
    evaluate_prequential,
};
pub use published::{evaluate_lightgcn, evaluate_strong};
pub use report::{Columns, Group, Report, Row, Tested, Trained};
pub use strong_log::evaluate_strong_log;
pub use tally::{Estimate, Gain, Metrics};

use super::live::LiveSet;
use super::train::{Progress, TrainError};

/// How a log is divided into one part that trains and one that tests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Protocol {
    /// What happened before a moment trains; what happened from it on tests.
    Time(Split),
    /// Most members train; the others test: four fifths of each one's items are folded in, a fifth is to be found.
    Members {
        /// Which members are held out, and which of their items: the same seed, the same choice.
        seed: u64,
    },
}

/// Which held-out members of a published split are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// Those that settings are chosen by.
    Validation,
    /// Those that are reported.
    #[default]
    Test,
}

/// The moment that divides the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Split {
    /// The time of the event that has this part of all events before it, from 0 to 1.
    Quantile(f64),
    /// So many milliseconds since 1970.
    At(i64),
}

impl Default for Split {
    fn default() -> Self {
        Split::Quantile(0.8)
    }
}

impl Default for Protocol {
    fn default() -> Self {
        Protocol::Time(Split::default())
    }
}

/// What is to be evaluated, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluateOptions {
    /// How the log is divided.
    pub protocol: Protocol,
    /// How the model is trained.
    pub train: Train,
}

/// How far an evaluation has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    /// The model is being trained.
    Training(Progress),
    /// So many members of the test were looked at, or events of a walk.
    Testing {
        /// So many are done.
        done: usize,
        /// Of so many.
        of: usize,
    },
}

/// Why nothing can be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// No model.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A file that cannot be used.
    #[error("cannot evaluate: {0}")]
    Input(#[from] InputError),
    /// Nothing to find.
    #[error("cannot evaluate: {0}")]
    NothingToFind(String),
    /// A split that cannot be.
    #[error("cannot evaluate: the split must be a part from 0 to 1, such as 0.8, and is {0}")]
    Split(f64),
}

/// Trains on one part of what is live and looks for the other part in the lists.
pub fn evaluate(
    live: &LiveSet,
    table: &KindTable,
    options: &EvaluateOptions,
    progress: &mut dyn FnMut(Stage),
) -> Result<Report, EvaluateError> {
    match options.protocol {
        Protocol::Time(split) => time::evaluate(live, table, split, &options.train, progress),
        Protocol::Members { seed } => members::evaluate(live, table, seed, &options.train, progress),
    }
}

#[cfg(test)]
mod published_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial_tests;
