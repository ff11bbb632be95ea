//! What can be typed behind `nearline publish`, `publications` and `subscribe`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Flags of `publish`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct PublishArgs {
    /// The publication's name: letters, digits, `-` and `_`.
    pub name: String,
    /// The model in this folder.
    #[arg(long, value_name = "DIR", group = "what")]
    pub model: Option<PathBuf>,
    /// The lists of the data folder's last batch job.
    #[arg(long, group = "what")]
    pub lists: bool,
    /// The records of the data folder's items.
    #[arg(long, group = "what")]
    pub catalogue: bool,
    /// The centres of clusters in this folder.
    #[arg(long, value_name = "DIR", group = "what")]
    pub centres: Option<PathBuf>,
    /// These files, whatever they hold; --kind says which.
    #[arg(long, value_name = "FILE", num_args = 1.., group = "what", requires = "kind")]
    pub files: Vec<PathBuf>,
    /// A version that is there: it becomes the newest again.
    #[arg(long, value_name = "VERSION", group = "what")]
    pub version: Option<String>,
    /// What the files hold.
    #[arg(long, value_enum, requires = "files")]
    pub kind: Option<FilesKind>,
    /// The repository: a folder, file:///FOLDER, s3://BUCKET/PREFIX, hdfs://HOST:PORT/FOLDER or
    /// cassandra://HOST:PORT/KEYSPACE; the config's unless given.
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
}

/// What files hold that are published as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FilesKind {
    /// The centres of clusters.
    Centres,
    /// The result of a query.
    Query,
}

/// What `train` and `batch` publish as.
#[derive(Debug, Default, Args)]
pub struct ThenPublishArgs {
    /// Publish what comes of it under this name; whoever follows the publication also comes to know where it failed.
    #[arg(long, value_name = "NAME")]
    pub publish: Option<String>,
    /// The repository: a folder, file:///FOLDER, s3://BUCKET/PREFIX, hdfs://HOST:PORT/FOLDER or
    /// cassandra://HOST:PORT/KEYSPACE; the config's unless given.
    #[arg(long, value_name = "URL", requires = "publish")]
    pub to: Option<String>,
}

/// Where publications are read from.
#[derive(Debug, Args)]
pub struct FromArgs {
    /// The repository: a folder, file:///FOLDER, s3://BUCKET/PREFIX, hdfs://HOST:PORT/FOLDER or
    /// cassandra://HOST:PORT/KEYSPACE; the config's unless given.
    #[arg(long, value_name = "URL", global = true)]
    pub from: Option<String>,
}

/// Flags of `publications`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PublicationsArgs {
    /// What to do; what there is, unless given.
    #[command(subcommand)]
    pub command: Option<PublicationsCommand>,
    /// Only this publication, and all that is known of it.
    pub name: Option<String>,
    /// Where from.
    #[command(flatten)]
    pub from: FromArgs,
}

/// What is done with publications.
#[derive(Debug, Subcommand)]
pub enum PublicationsCommand {
    /// Take out old versions and what was never finished. The newest version stays, and so does what is in use anywhere, what
    /// is younger than the grace, and as much besides as `[publications]` in the config says.
    #[command(after_help = "Example:\n  nearline publications gc --dry-run")]
    Gc {
        /// Only of this publication.
        name: Option<String>,
        /// Only say what would be taken out.
        #[arg(long)]
        dry_run: bool,
    },
    /// Tell those of `[publications.notify]` in the config who did not answer when something was published.
    #[command(after_help = "Example:\n  nearline publications redeliver films\n\n\
        Exit code 1 where somebody still does not answer; the letters are kept.")]
    Redeliver {
        /// Only of this publication.
        name: Option<String>,
    },
}

/// Flags of `subscribe`.
#[derive(Debug, Args)]
pub struct SubscribeArgs {
    /// The publication.
    pub name: String,
    /// Fetch each version into a folder of its own in this one, whole and checked.
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// End after the newest version that there is, waiting for it where there is none.
    #[arg(long)]
    pub once: bool,
    /// Where from.
    #[command(flatten)]
    pub from: FromArgs,
}
