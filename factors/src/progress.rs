//! What training tells while it works, and how it fails. Words only.

use std::fmt;

use crate::regularisation::RegularisationError;

/// Which factors a half-step solves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Members, against the items as they are.
    Members,
    /// Items, against the members as they are.
    Items,
    /// Members once more, against the final items.
    LastMembers,
}

/// The end of an iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iteration {
    /// Counted from 1.
    pub iteration: usize,
    /// The [`loss`](crate::loss) after it.
    pub loss: f64,
}

/// What training has just done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// Some rows of a half-step; told often.
    Rows {
        /// The iteration, counted from 1; in the last half-step, the number of iterations.
        iteration: usize,
        /// The half-step.
        step: Step,
        /// Rows solved so far.
        done: usize,
        /// Rows in all.
        total: usize,
    },
    /// A whole iteration.
    Iteration(Iteration),
}

/// Why training gave nothing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TrainError {
    /// The named option is 0.
    Zero(&'static str),
    /// A number is out of its range.
    Regularisation(RegularisationError),
    /// The matrix has no weights.
    NoPairs,
    /// The progress function broke off.
    Stopped,
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero(option) => write!(f, "training with {option} = 0: it must be 1 or more"),
            Self::Regularisation(error) => write!(f, "training: {error}"),
            Self::NoPairs => write!(f, "training on no signals at all: check kinds and weights"),
            Self::Stopped => write!(f, "training was stopped"),
        }
    }
}

impl std::error::Error for TrainError {}
