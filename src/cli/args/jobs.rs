//! What `jobs` is told.

use clap::{Args, Subcommand};

/// Flags of `jobs`.
#[derive(Debug, Args)]
pub struct JobsArgs {
    /// What to do; all jobs, unless given.
    #[command(subcommand)]
    pub command: Option<JobsCommand>,
}

/// What is done with jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Do a job now, with its retries, and wait for its end: in the process that does the folder's jobs, or here where there
    /// is none.
    #[command(after_help = "Example:\n  nearline jobs run daily_train\n\nExit code 1 where it fails.")]
    Run {
        /// The job.
        name: String,
    },
    /// The last runs of a job, the newest first.
    #[command(after_help = "Example:\n  nearline jobs history daily_train --limit 5")]
    History {
        /// The job.
        name: String,
        /// How many runs at most.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
}
