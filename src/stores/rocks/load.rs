//! Loads: entries are sorted in memory, written as one file a table, and taken into the store as they are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nearline_factors::fetch_soon;
use rocksdb::{BlockBasedOptions, DBCompressionType, IngestExternalFileOptions, Options, SstFileWriter};

use super::{RocksStore, StoreError, Table, Transaction, failed};
use crate::failpoints::reach;

/// A load that is being put together.
pub(super) struct RocksLoad<'a> {
    store: &'a RocksStore,
    /// The tables that have entries.
    tables: Vec<(Table, Sorted)>,
}

/// Buffers of tables that were loaded, empty: growing new ones each time costs more than filling them.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Vec<Sorted>>);

/// How many buffers are kept, and how large they may be.
const KEPT: usize = 3;
const KEPT_BYTES: usize = 40 << 20;

impl Buffers {
    fn kept(&self) -> MutexGuard<'_, Vec<Sorted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self) -> Sorted {
        self.kept().pop().unwrap_or_default()
    }

    fn take_back(&self, mut sorted: Sorted) {
        let mut kept = self.kept();
        if kept.len() < KEPT && sorted.bytes.capacity() <= KEPT_BYTES {
            sorted.bytes.clear();
            sorted.entries.clear();
            kept.push(sorted);
        }
    }
}

/// Entries of one table, to be sorted.
#[derive(Default)]
struct Sorted {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where an entry's key and value lie in the bytes.
struct Entry {
    /// Sixteen bytes of the key behind what all keys begin with, so that most comparisons need not look further.
    head: u128,
    start: u32,
    /// The length of the value; [`REMOVED`] where the key is removed.
    value: u32,
    key: u16,
}

/// How many entries ahead of the one that is written are fetched.
const AHEAD: usize = 8;
/// No value is as long.
const REMOVED: u32 = u32::MAX;
/// What places in a load are counted in.
const TOO_LARGE: &str = "a load is of some megabytes";

impl Sorted {
    fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.entries.push(Entry {
            head: 0,
            start: u32::try_from(self.bytes.len()).expect(TOO_LARGE),
            value: value.map_or(REMOVED, |value| value.len() as u32),
            key: key.len() as u16,
        });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start as usize..][..usize::from(entry.key)]
    }

    /// Has an entry fetched that is written soon: sorted entries lie anywhere among the bytes.
    fn fetch(&self, entry: &Entry) {
        let value = if entry.value == REMOVED { 0 } else { entry.value as usize };
        fetch_soon(&self.bytes[entry.start as usize..][..usize::from(entry.key) + value]);
    }

    /// Sorts by key; of entries with one key the last that was pushed comes last.
    fn sort(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        let shared = self.shared_prefix(&entries);
        for entry in &mut entries {
            let rest = &self.key(entry)[shared..];
            let mut head = [0; 16];
            let known = rest.len().min(16);
            head[..known].copy_from_slice(&rest[..known]);
            entry.head = u128::from_be_bytes(head);
        }
        entries.sort_unstable_by(|a, b| {
            a.head.cmp(&b.head).then_with(|| self.key(a).cmp(self.key(b))).then_with(|| a.start.cmp(&b.start))
        });
        self.entries = entries;
    }

    /// How many bytes all keys begin with.
    fn shared_prefix(&self, entries: &[Entry]) -> usize {
        let Some(first) = entries.first().map(|entry| self.key(entry)) else { return 0 };
        entries.iter().fold(first.len(), |shared, entry| {
            let same = |(a, b): &(&u8, &u8)| a == b;
            first[..shared].iter().zip(self.key(entry)).take_while(same).count()
        })
    }

    /// Writes the sorted entries to a file.
    fn write(&self, table: Table, path: &Path, plain: bool) -> Result<(), rocksdb::Error> {
        let mut options = Options::default();
        let mut blocks = BlockBasedOptions::default();
        // Records are half digests, which nothing compresses; counts are numbers under keys that share their
        // beginnings anyway. Both are read in order, which no filter helps.
        if plain {
            options.set_compression_type(DBCompressionType::None);
            blocks.set_block_restart_interval(1);
        } else if matches!(table, Table::Records | Table::Popularity | Table::Together) {
            options.set_compression_type(DBCompressionType::None);
        } else {
            options.set_compression_type(DBCompressionType::Lz4);
            blocks.set_bloom_filter(10.0, false);
        }
        blocks.set_block_size(16 << 10);
        options.set_block_based_table_factory(&blocks);
        let mut writer = SstFileWriter::create(&options);
        writer.open(path)?;
        for (place, entry) in self.entries.iter().enumerate() {
            if let Some(coming) = self.entries.get(place + AHEAD) {
                self.fetch(coming);
            }
            let key = self.key(entry);
            // Most differ in their heads, and what lies elsewhere in memory need not be looked at.
            let same = |next: &Entry| next.head == entry.head && self.key(next) == key;
            if self.entries.get(place + 1).is_some_and(same) {
                continue;
            }
            match entry.value {
                REMOVED => writer.delete(key)?,
                length => {
                    let start = entry.start as usize + key.len();
                    writer.put(key, &self.bytes[start..start + length as usize])?;
                }
            }
        }
        writer.finish()
    }
}

/// Where a table's load is written, before the store takes it.
fn place(data: &Path, table: Table) -> PathBuf {
    data.join(format!("load-{}.sst", table.name()))
}

/// Removes a name, where it is there.
fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes what a crash has left of loads.
pub(super) fn clean(data: &Path) -> io::Result<()> {
    Table::ALL.into_iter().try_for_each(|table| forget(&place(data, table)))
}

impl<'a> RocksLoad<'a> {
    pub(super) fn new(store: &'a RocksStore) -> Self {
        RocksLoad { store, tables: Vec::new() }
    }

    fn sorted(&mut self, table: Table) -> &mut Sorted {
        let place = self.tables.iter().position(|(of, _)| *of == table).unwrap_or_else(|| {
            self.tables.push((table, self.store.buffers.give()));
            self.tables.len() - 1
        });
        &mut self.tables[place].1
    }
}

impl Transaction for RocksLoad<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.sorted(table).push(key, Some(value));
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.sorted(table).push(key, None);
    }

    fn size(&self) -> usize {
        self.tables.iter().map(|(_, sorted)| sorted.bytes.len()).sum()
    }

    fn commit(self: Box<Self>, _synced: bool) -> Result<(), StoreError> {
        let RocksLoad { store, tables } = *self;
        let mut ingest = IngestExternalFileOptions::default();
        ingest.set_move_files(true);
        for (table, mut sorted) in tables {
            sorted.sort();
            let path = place(&store.path, table);
            // What a crash left there may be a file of the store under a second name: never write into it.
            forget(&path).map_err(|error| failed("make room for a load", &store.path, error))?;
            let db = store.db()?;
            let written = sorted.write(table, &path, store.options.plain).and_then(|()| {
                reach("load-written");
                let _changing = store.changes.begin();
                db.ingest_external_file_cf_opts(store.family(&db, table), &ingest, vec![path.clone()])
            });
            reach("load-taken");
            // Taken into the store by name, or of no use.
            let _ = fs::remove_file(&path);
            written.map_err(|error| store.failed("take in a load", error))?;
            store.buffers.take_back(sorted);
        }
        let counted = store.loads.as_ref().map_or(Ok(()), |loads| loads.one_more());
        counted.map_err(|error| failed("count a load", &store.path, error))
    }
}
