//! What is piped in, from where and how: `run`, `replay`, `produce`, and whatever else takes logs.

use std::path::PathBuf;

use clap::Args;

use crate::config::MAX_WORKERS;
use crate::processes::Share;
use crate::sources::kafka::Start;
/// The most processes that a pipeline has.
const MAX_PROCESSES: usize = 1024;

/// Where records come from.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// Files, folders, or `-` for standard input (JSON Lines or CSV, plain, gzip or zstd); Parquet in files, folders or at
    /// s3://BUCKET/PREFIX and hdfs://HOST:PORT/FOLDER, archives too; kafka://HOST:PORT/TOPIC.
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// How the columns of other people's CSV map to records (docs/columns.md), or the name of a map in the config.
    #[arg(long, value_name = "MAP")]
    pub map: Option<String>,
}

/// What `run` and `replay` have in common.
#[derive(Debug, Args)]
pub struct PipeArgs {
    /// Where from.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// The model that lists are made with.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// How many threads run the graph; all cores unless given.
    #[arg(long, value_name = "N", value_parser = workers)]
    pub workers: Option<usize>,
    /// Whether it is one of several.
    #[command(flatten)]
    pub processes: ProcessesArgs,
}

const SEVERAL: &str = "One pipeline in several processes (docs/processes.md)";

/// One process of several.
#[derive(Debug, Clone, Default, Args)]
pub struct ProcessesArgs {
    /// Be one of so many processes, which share the members out by a hash of their ids; each has a folder of its own.
    #[arg(long, help_heading = SEVERAL, value_name = "N", value_parser = processes, requires = "hosts")]
    pub processes: Option<usize>,
    /// Which of them, from 0 on.
    #[arg(long, help_heading = SEVERAL, value_name = "I", requires = "processes")]
    pub process: Option<usize>,
    /// Where they are: a line HOST:PORT for each process, in order.
    #[arg(long, help_heading = SEVERAL, value_name = "FILE", requires = "processes")]
    pub hosts: Option<PathBuf>,
    /// Read all of the files that are named, which are this process's alone. Else all are given the same, and share them out.
    #[arg(long, help_heading = SEVERAL, requires = "processes")]
    pub own_files: bool,
}

impl ProcessesArgs {
    /// Which process it is.
    pub fn share(&self) -> Share {
        Share { process: self.process.unwrap_or(0), processes: self.processes.unwrap_or(1) }
    }
}

/// Flags of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// What is piped in.
    #[command(flatten)]
    pub pipe: PipeArgs,
    /// Read topics from here on, again where they were read before: a time or a day (2026-01-01T00:00:00Z,
    /// 2026-01-01), an offset, `earliest` or `latest`. Without it: from where reading ended.
    #[arg(long, value_name = "WHEN")]
    pub from: Option<Start>,
}

/// Flags of `produce`.
#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// What is sent.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Where to: kafka://HOST:PORT/TOPIC.
    #[arg(long, value_name = "ADDRESS")]
    pub to: String,
}

/// Where to answer over HTTP.
#[derive(Debug, Clone, Args)]
pub struct ListenArgs {
    /// Answer over HTTP at this address, such as 127.0.0.1:7070, until interrupted.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Listen at an address that others reach, without tokens: everybody may do everything.
    #[arg(long)]
    pub open: bool,
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What is piped in, and how.
    #[command(flatten)]
    pub pipe: PipeArgs,
    /// Go on when sources are at their end: wait for more.
    #[arg(long)]
    pub follow: bool,
    /// Where to begin in partitions of topics that were never read before: a time or a day (2026-01-01T00:00:00Z,
    /// 2026-01-01), an offset, `earliest` (unless given) or `latest`. Others are read on from where reading ended.
    #[arg(long, value_name = "WHEN")]
    pub from: Option<Start>,
    /// Whether and where there are answers.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Find members among these centres of clusters, which `cluster --out` wrote.
    #[arg(long, value_name = "DIR")]
    pub centres: Option<PathBuf>,
    /// Close an epoch after this many milliseconds at the latest.
    #[arg(long, value_name = "MS")]
    pub epoch_ms: Option<u64>,
    /// Close an epoch after this many records at the latest.
    #[arg(long, value_name = "N")]
    pub epoch_records: Option<usize>,
}

/// A number of processes.
fn processes(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_PROCESSES).contains(number));
    number.ok_or_else(|| format!("give a number from 1 to {MAX_PROCESSES}"))
}

/// A number of workers.
pub(super) fn workers(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_WORKERS).contains(number));
    number.ok_or_else(|| format!("give a number from 1 to {MAX_WORKERS}"))
}
