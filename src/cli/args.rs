//! What can be typed: commands, their flags and their help.

mod archive;
mod batch;
mod cluster;
mod evaluate;
mod folder;
mod jobs;
mod mirrors;
mod model;
mod pipe;
mod publications;
mod query;
mod train;
mod tune;
mod variants;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use self::archive::ArchiveCommand;
pub use self::batch::BatchArgs;
pub use self::cluster::ClusterArgs;
pub use self::evaluate::{EvaluateArgs, PartName, ProtocolName};
pub use self::folder::{BackupArgs, ForgetArgs, PlanArgs, ReshardArgs};
pub use self::jobs::{JobsArgs, JobsCommand};
pub use self::mirrors::MirrorsCommand;
pub use self::model::{ExportArgs, ImportArgs, ModelCommand};
pub use self::pipe::{ListenArgs, PipeArgs, ProcessesArgs, ProduceArgs, ReplayArgs, RunArgs, SourceArgs};
pub use self::publications::{
    FilesKind, PublicationsArgs, PublicationsCommand, PublishArgs, SubscribeArgs, ThenPublishArgs,
};
pub use self::query::{FormatName, QueryArgs};
pub use self::train::{Every, FitArgs, TrainArgs, ValidationName};
pub use self::tune::TuneArgs;
pub use self::variants::{VariantsArgs, VariantsCommand};
use crate::serving::list::ListName;
use crate::serving::performance::{By, MAX_DAYS};
use crate::serving::similar::Likeness;

/// Fresh recommendation lists from a log of member events, within milliseconds of each event.
#[derive(Debug, Parser)]
#[command(name = "nearline", version, max_term_width = 110)]
#[command(
    after_help = "Start here:\n  nearline demo                       see lists change as events are piped in\n  \
    nearline replay events.jsonl        load a log\n  nearline get MEMBER                 read a list\n\n\
    Exit codes: 0 done; 1 the answer is no; 2 bad use or a bad input file; 3 the store or a source failed."
)]
pub struct Cli {
    /// The folder that holds records, views and models.
    #[arg(long, global = true, value_name = "DIR", default_value = "nearline-data", env = "NEARLINE_DATA")]
    pub data: PathBuf,
    /// The config; `nearline.toml` where it exists. `nearline config` prints every key.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print answers as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Pipe events in and keep every list current.
    #[command(after_help = "Example:\n  tail -f events.jsonl | nearline run --model model -\n  \
        nearline run --listen 127.0.0.1:7070 kafka://localhost:9092/events\n\n\
        Ends when finite sources are committed, unless --follow or --listen; a topic has no end. A folder that has a\n\
        model keeps it; without a model there are aggregates only.")]
    Run(RunArgs),
    /// Backfill: pipe logs in, in bulk, with a progress bar; lists are made at the end.
    #[command(after_help = "Example:\n  nearline replay logs/2026-*.jsonl.gz\n  \
        nearline replay kafka://localhost:9092/events --from 2026-01-01\n\n\
        A topic is read up to the end that it has now.")]
    Replay(ReplayArgs),
    /// Send logs to a topic of Kafka, a record a message; a member's records all go to one partition.
    #[command(
        after_help = "Example:\n  nearline produce events.jsonl --to kafka://localhost:9092/events\n\n\
        Ends when every record has arrived. Lines that cannot be taken are told and not sent; to send a log again\n\
        changes nothing but the length of the topic."
    )]
    Produce(ProduceArgs),
    /// Publish a model, lists, items or files: a version that never changes, in a folder or in S3; whoever follows it is told.
    #[command(after_help = "Example:\n  nearline publish films --model model --to s3://models\n  \
        nearline publish picks --lists\n  nearline publish films --version VERSION      back to a version that is there\n\n\
        It appears whole or not at all; the same content again is the same version. docs/publications.md has more.")]
    Publish(PublishArgs),
    /// What is published: versions, age, size, what is in use; and retention.
    #[command(
        after_help = "Example:\n  nearline publications\n  nearline publications films --from s3://models\n  \
        nearline publications gc"
    )]
    Publications(PublicationsArgs),
    /// Print each version of a publication as it appears, the newest first of all; and fetch it.
    #[command(
        after_help = "Example:\n  nearline subscribe films --into models --json\n  nearline subscribe films --once\n\n\
        A running pipeline takes publications over by itself: [subscriptions] in the config."
    )]
    Subscribe(SubscribeArgs),
    /// Answer over HTTP from a folder that another process writes: a replica that takes no changes.
    #[command(after_help = "Example:\n  nearline serve --listen 127.0.0.1:7071\n  \
        nearline serve --from memcached://10.0.0.7:11211\n\n\
        Follows what the other process commits. `nearline run --listen` answers from the process that writes, at once. With\n\
        --from there is no folder: lists come from a mirror (docs/mirrors.md).")]
    Serve {
        /// Where it listens.
        #[command(flatten)]
        listen: ListenArgs,
        /// Answer from this mirror, by its name in the config or its address; there are lists alone then.
        #[arg(long, value_name = "MIRROR")]
        from: Option<String>,
    },
    /// A member's list. An unknown member gets trending, with the reason.
    #[command(after_help = "Example:\n  nearline get m1 --list continue_watching --limit 5")]
    Get {
        /// The member's id.
        member: String,
        /// Which list.
        #[arg(long, value_enum, default_value = "top_picks")]
        list: ListName,
        /// How many items at most.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// How many items to leave out at the head.
        #[arg(long, default_value_t = 0)]
        offset: usize,
    },
    /// The items with the most events in a window back from now, the newest event's time.
    #[command(after_help = "Example:\n  nearline popular --kind play --window 24h --country US")]
    Popular {
        /// Events of this kind.
        #[arg(long, default_value = "play")]
        kind: String,
        /// How far back, in whole hours or days: 24h, 7d; or `all`.
        #[arg(long, default_value = "7d")]
        window: String,
        /// Only events of this country.
        #[arg(long)]
        country: Option<String>,
        /// How many items at most.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// How lists did: impressions, clicks and plays of the events whose context names a list, over days back from now.
    #[command(after_help = "Example:\n  nearline performance --days 7 --list top_picks --by position\n\n\
        An event names a list by its context: `\"context\":{\"list\":\"top_picks\",\"position\":3,\"variant\":\"a\"}`; position\n\
        and variant may be left out. Without --by the table has a row for each list, and --json a row for each day,\n\
        list, variant and position.")]
    Performance {
        /// How many UTC days, that of the newest event included.
        #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DAYS)))]
        days: u32,
        /// Only this list.
        #[arg(long)]
        list: Option<String>,
        /// Sum up by list, or by list and one more.
        #[arg(long, value_enum)]
        by: Option<By>,
    },
    /// How variants do side by side: members, impressions, clicks and plays, with intervals; or promote one.
    #[command(
        after_help = "Example:\n  nearline variants --days 14 --list top_picks\n  nearline variants promote larger_model\n\n\
        Variants are in the config, with a share of the members each (docs/variants.md). An event names the variant by its\n\
        context: `\"context\":{\"list\":\"top_picks\",\"position\":3,\"variant\":\"larger_model\"}`."
    )]
    Variants(VariantsArgs),
    /// A member's live events, newest first.
    #[command(after_help = "Example:\n  nearline history m1 --limit 10")]
    History {
        /// The member's id.
        member: String,
        /// How many events at most; all unless given.
        #[arg(long)]
        limit: Option<usize>,
    },
    /// What each past event adds to the score of an item, or which rule keeps it out.
    #[command(after_help = "Example:\n  nearline why m1 i9")]
    Why {
        /// The member's id.
        member: String,
        /// The item's id.
        item: String,
    },
    /// The items most like one, by the model; withdrawn ones are left out.
    #[command(
        after_help = "Example:\n  nearline similar i9 --limit 10\n  nearline similar i9 --by together\n\n\
        `get MEMBER --list because_you_watched` is what is most like the item that a member last turned to."
    )]
    Similar {
        /// The item's id.
        item: String,
        /// By the model of this member's variant; by the live model unless given.
        #[arg(long, value_name = "MEMBER")]
        member: Option<String>,
        /// By what: the angle between factors, or the members who have seen both, which needs no model.
        #[arg(long, value_enum, default_value = "factors")]
        by: Likeness,
        /// How many items at most.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Make lists for all members in one go, and keep them as the offline rung: what is served where fresh lists cannot be had.
    #[command(
        after_help = "Example:\n  nearline batch\n  nearline batch --algorithm together --limit 200 --publish picks\n\n\
        Asked of the process that holds the folder, where there is one; events go first there. The last batch is served\n\
        until the new one is whole, and as long as `serve.offline_max_age` in the config says."
    )]
    Batch(BatchArgs),
    /// Ask in SQL: of the archive's records, the catalogue, counts and lists.
    #[command(after_help = "Example:\n  nearline query --tables\n  \
        nearline query \"select day, count(*) from records where type = 'event' group by day order by day\"\n  \
        nearline query \"select * from popularity\" --output popularity.parquet\n\n\
        docs/query.md has the tables and more examples. Needs a build with the feature `query`.")]
    Query(QueryArgs),
    /// What a running pipeline does by itself at certain times: when it did so last, what came of it, and when it does so next.
    #[command(
        after_help = "Example:\n  nearline jobs\n  nearline jobs run daily_train\n  nearline jobs history daily_train\n\n\
        `[jobs.NAME]` in the config says what is done and when (docs/jobs.md); `run` with --listen or --follow does it."
    )]
    Jobs(JobsArgs),
    /// Train a model, from logs or from the records already in the data folder.
    #[command(
        after_help = "Example:\n  nearline train --out model --rank 64\n  nearline train events.jsonl --out model\n  \
        nearline train --out model --checkpoint half-way --resume\n  \
        nearline train --out model-of-today --publish films --to s3://models"
    )]
    Train(TrainArgs),
    /// Make clusters of members by their factors, and find members among them as events come in.
    #[command(
        after_help = "Example:\n  nearline cluster --use                make centres and use them here\n  \
        nearline cluster --clusters 50 --out centres\n  nearline cluster --use centres\n  nearline cluster --none\n\n\
        `popular_with_people_like_you` is made of them. Centres are of one model: make them anew after another has\n\
        taken over. The same factors, options and seed give the same centres. docs/serving.md has more."
    )]
    Cluster(ClusterArgs),
    /// Look at a model, take one in from elsewhere, or write one for others to read.
    #[command(
        after_help = "Example:\n  nearline model show\n  nearline model import itemFactors --out model"
    )]
    Model {
        /// What to do.
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Search for the numbers that train the best lists of a log, and save them as a config.
    #[command(after_help = "Example:\n  nearline tune events.jsonl --out tuned.toml --minutes 30\n  \
        nearline --config tuned.toml train events.jsonl --out model\n\n\
        The first trial is the config as it is. Each trial trains on one part of the log and is measured on the next;\n\
        the newest fifth is held back for a last look. docs/tuning.md says how it searches.")]
    Tune(TuneArgs),
    /// Measure lists, on a log or on files as the papers publish them, against popularity and lists that are not kept
    /// fresh.
    #[command(after_help = "Example:\n  nearline evaluate events.jsonl --protocol time\n  \
        nearline evaluate events.jsonl --protocol prequential --refresh-hours 24\n  \
        nearline evaluate gowalla --protocol lightgcn --rank 256 --lambda 0.01")]
    Evaluate(EvaluateArgs),
    /// What would be rejected and why; writes nothing.
    #[command(
        after_help = "Example:\n  nearline check ratings.csv --map 'member=userId,item=movieId,at=timestamp,time=seconds,kind=\"rate\",value=rating'"
    )]
    Check {
        /// Where from.
        #[command(flatten)]
        sources: SourceArgs,
    },
    /// Recompute all views from the records and compare; prints the digest.
    #[command(
        after_help = "Example:\n  nearline verify && echo right\n  nearline verify --mirror cache\n  nearline verify data-0 data-1 data-2\n\n\
        The stores of several processes are verified together, as one: name the data folders of all. Exit code 1 where\n\
        something differs, or is not in the store where it belongs."
    )]
    Verify {
        /// The data folders of all processes of a pipeline; that of `--data` unless given.
        #[arg(value_name = "FOLDER", conflicts_with = "mirror")]
        folders: Vec<PathBuf>,
        /// How many threads; all cores unless given.
        #[arg(long, value_name = "N", value_parser = pipe::workers)]
        workers: Option<usize>,
        /// Compare this mirror with the store instead, entry by entry.
        #[arg(long, value_name = "NAME", conflicts_with = "workers")]
        mirror: Option<String>,
    },
    /// Make the data folders of a pipeline anew for another number of processes.
    #[command(
        after_help = "Example:\n  nearline reshard nearline-data --to data-0 --to data-1 --to data-2\n  \
            nearline reshard data-0 data-1 data-2 --to nearline-data\n\n\
            Takes records, catalogue, what is left of who was forgotten, models and offsets; the next start makes the views\n\
            anew. No process may hold the folders, which stay as they are: remove them once the new ones run, since a later\n\
            `forget` does not reach them. Rejected lines, receipts and lists of batch jobs stay there."
    )]
    Reshard(ReshardArgs),
    /// Live records, catalogue and tombstones as JSON Lines; piped into an empty folder they give the same digest.
    #[command(after_help = "Example:\n  nearline export | nearline --data copy run -")]
    Export {
        /// Leave out what remembers forgotten members, and the key of their digests.
        #[arg(long)]
        without_key: bool,
    },
    /// Erase members to the last byte, with a receipt.
    #[command(
        after_help = "Example:\n  nearline forget m1\n  nearline forget --members leaving.txt --receipt receipt.json\n\n\
            Forgets up to the later of the clock and the member's newest event. The store is written anew once for all\n\
            members. A forget that was piped in takes its member out of every view at once; the bytes go with the next\n\
            `forget`, with `forget --pending`, or at the end of the sources."
    )]
    Forget(ForgetArgs),
    /// The archive: every accepted record as Parquet, a folder a day, in a folder or in S3.
    #[command(after_help = "Example:\n  nearline archive status\n  nearline replay archive/\n\n\
        `[archive] repository` in the config turns it on; `run` and `replay` then archive what they accept, and `forget`\n\
        rewrites the files that hold a member. An archive is a source like a log: for `train`, `evaluate`, `check`, `replay`\n\
        and `run`. DuckDB, Spark and pandas read it as it is (docs/archive.md).")]
    Archive {
        /// What to do.
        #[command(subcommand)]
        command: ArchiveCommand,
    },
    /// Mirrors of lists and counts in memcached, Redis, Cassandra or MySQL.
    #[command(after_help = "Example:\n  nearline mirrors status\n  nearline verify --mirror cache\n\n\
        `[mirrors.NAME] url` in the config turns one on; `run` and `replay` then keep it as the store is, and `forget` reaches\n\
        it. `nearline serve --from` answers from one (docs/mirrors.md).")]
    Mirrors {
        /// What to do.
        #[command(subcommand)]
        command: MirrorsCommand,
    },
    /// Copy the data folder as of one epoch into a folder of its own, also while a pipeline runs.
    #[command(
        after_help = "Example:\n  nearline backup /backups/monday\n  nearline --data again restore /backups/monday --key digest.key\n\n\
            Leaves out the key of the digests (keep `digest.key` of the data folder apart) and the rejected lines. Receipts of\n\
            later forgets name the backup, since it still holds who was forgotten."
    )]
    Backup(BackupArgs),
    /// Make the data folder of a backup. The folder must be empty, but for its key.
    #[command(after_help = "Example:\n  nearline --data again restore /backups/monday --key digest.key")]
    Restore {
        /// The backup's folder.
        #[arg(value_name = "BACKUP")]
        backup: PathBuf,
        /// The key of its digests; without it the one in the data folder, or in the backup.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Epoch, lag, now and the event that set it, counts, model, sizes, sources.
    #[command(after_help = "Example:\n  nearline status --json")]
    Status,
    /// How much memory and disk a folder will take; reads and writes nothing.
    #[command(
        after_help = "Example:\n  nearline plan --members 138000 --items 26000 --events 20000000 --rank 64"
    )]
    Plan(PlanArgs),
    /// Every key of the config with its default and what it does.
    #[command(after_help = "Example:\n  nearline config > nearline.toml")]
    Config,
    /// An invented catalogue and members: trains, pipes events, and shows a list before and after.
    #[command(after_help = "Example:\n  nearline demo\n  nearline demo --write logs")]
    Demo {
        /// Only write the invented logs into this folder.
        #[arg(long, value_name = "DIR")]
        write: Option<PathBuf>,
        /// Another seed invents another world.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Writes the log that the benchmarks run on.
    #[command(hide = true)]
    BenchLog {
        /// Where to.
        out: PathBuf,
        /// How many events.
        #[arg(long, default_value_t = 2_000_000)]
        events: u64,
        /// How many members.
        #[arg(long, default_value_t = 138_000)]
        members: u32,
        /// How many items.
        #[arg(long, default_value_t = 26_000)]
        items: u32,
        /// Another seed makes another log.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many in a thousand of the events are retracted.
        #[arg(long, default_value_t = 0)]
        retract: u64,
        /// How many events later.
        #[arg(long, default_value_t = 100_000)]
        behind: usize,
    },
}
