//! The store of one process of several, which says so where it is asked for what others have.
//!
//! Of a member who is another process's it has nothing, and of counts a part: an answer from it would not be wrong by a
//! little, it would be about somebody unknown, or about a third of all events. So whoever asks is told instead.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::union::{Keeping, member_of};
use super::{Erased, Store, StoreError, Table, Tables, Transaction};
use crate::processes::Share;

/// A store of which only that is read which it has all of.
pub struct PartStore {
    store: Arc<dyn Store>,
    share: Share,
}

impl PartStore {
    /// The store of this process.
    pub fn new(store: Arc<dyn Store>, share: Share) -> Self {
        PartStore { store, share }
    }
}

/// The same of one moment.
struct Partial<'a> {
    tables: &'a dyn Tables,
    share: Share,
    /// Whether only what is in memory is read.
    in_memory: bool,
}

impl Partial<'_> {
    /// Refuses what others have: of a table, under a key or a prefix of keys.
    fn has(&self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        let Share { process, processes } = self.share;
        match Keeping::of(table) {
            Keeping::One if self.in_memory => Err(StoreError::NotInMemory),
            Keeping::One => Err(StoreError::InAll { process, processes }),
            Keeping::Owner => match member_of(table, key).map(|member| self.share.owner(member)) {
                Some(owner) if owner != process => Err(StoreError::OfAnother { owner, processes }),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl Tables for Partial<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.has(table, key)?;
        self.tables.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        // Of all members those of this process are shown; the records of one are asked for by the whole of the id.
        if table == Table::Records || Keeping::of(table) == Keeping::One {
            self.has(table, prefix)?;
        }
        self.tables.scan(table, prefix, from, show)
    }

    fn version(&self) -> Option<u64> {
        self.tables.version()
    }
}

impl Tables for PartStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Partial { tables: &*self.store, share: self.share, in_memory: false }.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        Partial { tables: &*self.store, share: self.share, in_memory: false }.scan(table, prefix, from, show)
    }

    fn version(&self) -> Option<u64> {
        self.store.version()
    }
}

impl Store for PartStore {
    fn begin(&self) -> Box<dyn Transaction + '_> {
        self.store.begin()
    }

    fn begin_load(&self) -> Box<dyn Transaction + '_> {
        self.store.begin_load()
    }

    fn rest(&self) {
        self.store.rest();
    }

    fn loads_over(&self) {
        self.store.loads_over();
    }

    fn ease(&self) -> Result<(), StoreError> {
        self.store.ease()
    }

    fn is_flushing(&self) -> bool {
        self.store.is_flushing()
    }

    fn at_one_moment(&self, read: &mut dyn FnMut(&dyn Tables)) -> Result<(), StoreError> {
        let share = self.share;
        self.store.at_one_moment(&mut |tables| read(&Partial { tables, share, in_memory: false }))
    }

    fn at_one_moment_in_memory(&self, read: &mut dyn FnMut(&dyn Tables)) -> bool {
        let share = self.share;
        self.store.at_one_moment_in_memory(&mut |tables| read(&Partial { tables, share, in_memory: true }))
    }

    fn at_one_moment_cached(&self, read: &mut dyn FnMut(&dyn Tables)) -> Result<bool, StoreError> {
        let share = self.share;
        self.store.at_one_moment_cached(&mut |tables| read(&Partial { tables, share, in_memory: true }))
    }

    fn warm(&self, table: Table, from: &[u8], bytes: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.warm(table, from, bytes)
    }

    fn size(&self) -> u64 {
        self.store.size()
    }

    fn sizes(&self) -> Vec<(&'static str, u64)> {
        self.store.sizes()
    }

    fn clear(&self, table: Table) -> Result<(), StoreError> {
        self.store.clear(table)
    }

    fn commit_turned<'s>(&'s self, change: Box<dyn Transaction + 's>) -> Result<(), StoreError> {
        self.store.commit_turned(change)
    }

    fn checkpoint(&self, to: &Path) -> Result<(), StoreError> {
        self.store.checkpoint(to)
    }

    fn erase(&self) -> Result<Erased, StoreError> {
        self.store.erase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::formats;
    use crate::stores::memory::MemoryStore;

    #[test]
    fn what_others_have_is_said_to_be_theirs_and_what_is_here_is_shown() {
        let share = Share { process: 1, processes: 3 };
        let named = |wanted: bool| {
            (0..).map(|number| format!("m{number}")).find(|member| share.owns(member) == wanted).unwrap()
        };
        let (own, other) = (named(true), named(false));
        let memory = MemoryStore::default();
        let mut change = memory.begin();
        for member in [&own, &other] {
            change.put(Table::TopPicks, member.as_bytes(), b"list");
        }
        change.put(Table::Items, b"i", b"item");
        change.put(Table::Popularity, b"k", b"1");
        change.commit(true).unwrap();
        let part = PartStore::new(Arc::new(memory), share);
        let mut seen = false;
        part.at_one_moment(&mut |tables| {
            let owner = share.owner(&other);
            let is_theirs = |error: StoreError| {
                matches!(error, StoreError::OfAnother { owner: of, processes: 3 } if of == owner)
            };
            let none = &mut |_: &[u8], _: &[u8]| ControlFlow::Continue(());
            assert_eq!(tables.get(Table::TopPicks, own.as_bytes()).unwrap().unwrap(), b"list");
            assert!(is_theirs(tables.get(Table::TopPicks, other.as_bytes()).unwrap_err()));
            let mut prefix = Vec::new();
            formats::member_prefix(&other, &mut prefix);
            assert!(is_theirs(tables.scan(Table::Records, &prefix, &prefix, none).unwrap_err()));
            formats::member_prefix(&own, &mut prefix);
            tables.scan(Table::Records, &prefix, &prefix, none).unwrap();
            tables.scan(Table::TopPicks, &[], &[], none).unwrap();
            assert_eq!(tables.get(Table::Items, b"i").unwrap().unwrap(), b"item");
            for error in [
                tables.get(Table::Popularity, b"k").unwrap_err(),
                tables.scan(Table::Together, &[], &[], none).unwrap_err(),
            ] {
                assert!(matches!(error, StoreError::InAll { process: 1, processes: 3 }));
            }
            seen = true;
        })
        .unwrap();
        assert!(seen);
    }
}
