//! What can be typed after `nearline tune`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::train::patience;
use super::{FitArgs, SourceArgs, ValidationName};
use crate::offline::tune::Searched;

/// Flags of `tune`.
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// Where from.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// The file that the best config so far is written to: the config in use, with what was found laid over it.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// How many trials at most; 40 unless --minutes is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub trials: Option<u32>,
    /// How long to search at most. How many trials that is depends on the machine.
    #[arg(long, value_name = "M", value_parser = minutes)]
    pub minutes: Option<Duration>,
    /// What to search for.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "WHAT,…",
        default_value = "lambda,alpha0,nu,rank,transform,weights"
    )]
    pub search: Vec<Searched>,
    /// No rank above this is tried, unless it is the one to begin with.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub max_rank: usize,
    /// Which lists trials are measured by: those that the next part of the log asked for, or those of held-out members.
    #[arg(long, value_enum, default_value = "time")]
    pub validation: ValidationName,
    /// Hold nothing back: measure trials on the newest part of the log, with no last look.
    #[arg(long)]
    pub whole: bool,
    /// Search for the number of iterations too: a trial stops when its lists have not got better for so many.
    #[arg(long, value_name = "PATIENCE", num_args = 0..=1, require_equals = true, default_missing_value = "3",
        value_parser = patience)]
    pub stop_early: Option<usize>,
    /// What to begin with.
    #[command(flatten)]
    pub fit: FitArgs,
}

fn minutes(text: &str) -> Result<Duration, String> {
    let number = text.parse().ok().filter(|minutes| *minutes > 0.0 && *minutes <= 1e6);
    number
        .map(|minutes: f64| Duration::from_secs_f64(60.0 * minutes))
        .ok_or_else(|| "give minutes, as 30 or 0.5".into())
}
