//! What `query` is told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ThenPublishArgs;
use crate::config::Size;

/// Flags of `query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The query.
    #[arg(required_unless_present = "tables")]
    pub sql: Option<String>,
    /// Print the tables and their columns.
    #[arg(long, conflicts_with_all = ["sql", "format", "output", "limit", "publish"])]
    pub tables: bool,
    /// How the answer is written: a table unless given; --json is `json`.
    #[arg(long, value_enum)]
    pub format: Option<FormatName>,
    /// Write the answer to this file, whole or not at all; by its ending CSV, JSON Lines or Parquet unless --format is given.
    #[arg(long, value_name = "FILE", conflicts_with = "publish")]
    pub output: Option<PathBuf>,
    /// How many rows at most; a table has 1000 unless given.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// How much memory the query may use; what does not fit goes to temporary files where it can.
    #[arg(long, value_name = "SIZE", default_value = "1GB")]
    pub memory: Size,
    /// What is published.
    #[command(flatten)]
    pub then: ThenPublishArgs,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// For people.
    Table,
    /// Comma separated values, with a header.
    Csv,
    /// A JSON object a line.
    Json,
    /// Parquet.
    Parquet,
}
