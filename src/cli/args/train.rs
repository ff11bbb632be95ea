//! What can be typed after `nearline train`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::{FitArgs, SourceArgs};
use crate::config::Span;

/// Flags of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Where from.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// The folder that the model is written to.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Save the state of training in this folder, so that a training that was broken off can be gone on from.
    #[arg(long, value_name = "DIR")]
    pub checkpoint: Option<PathBuf>,
    /// How often to: after so many iterations (5), or as soon as an iteration ends so long after the last time (90s).
    #[arg(long, value_name = "N|SPAN", default_value = "1", requires = "checkpoint")]
    pub checkpoint_every: Every,
    /// Go on from the newest checkpoint of that folder; from the beginning where there is none.
    #[arg(long, requires = "checkpoint")]
    pub resume: bool,
    /// How to train.
    #[command(flatten)]
    pub fit: FitArgs,
}

/// How often a checkpoint is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// After so many iterations.
    Iterations(usize),
    /// After the iteration that ends so long after the last one was saved.
    Time(Duration),
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither a number of iterations, as 5, nor a time, as 90s or 10m");
        match text.parse::<usize>() {
            Ok(0) => Err(wrong()),
            Ok(iterations) => Ok(Every::Iterations(iterations)),
            Err(_) => text.parse().map(|span: Span| Every::Time(span.duration())).map_err(|_| wrong()),
        }
    }
}
