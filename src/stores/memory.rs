//! A store in memory: for tests, and wherever views are made that nobody keeps.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Store, StoreError, Table, Tables, Transaction};

type Entries = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Tables in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Entries>);

impl MemoryStore {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.entries().get(&(table, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let first = if from > prefix { from } else { prefix };
        let entries = self.entries();
        let range = (Bound::Included((table, first.to_vec())), Bound::Unbounded);
        for ((of, key), value) in entries.range(range) {
            if *of != table || !key.starts_with(prefix) || show(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Store for MemoryStore {
    fn begin(&self) -> Box<dyn Transaction + '_> {
        Box::new(MemoryTransaction { store: self, changes: Vec::new(), size: 0 })
    }

    fn begin_load(&self) -> Box<dyn Transaction + '_> {
        self.begin()
    }

    fn at_one_moment(&self, read: &mut dyn FnMut(&dyn Tables)) -> Result<(), StoreError> {
        let copy = MemoryStore(Mutex::new(self.entries().clone()));
        read(&copy);
        Ok(())
    }

    fn clear(&self, table: Table) -> Result<(), StoreError> {
        self.entries().retain(|(of, _), _| *of != table);
        Ok(())
    }

    fn commit_turned<'s>(&'s self, change: Box<dyn Transaction + 's>) -> Result<(), StoreError> {
        change.commit(true)?;
        let mut entries = self.entries();
        let turned = std::mem::take(&mut *entries).into_iter();
        *entries = turned.map(|((table, key), value)| ((table.turned(), key), value)).collect();
        Ok(())
    }
}

struct MemoryTransaction<'a> {
    store: &'a MemoryStore,
    changes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
    size: usize,
}

impl Transaction for MemoryTransaction<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.size += key.len() + value.len();
        self.changes.push((table, key.to_vec(), Some(value.to_vec())));
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.size += key.len();
        self.changes.push((table, key.to_vec(), None));
    }

    fn size(&self) -> usize {
        self.size
    }

    fn commit(self: Box<Self>, _synced: bool) -> Result<(), StoreError> {
        let mut entries = self.store.entries();
        for (table, key, value) in self.changes {
            match value {
                Some(value) => entries.insert((table, key), value),
                None => entries.remove(&(table, key)),
            };
        }
        Ok(())
    }
}
