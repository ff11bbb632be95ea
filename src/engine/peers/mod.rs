//! The other processes of a pipeline: found before the graph is begun, and in step with this one epoch by epoch.
//!
//! ```text
//! sources ─→ gathered ─┬─ this process's members ─────────────┐
//!                      └─ others' ─→ parcels ─→ (their ingest) ├─→ ingest ─→ workers (one graph over all processes) ─→ committer
//!            (their gathered) ─→ parcels ─→ ours ──────────────┘
//! ```
//!
//! Every epoch is one of all processes. Whoever has records closes it, and sends each other process a parcel: its members'
//! records, and the names that nobody has met. Whoever gets one closes the epoch too. With the parcels of all, each
//! process knows all new names, gives them the same numbers, and feeds its part of the graph. So numbers mean the same
//! in all processes, and nobody hands them out.

mod brought;
mod connecting;
pub mod hello;
mod link;
mod names;
mod parcels;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use nearline_dataflows::types::Epoch;

pub use brought::Brought;
pub use connecting::{PeersError, connect};
pub use link::{Link, Watch};
pub use names::NewNames;
pub use parcels::{Ends, Errand, Parcel, build};

use self::brought::Gathered;
use super::EngineError;
use super::committed::Committed;
use super::ingest::Ingest;
use crate::failpoints::reach;
use crate::processes::Share;
use crate::records::Record;
use crate::sources::{Batch, Offset, Reason, Rejected};
use hello::Agreed;

/// The other processes, connected and agreed.
pub struct Peers {
    /// Which process this one is.
    pub share: Share,
    /// How many workers each has.
    pub workers: usize,
    /// What all agreed on.
    pub agreed: Agreed,
    /// What else they said.
    pub said: Said,
    /// Where they called, for whoever else calls there from now on.
    pub listener: Option<TcpListener>,
    /// The connections, by process; none to this one.
    pub(super) links: Vec<Option<Link>>,
    /// What happens to them.
    pub(super) watch: Arc<Watch>,
    /// Set where another process was interrupted.
    pub(super) stop: Arc<AtomicBool>,
}

/// What processes said of themselves that matters later.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Where each answers over HTTP.
    pub http: Vec<Option<String>>,
}

/// The way to the first worker of this process.
#[derive(Clone)]
pub struct Errands {
    errands: Sender<Errand>,
    worker: Thread,
}

impl Errands {
    /// To a worker that takes them from the other end.
    pub fn new(errands: Sender<Errand>, worker: Thread) -> Self {
        Errands { errands, worker }
    }

    /// Sends one.
    pub fn send(&self, errand: Errand) {
        // The worker has ended, and so does whoever sends.
        let _ = self.errands.send(errand);
        self.worker.unpark();
    }
}

/// This process in step with the others.
pub struct Together {
    share: Share,
    workers: usize,
    errands: Errands,
    arrivals: Receiver<Parcel>,
    /// Parcels that have come, by epoch.
    come: BTreeMap<Epoch, Vec<Parcel>>,
    gathered: Gathered,
    /// Whether this process has nothing more to bring.
    pub(super) finishing: bool,
    watch: Arc<Watch>,
    stop: Arc<AtomicBool>,
    committed: Arc<Committed>,
}

/// What all processes brought to an epoch.
pub struct Epochful {
    /// By process.
    pub brought: Vec<Brought>,
    /// How far this one's sources are.
    pub offsets: Vec<(Arc<str>, Offset)>,
    /// What it could not take.
    pub rejected: Vec<(Arc<str>, Rejected)>,
}

impl Together {
    /// In step with the processes that were found.
    pub fn new(
        peers: &Peers,
        errands: Errands,
        arrivals: Receiver<Parcel>,
        committed: Arc<Committed>,
    ) -> Self {
        Together {
            share: peers.share,
            workers: peers.workers,
            errands,
            arrivals,
            come: BTreeMap::new(),
            gathered: Gathered::new(peers.share.processes),
            finishing: false,
            watch: peers.watch.clone(),
            stop: peers.stop.clone(),
            committed,
        }
    }

    /// Which process this one is.
    pub fn share(&self) -> Share {
        self.share
    }

    /// How many records wait for the epoch to close.
    pub fn waiting(&self) -> usize {
        self.gathered.records
    }

    /// Whether there is nothing to bring.
    pub fn is_empty(&self) -> bool {
        self.gathered.is_empty()
    }

    /// Where parcels come in, to wait for them beside other things.
    pub fn arrivals(&self) -> Receiver<Parcel> {
        self.arrivals.clone()
    }

    /// Takes a parcel that came in.
    pub fn put(&mut self, parcel: Parcel) {
        self.come.entry(parcel.epoch).or_default().push(parcel);
    }

    /// Whether another process has closed an epoch.
    pub fn is_asked_for(&mut self, epoch: Epoch) -> bool {
        while let Ok(parcel) = self.arrivals.try_recv() {
            self.put(parcel);
        }
        self.come.contains_key(&epoch)
    }

    /// Waits until another process has closed an epoch.
    pub fn wait_for(&mut self, epoch: Epoch) -> Result<(), EngineError> {
        while !self.come.contains_key(&epoch) {
            self.wait()?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), EngineError> {
        if let Some(failure) = self.committed.failure() {
            return Err(EngineError::Failed(failure));
        }
        // Who is gone is told of by a parcel; the store may fail at any time.
        match self.arrivals.recv_timeout(LOOK) {
            Ok(parcel) => self.put(parcel),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(EngineError::Stopped),
        }
        Ok(())
    }

    /// Takes a record of a source for the process that has its member; says why it cannot be taken.
    pub fn gather(
        &mut self,
        record: &Record<'_>,
        normal: &[u8],
        ingest: &Ingest,
    ) -> Result<(), (Reason, String)> {
        let owner = match record {
            Record::Event(event) | Record::Retract(event) => Some(self.share.owner(event.member)),
            Record::RetractId { member, .. } | Record::Forget { member, .. } => {
                Some(self.share.owner(member))
            }
            Record::Trim { .. } | Record::Item(_) => None,
            Record::Tombstone(_) => return Err((Reason::Tombstone, IMPORT.into())),
            Record::Key(_) => return Err((Reason::Key, IMPORT.into())),
        };
        if let Record::Forget { member, .. } = record {
            self.gathered.forgotten.push((*member).to_owned());
        }
        self.note(record, ingest);
        self.gathered.push(owner, normal);
        Ok(())
    }

    /// Notes the names of a record that nobody has met.
    pub fn note(&mut self, record: &Record<'_>, ingest: &Ingest) {
        ingest.unknown(record, &mut self.gathered.names);
    }

    /// With a batch's last record: how far its source is read, and what could not be taken of it.
    pub fn read(&mut self, batch: &Batch) {
        self.gathered.rejected.extend(batch.rejected.iter().map(|line| (batch.source.clone(), line.clone())));
        if let Some(offset) = &batch.offset {
            self.gathered.offsets.retain(|(source, _)| *source != batch.source);
            self.gathered.offsets.push((batch.source.clone(), offset.clone()));
        }
    }

    /// Keeps a record aside that cannot be taken.
    pub fn refuse(&mut self, source: &Arc<str>, rejected: Rejected) {
        self.gathered.rejected.push((source.clone(), rejected));
    }

    /// Brings what was gathered to an epoch, and waits for what the others bring.
    pub fn exchange(&mut self, epoch: Epoch) -> Result<Epochful, EngineError> {
        // What is sent is taken for something that will be stored here.
        if let Some(failure) = self.committed.failure() {
            return Err(EngineError::Failed(failure));
        }
        let stopped = self.stop.load(Ordering::Relaxed);
        let gathered = std::mem::replace(&mut self.gathered, Gathered::new(self.share.processes));
        let Gathered { names, forgotten, records: _, offsets, rejected, parts } = gathered;
        let finishing = self.finishing;
        let own =
            Brought { from: self.share.process, names, finishing, stopped, forgotten, records: Vec::new() };
        let mut parcels = Vec::with_capacity(self.share.processes);
        let mut own_records = Vec::new();
        for (process, records) in parts.into_iter().enumerate() {
            if process == self.share.process {
                own_records = records;
            } else {
                let to = (process, self.workers);
                parcels.push(Parcel::new(to, self.share.process, epoch, own.encode(&records)));
            }
        }
        self.errands.send(Errand::Send(parcels));
        reach("parcels-sent");
        while self.come.get(&epoch).map_or(0, Vec::len) < self.share.processes - 1 {
            self.wait()?;
        }
        let mut brought = vec![Brought { records: own_records, ..own }];
        for parcel in self.come.remove(&epoch).unwrap_or_default() {
            brought
                .push(Brought::decode(parcel.from, &parcel.bytes).ok_or(EngineError::Garbled(parcel.from))?);
        }
        brought.sort_by_key(|brought| brought.from);
        if brought.iter().any(|brought| brought.stopped) {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(Epochful { brought, offsets, rejected })
    }

    /// From here on connections may close: all processes have agreed to end.
    pub fn ending(&self) {
        self.watch.ending();
    }
}

/// How often whoever waits for a process looks whether the store has failed.
const LOOK: Duration = Duration::from_millis(50);

/// Why an export cannot be imported here.
const IMPORT: &str =
    "an export is imported into a pipeline of one process; `nearline reshard` makes several of it";
