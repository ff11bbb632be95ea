//! What `cluster` takes.

use std::path::PathBuf;

use clap::Args;

use super::ThenPublishArgs;
use crate::config::{MAX_CLUSTER_ITERATIONS, MAX_CLUSTERS};

/// What `cluster` takes.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// How many clusters there are to be; the config's (`clusters.count`) unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CLUSTERS)))]
    pub clusters: Option<u32>,
    /// How often centres move at most; the config's unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CLUSTER_ITERATIONS)))]
    pub iterations: Option<u32>,
    /// Where the starts are drawn from; the config's unless given.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The folder that the centres are written to.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Find all members among the centres that are made, or among those in DIR, from one epoch on.
    #[arg(long = "use", value_name = "DIR", num_args = 0..=1)]
    pub used: Option<Option<PathBuf>>,
    /// Have no clusters any more.
    #[arg(long, conflicts_with_all = ["used", "out", "clusters", "iterations", "seed", "publish"])]
    pub none: bool,
    /// What is published.
    #[command(flatten)]
    pub then: ThenPublishArgs,
}
