//! Changes on their way to mirrors: which entries an epoch changes, queued by the commit that changes them.
//!
//! What is queued is the key alone. A mirror reads what the store has under it by then, so that it goes on after a crash,
//! and catches up after a time without its server, by the same way: from the queue, in the order of epochs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nearline_dataflows::types::Epoch;

use crate::stores::formats::{self, meta};
use crate::stores::mirrored::{self, View};
use crate::stores::{StoreError, Table, Transaction};

/// What is queued for mirrors.
#[derive(Debug, Default)]
pub struct Mirroring {
    /// The views that some mirror has.
    views: Vec<View>,
    /// How many entries have been queued.
    queued: AtomicU64,
}

impl Mirroring {
    /// Of these views.
    pub fn of(views: Vec<View>) -> Self {
        Mirroring { views, queued: AtomicU64::new(0) }
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

    fn queue(&mut self, table: Table, key: &[u8]) {
        if let Some(view) = View::of(table, key)
            && self.mirroring.views.contains(&view)
        {
            mirrored::queue_key(self.epoch, view, key, &mut self.key);
            self.inner.put(Table::MirrorQueue, &self.key, formats::NOTHING);
            self.mirroring.queued.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Transaction for Queueing<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.inner.put(table, key, value);
        self.queue(table, key);
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.inner.delete(table, key);
        self.queue(table, key);
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
    if mirroring.is_some() {
        change.put(Table::Meta, meta::MIRRORS_ANEW, &epoch.to_be_bytes());
    }
}
