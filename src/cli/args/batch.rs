//! What `batch` is told.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::ThenPublishArgs;
use crate::config::MAX_LIST;
use crate::serving::algorithms::ALL;

/// What `batch` takes.
#[derive(Debug, Args)]
pub struct BatchArgs {
    /// How the lists are made.
    #[arg(long, default_value = "factors", value_parser = PossibleValuesParser::new(ALL.iter().map(|one| one.name())))]
    pub algorithm: String,
    /// The model that they are made with; the live one unless given.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// How many items a list has at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LIST)))]
    pub limit: u32,
    /// What is published.
    #[command(flatten)]
    pub then: ThenPublishArgs,
}
