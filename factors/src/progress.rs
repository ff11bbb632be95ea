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
        /// The iteration, counted from 1; in the last half-step, how many are done.
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
    /// A state to go on from has had more iterations than there are to be.
    TooFar {
        /// Those it has had.
        iteration: usize,
        /// Those there are to be.
        iterations: usize,
    },
    /// A state to go on from has factors of another shape.
    Shape {
        /// Whose factors: `member` or `item`.
        side: &'static str,
        /// Their rows and rank.
        got: (usize, usize),
        /// The rows of the matrix and the rank of the options.
        wanted: (usize, usize),
    },
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero(option) => write!(f, "training with {option} = 0: it must be 1 or more"),
            Self::Regularisation(error) => write!(f, "training: {error}"),
            Self::NoPairs => write!(f, "training on no signals at all: check kinds and weights"),
            Self::Stopped => write!(f, "training was stopped"),
            Self::TooFar { iteration, iterations } => write!(
                f,
                "going on from iteration {iteration} of {iterations}: give at least {iteration} iterations, or begin anew"
            ),
            Self::Shape { side, got, wanted } => write!(
                f,
                "going on from {} {side} factors of rank {}, and there should be {} of rank {}: they are of other data or \
                 options; begin anew",
                got.0, got.1, wanted.0, wanted.1
            ),
        }
    }
}

impl std::error::Error for TrainError {}
