//! Which worker keeps what is not a member's: counts, the catalogue, *now*.
//!
//! In one process anything will do that deals evenly, so counts go by the hash of their cells. Where there are several
//! processes, each keeps what its workers count in a store of its own, and finds it there when it starts again: so which
//! process counts something follows from external ids alone, by a fixed hash, and only which of its workers does from
//! numbers, which are others each time. What every process needs (the catalogue, *now*, `trending`) each has.

use std::hash::Hash;

use differential_dataflow::hashable::Hashable;
use timely::ExchangeData;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::{Scope, StreamVec};

use crate::types::{Epoch, Ids, Item};

/// The fixed hash (32-bit FNV-1a) of an external id. Stores are shared out by it.
pub fn hash(id: &[u8]) -> u32 {
    id.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// How workers share out what is not a member's, as one worker knows it.
#[derive(Clone)]
pub struct Spread {
    processes: usize,
    /// How many workers each process has.
    workers: usize,
    /// The process that this worker is of.
    process: usize,
    ids: Ids,
}

impl Spread {
    /// Among the workers of a scope, which are of so many processes, each with as many.
    pub fn of(scope: &Scope<'_, Epoch>, processes: usize, ids: Ids) -> Self {
        let workers = scope.peers() / processes.max(1);
        Spread { processes, workers, process: scope.index() / workers.max(1), ids }
    }

    /// The worker that keeps what is counted by an item.
    pub fn by_item(&self, item: Item, counted: impl Hash) -> u64 {
        if self.processes == 1 {
            return counted.hashed();
        }
        self.worker(hash(self.ids.id(item)) as usize, counted.hashed())
    }

    /// The worker that keeps what is counted by two items, in no order.
    pub fn by_pair(&self, (one, other): (Item, Item), counted: impl Hash) -> u64 {
        if self.processes == 1 {
            return counted.hashed();
        }
        let both = hash(self.ids.id(one)).wrapping_add(hash(self.ids.id(other)));
        self.worker(both as usize, counted.hashed())
    }

    /// The worker that keeps what is counted by neither: one of the first process.
    pub fn by_none(&self, counted: impl Hash) -> u64 {
        if self.processes == 1 { counted.hashed() } else { self.worker(0, counted.hashed()) }
    }

    /// A worker of this process.
    pub fn own(&self, number: u64) -> u64 {
        self.worker(self.process, number)
    }

    fn worker(&self, process: usize, number: u64) -> u64 {
        ((process % self.processes) * self.workers) as u64 + number % self.workers as u64
    }

    /// Has what comes from the first worker come out at the first worker of every process.
    pub fn to_every_process<'scope, D: ExchangeData + Clone>(
        &self,
        stream: StreamVec<'scope, Epoch, D>,
        name: &str,
    ) -> StreamVec<'scope, Epoch, D> {
        if self.processes == 1 {
            return stream;
        }
        let firsts = (0..self.processes).map(|process| (process * self.workers) as u64).collect();
        copied(stream, firsts, name)
    }

    /// Has what comes from any worker of this process come out at each of them.
    pub fn to_own_workers<'scope, D: ExchangeData + Clone>(
        &self,
        stream: StreamVec<'scope, Epoch, D>,
        name: &str,
    ) -> StreamVec<'scope, Epoch, D> {
        let own = (0..self.workers).map(|worker| self.own(worker as u64)).collect();
        copied(stream, own, name)
    }
}

/// Copies for some workers.
fn copied<'scope, D: ExchangeData + Clone>(
    stream: StreamVec<'scope, Epoch, D>,
    workers: Vec<u64>,
    name: &str,
) -> StreamVec<'scope, Epoch, D> {
    use timely::dataflow::channels::pact::Pipeline;
    let copies = stream.unary(Pipeline, name, move |_, _| {
        move |input, output| {
            input.for_each(|capability, data| {
                let mut session = output.session(&capability);
                for one in data.drain(..) {
                    session.give_iterator(workers.iter().map(|worker| (*worker, one.clone())));
                }
            });
        }
    });
    let to_worker = Exchange::new(|(worker, _): &(u64, D)| *worker);
    copies.unary(to_worker, name, |_, _| {
        move |input, output| {
            input.for_each(|capability, data| {
                output.session(&capability).give_iterator(data.drain(..).map(|(_, one)| one));
            });
        }
    })
}
