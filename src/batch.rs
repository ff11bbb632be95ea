//! `nearline batch`: lists for all members with live events, made by one algorithm from one moment of the store, and
//! kept as the offline rung.
//!
//! They are made in the process that holds the store, on threads of their own, and go to the committer in slices
//! (`engine/batches.rs`); readers see the last batch until the new one is whole. An erasure meanwhile has the moment let
//! go of: the lists are begun anew from what is left.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::digests::DigestKey;
use crate::engine::batches::{self, BatchList};
use crate::engine::recover::Standing;
use crate::engine::{EngineError, Handle};
use crate::folder::Folder;
use crate::serving::algorithms::{self, Algorithm, Inputs};
use crate::serving::models::ServedModel;
use crate::serving::rank::RankQuery;
use crate::serving::{Reader, Serving, ServingError};
use crate::stores::formats::{self, OfflineBatch, RecordKind};
use crate::stores::long_read::LongRead;
use crate::stores::{Store, StoreError, Table};

/// How many members a slice has: little enough that the committer is back with events in no time.
const SLICE: usize = 128;
/// How often a batch is begun anew.
const TRIES: usize = 20;

/// What is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchQuery {
    /// The algorithm, by its name.
    pub algorithm: String,
    /// The folder of a model; the live one unless given.
    pub model: Option<PathBuf>,
    /// How many items a list has at most.
    pub limit: usize,
}

/// How far a batch is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Members whose lists were made.
    pub members: u64,
    /// Members that were met.
    pub of: u64,
}

/// Why there is no batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The store, the model or the config.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It cannot be made, or not now.
    #[error("{0}")]
    Refused(String),
}

impl From<StoreError> for BatchError {
    fn from(error: StoreError) -> Self {
        BatchError::Serving(error.into())
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, BatchError> {
    Err(BatchError::Refused(why.into()))
}

/// Makes batches, one at a time.
pub struct Batches {
    store: Arc<dyn Store>,
    folder: Folder,
    config: Config,
    long_read: Arc<LongRead>,
    at_work: Mutex<()>,
    stopped: AtomicBool,
    members: AtomicU64,
    of: AtomicU64,
}

impl Batches {
    /// For the process that holds the folder.
    pub fn new(store: Arc<dyn Store>, folder: Folder, config: Config, long_read: Arc<LongRead>) -> Self {
        Batches {
            store,
            folder,
            config,
            long_read,
            at_work: Mutex::default(),
            stopped: AtomicBool::new(false),
            members: AtomicU64::new(0),
            of: AtomicU64::new(0),
        }
    }

    /// How far the one that is under way is.
    pub fn progress(&self) -> Progress {
        Progress { members: self.members.load(Ordering::Relaxed), of: self.of.load(Ordering::Relaxed) }
    }

    /// Breaks off what is under way, and waits until it has let go of the store. There is no batch after this.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
    }

    /// Takes lists over that were made elsewhere; `next` gives some at a time, and none at the end. Returns when they are on
    /// disk and serve. A member who was forgotten, or has no events here, gets none: what is gone must not come back.
    pub fn take(
        &self,
        made: OfflineBatch,
        next: &mut dyn FnMut() -> Result<Option<Vec<BatchList>>, String>,
        handle: &Handle,
    ) -> Result<OfflineBatch, BatchError> {
        let _alone = self.alone()?;
        let standing = Standing::of(&*self.store)?;
        if made.as_of.is_some_and(|as_of| as_of <= standing.trimmed) {
            return refused("they are made from events that were trimmed here");
        }
        let key = self.folder.key(standing.key.as_deref());
        let key = key.map_err(|error| BatchError::Refused(error.to_string()))?;
        if !handle.begin_batch()? {
            return refused(match Standing::of(&*self.store)?.part {
                Some(_) => "a pipeline of several processes has no batch lists; its lists are kept fresh",
                None => "a bulk load is under way: ask again when it is done",
            });
        }
        let taken = self.take_all(&made, next, &key, handle);
        let taken = match taken {
            Ok(()) => {
                handle.batch_live(made.clone())?;
                let live = batches::live(&*self.store)?.filter(|live| live.made_at == made.made_at);
                live.ok_or_else(|| BatchError::Refused("events were trimmed meanwhile".to_owned()))
            }
            Err(error) => {
                handle.give_batch_up()?;
                Err(error)
            }
        };
        handle.sweep_batches()?;
        taken
    }

    fn take_all(
        &self,
        made: &OfflineBatch,
        next: &mut dyn FnMut() -> Result<Option<Vec<BatchList>>, String>,
        key: &DigestKey,
        handle: &Handle,
    ) -> Result<(), BatchError> {
        while let Some(mut lists) = next().map_err(BatchError::Refused)? {
            if self.stopped.load(Ordering::Relaxed) {
                return refused("the pipeline came to its end before the lists were taken over");
            }
            let mut kept = Vec::with_capacity(lists.len());
            for list in lists.drain(..) {
                if self.may_have(&list.member, made.made_at, key)? {
                    kept.push(list);
                }
            }
            handle.batch_lists(kept)?;
        }
        Ok(())
    }

    /// Whether a member may have a list that was made then.
    fn may_have(&self, member: &str, made_at: i64, key: &DigestKey) -> Result<bool, StoreError> {
        if let Some(value) = self.store.get(Table::Tombstones, &key.member(member))? {
            let tombstone = formats::decode_tombstone(&key.member(member), &value)?;
            if tombstone.forget >= made_at {
                return Ok(false);
            }
        }
        let (mut prefix, mut lives) = (Vec::new(), false);
        formats::record_key(member, RecordKind::Event, &[], &mut prefix);
        self.store.scan(Table::Records, &prefix, &prefix, &mut |_, _| {
            lives = true;
            ControlFlow::Break(())
        })?;
        Ok(lives)
    }

    fn alone(&self) -> Result<MutexGuard<'_, ()>, BatchError> {
        match self.at_work.try_lock() {
            Ok(alone) => Ok(alone),
            Err(TryLockError::Poisoned(alone)) => Ok(alone.into_inner()),
            Err(TryLockError::WouldBlock) => {
                refused("a batch is under way already: ask again when it is done")
            }
        }
    }

    /// Makes a batch on so many threads; returns when it is on disk and serves.
    pub fn make(
        &self,
        query: &BatchQuery,
        model: Option<ServedModel>,
        threads: usize,
        handle: &Handle,
    ) -> Result<OfflineBatch, BatchError> {
        let _alone = self.alone()?;
        let Some(algorithm) = algorithms::named(&query.algorithm) else {
            return refused(format!("there is no algorithm {:?}", query.algorithm));
        };
        if model.is_some() && !algorithm.needs_model() {
            return refused(format!("{} has no use for a model: leave --model out", query.algorithm));
        }
        for _ in 0..TRIES {
            if let Some(batch) = self.attempt(query, algorithm, model.as_ref(), threads, handle)? {
                return Ok(batch);
            }
            tracing::info!("members were forgotten meanwhile: the batch is begun anew");
        }
        refused("members were forgotten again and again while lists were made: ask again later")
    }

    /// None where the lists have to be begun anew.
    fn attempt(
        &self,
        query: &BatchQuery,
        algorithm: &dyn Algorithm,
        model: Option<&ServedModel>,
        threads: usize,
        handle: &Handle,
    ) -> Result<Option<OfflineBatch>, BatchError> {
        let held = self.long_read.hold();
        self.members.store(0, Ordering::Relaxed);
        if !handle.begin_batch()? {
            return refused(match Standing::of(&*self.store)?.part {
                Some(_) => "a pipeline of several processes has no batch lists; its lists are kept fresh",
                None => "a bulk load is under way: ask again when it is done",
            });
        }
        let reader = Reader::over(self.store.clone(), &self.folder, self.config.clone());
        let made = reader.read_whole(model.map(|model| &model.model), |serving| {
            self.of.store(serving.standing.counts.members, Ordering::Relaxed);
            Ok(self.lists(serving, query, algorithm, model, threads, handle))
        });
        drop(held);
        let made = match made.map_err(BatchError::from).and_then(|made| made) {
            Ok(Some(made)) => {
                handle.batch_live(made.clone())?;
                // A trim may have come between, and let go of it.
                batches::live(&*self.store)?.filter(|live| live.made_at == made.made_at)
            }
            other => {
                handle.give_batch_up()?;
                handle.sweep_batches()?;
                return other;
            }
        };
        handle.sweep_batches()?;
        Ok(made)
    }

    /// Makes the lists of one moment, and has them kept.
    fn lists(
        &self,
        serving: &Serving<'_>,
        query: &BatchQuery,
        algorithm: &dyn Algorithm,
        given: Option<&ServedModel>,
        threads: usize,
        handle: &Handle,
    ) -> Result<Option<OfflineBatch>, BatchError> {
        let own;
        let model = match (given, &serving.standing.lists.model) {
            _ if !algorithm.needs_model() => None,
            (Some(given), _) => Some(given),
            (None, Some(version)) => {
                own = serving.known.models.get(version).map_err(ServingError::from)?;
                Some(&*own)
            }
            (None, None) => {
                return refused(format!(
                    "the algorithm {} needs a model: name one with --model, or take another algorithm",
                    query.algorithm
                ));
            }
        };
        algorithm.prepare(serving)?;
        let made = Made { batches: self, serving, algorithm, model, limit: query.limit, handle };
        if !made.all(threads)? {
            return Ok(None);
        }
        Ok(Some(OfflineBatch {
            generation: 0,
            epoch: serving.standing.epoch,
            as_of: serving.standing.now,
            made_at: now_ms(),
            algorithm: query.algorithm.clone(),
            model: model.map(|model| model.model.manifest.version.clone()),
            limit: query.limit as u64,
            members: 0,
        }))
    }
}

/// What the threads of a batch share.
struct Made<'a> {
    batches: &'a Batches,
    serving: &'a Serving<'a>,
    algorithm: &'a dyn Algorithm,
    model: Option<&'a ServedModel>,
    limit: usize,
    handle: &'a Handle,
}

impl Made<'_> {
    /// Makes the lists of all members with live events; says whether all were made.
    fn all(&self, threads: usize) -> Result<bool, BatchError> {
        let (slices, todo) = crossbeam_channel::bounded::<Vec<String>>(2 * threads);
        let failed = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            let work = || {
                let mut done = Ok(());
                for slice in &todo {
                    // After a failure what waits is taken and let go of: whoever sends must not wait for nobody.
                    if done.is_ok() {
                        done = self.slice(&slice);
                        failed.fetch_or(done.is_err(), Ordering::Relaxed);
                    }
                }
                done
            };
            let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
            let read = self.members(&mut |slice| {
                let goes_on = !self.is_broken_off() && !failed.load(Ordering::Relaxed);
                if goes_on && slices.send(slice).is_ok() {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
            drop(slices);
            let panicked = |_| refused("a thread that makes lists ended before its time");
            let done: Result<Vec<()>, BatchError> =
                workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect();
            read?;
            done
        })?;
        if self.batches.stopped.load(Ordering::Relaxed) {
            return refused("the pipeline came to its end before the batch: the one before stays");
        }
        Ok(!self.is_broken_off())
    }

    fn is_broken_off(&self) -> bool {
        self.batches.long_read.is_wanted() || self.batches.stopped.load(Ordering::Relaxed)
    }

    /// Shows the members with live events, some at a time.
    fn members(&self, show: &mut dyn FnMut(Vec<String>) -> ControlFlow<()>) -> Result<(), StoreError> {
        let (mut slice, mut last) = (Vec::new(), Vec::new());
        self.serving.tables.scan(Table::Records, &[], &[], &mut |key, _| {
            // A length less one, the id, and what kind of record it is.
            let end = key.first().map_or(0, |length| usize::from(*length) + 2);
            if key.get(end) != Some(&b'e') || key.get(..end) == Some(&last[..]) {
                return ControlFlow::Continue(());
            }
            last = key[..end].to_vec();
            slice.push(String::from_utf8_lossy(&key[1..end]).into_owned());
            if slice.len() < SLICE { ControlFlow::Continue(()) } else { show(std::mem::take(&mut slice)) }
        })?;
        if !slice.is_empty() {
            let _ = show(slice);
        }
        Ok(())
    }

    fn slice(&self, members: &[String]) -> Result<(), BatchError> {
        let query = RankQuery { limit: self.limit, ..RankQuery::default() };
        let mut lists = Vec::with_capacity(members.len());
        for member in members {
            if self.is_broken_off() {
                return Ok(());
            }
            let signals = self.serving.past(member)?;
            let inputs = Inputs { model: self.model, data: self.serving, signals: &signals, member };
            let entries = self.algorithm.rank(&inputs, &query)?.unwrap_or_default();
            self.batches.members.fetch_add(1, Ordering::Relaxed);
            if !entries.is_empty() {
                let entries = entries.into_iter().map(|entry| (entry.item, entry.score)).collect();
                lists.push(BatchList { member: member.clone(), entries });
            }
        }
        Ok(self.handle.batch_lists(lists)?)
    }
}

/// The wall clock, in milliseconds since 1970: for the age of the lists.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
