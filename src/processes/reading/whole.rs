//! All stores of a pipeline from one of its processes: our own, and the others' over connections.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answering::{epoch_of, wait_for};
use super::asking::{Remote, RemoteMoment};
use crate::stores::union::Union;
use crate::stores::{Store, StoreError, Table, Tables, Transaction};

/// For how long moments of one epoch are looked for.
const PATIENCE: Duration = Duration::from_secs(5);

/// All stores of a pipeline, to be read as one. What is shown is of one epoch in all of them.
pub struct Whole {
    own: Arc<dyn Store>,
    process: usize,
    /// By process; none for this one.
    others: Vec<Option<Remote>>,
}

impl Whole {
    /// Of our own store, and of the others' by process, with none in our own place.
    pub fn new(own: Arc<dyn Store>, others: Vec<Option<Remote>>) -> Self {
        let process = others.iter().position(Option::is_none).unwrap_or_default();
        Whole { own, process, others }
    }

    /// Shows moments of all stores where they are of one epoch; else says which epoch there is somewhere.
    fn try_moment(
        &self,
        at_least: u64,
        read: &mut dyn FnMut(&dyn Tables),
    ) -> Result<Result<(), u64>, StoreError> {
        let mut tried = Ok(Err(at_least));
        self.own.at_one_moment(&mut |own| {
            tried = epoch_of(own).and_then(|epoch| self.beside(own, epoch, read));
        })?;
        tried
    }

    /// The same beside a moment of ours.
    fn beside(
        &self,
        own: &dyn Tables,
        epoch: u64,
        read: &mut dyn FnMut(&dyn Tables),
    ) -> Result<Result<(), u64>, StoreError> {
        let mut moments: Vec<RemoteMoment<'_>> = Vec::new();
        for other in self.others.iter().flatten() {
            let moment = other.moment(epoch)?;
            if moment.epoch > epoch {
                return Ok(Err(moment.epoch));
            }
            moments.push(moment);
        }
        let mut others = moments.iter();
        let parts = self.others.iter().map(|other| match other {
            None => own,
            Some(_) => others.next().map_or(own, |moment| moment as &dyn Tables),
        });
        read(&Union::new(parts.collect()).nearest(self.process));
        Ok(Ok(()))
    }
}

/// Each look is at a moment of its own.
impl Tables for Whole {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut got = Ok(None);
        self.at_one_moment(&mut |tables| got = tables.get(table, key))?;
        got
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut scanned = Ok(());
        self.at_one_moment(&mut |tables| scanned = tables.scan(table, prefix, from, show))?;
        scanned
    }
}

impl Store for Whole {
    /// It is read, and written to by each process at its own.
    fn begin(&self) -> Box<dyn Transaction + '_> {
        Box::new(crate::stores::union::Unwritten)
    }

    fn begin_load(&self) -> Box<dyn Transaction + '_> {
        self.begin()
    }

    /// Processes commit an epoch one after the other, some milliseconds apart: whoever is behind is waited for.
    fn at_one_moment(&self, read: &mut dyn FnMut(&dyn Tables)) -> Result<(), StoreError> {
        let (began, mut at_least) = (Instant::now(), 0);
        while began.elapsed() < PATIENCE {
            match self.try_moment(at_least, read)? {
                Ok(()) => return Ok(()),
                Err(epoch) => at_least = epoch,
            }
            wait_for(&*self.own, at_least)?;
        }
        Err(StoreError::Apart)
    }

    fn clear(&self, _table: Table) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn commit_turned<'s>(&'s self, change: Box<dyn Transaction + 's>) -> Result<(), StoreError> {
        change.commit(true)
    }
}
