//! The HTTP server: DESIGN's interface over a folder that a pipeline keeps fresh, or that another process does.
//!
//! ```text
//! request ─→ limits ─→ route ─→ ladder (rungs, each with a budget) ─→ one moment of the store ─→ answer
//!                        │
//!                        └─→ posts (many share a commit) ─→ the engine
//! engine ─→ feed (what was committed) ─→ catalogue in memory, whoever waits for an epoch, server-sent events, metrics
//! ```
//!
//! The only place that names `axum`. [`app`] is a value, which tests call as a client would.

mod access;
mod breaker;
mod feed;
mod ladder;
mod metrics;
mod metrics_jobs;
mod metrics_mirrors;
mod metrics_publications;
mod mirrored;
mod peers;
mod posts;
mod problem;
mod query;
mod routes;
mod running;
mod turns;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use access::Access;
use arc_swap::ArcSwap;
pub use feed::Feed;
use ladder::Ladder;
use metrics::Metrics;
pub use mirrored::Mirrored;
use peers::Passing;
pub use peers::Peers;
pub use posts::Pipeline;
pub use problem::Problem;
use routes::PublicationChange;
pub use routes::{app, openapi};
pub use running::{Listen, Listening, listen};
use tokio::sync::broadcast;

use super::Reader;
use crate::archive::Archive;
use crate::config::{Serve, Token};
use crate::mirrors::Mirrors;
use crate::processes::Share;
use crate::publications::alerts::RaisedNow;
use crate::publications::board::Board;
use crate::sources::kafka::Lags;
use crate::stores::Table;
use crate::traces::Traces;

/// How the server answers.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long an answer may take where a request does not say.
    pub deadline: Duration,
    /// The largest body, in bytes, after decompression.
    pub body_limit: usize,
    /// How many requests may be under way.
    pub requests: usize,
    /// How many reads of the store may be under way.
    pub reads: usize,
    /// How many bytes of the store are read into memory at the start.
    pub warm: u64,
    /// Who may do what, by name; everybody everything where there are none.
    pub tokens: Vec<(String, Token)>,
    /// Whether the server is reached from this machine alone.
    pub loopback: bool,
    /// Where traces go, if anywhere.
    pub traces: Option<Arc<Traces>>,
}

impl Options {
    /// What a config says.
    pub fn of(serve: &Serve, loopback: bool, traces: Option<Arc<Traces>>) -> Self {
        Options {
            deadline: serve.deadline,
            body_limit: serve.body_limit,
            requests: serve.requests,
            reads: reads(),
            // Not all of what there is for it: what is asked for most has come to stay there by then.
            warm: serve.cache as u64 / 4 * 3,
            tokens: serve.tokens.clone(),
            loopback,
            traces,
        }
    }
}

/// How many reads of the store may be under way: some more than there are cores, since one may wait for a disk. With many
/// more they only get in each other's way, and all come late.
fn reads() -> usize {
    std::thread::available_parallelism().map_or(8, |cores| cores.get() * 4).max(8)
}

/// What all requests share.
pub struct App {
    /// Set once recovery is done.
    ready: OnceLock<Ready>,
    /// The way to the other processes, in a pipeline of several.
    passing: OnceLock<Passing>,
    /// The mirror that answers come from, where it is none of a folder.
    mirrored: OnceLock<Arc<Mirrored>>,
    feed: Arc<Feed>,
    ladder: Ladder,
    metrics: Arc<Metrics>,
    /// Tells what happens to publications.
    publications: broadcast::Sender<PublicationChange>,
    access: Access,
    options: Options,
    started: Instant,
}

/// What answers are made of once the folder is open.
pub struct Ready {
    reader: ArcSwap<Reader>,
    /// The way to change something; none in a replica.
    pipeline: Option<Pipeline>,
}

/// How many events a slow listener may be behind before it misses some.
const BEHIND: usize = 256;

impl App {
    /// From here on it is told what happens to publications.
    pub fn follows(&self, board: Arc<Board>, raised: RaisedNow) {
        let tell = self.publications.clone();
        board.tell(Box::new(move |happened, followed| {
            // Nobody may be listening.
            let _ = tell.send(PublicationChange { happened, followed: followed.clone() });
        }));
        // A pipeline is started once.
        let _ = self.metrics.publications.followed.set((board, raised));
    }

    /// From here on it is told how far topics are read.
    pub fn reads_topics(&self, lags: Lags) {
        // A pipeline is started once.
        let _ = self.metrics.lags.set(lags);
    }

    /// From here on it is told of jobs.
    pub fn does_jobs(&self, board: Arc<crate::jobs::board::Board>) {
        // A pipeline is started once.
        let _ = self.metrics.jobs.board.set(board);
    }

    /// From here on it is told how far the archive is.
    pub fn archives(&self, archive: Arc<Archive>) {
        let _ = self.metrics.archive.set(archive);
    }

    /// A server that is not ready yet, and says so.
    pub fn new(options: Options) -> Arc<Self> {
        let metrics = Arc::new(Metrics::default());
        let feed = Arc::new(Feed::new(metrics.clone(), options.traces.clone()));
        let ladder = Ladder::new(options.reads, metrics.clone());
        let access = Access::new(&options.tokens, options.loopback);
        Arc::new(App {
            ready: OnceLock::new(),
            passing: OnceLock::new(),
            mirrored: OnceLock::new(),
            feed,
            ladder,
            metrics,
            publications: broadcast::Sender::new(BEHIND),
            access,
            options,
            started: Instant::now(),
        })
    }

    /// What is told of commits.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// From here on it is the server of one process of several: what is another's is asked there. To be said before it is
    /// ready.
    pub fn joins(&self, peers: Peers) -> Result<(), String> {
        // A pipeline is started once.
        let _ = self.passing.set(Passing::new(peers)?);
        Ok(())
    }

    /// Which process of several it answers for.
    fn share(&self) -> Option<Share> {
        let of_reader = || self.ready.get()?.reader.load().share();
        self.passing.get().map(|passing| passing.peers.share).or_else(of_reader)
    }

    /// From here on there are answers: from this reader, and where there is a pipeline, changes go to it.
    pub fn ready(&self, reader: Reader, pipeline: Option<Pipeline>) {
        let reader = match self.passing.get() {
            Some(Passing { peers, .. }) => reader.of_part(peers.share, Some(peers.whole.clone())),
            None => reader,
        };
        let reader = Arc::new(reader);
        self.feed.begin(&reader);
        warm(&reader, self.options.warm);
        // Whoever was first stays.
        let _ = self.ready.set(Ready { reader: ArcSwap::new(reader), pipeline });
    }

    /// From here on there are lists, from a mirror.
    pub fn answers_from(&self, mirrored: Arc<Mirrored>) {
        // A server is started once.
        let _ = self.mirrored.set(mirrored);
    }

    /// From here on it is told how far mirrors are.
    pub fn mirrors(&self, mirrors: Arc<Mirrors>) {
        // A pipeline is started once.
        let _ = self.metrics.mirrors.of.set(mirrors);
    }

    /// The folder as it is now, in a replica.
    pub fn renew(&self, reader: Reader) {
        if let Some(ready) = self.ready.get() {
            let reader = Arc::new(reader);
            // First: an epoch must not be said to be visible before its answers are.
            ready.reader.store(reader.clone());
            self.feed.begin(&reader);
        }
    }

    fn get(&self) -> Result<&Ready, Problem> {
        self.ready.get().ok_or_else(|| match self.mirrored.get() {
            None => Problem::recovering(),
            Some(_) => Problem::not_found(
                "this server answers from a mirror, which holds lists alone: ask one over the folder",
            ),
        })
    }
}

/// What answers are made of most, the most asked for first.
const WARM: [Table; 4] = [Table::TopPicks, Table::Clusters, Table::ContinueWatching, Table::Records];
/// So much is read at a time.
const SLICE: u64 = 2 << 20;

/// Reads what will be asked for into memory, on a thread of its own, as long as there is somebody to answer.
fn warm(reader: &Arc<Reader>, bytes: u64) {
    let reader = Arc::downgrade(reader);
    let read = move || {
        let mut left = bytes;
        for table in WARM {
            let mut from = Some(Vec::new());
            while let (Some(key), Some(reader), true) = (&from, reader.upgrade(), left >= SLICE) {
                match reader.warm(table, key, SLICE) {
                    Ok(next) => from = next,
                    // Whoever needs it will be told.
                    Err(_) => return,
                }
                left -= SLICE;
            }
        }
    };
    // Without it the first answers come from disk, and that is all.
    let _ = std::thread::Builder::new().name("warm".into()).spawn(read);
}

/// The wall clock, in milliseconds since 1970: for the age of answers.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
