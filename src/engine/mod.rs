//! The engine: records in, epochs of changed views out, committed one by one.
//!
//! ```text
//! sources ─→ ingest (ids to numbers, epochs) ─→ workers (the graph) ─→ committer ─→ store
//! ```
//!
//! An [`Engine`] owns a store's future: it reads the records back at the start, takes batches, closes epochs, and
//! says when they are on disk. It knows sources and stores by their traits alone.

pub mod committed;
pub mod committer;
pub mod erasing;
mod held;
pub mod ingest;
mod messages;
pub mod recover;
pub mod socket;
mod storing;
pub mod verify;
pub mod workers;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nearline_dataflows::graph::Meaning;
use nearline_dataflows::members::Control;
use nearline_dataflows::model::Model;
use nearline_dataflows::types::Epoch;

use crate::dictionary::ItemNames;
use crate::digests::DigestKey;
use crate::records::Record;
use crate::sources::Batch;
use crate::sources::rejected::RejectedLog;
use crate::stores::{Store, StoreError, Table, formats};
use committed::{Committed, Counts};
use committer::Committer;
use ingest::{EpochRecords, Ingest, WorkerFeed};
use messages::{Mode, ToCommit};
use recover::Standing;
use workers::{Feed, Workers};

/// Batches that may wait to be taken: enough to keep the workers busy, few enough to bound memory.
const WAITING_BATCHES: usize = 4;
/// Changes that may wait to be committed: batches of lists are large. The committer waits for nobody, so whoever waits
/// for it goes on.
const WAITING_DELTAS: usize = 32;
/// From so many epochs under way on the open one may outgrow its size: one at the workers, one at the committer.
const UNDER_WAY: u64 = 2;
/// How many records an epoch of a bulk load has. The committer gathers several for the store.
const BULK: usize = 65_536;
/// How much an epoch may outgrow its size while others are under way: under load epochs grow, never queue.
const GROWTH: usize = 4;

/// Why the engine cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store failed in the background; nothing was committed since.
    #[error("{0}")]
    Failed(Arc<StoreError>),
    /// The workers could not be started.
    #[error("the workers could not be started: {0}")]
    Workers(String),
    /// A part of the engine ended before its time.
    #[error(
        "a worker of the pipeline has stopped; see the messages above, and start again: what was acknowledged is kept"
    )]
    Stopped,
    /// The key of the folder could not be kept.
    #[error("the key {} could not be written: {message}", .path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What was said.
        message: String,
    },
}

/// How a model gets into the graph: from the numbers of its items.
pub trait ModelSource {
    /// The model's version.
    fn version(&self) -> &str;
    /// The model with its items numbered; `number` is called in the order of the items' ids.
    fn numbered(&self, number: &mut dyn FnMut(&str) -> nearline_dataflows::types::Item) -> Model;
}

/// How an engine runs.
pub struct EngineOptions {
    /// How many timely workers.
    pub workers: usize,
    /// The meaning of the config.
    pub meaning: Meaning,
    /// Its hash.
    pub meaning_hash: [u8; 32],
    /// The configured kinds, in the order of their numbers.
    pub kind_names: Vec<String>,
    /// The model that lists are made with.
    pub model: Option<Box<dyn ModelSource + Send>>,
    /// After how long an epoch closes.
    pub epoch_interval: Duration,
    /// After how many records an epoch closes.
    pub epoch_records: usize,
    /// Whether lists are left to the last epoch.
    pub bulk: bool,
    /// The folder's key.
    pub key: DigestKey,
    /// Where the key is kept, should an import bring another.
    pub key_file: Option<PathBuf>,
    /// Where rejected lines go.
    pub rejected: Option<RejectedLog>,
    /// Make the views anew, whatever the store says of them.
    pub rebuild: bool,
}

/// A running engine.
pub struct Engine {
    messages: Sender<Message>,
    committed: Arc<Committed>,
    thread: Option<JoinHandle<Result<(), EngineError>>>,
}

enum Message {
    Batch(Batch),
    /// Take the batch, close the epoch, and say which it was.
    Submit(Batch, Sender<Submitted>),
    /// Close the epoch with which a bulk load ends.
    Finish,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The epoch that its records are in.
    pub epoch: Epoch,
    /// Why some of its records were refused.
    pub refused: Vec<String>,
}

/// Sends batches to a running engine; can be cloned and sent to other threads.
#[derive(Clone)]
pub struct Handle {
    messages: Sender<Message>,
    committed: Arc<Committed>,
}

impl Handle {
    /// Sends a batch; waits where the engine is behind.
    pub fn send(&self, batch: Batch) -> Result<(), EngineError> {
        self.messages.send(Message::Batch(batch)).map_err(|_| self.why())
    }

    /// Sends a batch and waits until it is on disk.
    pub fn submit(&self, batch: Batch) -> Result<Submitted, EngineError> {
        let (reply, answer) = bounded(1);
        self.messages.send(Message::Submit(batch, reply)).map_err(|_| self.why())?;
        let submitted = answer.recv().map_err(|_| self.why())?;
        self.committed.wait_for(submitted.epoch).map_err(EngineError::Failed)?;
        Ok(submitted)
    }

    /// How far the store is.
    pub fn committed(&self) -> &Committed {
        &self.committed
    }

    fn why(&self) -> EngineError {
        self.committed.failure().map_or(EngineError::Stopped, EngineError::Failed)
    }
}

impl Engine {
    /// Reads the records of `records` back and goes on from there, writing to `store`. The two are one store but
    /// for `verify`, which makes the views of one in another. Returns when the store is ready.
    pub fn start(
        records: Arc<dyn Store>,
        store: Arc<dyn Store>,
        options: EngineOptions,
    ) -> Result<Self, EngineError> {
        let (messages, told) = bounded(WAITING_BATCHES);
        let (ready, when_ready) = bounded(1);
        let committed = Arc::new(Committed::default());
        let shared = committed.clone();
        let thread = std::thread::Builder::new()
            .name("ingest".into())
            .spawn(move || run(&*records, store, options, &told, shared, &ready))
            .map_err(|error| EngineError::Workers(error.to_string()))?;
        let mut engine = Engine { messages, committed, thread: Some(thread) };
        match when_ready.recv() {
            Ok(()) => Ok(engine),
            Err(_) => Err(engine.join().err().unwrap_or(EngineError::Stopped)),
        }
    }

    /// A way to send batches from elsewhere.
    pub fn handle(&self) -> Handle {
        Handle { messages: self.messages.clone(), committed: self.committed.clone() }
    }

    /// Commits all that was sent, and ends.
    pub fn finish(mut self) -> Result<(Epoch, Counts), EngineError> {
        // Where the engine has ended on its own, `join` says why.
        let _ = self.messages.send(Message::Finish);
        self.join()?;
        if let Some(failure) = self.committed.failure() {
            return Err(EngineError::Failed(failure));
        }
        Ok((self.committed.epoch(), self.committed.counts()))
    }

    fn join(&mut self) -> Result<(), EngineError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(EngineError::Stopped),
            None => Ok(()),
        }
    }
}

impl Drop for Engine {
    /// Lets the threads end: a process that ends beside them would take the store away under their feet.
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.messages.send(Message::Finish);
            let _ = self.join();
        }
    }
}

/// The ingest thread from start to end.
fn run(
    records: &dyn Store,
    store: Arc<dyn Store>,
    mut options: EngineOptions,
    told: &Receiver<Message>,
    committed: Arc<Committed>,
    ready: &Sender<()>,
) -> Result<(), EngineError> {
    let standing = Standing::of(records)?;
    let pristine = standing.epoch == 0;
    let mut ingest = Ingest::new(options.key.clone(), &options.kind_names, options.workers, pristine);
    let (to_commit, commits) = bounded(WAITING_DELTAS);
    let committer = Committer {
        store: store.clone(),
        names: ingest.names(),
        key: options.key.clone(),
        workers: options.workers,
        rejected: options.rejected.take(),
        committed: committed.clone(),
    };
    let start = standing.clone();
    let committing = std::thread::Builder::new()
        .name("committer".into())
        .spawn(move || committer.run(&commits, &start))
        .map_err(|error| EngineError::Workers(error.to_string()))?;
    let ids = Arc::new(ItemNames(ingest.names().items));
    let workers = Workers::start(options.workers, options.meaning.clone(), ids, to_commit.clone())?;
    let ended = (|| {
        let model = options.model.take();
        let mut pipeline = Pipeline {
            key: options.key.clone(),
            ingest: &mut ingest,
            workers: &workers,
            to_commit: &to_commit,
            committed: &committed,
            options: &options,
            epoch: standing.epoch,
            opened: None,
        };
        pipeline.recover(records, &*store, &standing, model)?;
        // Whoever started the engine has gone away; it ends with the messages then.
        let _ = ready.send(());
        pipeline.serve(told)
    })();
    workers.finish();
    drop(to_commit);
    let joined = committing.join();
    ended?;
    if let Some(failure) = committed.failure() {
        return Err(EngineError::Failed(failure));
    }
    joined.map_err(|_| EngineError::Stopped)
}

/// What is needed to close epochs.
struct Pipeline<'a> {
    key: DigestKey,
    ingest: &'a mut Ingest,
    workers: &'a Workers,
    to_commit: &'a Sender<ToCommit>,
    committed: &'a Arc<Committed>,
    options: &'a EngineOptions,
    /// The newest epoch that was closed.
    epoch: Epoch,
    /// When the open epoch got its first record.
    opened: Option<Instant>,
}

impl Pipeline<'_> {
    /// Reads the records back; makes the views anew where they were made with something else.
    fn recover(
        &mut self,
        records: &dyn Store,
        store: &dyn Store,
        standing: &Standing,
        model: Option<Box<dyn ModelSource + Send>>,
    ) -> Result<(), EngineError> {
        let version = model.as_ref().map(|model| model.version().to_owned());
        let empty = standing.epoch == 0;
        let same = standing.meaning == Some(self.options.meaning_hash) && standing.model == version;
        // A load that was broken off in the first epoch leaves records of no epoch.
        let rebuild = self.options.rebuild || standing.pending || (!empty && !same);
        self.send(ToCommit::Made { meaning: self.options.meaning_hash, model: version })?;
        if rebuild {
            let mut mark = store.begin();
            mark.put(Table::Meta, formats::meta::PENDING, formats::NOTHING);
            mark.commit(true)?;
            Table::VIEWS.into_iter().try_for_each(|table| store.clear(table))?;
            let mut clean = store.begin();
            [formats::meta::NOW, formats::meta::TRENDING]
                .iter()
                .for_each(|key| clean.delete(Table::Meta, key));
            clean.commit(true)?;
        }
        recover::tombstones(records, &mut |digest, tombstone| {
            self.ingest.remember(digest, tombstone);
            Ok(())
        })?;
        let (mode, control) =
            if rebuild { (Mode::Rebuild, Control::Later) } else { (Mode::Discard, Control::Clean) };
        let mut live = 0;
        recover::records::<EngineError>(records, standing, &mut |batch| {
            if rebuild {
                live +=
                    batch.records().filter(|(record, _)| matches!(record, Record::Event(_))).count() as u64;
            }
            self.ingest.take(&Arc::new(batch), 0, usize::MAX);
            self.ingest.records = EpochRecords::default();
            self.close(mode, vec![control.clone()])
        })?;
        let model = model.map(|model| Arc::new(model.numbered(&mut |id| self.ingest.item(id))));
        let mut controls = vec![Control::Model(model)];
        let last = if rebuild {
            self.send(ToCommit::Live(live))?;
            Mode::EndRebuild
        } else {
            controls.push(Control::Clean);
            Mode::Discard
        };
        self.close(last, controls)?;
        self.committed.wait_for(self.epoch).map_err(EngineError::Failed)
    }

    /// Takes batches and closes epochs until told to finish.
    fn serve(&mut self, told: &Receiver<Message>) -> Result<(), EngineError> {
        loop {
            let message = match self.time_left() {
                None => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(left) => told.recv_timeout(left),
            };
            match message {
                Ok(Message::Batch(batch)) => self.take(batch)?,
                Ok(Message::Submit(batch, reply)) => {
                    self.take(batch)?;
                    let refused = std::mem::take(&mut self.ingest.refused);
                    self.close_live()?;
                    // Whoever asked has gone away; the records are kept all the same.
                    let _ = reply.send(Submitted { epoch: self.epoch, refused });
                }
                Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.close_live()?,
            }
        }
        self.close_live()?;
        if self.options.bulk {
            self.close(Mode::EndBulk, vec![Control::Now])?;
        }
        self.committed.wait_for(self.epoch).map_err(EngineError::Failed)
    }

    /// How long the open epoch may stay open; none where nothing is in it.
    fn time_left(&self) -> Option<Duration> {
        let left = self.options.epoch_interval.saturating_sub(self.opened?.elapsed());
        let idle = self.epoch == self.committed.epoch();
        // An idle pipeline has nothing to gain from waiting.
        Some(if idle && !self.options.bulk { Duration::ZERO } else { left })
    }

    fn take(&mut self, batch: Batch) -> Result<(), EngineError> {
        let batch = Arc::new(batch);
        let mut taken = 0;
        loop {
            let room = self.room();
            taken = self.ingest.take(&batch, taken, room);
            if !self.ingest.records.is_empty() {
                self.opened.get_or_insert_with(Instant::now);
            }
            if self.room() == 0 {
                self.close_live()?;
            }
            if taken == batch.len() {
                return Ok(());
            }
        }
    }

    /// How many more records the open epoch takes.
    fn room(&self) -> usize {
        let records = self.ingest.records.slots.len();
        let busy = self.epoch - self.committed.epoch() >= UNDER_WAY;
        let size = if self.options.bulk { BULK } else { self.options.epoch_records };
        // An epoch of a few records was asked for in order to see each by itself.
        let most = if busy && size >= 1024 && !self.options.bulk { size * GROWTH } else { size };
        most.saturating_sub(records)
    }

    fn close_live(&mut self) -> Result<(), EngineError> {
        if self.ingest.records.is_empty() {
            return Ok(());
        }
        if self.options.bulk {
            self.close(Mode::Bulk, vec![Control::Later])
        } else {
            self.close(Mode::Whole, Vec::new())
        }
    }

    /// Closes the open epoch: its records go to the committer, and to the workers.
    fn close(&mut self, mode: Mode, controls: Vec<Control>) -> Result<(), EngineError> {
        if let Some(failure) = self.committed.failure() {
            return Err(EngineError::Failed(failure));
        }
        self.keep_key()?;
        self.epoch += 1;
        self.opened = None;
        let next = EpochRecords::with_capacity(self.ingest.records.slots.len());
        let records = Box::new(std::mem::replace(&mut self.ingest.records, next));
        let members = self.ingest.members_met();
        self.send(ToCommit::Epoch { epoch: self.epoch, records, mode, members })?;
        for worker in 0..self.workers.count() {
            let next = WorkerFeed::with_capacity(self.ingest.feeds[worker].ops.len());
            let feed = std::mem::replace(&mut self.ingest.feeds[worker], next);
            self.workers.feed(worker, Feed { epoch: self.epoch, feed, controls: controls.clone() })?;
        }
        Ok(())
    }

    /// Keeps a key that an import brought, before anything made with it is committed.
    fn keep_key(&mut self) -> Result<(), EngineError> {
        if self.key.bytes() == self.ingest.key().bytes() {
            return Ok(());
        }
        self.key = self.ingest.key().clone();
        if let Some(path) = &self.options.key_file {
            crate::folder::write_key(path, &self.key)
                .map_err(|error| EngineError::Key { path: path.clone(), message: error.to_string() })?;
        }
        self.send(ToCommit::Key(self.key.clone()))
    }

    fn send(&self, message: ToCommit) -> Result<(), EngineError> {
        self.to_commit
            .send(message)
            .map_err(|_| self.committed.failure().map_or(EngineError::Stopped, EngineError::Failed))
    }
}
