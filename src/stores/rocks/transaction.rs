//! Transactions: changes that are put together in memory and written at once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rocksdb::{DB, FlushOptions, WriteBatch, WriteOptions};

use super::options::WAL;
use super::{RocksStore, StoreError, Table, Transaction, files, formats};

/// How long a write waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// Changes that wait for their commit; RocksDB is not held meanwhile.
pub(super) struct RocksTransaction<'a> {
    store: &'a RocksStore,
    /// Keys and values, one after the other.
    bytes: Vec<u8>,
    /// The table, and the lengths of key and value; none where the key is removed.
    changes: Vec<(Table, usize, Option<usize>)>,
    /// The epoch that is committed, where one is.
    epoch: Option<u64>,
}

impl<'a> RocksTransaction<'a> {
    /// Of no changes yet.
    pub(super) fn new(store: &'a RocksStore) -> Self {
        RocksTransaction { store, bytes: Vec::new(), changes: Vec::new(), epoch: None }
    }
}

impl Transaction for RocksTransaction<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.changes.push((table, key.len(), Some(value.len())));
        if table == Table::Meta && key == formats::meta::EPOCH {
            self.epoch = value.try_into().ok().map(u64::from_be_bytes);
        }
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.changes.push((table, key.len(), None));
    }

    fn size(&self) -> usize {
        self.bytes.len()
    }

    fn commit(self: Box<Self>, synced: bool) -> Result<(), StoreError> {
        let store = self.store;
        let db = store.db()?;
        let mut batch = WriteBatch::default();
        let mut rest = &self.bytes[..];
        for (table, key, value) in self.changes {
            let (key, after) = rest.split_at(key);
            rest = after;
            match value {
                Some(length) => {
                    let (value, after) = rest.split_at(length);
                    rest = after;
                    batch.put_cf(store.family(&db, table), key, value);
                }
                None => batch.delete_cf(store.family(&db, table), key),
            }
        }
        let size = batch.size_in_bytes() as u64;
        let changing = store.changes.begin();
        write(&db, batch, synced).map_err(|error| store.failed("be written", error))?;
        drop(changing);
        if let (Some(witness), Some(epoch), true) = (&store.witness, self.epoch, synced) {
            witness.write(epoch);
        }
        // RocksDB keeps to the length only when more is written, and after a burst nothing may be.
        if store.logged.fetch_add(size, Ordering::Relaxed) + size >= WAL {
            store.logged.store(0, Ordering::Relaxed);
            let mut soon = FlushOptions::default();
            soon.set_wait(false);
            files::flush(&db, &soon).map_err(|error| store.failed("be flushed", error))?;
        }
        Ok(())
    }
}

/// Writes a batch. Where writes have to wait, it waits here and not in RocksDB, which on a full disk would wait for
/// room without a word, for ever: asked again, it says why.
pub(super) fn write(db: &DB, batch: WriteBatch, synced: bool) -> Result<(), rocksdb::Error> {
    let mut options = WriteOptions::default();
    options.set_sync(synced);
    options.set_no_slowdown(true);
    let bytes = batch.data().to_vec();
    let mut written = db.write_opt(batch, &options);
    while let Err(error) = &written
        && error.kind() == rocksdb::ErrorKind::Incomplete
    {
        std::thread::sleep(PAUSE);
        let stopped = db.property_int_value(rocksdb::properties::IS_WRITE_STOPPED);
        // Slowed down but not stopped: such a wait ends.
        options.set_no_slowdown(stopped.ok().flatten() != Some(0));
        written = db.write_opt(WriteBatch::from_data(&bytes), &options);
    }
    written
}
