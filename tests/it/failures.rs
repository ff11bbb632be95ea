//! A store that fails at any of its writes, and a new engine that goes on from what it holds: nothing is lost.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nearline::engine::recover::Standing;
use nearline::engine::{Engine, EngineError, EngineOptions};
use nearline::sources::{LogOffset, Offset};
use nearline::stores::memory::MemoryStore;
use nearline::stores::{Store, StoreError, Table, Tables, Transaction};
use proptest::prelude::*;

use crate::sets::{PLAIN, Way, any_records, any_way, batch, options, taken, verified};
use crate::support::Chance;

/// A store in memory that takes so many writes and no more. A load is one write for each table, as on disk.
struct Brittle {
    inner: Arc<MemoryStore>,
    left: AtomicUsize,
}

impl Brittle {
    fn write(&self) -> Result<(), StoreError> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(|_| ()).map_err(|_| StoreError::Failed {
            doing: "be written",
            path: "memory".into(),
            message: "it is out of writes".into(),
        })
    }
}

impl Tables for Brittle {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.inner.scan(table, prefix, from, show)
    }
}

impl Store for Brittle {
    fn begin(&self) -> Box<dyn Transaction + '_> {
        Box::new(Changes { store: self, by_table: false, changes: Vec::new() })
    }

    fn begin_load(&self) -> Box<dyn Transaction + '_> {
        Box::new(Changes { store: self, by_table: true, changes: Vec::new() })
    }

    fn at_one_moment(&self, read: &mut dyn FnMut(&dyn Tables)) -> Result<(), StoreError> {
        self.inner.at_one_moment(read)
    }

    fn clear(&self, table: Table) -> Result<(), StoreError> {
        self.write()?;
        self.inner.clear(table)
    }

    fn commit_turned<'s>(&'s self, change: Box<dyn Transaction + 's>) -> Result<(), StoreError> {
        change.commit(true)?;
        self.inner.commit_turned(self.inner.begin())
    }
}

struct Changes<'a> {
    store: &'a Brittle,
    by_table: bool,
    changes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl Changes<'_> {
    fn make(&self, of: impl Fn(Table) -> bool) -> Result<(), StoreError> {
        let mut inner = self.store.inner.begin();
        let mut any = false;
        for (table, key, value) in self.changes.iter().filter(|(table, ..)| of(*table)) {
            any = true;
            match value {
                Some(value) => inner.put(*table, key, value),
                None => inner.delete(*table, key),
            }
        }
        if any {
            self.store.write()?;
        }
        inner.commit(true)
    }
}

impl Transaction for Changes<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.changes.push((table, key.to_vec(), Some(value.to_vec())));
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.changes.push((table, key.to_vec(), None));
    }

    fn size(&self) -> usize {
        self.changes.len()
    }

    fn commit(self: Box<Self>, _synced: bool) -> Result<(), StoreError> {
        if !self.by_table {
            return self.make(|_| true);
        }
        Table::ALL.into_iter().try_for_each(|table| self.make(|of| of == table))
    }
}

/// How many of the records the store says it has read.
fn read(store: &dyn Store) -> usize {
    let offset = store.get(Table::Offsets, b"test").unwrap();
    offset.map_or(0, |offset| serde_json::from_slice::<LogOffset>(&offset).unwrap().lines as usize)
}

/// Goes on from what the inner store says was read, as a file would, until the end or until a write fails.
fn go_on(brittle: Arc<Brittle>, records: &[String], way: &Way) -> Result<(), EngineError> {
    let options = EngineOptions {
        workers: way.workers,
        bulk: way.bulk,
        epoch_records: way.epoch_records,
        ..options(1)
    };
    let mut lines = read(&*brittle);
    let engine = Engine::start(brittle.clone(), brittle, options)?;
    for some in records[lines..].chunks(way.batch) {
        let mut batch = batch(some);
        lines += some.len();
        let none = (0, String::new());
        let (bytes, size) = (lines as u64, None);
        batch.offset = Some(Offset::Log(LogOffset {
            bytes,
            lines: lines as u64,
            size,
            head: none.clone(),
            tail: none,
            map: String::new(),
        }));
        engine.handle().send(batch)?;
        if way.stop_after < 10 {
            // Otherwise epochs may grow, and there are fewer writes to fail at.
            std::thread::yield_now();
        }
    }
    engine.finish().map(|_| ())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_that_fails_at_any_write_loses_nothing_and_counts_nothing_twice(
        mut records in any_records(),
        way in any_way(),
        failures in prop::collection::vec(0..25_usize, 1..4),
    ) {
        let plain = taken(&records, &PLAIN);
        Chance(way.seed).shuffle(&mut records);
        let inner = Arc::new(MemoryStore::default());
        for left in failures.into_iter().chain([usize::MAX]) {
            let brittle = Arc::new(Brittle { inner: inner.clone(), left: left.into() });
            let ended = go_on(brittle, &records, &way);
            prop_assert!(left < usize::MAX || ended.is_ok(), "{:?}", ended);
        }
        let store: Arc<dyn Store> = inner;
        prop_assert_eq!(verified(&store, 1), verified(&plain, 0));
        let live = |store: &dyn Store| Standing::of(store).unwrap().counts.live_events;
        prop_assert_eq!(live(&*store), live(&*plain));
    }
}

#[test]
fn a_bulk_load_keeps_no_retraction_of_a_member_it_then_forgets() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let options = EngineOptions { bulk: true, epoch_records: 1, ..options(1) };
    let engine = Engine::start(store.clone(), store.clone(), options).unwrap();
    let records = [
        r#"{"member":"ann","item":"a","kind":"play","at":1000,"id":"e1"}"#,
        r#"{"type":"retract","member":"ann","id":"e1"}"#,
        r#"{"type":"retract","member":"ann","item":"b","kind":"play","at":3000}"#,
        r#"{"type":"forget","member":"ann","at":2000}"#,
    ];
    // An epoch of a bulk load holds a great many records: this closes it after each.
    for record in records {
        engine.handle().submit(batch(&[record.to_owned()])).unwrap();
    }
    engine.finish().unwrap();
    let mut left = 0;
    let count = &mut |_: &[u8], _: &[u8]| {
        left += 1;
        ControlFlow::Continue(())
    };
    store.scan(Table::Records, &[], &[], count).unwrap();
    assert_eq!(left, 0);
    let mut kept = 0;
    let count = &mut |_: &[u8], _: &[u8]| {
        kept += 1;
        ControlFlow::Continue(())
    };
    store.scan(Table::Tombstones, &[], &[], count).unwrap();
    assert_eq!(kept, 1);
}
