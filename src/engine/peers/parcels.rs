//! What the processes of a pipeline send each other beside the graph, and the small dataflow that carries it.
//!
//! In each epoch every process sends each other one parcel. It is sent by timely like everything else, so there is one
//! connection, one order and one end. And how far all stores are is what timely's progress says: each process holds an
//! input at the epoch that it has not on disk yet, and the frontier of all is the first that some process has not.

use crossbeam_channel::Sender;
use nearline_dataflows::types::Epoch;
use timely::dataflow::InputHandleVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Probe;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::probe;
use timely::dataflow::operators::vec::input::Input;
use timely::worker::Worker;

/// What one process sends to another for one epoch.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Parcel {
    /// Which worker takes it.
    to: u64,
    /// The process that sends it.
    pub from: usize,
    /// Of which epoch.
    pub epoch: Epoch,
    /// What it brings; nothing where the process that sends it is gone.
    pub bytes: Vec<u8>,
}

impl Parcel {
    /// For the first worker of a process, of which each has so many.
    pub fn new((process, workers): (usize, usize), from: usize, epoch: Epoch, bytes: Vec<u8>) -> Self {
        Parcel { to: (process * workers) as u64, from, epoch, bytes }
    }

    /// Stands for those that will not come.
    pub fn lost(process: usize) -> Self {
        Parcel { to: 0, from: process, epoch: Epoch::MAX, bytes: Vec::new() }
    }
}

/// What the first worker of a process is told, beside what it is fed.
pub enum Errand {
    /// Send these, all of one epoch.
    Send(Vec<Parcel>),
    /// The epoch is on disk here.
    Stored(Epoch),
}

/// The ends of the dataflow in the first worker of a process.
pub struct Ends {
    parcels: InputHandleVec<Epoch, Parcel>,
    stored: InputHandleVec<Epoch, ()>,
    all: probe::Handle<Epoch>,
    told: Epoch,
}

/// Builds the dataflow, of which only the first worker of each process holds ends.
pub fn build(worker: &mut Worker, start: Epoch, is_first: bool, arrivals: Sender<Parcel>) -> Option<Ends> {
    let (mut parcels, mut stored, all) = worker.dataflow_named::<Epoch, _, _>("parcels", |scope| {
        let (parcels, sent) = scope.new_input();
        let to_first = Exchange::new(|parcel: &Parcel| parcel.to);
        sent.sink(to_first, "arrivals", move |(input, _)| {
            input.for_each(|_, data| {
                for parcel in data.drain(..) {
                    // The engine has ended.
                    let _ = arrivals.send(parcel);
                }
            });
        });
        let (stored, none) = scope.new_input::<()>();
        let all = probe::Handle::new();
        none.probe_with(&all);
        (parcels, stored, all)
    });
    is_first.then(|| {
        parcels.advance_to(start + 1);
        stored.advance_to(start + 1);
        Ends { parcels, stored, all, told: start }
    })
}

impl Ends {
    /// Does an errand.
    pub fn run(&mut self, errand: Errand) {
        match errand {
            Errand::Send(parcels) => {
                let Some(epoch) = parcels.first().map(|parcel| parcel.epoch) else { return };
                self.parcels.advance_to(epoch);
                parcels.into_iter().for_each(|parcel| self.parcels.send(parcel));
                self.parcels.advance_to(epoch + 1);
            }
            Errand::Stored(epoch) => {
                if *self.stored.time() <= epoch {
                    self.stored.advance_to(epoch + 1);
                }
            }
        }
    }

    /// The newest epoch that all processes have on disk, where that is another one than was told last.
    pub fn stored_by_all(&mut self) -> Option<Epoch> {
        let first_open = self.all.with_frontier(|frontier| frontier.first().copied())?;
        let stored = first_open.saturating_sub(1);
        (stored > self.told).then(|| {
            self.told = stored;
            stored
        })
    }
}
