//! The config as meant: checked, in the units the code works with. It is made from what is written and no other way.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use nearline_dataflows::kinds::{KindRule, Seen};
use nearline_dataflows::types::Kind;
use nearline_factors::ARITHMETIC;

use super::jobs::{Job, jobs};
use super::kinds::{KindTable, kinds};
use super::mirrors::{Mirror, mirrors};
use super::number::{KeyError, MAX_VALUE, micros, within};
use super::publications::{Alert, Publications, Subscription, alerts, publications, subscriptions};
use super::settings::{Access, Settings, access};
use super::span::Span;
use super::variants::{Variants, variants};
use super::written::{self, Token, Written};

/// The longest list.
pub const MAX_LIST: u32 = 10_000;

/// The largest basket: its pairs are kept, and there are as many as its square, by half.
pub const MAX_BASKET: u32 = 100;

/// More clusters than this are no longer many members each.
pub const MAX_CLUSTERS: u32 = 10_000;

/// Centres stand still long before.
pub const MAX_CLUSTER_ITERATIONS: u32 = 1000;

/// How large a basket is of which the hash of the meaning says nothing. For ever, whatever the default is.
const BASKET: usize = 10;

/// A config that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What each kind of event means. Meaning.
    pub kinds: KindTable,
    /// What the lists are made by. Meaning.
    pub lists: Lists,
    /// How clusters of members are made, and when a list is of one.
    pub clusters: Clusters,
    /// Ways of making lists side by side, where there are some. Meaning.
    pub variants: Option<Variants>,
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
    /// How repositories on servers are reached.
    pub access: Access,
    /// Where every accepted record goes besides, where that is wanted.
    pub archive: Option<Archive>,
    /// Servers that lists and counts are mirrored in.
    pub mirrors: Vec<Mirror>,
    /// Where publications lie, who is told of them and how long they are kept.
    pub publications: Publications,
    /// Publications that a running pipeline follows, by name.
    pub subscriptions: Vec<Subscription>,
    /// When to raise an alarm about one of them, or about a job.
    pub alerts: Vec<Alert>,
    /// What a running pipeline does by itself, by name.
    pub jobs: Vec<Job>,
    /// What `nearline train` uses where the command line says nothing.
    pub train: Train,
    /// The tables of `[maps]`, by name, as written: the column maps of logs check them.
    pub maps: toml::Table,
}

/// More threads than this a pipeline never uses well.
pub const MAX_WORKERS: usize = 256;

/// Longer factors are refused: they would take gigabytes and hours before anyone saw a mistake. Published tables of
/// implicit ALS end at this rank, but for one.
pub const MAX_RANK: usize = 2048;

impl Config {
    /// What a map given to `--map` says: the map itself, or the table that it names.
    pub fn map_text(&self, given: &str) -> String {
        match self.maps.get(given) {
            Some(table) if !given.contains('=') => format!("{given}: {table}"),
            _ => given.to_owned(),
        }
    }
}

/// What the lists are made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    /// How many items a list holds at most: K.
    pub length: usize,
    /// After how many hours an event counts half for `trending`.
    pub half_life_hours: u32,
    /// How many of the items that a member has seen last count as seen together.
    pub basket: usize,
    /// What `continue_watching` takes for begun and not finished.
    pub continue_watching: ContinueWatching,
}

/// What `continue_watching` takes for begun and not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContinueWatching {
    /// The kind whose value is the part watched.
    pub kind: Kind,
    /// The least value that counts as begun, in millionths.
    pub from: i64,
    /// The value from which an item counts as finished, in millionths.
    pub below: i64,
}

/// How clusters of members are made, and when a list is of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    /// How many centres `nearline cluster` makes at most.
    pub count: usize,
    /// How often they move at most.
    pub iterations: usize,
    /// Where the starts are drawn from.
    pub seed: u64,
    /// Up to how many liked items a member's `top_picks` are what the member's cluster likes.
    pub few_items: u32,
}

/// How records become epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The longest that a record waits for its epoch to close.
    pub epoch: Duration,
    /// How many records close an epoch.
    pub epoch_records: usize,
    /// How many threads the graph runs on; none: as many as there are cores.
    pub workers: Option<NonZero<usize>>,
    /// How far ahead of the clock an event may be when it arrives.
    pub max_ahead: Span,
    /// For how long the model before can take over again at once.
    pub keep_previous: Span,
    /// From about how much resident memory on records are taken slowly, in bytes.
    pub memory_limit: Option<u64>,
}

impl Run {
    /// How many threads the graph runs on here.
    pub fn threads(&self) -> usize {
        self.workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get)
    }
}

/// How the store uses memory, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// For blocks read back from disk.
    pub block_cache: usize,
    /// For entries not yet written to a file of their own.
    pub write_buffer: usize,
    /// Whether tables are written so that anyone can search them.
    pub plain: bool,
}

/// How answers are given over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// How long an answer may take where a request does not say.
    pub deadline: Duration,
    /// The largest body, in bytes, after decompression.
    pub body_limit: usize,
    /// Memory for what answers read of the store, in bytes.
    pub cache: usize,
    /// How many requests may be under way.
    pub requests: usize,
    /// How many connections there may be.
    pub connections: usize,
    /// How long a client may take to send the head of a request.
    pub head_within: Duration,
    /// How old lists of a batch job may be that stand in for fresh ones.
    pub offline_max_age: Span,
    /// The certificate chain and the private key of TLS, PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Who may do what, by name; everybody everything where there are none.
    pub tokens: Vec<(String, Token)>,
}

/// Where traces of requests and commits go.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// The address that takes them in, whole; without one there are none.
    pub endpoint: Option<String>,
    /// Which share of requests and commits is traced, besides those whose caller traces them.
    pub share: f64,
}

/// How topics of Kafka are read and written.
#[derive(Debug, Clone, PartialEq)]
pub struct Kafka {
    /// How long to wait for the brokers at the start.
    pub wait: Duration,
    /// Settings of librdkafka.
    pub settings: Settings,
}

/// Where every accepted record goes besides, as Parquet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The repository's URL, or the path of a folder.
    pub repository: String,
    /// The longest that a record waits while records come in.
    pub every: Duration,
    /// How much may wait, in bytes.
    pub roll: u64,
    /// From so many files of a day on they are put together.
    pub compact_files: usize,
    /// How large a file may be that is still put together with others, in bytes.
    pub file: u64,
}

/// A token that can be guessed is none.
const SHORTEST_TOKEN: usize = 16;

/// How a model is trained (DESIGN.md section 5).
#[derive(Debug, Clone, PartialEq)]
pub struct Train {
    /// The length of a factor.
    pub rank: usize,
    /// How often members and items are solved in turn.
    pub iterations: usize,
    /// The weight of every pair of a member and an item.
    pub alpha0: f32,
    /// How strongly factors are held small; above zero.
    pub lambda: f32,
    /// The power of the number of pairs in that.
    pub nu: f32,
    /// Where the first item factors are drawn from.
    pub seed: u64,
    /// How a signal becomes a weight.
    pub transform: Transform,
}

/// How the absolute value of a signal becomes a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transform {
    /// As it is.
    Linear,
    /// The natural logarithm of one more than it.
    Log1p,
    /// As it is, and at most this, in millionths.
    Cap(i64),
}

impl Train {
    /// Checks what the command line may have changed; errors name the key as in the file.
    pub fn check(&self) -> Result<(), KeyError> {
        let refuse = |key: &str, wanted: &str| Err(KeyError::new(&["train", key], wanted));
        match self {
            Train { rank, .. } if !(1..=MAX_RANK).contains(rank) => {
                refuse("rank", &format!("must be from 1 to {MAX_RANK}"))
            }
            Train { iterations, .. } if !(1..=1000).contains(iterations) => {
                refuse("iterations", "must be from 1 to 1000")
            }
            Train { alpha0, .. } if !(0.0..=1e6).contains(alpha0) => {
                refuse("alpha0", "must be from 0 to 1000000")
            }
            Train { lambda, .. } if !(*lambda > 0.0 && *lambda <= 1e6) => {
                refuse("lambda", "must be above 0 and at most 1000000")
            }
            Train { nu, .. } if !(0.0..=2.0).contains(nu) => refuse("nu", "must be from 0 to 2"),
            Train { transform: Transform::Cap(cap), .. } if *cap <= 0 => {
                refuse("transform", "a cap must be above 0")
            }
            _ => Ok(()),
        }
    }
}

impl Config {
    /// BLAKE3 of the part of the config that has meaning, and of the arithmetic, in a canonical text.
    ///
    /// Two configs with one hash give the same views. The text is made of what was meant, so comments, order,
    /// and keys that say what is the default anyway change nothing.
    pub fn meaning_hash(&self) -> [u8; 32] {
        *blake3::hash(self.meaning().as_bytes()).as_bytes()
    }

    fn meaning(&self) -> String {
        let Lists { length, half_life_hours, basket, continue_watching: watching } = &self.lists;
        let quoted = |name: &str| serde_json::Value::from(name).to_string();
        let watched = quoted(self.kinds.name(watching.kind).expect("the kind was looked up in this table"));
        let mut text = format!(
            "nearline meaning 1\narithmetic {ARITHMETIC}\nlength {length}\nhalf_life_hours {half_life_hours}\n\
             continue_watching {watched} {} {}\n",
            watching.from, watching.below
        );
        // Folders that are older than the view say nothing of it.
        if *basket != BASKET {
            text += &format!("basket {basket}\n");
        }
        for (name, rule) in self.kinds.iter() {
            let KindRule { weight, times_value, counts_from, floor, seen, hides } = rule;
            let optional = |value: &Option<i64>| value.map_or("none".to_owned(), |value| value.to_string());
            let (name, counts_from, floor) = (quoted(name), optional(counts_from), optional(floor));
            let seen = match seen {
                Seen::No => "no",
                Seen::Yes => "yes",
                Seen::WhilePositive => "while_positive",
            };
            text += &format!(
                "kind {name} weight {weight} times_value {times_value} counts_from {counts_from} floor {floor} \
                 seen {seen} hides {hides}\n"
            );
        }
        // A config without variants has the text, and so the hash, that it had before there were any.
        text + &self.variants.as_ref().map(Variants::meaning).unwrap_or_default()
    }
}

impl TryFrom<Written> for Config {
    type Error = KeyError;

    fn try_from(written: Written) -> Result<Self, KeyError> {
        let scale = micros(&["rating_scale"], written.rating_scale, MAX_VALUE)?;
        if scale <= 0 {
            return Err(KeyError::new(&["rating_scale"], "must be above 0"));
        }
        let (kinds, continue_watching) = kinds(written.kinds, scale, &written.lists.continue_watching)?;
        let written::Lists { length, half_life_hours, basket, .. } = written.lists;
        let publications = publications(written.publications)?;
        let subscriptions = subscriptions(written.subscriptions, publications.repository.as_deref())?;
        let jobs = jobs(written.jobs, &publications)?;
        let config = Config {
            kinds,
            lists: Lists {
                length: within(&["lists", "length"], length.into(), 1, MAX_LIST.into())? as usize,
                half_life_hours: within(&["lists", "half_life_hours"], half_life_hours.into(), 1, 8_760)?
                    as u32,
                basket: within(&["lists", "basket"], basket.into(), 0, MAX_BASKET.into())? as usize,
                continue_watching,
            },
            clusters: clusters(&written.clusters)?,
            variants: variants(written.experiment, written.variants)?,
            run: run(&written.run)?,
            store: store(&written.store)?,
            serve: serve(written.serve)?,
            traces: traces(written.traces)?,
            kafka: kafka(written.kafka)?,
            access: access(written.s3, written.hdfs, written.cassandra)?,
            archive: archive(written.archive)?,
            mirrors: mirrors(written.mirrors)?,
            alerts: alerts(written.alerts, &subscriptions, &jobs)?,
            jobs,
            publications,
            subscriptions,
            train: train(&written.train)?,
            maps: written.maps,
        };
        config.train.check()?;
        Ok(config)
    }
}

fn clusters(written: &written::Clusters) -> Result<Clusters, KeyError> {
    let number = |key, value: u32, least, most: u32| {
        Ok(within(&["clusters", key], value.into(), least, most.into())? as usize)
    };
    Ok(Clusters {
        count: number("count", written.count, 1, MAX_CLUSTERS)?,
        iterations: number("iterations", written.iterations, 1, MAX_CLUSTER_ITERATIONS)?,
        seed: written.seed,
        few_items: number("few_items", written.few_items, 0, 1000)? as u32,
    })
}

fn run(written: &written::Run) -> Result<Run, KeyError> {
    Ok(Run {
        epoch: Duration::from_millis(within(&["run", "epoch_ms"], written.epoch_ms, 1, 60_000)?),
        epoch_records: within(&["run", "epoch_records"], written.epoch_records, 1, 1 << 24)? as usize,
        workers: NonZero::new(
            within(&["run", "workers"], written.workers.into(), 0, MAX_WORKERS as u64)? as usize
        ),
        max_ahead: written.max_ahead,
        keep_previous: written.keep_previous,
        memory_limit: written.memory_limit.0,
    })
}

fn archive(written: written::Archive) -> Result<Option<Archive>, KeyError> {
    let bytes = |key, megabytes: u32| Ok(within(&["archive", key], megabytes.into(), 1, 4096)? * 1_000_000);
    let archive = Archive {
        every: written.every.duration(),
        roll: bytes("roll_mb", written.roll_mb)?,
        compact_files: within(&["archive", "compact_files"], written.compact_files.into(), 2, 10_000)?
            as usize,
        file: bytes("file_mb", written.file_mb)?,
        repository: written.repository,
    };
    if crate::repositories::is_for_what_fits(&archive.repository) {
        let problem = "cannot be in Cassandra: the archive grows without end, and its files are large; use a folder, S3 or HDFS";
        return Err(KeyError::new(&["archive", "repository"], problem));
    }
    Ok(Some(archive).filter(|archive| !archive.repository.is_empty()))
}

fn store(written: &written::Store) -> Result<Store, KeyError> {
    let bytes =
        |key, megabytes: u32| Ok(within(&["store", key], megabytes.into(), 1, 1 << 20)? as usize * 1_000_000);
    Ok(Store {
        block_cache: bytes("block_cache_mb", written.block_cache_mb)?,
        write_buffer: bytes("write_buffer_mb", written.write_buffer_mb)?,
        plain: written.plain,
    })
}

fn traces(written: written::Traces) -> Result<Traces, KeyError> {
    if !(0.0..=1.0).contains(&written.share) {
        return Err(KeyError::new(&["traces", "share"], "must be from 0 to 1"));
    }
    let endpoint = written.endpoint.trim_end_matches('/');
    let after = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    let endpoint = match after {
        None if endpoint.is_empty() => None,
        None | Some("") => {
            let wanted = "must be the address of a collector, such as \"http://127.0.0.1:4318\"";
            return Err(KeyError::new(&["traces", "endpoint"], wanted));
        }
        // Where a collector has its usual path, it need not be said.
        Some(host) if !host.contains('/') => Some(format!("{endpoint}/v1/traces")),
        Some(_) => Some(endpoint.to_owned()),
    };
    Ok(Traces { endpoint, share: written.share })
}

fn serve(written: written::Serve) -> Result<Serve, KeyError> {
    let number = |key, value: u64, most| within(&["serve", key], value, 1, most);
    for (name, token) in &written.tokens {
        if token.token.len() < SHORTEST_TOKEN {
            let wanted = format!("must have at least {SHORTEST_TOKEN} bytes");
            return Err(KeyError::new(&["serve", "tokens", name, "token"], &wanted));
        }
        if token.scopes.is_empty() {
            let wanted = "must name one of read, write and admin";
            return Err(KeyError::new(&["serve", "tokens", name, "scopes"], wanted));
        }
    }
    let tls = match (written.certificate.is_empty(), written.key.is_empty()) {
        (true, true) => None,
        (false, false) => Some((written.certificate.into(), written.key.into())),
        (true, false) => {
            return Err(KeyError::new(&["serve", "certificate"], "must be given where there is a key"));
        }
        (false, true) => {
            return Err(KeyError::new(&["serve", "key"], "must be given where there is a certificate"));
        }
    };
    Ok(Serve {
        deadline: Duration::from_millis(number("deadline_ms", written.deadline_ms, 60_000)?),
        body_limit: number("body_limit_mb", written.body_limit_mb.into(), 1024)? as usize * 1_000_000,
        cache: number("cache_mb", written.cache_mb.into(), 1 << 20)? as usize * 1_000_000,
        requests: number("requests", written.requests.into(), 1 << 20)? as usize,
        connections: number("connections", written.connections.into(), 1 << 20)? as usize,
        head_within: written.head_within.duration(),
        offline_max_age: written.offline_max_age,
        tls,
        tokens: written.tokens.into_iter().collect(),
    })
}

fn kafka(written: written::Kafka) -> Result<Kafka, KeyError> {
    if let Some((key, why)) = crate::sources::kafka::misplaced(&written.settings) {
        return Err(KeyError::new(&["kafka", "settings", key], format!("cannot be set: {why}")));
    }
    Ok(Kafka { wait: written.wait.duration(), settings: written.settings })
}

fn train(written: &written::Train) -> Result<Train, KeyError> {
    Ok(Train {
        rank: written.rank as usize,
        iterations: written.iterations as usize,
        alpha0: written.alpha0 as f32,
        lambda: written.lambda as f32,
        nu: written.nu as f32,
        seed: written.seed,
        transform: match written.transform {
            written::Transform::Linear => Transform::Linear,
            written::Transform::Log1p => Transform::Log1p,
            written::Transform::Cap(cap) => Transform::Cap(micros(&["train", "transform"], cap, MAX_VALUE)?),
        },
    })
}
