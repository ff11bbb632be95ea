//! The store as it was at one moment: a snapshot of RocksDB, which sees whole write batches and so whole epochs.

use std::ops::ControlFlow;
use std::path::Path;

use rocksdb::{DB, DBRawIterator, PrefixRange, ReadOptions, ReadTier, Snapshot};

use super::glimpse::{show_few, unread};
use super::options::READ_AHEAD;
use super::{StoreError, Table, Tables, failed, family_name, formats};

/// A moment of a store.
pub(super) struct Moment<'db> {
    db: &'db DB,
    path: &'db Path,
    snapshot: Snapshot<'db>,
    /// Whether the live lists were in the second place.
    turned: bool,
    /// Whether only what is in memory is read, a few entries at a time.
    cached: bool,
}

impl<'db> Moment<'db> {
    /// This moment.
    pub(super) fn now(db: &'db DB, path: &'db Path) -> Result<Self, StoreError> {
        Self::new(db, path, false)
    }

    /// This moment, for whoever cannot wait for a file.
    pub(super) fn cached(db: &'db DB, path: &'db Path) -> Result<Self, StoreError> {
        Self::new(db, path, true)
    }

    fn new(db: &'db DB, path: &'db Path, cached: bool) -> Result<Self, StoreError> {
        let mut moment = Moment { db, path, snapshot: db.snapshot(), turned: false, cached };
        // As the snapshot says: the lists may change places at any time.
        moment.turned = moment.get(Table::Meta, formats::meta::TURNED)?.is_some();
        Ok(moment)
    }

    fn table(&self, table: Table) -> &'static str {
        family_name(if self.turned { table.turned() } else { table })
    }
}

impl Tables for Moment<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(family) = self.db.cf_handle(self.table(table)) else { return Ok(None) };
        if self.cached {
            let mut options = ReadOptions::default();
            options.set_read_tier(ReadTier::BlockCache);
            return self.snapshot.get_cf_opt(family, key, options).map_err(|error| unread(self.path, error));
        }
        self.snapshot.get_cf(family, key).map_err(|error| failed("be read", self.path, error))
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some(family) = self.db.cf_handle(self.table(table)) else { return Ok(()) };
        let (mut options, first) = range(prefix, from);
        if self.cached {
            // All of a table is more than a few entries.
            if prefix.is_empty() {
                return Err(StoreError::NotInMemory);
            }
            options.set_read_tier(ReadTier::BlockCache);
            let entries = self.snapshot.raw_iterator_cf_opt(family, options);
            return show_few(self.path, entries, first, prefix, show);
        }
        let entries = self.snapshot.raw_iterator_cf_opt(family, options);
        show_each(entries, first, prefix, show).map_err(|error| failed("be read", self.path, error))
    }
}

/// How the entries with a prefix are gone through, and where that begins.
pub(super) fn range<'k>(prefix: &'k [u8], from: &'k [u8]) -> (ReadOptions, &'k [u8]) {
    let mut options = ReadOptions::default();
    if prefix.is_empty() {
        options.set_readahead_size(READ_AHEAD);
        options.fill_cache(false);
    } else {
        // A few entries of one member, as a rule, out of dozens of files: nothing is read ahead, and nothing behind.
        options.set_iterate_range(PrefixRange(prefix));
    }
    (options, from.max(prefix))
}

/// Shows entries from a key on until one has another prefix, or it is told to break.
pub(super) fn show_each(
    mut entries: DBRawIterator<'_>,
    first: &[u8],
    prefix: &[u8],
    show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
) -> Result<(), rocksdb::Error> {
    entries.seek(first);
    while let Some((key, value)) = entries.item() {
        if !key.starts_with(prefix) || show(key, value).is_break() {
            return Ok(());
        }
        entries.next();
    }
    entries.status()
}
