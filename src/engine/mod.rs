//! The engine: records in, epochs of changed views out, committed one by one.
//!
//! ```text
//! sources ─→ ingest (ids to numbers, epochs) ─→ workers (the graph) ─→ committer ─→ store
//! ```
//!
//! An [`Engine`] owns a store's future: it reads the records back at the start, takes batches, closes epochs, and
//! says when they are on disk. It knows sources and stores by their traits alone.

pub mod batches;
mod centres;
pub mod committed;
pub mod committer;
pub mod erasing;
mod event_digests;
mod gathered;
mod held;
pub mod ingest;
mod memory;
mod messages;
pub mod mirroring;
pub mod observer;
mod offsets;
pub mod peers;
mod pipeline;
mod placement;
mod pointer;
pub mod queue;
mod reading_back;
pub mod recover;
pub mod socket;
mod storing;
mod takeover;
mod times;
mod together;
mod trimming;
pub mod verify;
pub mod workers;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nearline_dataflows::clusters::Centres;
use nearline_dataflows::graph::Meaning;
use nearline_dataflows::line_up::LineUp;
use nearline_dataflows::types::Epoch;

use crate::digests::DigestKey;
use crate::sources::Batch;
use crate::sources::rejected::RejectedLog;
use crate::stores::formats::OfflineBatch;
use crate::stores::{Store, StoreError};
use crate::variants::{MadeWith, Variants};
use batches::BatchList;
pub use centres::{CentresError, CentresUsed};
use committed::{Committed, Counts};
use observer::Observer;
use takeover::Answer;
pub use takeover::{TakenOver, TakeoverError};

/// Batches that may wait to be taken: enough to keep the workers busy, few enough to bound memory.
const WAITING_BATCHES: usize = 4;

/// How often whoever waits for an answer looks whether there will be one.
const LOOK: Duration = Duration::from_millis(50);

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
    /// Another process sent what cannot be read.
    #[error(
        "process {0} of the pipeline sent what cannot be read; start all processes with the same nearline"
    )]
    Garbled(usize),
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

/// How a line-up gets into the graph: from the numbers of its models' items.
pub trait LineUpSource {
    /// Its models and variants, by name.
    fn made_with(&self) -> &MadeWith;
    /// Sees to it that the models' files are in the data folder, where there is one; says why they are not.
    fn keep(&self) -> Result<(), String> {
        Ok(())
    }
    /// The models with their items numbered; `number` is called in the order of the items' ids, model by model. Whatever
    /// takes long was done before: records wait meanwhile.
    fn numbered(self: Box<Self>, number: &mut dyn FnMut(&str) -> nearline_dataflows::types::Item) -> LineUp;
}

/// A line-up on its way into the graph.
pub type GivenLineUp = Box<dyn LineUpSource + Send>;

/// The line-up beside the live one.
pub struct Beside {
    /// The line-up.
    pub line_up: GivenLineUp,
    /// For how long its lists have been whole, being those of the model before; none where they are to be built, and
    /// it takes over then.
    pub ready: Option<Duration>,
}

/// Told the version of a model that is in use no longer.
pub type DropModel = Arc<dyn Fn(&str) + Send + Sync>;

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
    /// What lists are made with; without a model nobody has any.
    pub live: Option<GivenLineUp>,
    /// What stands by.
    pub beside: Option<Beside>,
    /// The centres of clusters that the store says are in use.
    pub centres: Option<Arc<Centres>>,
    /// For how long the lists of the model before are kept and kept fresh, for a way back.
    pub keep_previous: Duration,
    /// Lets the files of a model go.
    pub drop_model: Option<DropModel>,
    /// After how long an epoch closes.
    pub epoch_interval: Duration,
    /// After how many records an epoch closes.
    pub epoch_records: usize,
    /// From about how much resident memory on records are taken slowly, in bytes.
    pub memory_limit: Option<u64>,
    /// Whether lists are left to the last epoch.
    pub bulk: bool,
    /// The folder's key.
    pub key: DigestKey,
    /// Where the key is kept, should an import bring another.
    pub key_file: Option<PathBuf>,
    /// Where rejected lines go.
    pub rejected: Option<RejectedLog>,
    /// Told what is committed.
    pub observer: Option<Arc<dyn Observer>>,
    /// Make the views anew, whatever the store says of them.
    pub rebuild: bool,
    /// Whether the stores of several processes are to tell each other what they have, once that is done.
    pub untold: bool,
    /// Counts what waits to be archived; without it nothing is queued for an archive.
    pub archive: Option<Arc<queue::Waiting>>,
    /// What is queued for mirrors; without it nothing is.
    pub mirrors: Option<Arc<mirroring::Mirroring>>,
    /// The other processes of the pipeline, where there are some.
    pub peers: Option<peers::Peers>,
}

impl EngineOptions {
    /// The variants that members are dealt to. Those that stand by are split alike: another split is another meaning.
    fn variants(&self) -> Option<Variants> {
        let beside = self.beside.iter().map(|beside| &beside.line_up);
        self.live.iter().chain(beside).find_map(|line_up| line_up.made_with().variants.clone())
    }
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
    /// Build this line-up's lists beside the live ones, let it take over, and say so.
    Use(GivenLineUp, Answer),
    /// Let the line-up before take over again.
    RollBack(Answer),
    /// Let what is being built take over, unless told to stop.
    Settle(Arc<AtomicBool>, Sender<()>),
    /// A step of a batch job, and which epoch it is in where that matters.
    BatchStep(batches::Step, Sender<Option<Epoch>>),
    /// Find members among these centres from the next epoch on, or among none, and say in which epoch.
    Centres(Option<Arc<Centres>>, Sender<Result<CentresUsed, CentresError>>),
    /// Close the epoch with which a bulk load ends.
    Finish,
}

impl Message {
    /// Whether it is for a pipeline of one process alone.
    fn is_for_one_process(&self) -> bool {
        matches!(
            self,
            Message::Use(..) | Message::RollBack(_) | Message::BatchStep(..) | Message::Centres(..)
        )
    }

    /// Says that it cannot be done here.
    fn refuse(self) {
        // Whoever asked has gone away.
        match self {
            Message::Use(_, reply) | Message::RollBack(reply) => {
                drop(reply.send(Err(TakeoverError::SeveralProcesses)));
            }
            Message::BatchStep(_, reply) => drop(reply.send(None)),
            Message::Centres(_, reply) => drop(reply.send(Err(CentresError::SeveralProcesses))),
            _ => {}
        }
    }
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
        let submitted = self.answered(&answer)?;
        self.committed.wait_for(submitted.epoch).map_err(EngineError::Failed)?;
        Ok(submitted)
    }

    /// Builds a line-up's lists beside the live ones, and waits until it has taken over. At once where its lists are
    /// still there. The live one again breaks off what is being built.
    pub fn use_line_up(&self, line_up: GivenLineUp) -> Result<TakenOver, TakeoverError> {
        self.ask(|reply| Message::Use(line_up, reply))
    }

    /// Lets the line-up before take over again, at once; or breaks off what is being built.
    pub fn roll_back(&self) -> Result<TakenOver, TakeoverError> {
        self.ask(Message::RollBack)
    }

    fn ask(&self, message: impl FnOnce(Answer) -> Message) -> Result<TakenOver, TakeoverError> {
        let (reply, answer) = bounded(1);
        self.messages.send(message(reply)).map_err(|_| self.why())?;
        self.answered(&answer)?
    }

    /// Waits until what is being built has taken over, or `stop` is set.
    pub fn settle(&self, stop: &Arc<AtomicBool>) -> Result<(), EngineError> {
        let (reply, answer) = bounded(1);
        self.messages.send(Message::Settle(stop.clone(), reply)).map_err(|_| self.why())?;
        self.answered(&answer)
    }

    /// Begins a generation of batch lists. Not inside a bulk load: says then whether it was begun.
    pub fn begin_batch(&self) -> Result<bool, EngineError> {
        let (begun, when_begun) = bounded(1);
        if self.batch(batches::Step::Begin(begun))?.is_none() {
            return Ok(false);
        }
        self.answered(&when_begun)?;
        Ok(true)
    }

    /// Keeps some of its lists.
    pub fn batch_lists(&self, lists: Vec<BatchList>) -> Result<(), EngineError> {
        self.batch(batches::Step::Lists(lists)).map(drop)
    }

    /// Lets it be live; returns when that is on disk. What was before is still to be swept.
    pub fn batch_live(&self, batch: OfflineBatch) -> Result<Epoch, EngineError> {
        let epoch = self.batch(batches::Step::Live(batch))?.ok_or(EngineError::Stopped)?;
        self.committed.wait_for(epoch).map_err(EngineError::Failed)?;
        Ok(epoch)
    }

    /// Lets go of it.
    pub fn give_batch_up(&self) -> Result<(), EngineError> {
        self.batch(batches::Step::GiveUp).map(drop)
    }

    /// Takes out what is of no generation in use.
    pub fn sweep_batches(&self) -> Result<(), EngineError> {
        loop {
            let (more, whether_more) = bounded(1);
            self.batch(batches::Step::Sweep(more))?;
            if !self.answered(&whether_more)? {
                return Ok(());
            }
        }
    }

    /// Finds all members among these centres of clusters, in one epoch, or among none; returns when that is on disk.
    pub fn use_centres(&self, centres: Option<Arc<Centres>>) -> Result<CentresUsed, CentresError> {
        let (reply, answer) = bounded(1);
        self.messages.send(Message::Centres(centres, reply)).map_err(|_| self.why())?;
        self.answered(&answer)?
    }

    fn batch(&self, step: batches::Step) -> Result<Option<Epoch>, EngineError> {
        let (reply, answer) = bounded(1);
        self.messages.send(Message::BatchStep(step, reply)).map_err(|_| self.why())?;
        self.answered(&answer)
    }

    /// How far the store is.
    pub fn committed(&self) -> &Arc<Committed> {
        &self.committed
    }

    /// Waits for an answer. A message that came too late for an engine that has ended stays in its queue, with the way
    /// to answer it, for as long as anyone might send another: so nobody waits for the answer alone.
    fn answered<T>(&self, answer: &Receiver<T>) -> Result<T, EngineError> {
        loop {
            match answer.recv_timeout(LOOK) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout)
                    if self.committed.failure().is_none() && !self.committed.has_ended() => {}
                // It may have come just then.
                Err(_) => return answer.try_recv().map_err(|_| self.why()),
            }
        }
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
            .spawn(move || {
                let ended = pipeline::run(&*records, store, options, &told, shared.clone(), &ready);
                shared.end();
                ended
            })
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
