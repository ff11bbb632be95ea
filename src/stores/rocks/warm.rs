//! Reading ahead of those who ask: entries of a table into the block cache, in slices, between which the store may be
//! closed.

use rocksdb::{Direction, IteratorMode};

use super::{RocksStore, StoreError, Table};

impl RocksStore {
    /// Reads entries from a key on into memory, `bytes` of them; gives back where the next begin, if there are more.
    pub(super) fn warm_slice(
        &self,
        table: Table,
        from: &[u8],
        bytes: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let db = self.db()?;
        let Some(family) = self.known_family(&db, table) else { return Ok(None) };
        let mut left = bytes;
        for entry in db.iterator_cf(family, IteratorMode::From(from, Direction::Forward)) {
            let (key, value) = entry.map_err(|error| self.failed("be read", error))?;
            let size = (key.len() + value.len()) as u64;
            if size > left {
                return Ok(Some(key.into()));
            }
            left -= size;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use crate::stores::rocks::{BlockCache, RocksOptions, RocksStore};
    use crate::stores::{Store, StoreError, Table, Tables};

    #[test]
    fn what_was_read_ahead_is_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let store = RocksStore::open(folder.path(), RocksOptions::default()).unwrap();
        let mut change = store.begin();
        for number in 0..20_000_u32 {
            change.put(Table::TopPicks, &number.to_be_bytes(), &[7; 100]);
        }
        change.commit(true).unwrap();
        drop(store);

        let cache = BlockCache::for_answers(32 << 20);
        let store = RocksStore::open_reader_with(folder.path(), &cache).unwrap();
        let known = |number: u32| {
            let mut known = false;
            let shown = store.at_one_moment_cached(&mut |tables: &dyn Tables| {
                known = match tables.get(Table::TopPicks, &number.to_be_bytes()) {
                    Ok(found) => found.is_some(),
                    Err(StoreError::NotInMemory) => false,
                    Err(error) => panic!("{error}"),
                };
            });
            shown.unwrap() && known
        };
        assert!(!known(0) && !known(19_999));
        let (mut from, mut slices) = (Some(Vec::new()), 0);
        while let Some(key) = from {
            from = store.warm(Table::TopPicks, &key, 200_000).unwrap();
            slices += 1;
        }
        assert!(slices >= 10, "{slices}");
        assert!(known(0) && known(19_999));
    }
}
