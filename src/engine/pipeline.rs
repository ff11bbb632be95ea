//! The ingest thread: reads the records back, takes batches, closes epochs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nearline_dataflows::members::Control;
use nearline_dataflows::types::Epoch;

use super::batches::Step;
use super::committed::Committed;
use super::committer::Committer;
use super::ingest::{EpochRecords, Ingest, WorkerFeed};
use super::memory::{self, Limit};
use super::messages::{Mode, ToCommit};
use super::peers::Together;
use super::recover::Standing;
use super::takeover::Models;
use super::trimming::next_trim;
use super::workers::{Feed, Graph, Workers};
use super::{EngineError, EngineOptions, Message, Submitted};
use crate::digests::DigestKey;
use crate::failpoints::reach;
use crate::processes::Share;
use crate::sources::Batch;
use crate::stores::Store;

/// Changes that may wait to be committed: batches of lists are large. The committer waits for nobody, so whoever waits
/// for it goes on.
const WAITING_DELTAS: usize = 32;
/// From so many epochs under way on the open one may outgrow its size: one at the workers, one at the committer.
const UNDER_WAY: u64 = 2;
/// With so many epochs under way intake waits: one more at the store, and one to be ready. What queued beyond would
/// take memory without end and make nothing faster.
const FULL: u64 = 4;
/// How long whoever has nothing to do waits before it looks at the other processes.
const IDLE: Duration = Duration::from_secs(1);
/// How many records an epoch of a bulk load has. The committer gathers several for the store.
const BULK: usize = 131_072;
/// How much an epoch may outgrow its size while others are under way: under load epochs grow, never queue.
const GROWTH: usize = 4;

/// The ingest thread from start to end.
pub(super) fn run(
    records: &dyn Store,
    store: Arc<dyn Store>,
    mut options: EngineOptions,
    told: &Receiver<Message>,
    committed: Arc<Committed>,
    ready: &Sender<()>,
) -> Result<(), EngineError> {
    let mut standing = Standing::of(records)?;
    let pristine = standing.epoch == 0;
    let mut peers = options.peers.take();
    let share = peers.as_ref().map_or(Share::WHOLE, |peers| peers.share);
    let agreed = peers.as_ref().map(|peers| peers.agreed.clone());
    if let Some(agreed) = &agreed {
        options.rebuild |= agreed.anew;
        options.untold = agreed.differ;
        standing.epoch = agreed.epoch;
    }
    let mut ingest = Ingest::new(options.key.clone(), &options.kind_names, options.workers, pristine)
        .of_processes(share.processes);
    let (to_commit, commits) = bounded(WAITING_DELTAS);
    let committer = Committer {
        store: store.clone(),
        names: ingest.names(),
        key: options.key.clone(),
        workers: options.workers,
        rejected: options.rejected.take(),
        committed: committed.clone(),
        observer: options.observer.clone(),
        archive: options.archive.clone(),
        mirrors: options.mirrors.clone(),
        several: share.is_of_several(),
        own_workers: share.process * options.workers..(share.process + 1) * options.workers,
    };
    let start = standing.clone();
    let committing = std::thread::Builder::new()
        .name("committer".into())
        .spawn(move || committer.run(&commits, &start))
        .map_err(|error| EngineError::Workers(error.to_string()))?;
    let (meaning, look_ups) = (options.meaning.clone(), ingest.look_ups(options.variants()));
    let observer = options.observer.clone();
    let graph = Graph { meaning, look_ups, to_commit: to_commit.clone(), observer };
    let (workers, together) = match &mut peers {
        None => (Workers::start(options.workers, graph)?, None),
        Some(peers) => {
            let (workers, together) = Workers::start_with(peers, options.workers, graph, &committed)?;
            (workers, Some(together))
        }
    };
    let ended = (|| {
        let (live, beside) = (options.live.take(), options.beside.take());
        let mut pipeline = Pipeline {
            key: options.key.clone(),
            ingest: &mut ingest,
            workers: &workers,
            to_commit: &to_commit,
            committed: &committed,
            options: &options,
            epoch: standing.epoch,
            opened: None,
            taken_at: None,
            limit: options.memory_limit.map(|bytes| Limit::new(bytes, memory::resident)),
            store: &*store,
            models: Models::default(),
            centres: options.centres.as_ref().map(|centres| centres.version.clone()),
            together,
            telling: false,
        };
        let to_build = pipeline.recover(records, &*store, &standing, live, beside)?;
        if agreed.is_some_and(|agreed| agreed.differ) {
            pipeline.tell_all(&*store, &standing)?;
        }
        // Whoever started the engine has gone away; it ends with the messages then.
        let _ = ready.send(());
        if let Some(line_up) = to_build {
            pipeline.begin(line_up)?;
        }
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
pub(super) struct Pipeline<'a> {
    key: DigestKey,
    pub(super) ingest: &'a mut Ingest,
    workers: &'a Workers,
    to_commit: &'a Sender<ToCommit>,
    pub(super) committed: &'a Arc<Committed>,
    pub(super) options: &'a EngineOptions,
    /// The newest epoch that was closed.
    pub(super) epoch: Epoch,
    /// When the open epoch got its first record.
    pub(super) opened: Option<Instant>,
    /// When records were taken last.
    pub(super) taken_at: Option<Instant>,
    /// How much memory there is.
    limit: Option<Limit>,
    pub(super) store: &'a dyn Store,
    /// The models in use.
    pub(super) models: Models,
    /// The version of the centres of clusters in use.
    pub(super) centres: Option<String>,
    /// The other processes, where there are some.
    pub(super) together: Option<Together>,
    /// Whether all are told what each store has, and not what somebody sent.
    pub(super) telling: bool,
}

impl Pipeline<'_> {
    /// Takes batches and closes epochs until told to finish. What is built beside is built in slices between epochs.
    fn serve(&mut self, told: &Receiver<Message>) -> Result<(), EngineError> {
        loop {
            if self.is_asked_to_close() {
                self.close_together()?;
                continue;
            }
            match self.next_message(told) {
                Ok(Message::Batch(batch)) => self.take(batch)?,
                Ok(Message::Submit(batch, reply)) => {
                    self.take(batch)?;
                    let refused = std::mem::take(&mut self.ingest.refused);
                    self.close_live()?;
                    // Whoever asked has gone away; the records are kept all the same.
                    let _ = reply.send(Submitted { epoch: self.epoch, refused });
                }
                Ok(message) if self.together.is_some() && message.is_for_one_process() => message.refuse(),
                Ok(Message::Use(line_up, reply)) => self.use_line_up(line_up, reply)?,
                Ok(Message::RollBack(reply)) => self.roll_back(reply)?,
                Ok(Message::Settle(stop, reply)) => {
                    self.build_on(&stop)?;
                    // Whoever waited has gone away.
                    let _ = reply.send(());
                }
                Ok(Message::BatchStep(step, reply)) => {
                    let epoch = self.batch(step)?;
                    // Whoever asked has gone away.
                    let _ = reply.send(epoch);
                }
                Ok(Message::Centres(centres, reply)) => {
                    let used = self.use_centres(centres)?;
                    // Whoever asked has gone away.
                    let _ = reply.send(used);
                }
                Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if self.is_due() => self.close_live()?,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.between_epochs()?;
        }
        if self.together.is_some() {
            self.finish_together()?;
        } else {
            self.close_live()?;
        }
        if self.options.bulk {
            reach("before-last-epoch");
            self.close(Mode::EndBulk, vec![Control::Now])?;
        }
        self.settled()?;
        if self.together.is_some() {
            self.keep_offsets()?;
            self.may_part();
        }
        Ok(())
    }

    /// The next message, or that it is time for something.
    fn next_message(&mut self, told: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        let left = self.time_left();
        let Some(together) = &mut self.together else {
            return match left {
                None => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(left) => told.recv_timeout(left),
            };
        };
        let arrivals = together.arrivals();
        let left = left.unwrap_or(IDLE).min(IDLE);
        crossbeam_channel::select! {
            recv(told) -> message => message.map_err(|_| RecvTimeoutError::Disconnected),
            recv(arrivals) -> parcel => {
                parcel.into_iter().for_each(|parcel| together.put(parcel));
                Err(RecvTimeoutError::Timeout)
            }
            default(left) => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Whether another process has closed the next epoch, or the pipeline cannot go on.
    fn is_asked_to_close(&mut self) -> bool {
        let next = self.epoch + 1;
        let Some(together) = &mut self.together else { return false };
        together.is_asked_for(next) || self.committed.failure().is_some()
    }

    /// Passes a step of a batch job on, behind all records that came before it; says in which epoch what it says will
    /// hold, and nothing where it cannot be taken.
    fn batch(&mut self, step: Step) -> Result<Option<Epoch>, EngineError> {
        if self.options.bulk {
            return Ok(None);
        }
        let turns = matches!(step, Step::Live(_));
        if turns {
            self.close_live()?;
        }
        self.send(ToCommit::Batch(step))?;
        if turns {
            self.close(Mode::Whole, Vec::new())?;
        }
        Ok(Some(self.epoch))
    }

    /// Waits until all that was closed is on disk.
    pub(super) fn settled(&self) -> Result<(), EngineError> {
        self.committed.wait_for(self.epoch).map_err(EngineError::Failed)
    }

    /// Waits until all but the newest epoch is on disk.
    pub(super) fn nearly_settled(&self) -> Result<(), EngineError> {
        self.committed.wait_for(self.epoch.saturating_sub(1)).map_err(EngineError::Failed)
    }

    /// Whether records wait for their epoch to be closed.
    pub(super) fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// After how long there is something to do; none where only a message can bring it.
    fn time_left(&self) -> Option<Duration> {
        let Some(opened) = self.opened else { return self.models.time_left() };
        let left = self.options.epoch_interval.saturating_sub(opened.elapsed());
        let idle = self.epoch == self.committed.epoch();
        // An idle pipeline has nothing to gain from waiting.
        Some(if idle && !self.options.bulk { Duration::ZERO } else { left })
    }

    /// Whether the open epoch has waited long enough. Whoever is in step with others may be woken before.
    fn is_due(&self) -> bool {
        self.together.is_none() || self.time_left().is_some_and(|left| left.is_zero())
    }

    fn take(&mut self, batch: Batch) -> Result<(), EngineError> {
        self.keep_to_limit()?;
        self.taken_at = Some(Instant::now());
        let batch = Arc::new(batch);
        let mut taken = 0;
        if self.together.is_some() {
            return self.take_together(&batch);
        }
        let mut trim = next_trim(&batch, 0);
        loop {
            let mut room = self.room();
            if let Some((place, at)) = trim {
                if place == taken {
                    self.approach(at)?;
                    trim = next_trim(&batch, taken + 1);
                    room = self.room();
                }
                let next = trim.map_or(batch.len(), |(place, _)| place);
                room = room.min(next - taken);
            }
            taken = self.ingest.take(&batch, taken, room);
            if !self.ingest.records.is_empty() {
                self.opened.get_or_insert_with(Instant::now);
            }
            if self.room() == 0 {
                self.close_live()?;
                if self.is_short() {
                    self.settled()?;
                }
            }
            if taken == batch.len() {
                return Ok(());
            }
        }
    }

    /// Near the limit on memory: puts on disk what is on its way before more is taken.
    fn keep_to_limit(&mut self) -> Result<(), EngineError> {
        let Some(limit) = &mut self.limit else { return Ok(()) };
        if !limit.is_near() {
            limit.short = false;
            return Ok(());
        }
        let ease = limit.may_ease();
        self.close_live()?;
        self.settled()?;
        if ease {
            self.store.ease()?;
        }
        if self.limit.as_mut().is_some_and(Limit::judge) {
            std::thread::sleep(memory::PAUSE);
        }
        Ok(())
    }

    /// Whether memory is short.
    fn is_short(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| limit.short)
    }

    /// How many more records the open epoch takes.
    pub(super) fn room(&self) -> usize {
        let gathered = self.together.as_ref().map_or(0, Together::waiting);
        let records = self.ingest.records.slots.len() + gathered;
        let busy = self.epoch - self.committed.epoch() >= UNDER_WAY;
        let size = if self.options.bulk { BULK } else { self.options.epoch_records };
        // An epoch of a few records was asked for in order to see each by itself; a large one takes memory.
        let may_grow = size >= 1024 && !self.options.bulk && self.limit.is_none();
        let most = if busy && may_grow { size * GROWTH } else { size };
        let most = if self.is_short() { most.min(memory::SMALL) } else { most };
        most.saturating_sub(records)
    }

    pub(super) fn close_live(&mut self) -> Result<(), EngineError> {
        if let Some(together) = &self.together {
            return if together.is_empty() { Ok(()) } else { self.close_together().map(drop) };
        }
        if self.ingest.records.is_empty() {
            return Ok(());
        }
        if self.options.bulk {
            return self.close(Mode::Bulk, vec![Control::Later]);
        }
        self.room_to_close()?;
        self.close(Mode::Whole, Vec::new())
    }

    /// Waits until not too many epochs are under way.
    pub(super) fn room_to_close(&self) -> Result<(), EngineError> {
        self.committed.wait_for(self.epoch.saturating_sub(FULL - 1)).map_err(EngineError::Failed)
    }

    /// Closes the open epoch: its records go to the committer, and to the workers.
    pub(super) fn close(&mut self, mode: Mode, controls: Vec<Control>) -> Result<(), EngineError> {
        if let Some(failure) = self.committed.failure() {
            return Err(EngineError::Failed(failure));
        }
        if !mode.takes_records() && !self.ingest.records.is_empty() {
            // An epoch that writes no records would lose them.
            self.close_live()?;
        }
        self.keep_key()?;
        self.epoch += 1;
        let opened = self.opened.take();
        let next = EpochRecords::with_capacity(self.ingest.records.slots.len());
        let mut records = Box::new(std::mem::replace(&mut self.ingest.records, next));
        records.opened = opened;
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

    pub(super) fn send(&self, message: ToCommit) -> Result<(), EngineError> {
        self.to_commit
            .send(message)
            .map_err(|_| self.committed.failure().map_or(EngineError::Stopped, EngineError::Failed))
    }
}
