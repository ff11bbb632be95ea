//! How good the lists are: part of the log trains a model, the rest says what should have been listed.
//!
//! Two protocols, `time` and `members`; docs/evaluation.md says what each measures, what counts as found, and
//! where the measures come from. The lists are made by the same functions that the graph uses.

pub(super) mod lists;
pub(super) mod members;
pub mod metrics;
pub(super) mod moments;
mod report;
pub(super) mod spread;
mod table;
pub(super) mod time;

use crate::config::{KindTable, Train};

pub use metrics::{Gain, Metrics};
pub use report::{Columns, Group, Report, Row, Tested, Trained};

use super::live::LiveSet;
use super::train::{Progress, TrainError};

/// How the log is divided.
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

/// The moment that divides the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Split {
    /// The time of the event that has this part of all events before it, from 0 to 1.
    Quantile(f64),
    /// So many milliseconds since 1970.
    At(i64),
}

impl Default for Protocol {
    fn default() -> Self {
        Protocol::Time(Split::Quantile(0.8))
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
    /// So many members of the test were looked at.
    Testing {
        /// Members done.
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
mod tests;
#[cfg(test)]
mod trial_tests;
