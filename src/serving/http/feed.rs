//! What was committed, told to whoever waits for it: those who wait for an epoch, server-sent events, the catalogue and
//! the trending list in memory, and the metrics.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, watch};

use super::super::algorithms::Popular;
use super::super::clusters::ClustersStatus;
use super::super::list::Entry;
use super::super::rank::RankQuery;
use super::super::{Reader, Serving, ServingError};
use super::metrics::Metrics;
use super::now_ms;
use crate::engine::batches;
use crate::engine::observer::{Commit, Observer};
use crate::traces::Traces;
use crate::variants::MadeWith;

/// How many commits a slow listener may be behind before it misses some.
const BEHIND: usize = 256;
/// How often the trending list in memory is made anew at most.
const FLOOR_EVERY: Duration = Duration::from_millis(250);
/// And at most a part of the time: it rests so many times as long as it took.
const FLOOR_RESTS: u32 = 9;
/// How long it is.
const FLOOR: usize = 500;
/// How often the members of clusters are counted at most.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// A commit as listeners are told.
#[derive(Debug, Clone)]
pub struct Told {
    /// What it changed.
    pub commit: Arc<Commit>,
    /// The newest event time that it covers.
    pub as_of: Option<i64>,
    /// The model that is live.
    pub model: Option<String>,
    /// The wall clock.
    pub committed_at: i64,
}

/// What is trending, in memory: what is there when nothing else is.
#[derive(Debug, Clone, Default)]
pub struct Floor {
    /// The list, withdrawn items left out.
    pub entries: Vec<Entry>,
    /// Its epoch.
    pub epoch: u64,
    /// The newest event that it covers.
    pub as_of: Option<i64>,
    /// What lists are made with, for which variant a member belongs to.
    pub lists: MadeWith,
}

/// Hears of every commit.
pub struct Feed {
    epoch: watch::Sender<u64>,
    commits: broadcast::Sender<Told>,
    floor: ArcSwap<Floor>,
    metrics: Arc<Metrics>,
    traces: Option<Arc<Traces>>,
    reader: Mutex<Weak<Reader>>,
    /// The clusters as their members were counted last, and when that was: it takes a look at each member.
    counted: Mutex<Option<(Instant, ClustersStatus)>>,
    work: Mutex<Option<crossbeam_channel::Sender<Arc<Commit>>>>,
}

impl Feed {
    /// Nothing is known yet.
    pub(super) fn new(metrics: Arc<Metrics>, traces: Option<Arc<Traces>>) -> Self {
        Feed {
            epoch: watch::Sender::new(0),
            commits: broadcast::Sender::new(BEHIND),
            floor: ArcSwap::default(),
            metrics,
            traces,
            reader: Mutex::default(),
            counted: Mutex::default(),
            work: Mutex::default(),
        }
    }

    /// Begins to keep what is in memory as the reader sees it.
    pub(super) fn begin(self: &Arc<Self>, reader: &Arc<Reader>) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(reader);
        if let Err(error) = self.renew(reader) {
            tracing::warn!(%error, "what is trending cannot be kept in memory");
        }
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if work.is_some() {
            return;
        }
        let (todo, jobs) = crossbeam_channel::unbounded::<Arc<Commit>>();
        let feed = Arc::downgrade(self);
        let spawned = std::thread::Builder::new().name("feed".into()).spawn(move || keep_up(&feed, &jobs));
        match spawned {
            Ok(_) => *work = Some(todo),
            Err(error) => tracing::error!(%error, "no thread could be started that tells of commits"),
        }
    }

    /// The trending list in memory, and the epoch that is visible.
    fn renew(&self, reader: &Reader) -> Result<(), ServingError> {
        let floor = reader.read(|serving| {
            // Counts further down are in the stores of all processes, which are not asked for this again and again.
            let kept = reader.share().is_some();
            let query = RankQuery { limit: FLOOR, kept, ..RankQuery::default() };
            let entries = serving.rank(&Popular, "", &query)?.unwrap_or_default();
            let lists = serving.standing.lists.clone();
            for version in lists.models() {
                if let Err(error) = serving.known.models.get(version) {
                    tracing::warn!(%error, "the model cannot be read: lists are those that are stored");
                }
            }
            self.metrics.batch(batches::live(serving.tables)?.as_ref());
            self.count_clusters(serving)?;
            Ok(Floor { entries, epoch: serving.standing.epoch, as_of: serving.standing.now, lists })
        })?;
        self.epoch.send_if_modified(|epoch| {
            let newer = floor.epoch > *epoch;
            *epoch = floor.epoch.max(*epoch);
            newer
        });
        self.floor.store(Arc::new(floor));
        Ok(())
    }

    /// What is trending, from memory.
    pub(super) fn floor(&self) -> Arc<Floor> {
        self.floor.load_full()
    }

    /// Tells when the visible epoch changes.
    pub(super) fn epochs(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// Tells of every commit.
    pub(super) fn commits(&self) -> broadcast::Receiver<Told> {
        self.commits.subscribe()
    }

    /// Counts the members of clusters now and then, and where the centres are others.
    fn count_clusters(&self, serving: &Serving<'_>) -> Result<(), ServingError> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let in_use = serving.standing.centres.as_ref().map(|centres| &centres.version);
        let fresh = |(at, known): &(Instant, ClustersStatus)| {
            at.elapsed() < COUNT_EVERY && Some(&known.centres) == in_use
        };
        if !counted.as_ref().is_some_and(fresh) {
            *counted = serving.clusters()?.map(|clusters| (Instant::now(), clusters));
        }
        self.metrics.clusters(counted.as_ref().map(|(_, clusters)| clusters));
        Ok(())
    }

    /// What a commit brings besides its epoch: the catalogue, the new model, and what listeners are told.
    fn take_in(&self, commit: &Arc<Commit>) {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let Some(reader) = reader else { return };
        let told = reader.read(|serving| {
            if let (Some(catalogue), false) = (&serving.known.catalogue, commit.items.is_empty()) {
                catalogue.changed(serving.tables, commit.epoch, &commit.items)?;
            }
            if commit.turned {
                for version in serving.standing.lists.models() {
                    serving.known.models.get(version)?;
                }
            }
            Ok(Told {
                commit: commit.clone(),
                as_of: serving.standing.now,
                model: serving.standing.lists.model.clone(),
                committed_at: now_ms(),
            })
        });
        match told {
            // Nobody may be listening.
            Ok(told) => drop(self.commits.send(told)),
            Err(error) => tracing::warn!(%error, "a commit could not be looked into"),
        }
    }
}

/// Takes commits in as they come. Nobody who listens to changes waits for what is trending, which takes longer.
fn keep_up(feed: &Weak<Feed>, jobs: &crossbeam_channel::Receiver<Arc<Commit>>) {
    let (stale, renews) = crossbeam_channel::bounded(1);
    let floor = feed.clone();
    let spawned = std::thread::Builder::new().name("floor".into()).spawn(move || keep_floor(&floor, &renews));
    if let Err(error) = spawned {
        tracing::error!(%error, "no thread could be started that keeps what is trending in memory");
    }
    for commit in jobs {
        let Some(feed) = feed.upgrade() else { return };
        feed.take_in(&commit);
        // It is stale already, or nobody renews it.
        let _ = stale.try_send(());
    }
}

/// Renews what is trending in memory where that is stale, now and then.
fn keep_floor(feed: &Weak<Feed>, stale: &crossbeam_channel::Receiver<()>) {
    for () in stale {
        let Some(feed) = feed.upgrade() else { return };
        let reader = feed.reader.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let began = Instant::now();
        if let Some(Err(error)) = reader.map(|reader| feed.renew(&reader)) {
            tracing::warn!(%error, "what is trending in memory is not made anew");
        }
        drop(feed);
        // Of a large catalogue it takes a tenth of a second, and events come first.
        std::thread::sleep(FLOOR_EVERY.max(FLOOR_RESTS * began.elapsed()));
    }
}

impl Observer for Feed {
    fn before(&self, commit: &Commit) {
        if commit.items.is_empty() {
            return;
        }
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(catalogue) = reader.as_ref().and_then(|reader| reader.known.catalogue.as_ref()) {
            catalogue.will_change(commit.epoch);
        }
    }

    fn worked(&self, operator: &str, time: Duration) {
        self.metrics.worked(operator, time);
    }

    fn after(&self, commit: &Commit) {
        self.metrics.committed(commit);
        if let Some(traces) = &self.traces {
            traces.committed(commit);
        }
        self.epoch.send_if_modified(|epoch| {
            let newer = commit.epoch > *epoch;
            *epoch = commit.epoch.max(*epoch);
            newer
        });
        if let Some(work) = &*self.work.lock().unwrap_or_else(PoisonError::into_inner) {
            // The thread ends with the server.
            let _ = work.send(Arc::new(commit.clone()));
        }
    }
}
