//! What can be typed after `nearline train`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::{SourceArgs, ThenPublishArgs};
use crate::config::Span;
use crate::offline::Protocol;

/// Flags of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Where from.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// The folder that the model is written to; with --publish it need not be kept.
    #[arg(long, value_name = "DIR", required_unless_present = "publish")]
    pub out: Option<PathBuf>,
    /// Save the state of training in this folder, so that a training that was broken off can be gone on from.
    #[arg(long, value_name = "DIR")]
    pub checkpoint: Option<PathBuf>,
    /// How often to: after so many iterations (5), or as soon as an iteration ends so long after the last time (90s).
    #[arg(long, value_name = "N|SPAN", default_value = "1", requires = "checkpoint")]
    pub checkpoint_every: Every,
    /// Go on from the newest checkpoint of that folder; from the beginning where there is none.
    #[arg(long, requires = "checkpoint")]
    pub resume: bool,
    /// First find out how many iterations are best, at most --iterations: train on a part of the log, look at lists of
    /// another part after each iteration, and stop when they have not got better for so many.
    #[arg(long, value_name = "PATIENCE", num_args = 0..=1, require_equals = true, default_missing_value = "3",
        value_parser = patience)]
    pub stop_early: Option<usize>,
    /// On which part --stop-early looks: by time the newest fifth of the events, or a fifth of the members.
    #[arg(long, value_enum, default_value = "time", requires = "stop_early")]
    pub validation: ValidationName,
    /// How to train.
    #[command(flatten)]
    pub fit: FitArgs,
    /// What is published.
    #[command(flatten)]
    pub then: ThenPublishArgs,
}

/// Which part of a log a choice is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ValidationName {
    /// What came first is trained on; the rest is to be found, event by event.
    Time,
    /// Members are held out; four fifths of each one's events are folded in, the rest is to be found.
    Members,
}

impl ValidationName {
    /// The protocol; what it draws, it draws by the seed.
    pub fn with_seed(self, seed: u64) -> Protocol {
        match self {
            ValidationName::Time => Protocol::default(),
            ValidationName::Members => Protocol::Members { seed },
        }
    }
}

/// For how many iterations without a gain training goes on.
pub(super) fn patience(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=1000).contains(number));
    number.ok_or_else(|| "give a number of iterations, from 1 to 1000".into())
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

/// How a model is trained; the config says what is not given.
#[derive(Debug, Clone, Args)]
pub struct FitArgs {
    /// The length of a factor.
    #[arg(long)]
    pub rank: Option<usize>,
    /// How often members and items are solved in turn.
    #[arg(long)]
    pub iterations: Option<usize>,
    /// The weight of every pair of a member and an item.
    #[arg(long)]
    pub alpha0: Option<f32>,
    /// How strongly factors are held small; above zero.
    #[arg(long)]
    pub lambda: Option<f32>,
    /// The power of the number of pairs in that.
    #[arg(long)]
    pub nu: Option<f32>,
    /// Where the first item factors are drawn from.
    #[arg(long)]
    pub seed: Option<u64>,
}
