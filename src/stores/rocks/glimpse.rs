//! The store as it is in memory, for whoever cannot wait: no file is read, and no lock of RocksDB's is taken for longer
//! than a look-up.
//!
//! There is no snapshot behind it, which would cost as much as the reading. Changes are counted instead: what was read
//! while none was under way and none came is of one moment, and everything else is not used.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{DB, DBRawIterator, ErrorKind, ReadOptions, ReadTier};

use super::moment::{range, show_each};
use super::{StoreError, Table, Tables, failed, family_name};

/// How many entries are gone through at most: some tenths of a millisecond.
const FEW: usize = 1_000;

/// Counts the changes of a store.
#[derive(Default)]
pub(super) struct Changes {
    under_way: AtomicU64,
    begun: AtomicU64,
}

/// A change that is under way.
pub(super) struct Changing<'a>(&'a Changes);

impl Changes {
    /// To be held from before a change can be seen until all of it can.
    pub(super) fn begin(&self) -> Changing<'_> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        Changing(self)
    }

    /// How many there were; none where one is under way.
    pub(super) fn settled(&self) -> Option<u64> {
        let begun = self.begun.load(Ordering::SeqCst);
        (self.under_way.load(Ordering::SeqCst) == 0).then_some(begun)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is in memory.
pub(super) struct Glimpse<'db> {
    pub db: &'db DB,
    pub path: &'db Path,
    /// Whether the live lists are in the second place.
    pub turned: bool,
    /// How many changes there were.
    pub version: u64,
}

impl Glimpse<'_> {
    fn table(&self, table: Table) -> &'static str {
        family_name(if self.turned { table.turned() } else { table })
    }
}

impl Tables for Glimpse<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(family) = self.db.cf_handle(self.table(table)) else { return Ok(None) };
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::BlockCache);
        self.db.get_cf_opt(family, key, &options).map_err(|error| unread(self.path, error))
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some(family) = self.db.cf_handle(self.table(table)) else { return Ok(()) };
        // All of a table is more than a few entries.
        if prefix.is_empty() {
            return Err(StoreError::NotInMemory);
        }
        let (mut options, first) = range(prefix, from);
        options.set_read_tier(ReadTier::BlockCache);
        show_few(self.path, self.db.raw_iterator_cf_opt(family, options), first, prefix, show)
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

/// Why something could not be read of what is in memory.
pub(super) fn unread(path: &Path, error: rocksdb::Error) -> StoreError {
    match error.kind() {
        ErrorKind::Incomplete => StoreError::NotInMemory,
        _ => failed("be read", path, error),
    }
}

/// Shows entries as [`show_each`] does, where they are few.
pub(super) fn show_few(
    path: &Path,
    entries: DBRawIterator<'_>,
    first: &[u8],
    prefix: &[u8],
    show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let (mut left, mut more) = (FEW, false);
    let shown = show_each(entries, first, prefix, &mut |key, value| {
        if left == 0 {
            more = true;
            return ControlFlow::Break(());
        }
        left -= 1;
        show(key, value)
    });
    shown.map_err(|error| unread(path, error))?;
    if more { Err(StoreError::NotInMemory) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::atomic::{AtomicBool, Ordering};

    use crate::stores::rocks::{RocksOptions, RocksStore};
    use crate::stores::{Store, StoreError, Table, Tables};

    /// Two entries that are always changed together: whatever is shown as of one moment has both alike.
    #[test]
    fn what_is_of_one_moment_has_whole_changes_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = RocksStore::open(folder.path(), RocksOptions::default()).unwrap();
        let put = |number: u64| {
            let mut change = store.begin();
            change.put(Table::Meta, b"one", &number.to_be_bytes());
            change.put(Table::TopPicks, b"other", &number.to_be_bytes());
            change.commit(false).unwrap();
        };
        put(0);
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (1..20_000).for_each(put);
                ended.store(true, Ordering::Relaxed);
            });
            let mut of_one_moment = 0;
            while !ended.load(Ordering::Relaxed) {
                let mut read = (None, None);
                let whole = store.at_one_moment_in_memory(&mut |tables: &dyn Tables| {
                    let one = tables.get(Table::Meta, b"one").unwrap();
                    read = (one, tables.get(Table::TopPicks, b"other").unwrap());
                });
                if whole {
                    of_one_moment += 1;
                    assert_eq!(read.0, read.1);
                }
            }
            assert!(of_one_moment > 0);
        });
    }

    #[test]
    fn what_lies_in_files_or_is_long_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let open = || RocksStore::open(folder.path(), RocksOptions::default()).unwrap();
        let store = open();
        let mut change = store.begin();
        for number in 0..2_000_u32 {
            change.put(Table::Records, &[b"p", &number.to_be_bytes()[..]].concat(), b"");
        }
        change.put(Table::TopPicks, b"m", b"list");
        change.commit(true).unwrap();
        drop(store);
        let store = open();
        let get = || {
            let mut read = None;
            assert!(
                store.at_one_moment_in_memory(&mut |tables| read = Some(tables.get(Table::TopPicks, b"m")))
            );
            read.unwrap()
        };
        assert!(matches!(get(), Err(StoreError::NotInMemory)));
        assert_eq!(store.get(Table::TopPicks, b"m").unwrap().as_deref(), Some(&b"list"[..]));
        assert_eq!(get().unwrap().as_deref(), Some(&b"list"[..]), "it was read from its file a moment ago");

        let mut count = 0;
        store
            .scan(Table::Records, b"p", b"", &mut |_, _| {
                count += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(count, 2_000);
        store.at_one_moment_in_memory(&mut |tables| {
            for prefix in [&b"p"[..], b""] {
                let scanned = tables.scan(Table::Records, prefix, b"", &mut |_, _| ControlFlow::Continue(()));
                assert!(matches!(scanned, Err(StoreError::NotInMemory)));
            }
        });
    }
}
