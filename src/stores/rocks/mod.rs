//! The store on disk: RocksDB, a column family per table.
//!
//! One process writes; any number read while it does. Nothing outside this folder names `rocksdb`.

mod load;
mod reader;
mod witness;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    Direction, FlushOptions, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions,
};

use self::load::{Buffers, RocksLoad};
use self::witness::Witness;
use super::{Store, StoreError, Table, Transaction, formats};

/// How much memory RocksDB may use.
#[derive(Debug, Clone, Copy)]
pub struct RocksOptions {
    /// For blocks read from disk, in bytes.
    pub block_cache: usize,
    /// For changes not yet in files, over all tables, in bytes.
    pub write_buffer: usize,
}

impl Default for RocksOptions {
    fn default() -> Self {
        RocksOptions { block_cache: 32 << 20, write_buffer: 64 << 20 }
    }
}

/// An open data folder.
pub struct RocksStore {
    db: DB,
    path: PathBuf,
    /// Whether files may gather for a load.
    loading: AtomicBool,
    /// Bytes that were written to the write-ahead log since the last flush.
    logged: AtomicU64,
    /// Whether the live lists are in the second place.
    turned: AtomicBool,
    /// Buffers of loads, to be used again.
    buffers: Buffers,
    /// Of what was acknowledged; a writer's.
    witness: Option<Witness>,
}

/// How many files of a table may gather before they are compacted. Readers find their way through some dozens by
/// their filters.
const LIVE: i32 = 40;
/// The same during a load, which brings a file an epoch and table: most are compacted once, after it, and not again
/// and again.
const LOADING: i32 = 256;
/// From so many on writes slow down, and from so many they wait: never but where the disk cannot follow.
const SLOW: [i32; 2] = [1024, 2048];
/// How much is read ahead of each file that is compacted, in bytes: there may be hundreds.
const READ_AHEAD: usize = 256 << 10;
/// From so many bytes on new files are compacted however few they are.
const LEVEL_BASE: u64 = 2 << 30;

/// How long the write-ahead log may get, in bytes: some tenths of a second's reading.
const WAL: u64 = 16 << 20;

/// How long a write waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// Where in the data folder RocksDB lives.
fn db_path(data: &Path) -> PathBuf {
    data.join("store")
}

impl RocksStore {
    fn new(db: DB, data: &Path, witness: Option<Witness>) -> Self {
        RocksStore {
            db,
            path: data.to_owned(),
            loading: AtomicBool::new(false),
            logged: AtomicU64::new(0),
            turned: AtomicBool::new(false),
            buffers: Buffers::default(),
            witness,
        }
    }

    /// Opens a data folder for writing, and makes it where there is none.
    pub fn open(data: &Path, options: RocksOptions) -> Result<Self, StoreError> {
        let path = db_path(data);
        let acknowledged = witness::acknowledged(data)?;
        std::fs::create_dir_all(&path).map_err(|error| failed("make its folder", data, error))?;
        // RocksDB would begin a new store there, and remove the files of the old one.
        if acknowledged > 0 && !path.join("CURRENT").exists() {
            return Err(headless(data));
        }
        let (db_options, families) = tuned(options, &Table::ALL);
        let db = DB::open_cf_descriptors(&db_options, &path, families).map_err(|error| {
            let message = error.to_string();
            if message.contains("While lock file") || message.contains("lock hold by current process") {
                StoreError::Held(data.to_owned())
            } else {
                failed("be opened", data, message)
            }
        })?;
        // Behind the lock: nobody else is at it.
        load::clean(data).map_err(|error| failed("clean up after a load", data, error))?;
        RocksStore::new(db, data, Some(Witness::open(data)?)).known(acknowledged)
    }

    /// Opens a data folder for reading, beside a process that may be writing to it. Shows the epoch that was
    /// committed last, and stays there.
    pub fn open_reader(data: &Path) -> Result<Self, StoreError> {
        let path = db_path(data);
        // Before the store is read: what is acknowledged meanwhile, the store may have or not.
        let acknowledged = witness::acknowledged(data)?;
        if !path.join("CURRENT").exists() {
            let error = if acknowledged > 0 { headless(data) } else { StoreError::Empty(data.to_owned()) };
            return Err(error);
        }
        RocksStore::new(reader::open(&path, data)?, data, None).known(acknowledged)
    }

    /// Refuses a folder of a later format, and one that has lost what was acknowledged; finds out which lists are live.
    fn known(self, acknowledged: u64) -> Result<Self, StoreError> {
        let value = self.get(Table::Meta, formats::meta::FORMAT)?;
        let found = value.and_then(|value| value.try_into().ok()).map_or(formats::FORMAT, u32::from_be_bytes);
        if found > formats::FORMAT {
            return Err(StoreError::Newer { path: self.path.clone(), found, known: formats::FORMAT });
        }
        let epoch = self.get(Table::Meta, formats::meta::EPOCH)?;
        let stored = epoch.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes);
        witness::check(&self.path, acknowledged, stored)?;
        let turned = self.get(Table::Meta, formats::meta::TURNED)?.is_some();
        self.turned.store(turned, Ordering::Relaxed);
        Ok(self)
    }

    /// The size of the files of each table, in bytes.
    pub fn sizes(&self) -> Vec<(&'static str, u64)> {
        let size = |table: Table| {
            let of = |family| self.db.property_int_value_cf(family, "rocksdb.total-sst-files-size");
            let bytes = self.known_family(table).and_then(|family| of(family).ok().flatten());
            (table.name(), bytes.unwrap_or(0))
        };
        Table::ALL.into_iter().map(size).collect()
    }

    fn flush(&self, options: &FlushOptions) -> Result<(), rocksdb::Error> {
        let families: Vec<&ColumnFamily> = Table::ALL.into_iter().map(|table| self.family(table)).collect();
        self.db.flush_cfs_opt(&families, options)
    }

    fn let_files_gather(&self, files: i32) -> Result<(), rocksdb::Error> {
        let files = files.to_string();
        let options = [("level0_file_num_compaction_trigger", files.as_str())];
        Table::ALL.into_iter().try_for_each(|table| self.db.set_options_cf(self.family(table), &options))
    }

    /// Bytes on disk: tables, write-ahead log and all else.
    pub fn size(&self) -> u64 {
        let entries = std::fs::read_dir(db_path(&self.path)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
    }

    /// Writes a batch. Where writes have to wait, it waits here and not in RocksDB, which on a full disk would wait
    /// for room without a word, for ever: asked again, it says why.
    fn write(&self, batch: WriteBatch, synced: bool) -> Result<(), rocksdb::Error> {
        let mut options = WriteOptions::default();
        options.set_sync(synced);
        options.set_no_slowdown(true);
        let bytes = batch.data().to_vec();
        let mut written = self.db.write_opt(batch, &options);
        while let Err(error) = &written
            && error.kind() == rocksdb::ErrorKind::Incomplete
        {
            std::thread::sleep(PAUSE);
            let stopped = self.db.property_int_value(rocksdb::properties::IS_WRITE_STOPPED);
            // Slowed down but not stopped: such a wait ends.
            options.set_no_slowdown(stopped.ok().flatten() != Some(0));
            written = self.db.write_opt(WriteBatch::from_data(&bytes), &options);
        }
        written
    }

    fn family(&self, table: Table) -> &ColumnFamily {
        self.known_family(table).expect("a writer opens every table")
    }

    /// Where a table lies; nowhere in a folder of format 1 that is being read and has no such table yet.
    fn known_family(&self, table: Table) -> Option<&ColumnFamily> {
        let table = if self.turned.load(Ordering::Relaxed) { table.turned() } else { table };
        self.db.cf_handle(family_name(table))
    }

    fn failed(&self, doing: &'static str, error: rocksdb::Error) -> StoreError {
        failed(doing, &self.path, error)
    }
}

impl Drop for RocksStore {
    /// Leaves an empty write-ahead log to readers and to the next start. Where that fails nothing is lost: the log
    /// has it all.
    fn drop(&mut self) {
        if self.witness.is_some()
            && let Err(error) = self.flush(&FlushOptions::default())
        {
            tracing::debug!(%error, "the store was closed without a flush");
        }
    }
}

/// A store whose first file is gone, though something was acknowledged.
fn headless(data: &Path) -> StoreError {
    let message = "Corruption: the file CURRENT is gone from `store`, though records were acknowledged";
    failed("be opened", data, message)
}

fn failed(doing: &'static str, path: &Path, error: impl ToString) -> StoreError {
    StoreError::Failed { doing, path: path.to_owned(), message: error.to_string() }
}

fn tuned(options: RocksOptions, tables: &[Table]) -> (Options, Vec<ColumnFamilyDescriptor>) {
    let mut db = Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    db.set_db_write_buffer_size(options.write_buffer);
    db.set_max_background_jobs(2);
    db.set_max_open_files(512);
    db.set_keep_log_file_num(2);
    // A record that a crash has cut off at the end of the log was never acknowledged; damage before it is an error,
    // and not the end of the log, as it would be by default. What looks cut off and is not, the witness tells.
    db.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    db.set_track_and_verify_wals_in_manifest(true);
    db.set_bytes_per_sync(1 << 20);
    db.set_compaction_readahead_size(READ_AHEAD);
    // Every reader reads the write-ahead log from its beginning: a short one keeps their start short.
    db.set_max_total_wal_size(WAL);
    let cache = Cache::new_lru_cache(options.block_cache);
    let families = tables.iter().map(|table| {
        let mut family = Options::default();
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&cache);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_bloom_filter(10.0, false);
        blocks.set_block_size(16 << 10);
        family.set_block_based_table_factory(&blocks);
        family.set_compression_type(DBCompressionType::Lz4);
        family.set_bottommost_compression_type(DBCompressionType::Zstd);
        family.set_write_buffer_size(options.write_buffer / 2);
        family.set_level_zero_file_num_compaction_trigger(LIVE);
        family.set_level_zero_slowdown_writes_trigger(SLOW[0]);
        family.set_level_zero_stop_writes_trigger(SLOW[1]);
        family.set_max_bytes_for_level_base(LEVEL_BASE);
        ColumnFamilyDescriptor::new(family_name(*table), family)
    });
    (db, families.collect())
}

/// A table's column family while nothing is turned. These names are on disk for good.
fn family_name(table: Table) -> &'static str {
    match table {
        Table::StandbyFactors => "factors_2",
        Table::StandbyTopPicks => "top_picks_2",
        Table::StandbyContinueWatching => "continue_watching_2",
        other => other.name(),
    }
}

impl Store for RocksStore {
    fn begin(&self) -> Box<dyn Transaction + '_> {
        Box::new(RocksTransaction { store: self, batch: WriteBatch::default(), epoch: None })
    }

    fn begin_load(&self) -> Box<dyn Transaction + '_> {
        // Where it fails, the load is a little slower.
        if !self.loading.swap(true, Ordering::Relaxed)
            && let Err(error) = self.let_files_gather(LOADING)
        {
            tracing::debug!(%error, "files are compacted during the load");
        }
        Box::new(RocksLoad::new(self))
    }

    fn loads_over(&self) -> Result<(), StoreError> {
        if self.loading.swap(false, Ordering::Relaxed) {
            self.let_files_gather(LIVE).map_err(|error| self.failed("end a load", error))?;
        }
        Ok(())
    }

    fn ease(&self) -> Result<(), StoreError> {
        self.flush(&FlushOptions::default()).map_err(|error| self.failed("be flushed", error))
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(family) = self.known_family(table) else { return Ok(None) };
        self.db.get_cf(family, key).map_err(|error| self.failed("be read", error))
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some(family) = self.known_family(table) else { return Ok(()) };
        let first = if from > prefix { from } else { prefix };
        let mut options = ReadOptions::default();
        options.set_readahead_size(1 << 20);
        options.fill_cache(false);
        let mode = IteratorMode::From(first, Direction::Forward);
        for entry in self.db.iterator_cf_opt(family, options, mode) {
            let (key, value) = entry.map_err(|error| self.failed("be read", error))?;
            if !key.starts_with(prefix) || show(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn clear(&self, table: Table) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        // No key begins so: at most its first byte is a length, and UTF-8 has no byte of 0xff.
        batch.delete_range_cf(self.family(table), &[][..], &[0xff; 1024][..]);
        self.write(batch, false).map_err(|error| self.failed("be cleared", error))
    }

    fn commit_turned<'s>(&'s self, mut change: Box<dyn Transaction + 's>) -> Result<(), StoreError> {
        let turned = !self.turned.load(Ordering::Relaxed);
        if turned {
            change.put(Table::Meta, formats::meta::TURNED, formats::NOTHING);
        } else {
            change.delete(Table::Meta, formats::meta::TURNED);
        }
        change.commit(true)?;
        self.turned.store(turned, Ordering::Relaxed);
        Ok(())
    }
}

struct RocksTransaction<'a> {
    store: &'a RocksStore,
    batch: WriteBatch,
    /// The epoch that it commits, where it commits one.
    epoch: Option<u64>,
}

impl Transaction for RocksTransaction<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.batch.put_cf(self.store.family(table), key, value);
        if table == Table::Meta && key == formats::meta::EPOCH {
            self.epoch = value.try_into().ok().map(u64::from_be_bytes);
        }
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.batch.delete_cf(self.store.family(table), key);
    }

    fn size(&self) -> usize {
        self.batch.size_in_bytes()
    }

    fn commit(self: Box<Self>, synced: bool) -> Result<(), StoreError> {
        let (store, size) = (self.store, self.batch.size_in_bytes() as u64);
        store.write(self.batch, synced).map_err(|error| store.failed("be written", error))?;
        if let (Some(witness), Some(epoch), true) = (&store.witness, self.epoch, synced) {
            witness.write(epoch);
        }
        // RocksDB keeps to the length only when more is written, and after a burst nothing may be.
        if store.logged.fetch_add(size, Ordering::Relaxed) + size >= WAL {
            store.logged.store(0, Ordering::Relaxed);
            let mut soon = FlushOptions::default();
            soon.set_wait(false);
            store.flush(&soon).map_err(|error| store.failed("be flushed", error))?;
        }
        Ok(())
    }
}
