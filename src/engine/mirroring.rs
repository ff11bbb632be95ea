//! Changes on their way to mirrors: which entries an epoch changes, queued by the commit that changes them.
//!
//! What is queued is the key alone. A mirror reads what the store has under it by then, so that it goes on after a crash,
//! and catches up after a time without its server, by the same way: from the queue, in the order of epochs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nearline_dataflows::types::Epoch;

use crate::stores::formats::{self, meta};
use crate::stores::mirrored::{self, View};
use crate::stores::{StoreError, Table, Transaction};

/// What is queued for mirrors.
#[derive(Debug, Default)]
pub struct Mirroring {
    /// The views that some mirror has.
    views: Vec<View>,
    /// Whether there has ever been an entry of a view, by its place among all: before, there is nothing to take out, and
    /// a pipeline without a model deletes the list that is not there with every event.
    some: [AtomicBool; View::ALL.len()],
    /// How many entries have been queued.
    queued: AtomicU64,
}

impl Mirroring {
    /// Of these views, in a store that has entries of some.
    pub fn of(views: Vec<View>, some: &[View]) -> Self {
        let some = View::ALL.map(|view| AtomicBool::new(some.contains(&view)));
        Mirroring { views, some, queued: AtomicU64::new(0) }
    }

    fn some(&self, view: View) -> &AtomicBool {
        &self.some[view as usize]
    }

    /// How many entries have been queued by this process.
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }
}

/// A transaction of an epoch that queues what it changes.
pub(super) struct Queueing<'s> {
    inner: Box<dyn Transaction + 's>,
    epoch: Epoch,
    mirroring: Arc<Mirroring>,
    key: Vec<u8>,
}

impl<'s> Queueing<'s> {
    /// The transaction itself where there are no mirrors.
    pub fn of(
        inner: Box<dyn Transaction + 's>,
        epoch: Epoch,
        mirroring: Option<&Arc<Mirroring>>,
    ) -> Box<dyn Transaction + 's> {
        match mirroring {
            None => inner,
            Some(mirroring) => {
                Box::new(Queueing { inner, epoch, mirroring: mirroring.clone(), key: Vec::new() })
            }
        }
    }

    fn queue(&mut self, table: Table, key: &[u8], is_there: bool) {
        if let Some(view) = View::of(table, key)
            && self.mirroring.views.contains(&view)
        {
            // Also where the transaction is given up in the end: then it is queued in vain.
            let some = self.mirroring.some(view);
            if is_there {
                some.store(true, Ordering::Relaxed);
            } else if !some.load(Ordering::Relaxed) {
                return;
            }
            mirrored::queue_key(self.epoch, view, key, &mut self.key);
            self.inner.put(Table::MirrorQueue, &self.key, formats::NOTHING);
            self.mirroring.queued.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Transaction for Queueing<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.inner.put(table, key, value);
        self.queue(table, key, true);
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.inner.delete(table, key);
        self.queue(table, key, false);
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn commit(self: Box<Self>, synced: bool) -> Result<(), StoreError> {
        self.inner.commit(synced)
    }
}

/// Has all mirrors filled anew, as of an epoch: after a load, a rebuild, or where other lists became the live ones.
pub(super) fn fill_anew(epoch: Epoch, mirroring: Option<&Arc<Mirroring>>, change: &mut dyn Transaction) {
    if let Some(mirroring) = mirroring {
        mirroring.some.iter().for_each(|some| some.store(true, Ordering::Relaxed));
        change.put(Table::Meta, meta::MIRRORS_ANEW, &epoch.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::stores::memory::MemoryStore;
    use crate::stores::{Store, Tables};

    fn queued(store: &MemoryStore) -> Vec<(u64, Vec<u8>)> {
        let mut queued = Vec::new();
        let mut see = |key: &[u8], _: &[u8]| {
            let (epoch, _, entry) = mirrored::decode_queue_key(key).unwrap();
            queued.push((epoch, entry.to_vec()));
            ControlFlow::Continue(())
        };
        store.scan(Table::MirrorQueue, &[], &[], &mut see).unwrap();
        queued
    }

    #[test]
    fn nothing_is_taken_out_of_a_view_that_has_never_had_an_entry() {
        let store = MemoryStore::default();
        let views = vec![View::TopPicks, View::ContinueWatching];
        let mirroring = Arc::new(Mirroring::of(views, &[View::ContinueWatching]));
        let commit = |epoch, what: &dyn Fn(&mut dyn Transaction)| {
            let mut change = Queueing::of(store.begin(), epoch, Some(&mirroring));
            what(&mut *change);
            change.commit(true).unwrap();
        };
        commit(1, &|change| {
            change.delete(Table::TopPicks, b"m1");
            change.delete(Table::ContinueWatching, b"m2");
        });
        commit(2, &|change| change.put(Table::TopPicks, b"m3", b"list"));
        commit(3, &|change| change.delete(Table::TopPicks, b"m3"));
        let at = |epoch, member: &[u8]| (epoch, member.to_vec());
        assert_eq!(queued(&store), [at(1, b"m2"), at(2, b"m3"), at(3, b"m3")]);
        assert_eq!(mirroring.queued(), 3);
    }

    #[test]
    fn after_a_load_anything_may_be_there() {
        let store = MemoryStore::default();
        let mirroring = Arc::new(Mirroring::of(vec![View::TopPicks], &[]));
        let mut change = store.begin();
        fill_anew(4, Some(&mirroring), &mut *change);
        change.commit(true).unwrap();
        let mut change = Queueing::of(store.begin(), 5, Some(&mirroring));
        change.delete(Table::TopPicks, b"m1");
        change.commit(true).unwrap();
        assert_eq!(queued(&store), [(5, b"m1".to_vec())]);
    }
}
