//! The config as written: the keys of the file and their types, and nothing about what they mean.
//!
//! Unknown keys are refused. The doc comments here become the descriptions in `schemas/config.schema.json`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::cassandra::Written as Cassandra;
use super::mirrors::Written as Mirror;
use super::publications::written::{Alert, Publications, Subscription};
use super::settings::Settings;
use super::size::Size;
use super::span::Span;
use crate::variants::Algorithm;

/// The config of Nearline, `nearline.toml`. Every key has a default; `nearline config` prints them all.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Written {
    /// The highest value of a rating; a `counts_from` in percent is a part of it. Meaning.
    pub rating_scale: f64,
    /// What the lists are made by. Meaning.
    pub lists: Lists,
    /// What each kind of event means, by its name; laid over the default kinds key by key. Meaning.
    pub kinds: BTreeMap<String, Kind>,
    /// How clusters of members are made, and when a list is of one.
    pub clusters: Clusters,
    /// The name of what the variants are to show. Members are split by it: another name splits them anew. Meaning.
    pub experiment: String,
    /// Ways of making lists side by side, by a name of your own, each for a share of the members. Meaning.
    pub variants: BTreeMap<String, Variant>,
    /// How records become epochs.
    pub run: Run,
    /// How the store uses memory.
    pub store: Store,
    /// How answers are given over HTTP.
    pub serve: Serve,
    /// Where traces of requests and commits go.
    pub traces: Traces,
    /// How topics of Kafka are read and written.
    pub kafka: Kafka,
    /// How buckets of S3 are reached (s3://BUCKET/PREFIX): settings by the names that the crate `object_store` gives them,
    /// which go before the usual variables of the environment. A text may hold `${NAME}`, a variable of the environment;
    /// and { file = "PATH" } is what that file holds.
    pub s3: Settings,
    /// How HDFS is reached (hdfs://HOST:PORT/FOLDER, or a name service): `user`, and settings by Hadoop's names, which go before its
    /// files in HADOOP_CONF_DIR. `${NAME}` and { file = "PATH" } as in `[s3]`.
    pub hdfs: Settings,
    /// How Cassandra is reached as a repository of publications (cassandra://HOST:PORT,HOST:PORT/KEYSPACE/PREFIX).
    pub cassandra: Cassandra,
    /// Where every accepted record goes besides, as Parquet.
    pub archive: Archive,
    /// Servers that lists and counts are mirrored in, by a name of your own.
    pub mirrors: BTreeMap<String, Mirror>,
    /// Where publications lie, who is told of them and how long they are kept.
    pub publications: Publications,
    /// Publications that a running pipeline follows, by their names.
    pub subscriptions: BTreeMap<String, Subscription>,
    /// When to raise an alarm about one of them or about a job, by a name of your own.
    pub alerts: BTreeMap<String, Alert>,
    /// What a running pipeline does by itself at certain times, by a name of your own.
    pub jobs: BTreeMap<String, Job>,
    /// What `nearline train` uses where the command line says nothing.
    pub train: Train,
    /// How to read other people's logs, by a name of your own for `--map`.
    #[schemars(with = "BTreeMap<String, BTreeMap<String, serde_json::Value>>")]
    pub maps: toml::Table,
}

impl Default for Written {
    fn default() -> Self {
        Written {
            rating_scale: 5.0,
            lists: Lists::default(),
            kinds: BTreeMap::new(),
            clusters: Clusters::default(),
            experiment: String::new(),
            variants: BTreeMap::new(),
            run: Run::default(),
            store: Store::default(),
            serve: Serve::default(),
            traces: Traces::default(),
            kafka: Kafka::default(),
            s3: Settings::default(),
            hdfs: Settings::default(),
            cassandra: Cassandra::default(),
            archive: Archive::default(),
            mirrors: BTreeMap::new(),
            publications: Publications::default(),
            subscriptions: BTreeMap::new(),
            alerts: BTreeMap::new(),
            jobs: BTreeMap::new(),
            train: Train::default(),
            maps: toml::Table::new(),
        }
    }
}

/// What the lists are made by.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lists {
    /// How many items a list holds at most.
    pub length: u32,
    /// After how many hours an event counts half for `trending`.
    pub half_life_hours: u32,
    /// How many of the items that a member has seen last count as seen together; 0: none, and there is no
    /// `watched_together`.
    pub basket: u32,
    /// What `continue_watching` takes for begun and not finished.
    pub continue_watching: ContinueWatching,
}

impl Default for Lists {
    fn default() -> Self {
        Lists { length: 100, half_life_hours: 24, basket: 10, continue_watching: ContinueWatching::default() }
    }
}

/// What `continue_watching` takes for begun and not finished.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContinueWatching {
    /// The kind whose value is the part watched, from 0 to 1.
    pub kind: String,
    /// The least value that counts as begun.
    pub from: f64,
    /// The value from which an item counts as finished.
    pub below: f64,
}

impl Default for ContinueWatching {
    fn default() -> Self {
        ContinueWatching { kind: "play".to_owned(), from: 0.02, below: 0.95 }
    }
}

/// How clusters of members are made, and when a list is of one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clusters {
    /// How many clusters `nearline cluster` makes at most.
    pub count: u32,
    /// How often their centres move at most.
    pub iterations: u32,
    /// Where the starts are drawn from: the same factors and the same seed give the same centres.
    pub seed: u64,
    /// A member of a cluster who likes so many items at most has what the cluster likes in the place of `top_picks`; 0: nobody
    /// has.
    pub few_items: u32,
}

impl Default for Clusters {
    fn default() -> Self {
        Clusters { count: 50, iterations: 50, seed: 1, few_items: 3 }
    }
}

/// What one kind of event means. A key left out keeps its default; for a kind of your own that is: counted only.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kind {
    /// Evidence that the member likes the item; negative: dislikes it. From -1000 to 1000.
    pub weight: Option<f64>,
    /// Whether the weight is multiplied by the event's value.
    pub times_value: Option<bool>,
    /// Values from 0 to below this carry no weight: a number, a percentage of `rating_scale`, or "none".
    pub counts_from: Option<Threshold>,
    /// The least that the weights of one member's events for one item add up to: a number or "none".
    pub floor: Option<Threshold>,
    /// Whether an event marks its item as seen by the member.
    pub seen: Option<Seen>,
    /// Whether an event keeps its item out of every list of the member.
    pub hides: Option<bool>,
}

/// A number, a text such as "70%", or "none".
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number, a percentage such as \"70%\", or \"none\"")]
pub enum Threshold {
    /// As it stands.
    Number(f64),
    /// A percentage of the rating scale, or "none".
    Text(String),
}

/// Whether an event marks its item as seen by the member.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// No.
    No,
    /// Yes.
    Yes,
    /// As long as the values of the member's events of this kind for the item add up to more than zero.
    WhilePositive,
}

/// A way of making lists.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Variant {
    /// How many of the members have it, in proportion to the shares of the others: 1 and 1 is half and half, and so is 50
    /// and 50. From 0 to 1000000.
    pub share: f64,
    /// How `top_picks` are made.
    pub algorithm: Algorithm,
    /// The folder of the model that they are made with; the live model unless given.
    pub model: Option<String>,
}

impl Default for Variant {
    fn default() -> Self {
        Variant { share: 1.0, algorithm: Algorithm::Factors, model: None }
    }
}

/// How records become epochs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Run {
    /// The longest that a record waits for its epoch to close, in milliseconds.
    pub epoch_ms: u64,
    /// How many records close an epoch.
    pub epoch_records: u64,
    /// How many threads the graph runs on; 0: as many as there are cores.
    pub workers: u32,
    /// How far ahead of the clock an event may be when it arrives.
    pub max_ahead: Span,
    /// For how long the lists of the model before are kept, and kept fresh, after another has taken over.
    pub keep_previous: Span,
    /// From about this much resident memory on records are taken slowly: "2GB", a number of bytes, or "none".
    pub memory_limit: Size,
}

impl Default for Run {
    fn default() -> Self {
        Run {
            epoch_ms: 10,
            epoch_records: 65_536,
            workers: 0,
            max_ahead: Span::hours(24),
            keep_previous: Span::hours(1),
            memory_limit: Size(None),
        }
    }
}

/// How the store uses memory.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Memory for blocks read back from disk, in MB.
    pub block_cache_mb: u32,
    /// Memory for entries not yet written to a file of their own, in MB.
    pub write_buffer_mb: u32,
    /// Write tables uncompressed and every key in full, so that what is in them can be searched for. Several times as
    /// large.
    pub plain: bool,
}

impl Default for Store {
    fn default() -> Self {
        Store { block_cache_mb: 32, write_buffer_mb: 64, plain: false }
    }
}

/// How answers are given over HTTP.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Serve {
    /// How long an answer may take where a request does not say, in milliseconds.
    pub deadline_ms: u64,
    /// The largest body, in MB, after decompression.
    pub body_limit_mb: u32,
    /// Memory for what answers read of the store, in MB.
    pub cache_mb: u32,
    /// How many requests may be under way; more are turned away.
    pub requests: u32,
    /// How many connections there may be; more are closed.
    pub connections: u32,
    /// How long a client may take to send the head of a request.
    pub head_within: Span,
    /// How old lists of a batch job may be that stand in for fresh ones.
    pub offline_max_age: Span,
    /// The certificate chain of TLS, a PEM file; without one there is none.
    pub certificate: String,
    /// Its private key, a PEM file.
    pub key: String,
    /// Who may do what, by a name of your own; without any everybody may do everything.
    pub tokens: BTreeMap<String, Token>,
}

impl Default for Serve {
    fn default() -> Self {
        Serve {
            deadline_ms: 50,
            body_limit_mb: 8,
            cache_mb: 512,
            requests: 1024,
            connections: 4096,
            head_within: Span::seconds(10),
            offline_max_age: Span::hours(48),
            certificate: String::new(),
            key: String::new(),
            tokens: BTreeMap::new(),
        }
    }
}

/// Where traces of requests and commits go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// A collector of OpenTelemetry that takes OTLP over HTTP, such as "http://127.0.0.1:4318"; without one there are none.
    pub endpoint: String,
    /// Which share of requests and commits is traced, 0 to 1, besides those whose caller traces them.
    pub share: f64,
}

impl Default for Traces {
    fn default() -> Self {
        Traces { endpoint: String::new(), share: 0.01 }
    }
}

/// A bearer token.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What is sent as `Authorization: Bearer …`; at least 16 bytes.
    pub token: String,
    /// What it lets do.
    pub scopes: Vec<Scope>,
}

impl std::fmt::Debug for Token {
    /// A token is in no log.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "a token for {:?}", self.scopes)
    }
}

/// What a token lets do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read answers.
    Read,
    /// Send events.
    Write,
    /// Forget members and change models.
    Admin,
}

/// How topics of Kafka are read and written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// How long to wait for the brokers at the start.
    pub wait: Span,
    /// Settings of librdkafka by their own names. A text may hold `${NAME}`, a variable of the environment; and
    /// { file = "PATH" } is what that file holds.
    pub settings: Settings,
}

impl Default for Kafka {
    fn default() -> Self {
        Kafka { wait: Span::seconds(30), settings: Settings::default() }
    }
}

/// Where every accepted record goes besides, as Parquet.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Archive {
    /// The repository: a folder (its path, or file:///PATH), s3://BUCKET/PREFIX, or hdfs://HOST:PORT/FOLDER; without one there is no archive.
    pub repository: String,
    /// The longest that a record waits to be archived while records come in.
    pub every: Span,
    /// How much may wait before it is archived, in MB.
    pub roll_mb: u32,
    /// From so many files of a day on they are put together.
    pub compact_files: u32,
    /// How large a file may be that is still put together with others, in MB.
    pub file_mb: u32,
}

impl Default for Archive {
    fn default() -> Self {
        Archive {
            repository: String::new(),
            every: Span::seconds(300),
            roll_mb: 64,
            compact_files: 8,
            file_mb: 64,
        }
    }
}

/// What a running pipeline does by itself at certain times.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Job {
    /// When, as cron has it: minute, hour, day of the month, month and day of the week; or the second before them.
    pub at: String,
    /// By the clock of this time zone.
    pub zone: String,
    /// The command, word by word, without `nearline`.
    pub command: Vec<String>,
    /// Which publication has a new version after it, or it failed; `--publish` is said to commands that take it.
    pub publication: Option<String>,
    /// How often it is tried again where it fails.
    pub retries: u32,
    /// How long it is waited before that.
    pub retry_after: Span,
    /// How long an attempt may take; then it is ended and has failed.
    pub timeout: Option<Span>,
    /// Whether a run that was missed, as nothing ran then, is made good at the start.
    pub catch_up: bool,
}

impl Default for Job {
    fn default() -> Self {
        Job {
            at: String::new(),
            zone: "UTC".to_owned(),
            command: Vec::new(),
            publication: None,
            retries: 2,
            retry_after: Span::seconds(300),
            timeout: None,
            catch_up: true,
        }
    }
}

/// What `nearline train` uses where the command line says nothing.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// The length of a factor.
    pub rank: u32,
    /// How often members and items are solved in turn.
    pub iterations: u32,
    /// The weight of every pair of a member and an item, whether there was an event or not.
    pub alpha0: f64,
    /// How strongly factors are held small; above zero.
    pub lambda: f64,
    /// How much more strongly factors with many pairs are held: 0 not at all, 1 in proportion.
    pub nu: f64,
    /// Where the first item factors are drawn from.
    pub seed: u64,
    /// How a signal becomes a weight.
    pub transform: Transform,
}

// The one place for these. For weights around 1, as the default kinds give; found on the validation parts of three real
// logs (docs/tuning.md).
impl Default for Train {
    fn default() -> Self {
        Train {
            rank: 64,
            iterations: 16,
            alpha0: 0.2,
            lambda: 0.2,
            nu: 0.5,
            seed: 1,
            transform: Transform::Log1p,
        }
    }
}

/// How the absolute value of a signal becomes a weight.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// As it is.
    Linear,
    /// The natural logarithm of one more than it.
    Log1p,
    /// As it is, and at most this.
    Cap(f64),
}
