//! The store on disk: RocksDB, a column family per table.
//!
//! One process writes; any number read while it does. Nothing outside this folder names `rocksdb`.

mod erase;
mod glimpse;
mod load;
mod loads;
pub(crate) mod lock;
mod moment;
mod reader;
mod warm;
mod witness;

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    FlushOptions, Options, WaitForCompactOptions, WriteBatch, WriteOptions,
};

use self::glimpse::{Changes, Glimpse};
use self::load::{Buffers, RocksLoad};
use self::loads::Loads;
use self::moment::{Moment, range, show_each};
use self::witness::Witness;
use super::{Erased, Store, StoreError, Table, Tables, Transaction, formats};

/// How much memory RocksDB may use.
#[derive(Debug, Clone, Copy)]
pub struct RocksOptions {
    /// For blocks read from disk, in bytes.
    pub block_cache: usize,
    /// For changes not yet in files, over all tables, in bytes.
    pub write_buffer: usize,
    /// Whether tables are written so that anyone can search them: nothing compressed, every key in full.
    pub plain: bool,
    /// Whether many read at once: what a look-up needs to find its block stays in memory, besides the cache.
    pub for_answers: bool,
}

impl Default for RocksOptions {
    fn default() -> Self {
        RocksOptions { block_cache: 32 << 20, write_buffer: 64 << 20, plain: false, for_answers: false }
    }
}

/// Memory for blocks of files, which readers share that come after each other.
pub struct BlockCache {
    blocks: Cache,
    for_answers: bool,
}

impl BlockCache {
    /// Of so many bytes, for now and then.
    pub fn new(bytes: usize) -> Self {
        BlockCache { blocks: Cache::new_lru_cache(bytes), for_answers: false }
    }

    /// Of so many bytes, for many who read at once: they do not wait for each other.
    pub fn for_answers(bytes: usize) -> Self {
        // 0: however large the blocks are.
        BlockCache { blocks: Cache::new_hyper_clock_cache(bytes, 0), for_answers: true }
    }
}

/// An open data folder.
pub struct RocksStore {
    /// None where it was closed to be opened anew, and could not be. Whoever works with it holds it for that long.
    db: RwLock<Option<Arc<DB>>>,
    path: PathBuf,
    options: RocksOptions,
    /// Keeps other writers away, also while RocksDB's own lock is given up for a moment.
    _lock: Option<File>,
    /// Whether files may gather for a load.
    loading: AtomicBool,
    /// Bytes that were written to the write-ahead log since the last flush.
    logged: AtomicU64,
    /// Whether the live lists are in the second place.
    turned: AtomicBool,
    changes: Changes,
    /// Buffers of loads, to be used again.
    buffers: Buffers,
    /// Of what was acknowledged; a writer's.
    witness: Option<Witness>,
    /// Of what was taken in besides; a writer's.
    loads: Option<Loads>,
}

/// How many files of a table may gather before they are compacted. Readers find their way through some dozens by
/// their filters.
const LIVE: i32 = 40;
/// The same during a load, which brings a file for some epochs and table, and while records are read back: most are compacted
/// once, after it, and not again and again; and neither has to share two cores with what can wait.
const LOADING: i32 = 768;
/// How many a process may leave that ends: whoever reads has each of them open.
const LEFT: u64 = 256;
/// From so many on writes slow down, and from so many they wait: never but where the disk cannot follow.
const SLOW: [i32; 2] = [1024, 2048];
/// How much is read ahead of each file that is compacted, in bytes: there may be hundreds.
const READ_AHEAD: usize = 256 << 10;
/// From so many bytes on new files are compacted however few they are.
const LEVEL_BASE: u64 = 2 << 30;

/// How long the write-ahead log may get, in bytes: some tenths of a second's reading.
const WAL: u64 = 16 << 20;

/// How many memtables a table may have, those that are being flushed included.
const MEMTABLES: i32 = 6;

/// How long a write waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// The newest epoch that was acknowledged in a data folder; 0 where none was.
pub fn acknowledged(data: &Path) -> Result<u64, StoreError> {
    witness::acknowledged(data)
}

/// What a restore is put together in, inside the data folder: there while the folder has no store yet.
pub(crate) const RESTORING: &str = ".restoring";

/// What a folder of another number of processes is put together in, inside the data folder: there until all folders of the
/// pipeline are whole.
pub(crate) const RESHARDING: &str = ".resharding";

/// Refuses a folder that is being made of others, or that was not made to its end.
fn is_made(data: &Path) -> Result<(), StoreError> {
    if data.join(RESHARDING).exists() { Err(StoreError::Resharding(data.to_owned())) } else { Ok(()) }
}

/// Where in the data folder RocksDB lives.
fn db_path(data: &Path) -> PathBuf {
    data.join("store")
}

impl RocksStore {
    fn new(db: DB, data: &Path, options: RocksOptions) -> Self {
        RocksStore {
            db: RwLock::new(Some(Arc::new(db))),
            path: data.to_owned(),
            options,
            _lock: None,
            loading: AtomicBool::new(false),
            logged: AtomicU64::new(0),
            turned: AtomicBool::new(false),
            changes: Changes::default(),
            buffers: Buffers::default(),
            witness: None,
            loads: None,
        }
    }

    /// Opens a data folder for writing, and makes it where there is none.
    pub fn open(data: &Path, options: RocksOptions) -> Result<Self, StoreError> {
        let path = db_path(data);
        is_made(data)?;
        let acknowledged = witness::acknowledged(data)?;
        let make = |folder: &Path| {
            std::fs::create_dir_all(folder).map_err(|error| failed("make its folder", data, error))
        };
        make(data)?;
        let lock = lock::lock(data)?;
        // RocksDB would begin a new store there, and remove the files of the old one.
        if !path.join("CURRENT").exists() {
            may_begin(data, acknowledged)?;
            make(&path)?;
        }
        // What a load left is put in order once the records are read back (`loads_over`); most stores have far fewer files.
        let many = table_files(&path) > LIVE as usize;
        let db = open_for_writing(data, options, if many { LOADING } else { LIVE })?;
        // Behind the lock: nobody else is at it.
        load::clean(data).map_err(|error| failed("clean up after a load", data, error))?;
        let loads = Loads::open(data).map_err(|error| failed("count its loads", data, error))?;
        let mut store = RocksStore::new(db, data, options);
        store.loading.store(many, Ordering::Relaxed);
        (store._lock, store.witness, store.loads) = (lock, Some(Witness::open(data)?), Some(loads));
        store.known(acknowledged)
    }

    /// Opens a data folder for reading, beside a process that may be writing to it. Shows the epoch that was
    /// committed last, and stays there.
    pub fn open_reader(data: &Path) -> Result<Self, StoreError> {
        Self::open_reader_with(data, &BlockCache::new(reader::OPTIONS.block_cache))
    }

    /// The same with a cache that other readers had before, or have.
    pub fn open_reader_with(data: &Path, cache: &BlockCache) -> Result<Self, StoreError> {
        let path = db_path(data);
        is_made(data)?;
        // Before the store is read: what is acknowledged meanwhile, the store may have or not.
        let acknowledged = witness::acknowledged(data)?;
        if !path.join("CURRENT").exists() {
            may_begin(data, acknowledged)?;
            return Err(StoreError::Empty(data.to_owned()));
        }
        RocksStore::new(reader::open(&path, data, cache)?, data, reader::OPTIONS).known(acknowledged)
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

    /// RocksDB, to work with and let go of.
    fn db(&self) -> Result<Arc<DB>, StoreError> {
        let open = self.db.read().unwrap_or_else(PoisonError::into_inner).clone();
        open.ok_or_else(|| self.closed())
    }

    fn closed(&self) -> StoreError {
        let why = "it was closed after an erasure and could not be opened again; start nearline again";
        failed("be used", &self.path, why)
    }

    fn family<'db>(&self, db: &'db DB, table: Table) -> &'db ColumnFamily {
        self.known_family(db, table).expect("a writer opens every table")
    }

    /// Where a table lies; nowhere in a folder of an earlier format that is being read and has no such table yet.
    fn known_family<'db>(&self, db: &'db DB, table: Table) -> Option<&'db ColumnFamily> {
        let table = if self.turned.load(Ordering::Relaxed) { table.turned() } else { table };
        db.cf_handle(family_name(table))
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
            && let Ok(db) = self.db()
            && let Err(error) = flush(&db, &FlushOptions::default())
        {
            tracing::debug!(%error, "the store was closed without a flush");
        }
    }
}

/// How many table files a store has.
fn table_files(path: &Path) -> usize {
    let is_table =
        |file: &std::fs::DirEntry| file.path().extension().is_some_and(|extension| extension == "sst");
    std::fs::read_dir(path).map_or(0, |files| files.flatten().filter(is_table).count())
}

/// So many `files` of a table may gather.
fn open_for_writing(data: &Path, options: RocksOptions, files: i32) -> Result<DB, StoreError> {
    let cache = if options.for_answers { BlockCache::for_answers } else { BlockCache::new };
    let cache = cache(options.block_cache);
    let (db_options, families) = tuned(options, &cache, &Table::ALL, files);
    DB::open_cf_descriptors(&db_options, db_path(data), families).map_err(|error| {
        let message = error.to_string();
        if message.contains("While lock file") || message.contains("lock hold by current process") {
            StoreError::Held(data.to_owned())
        } else {
            failed("be opened", data, message)
        }
    })
}

/// The column families of all tables, wherever these lie.
fn families(db: &DB) -> Vec<&ColumnFamily> {
    let of = |table| db.cf_handle(family_name(table)).expect("a writer opens every table");
    Table::ALL.into_iter().map(of).collect()
}

fn flush(db: &DB, options: &FlushOptions) -> Result<(), rocksdb::Error> {
    db.flush_cfs_opt(&families(db), options)
}

/// Writes a batch. Where writes have to wait, it waits here and not in RocksDB, which on a full disk would wait for
/// room without a word, for ever: asked again, it says why.
fn write(db: &DB, batch: WriteBatch, synced: bool) -> Result<(), rocksdb::Error> {
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

/// Where it fails, files are compacted sooner or later than they might be.
fn let_files_gather(db: &DB, files: i32) {
    let files = files.to_string();
    let options = [("level0_file_num_compaction_trigger", files.as_str())];
    for family in families(db) {
        if let Err(error) = db.set_options_cf(family, &options) {
            tracing::debug!(%error, "how many files may gather was not changed");
        }
    }
}

/// Whether a folder that has no store may get one: not where something was acknowledged, so that its first file must
/// have gone; nor where the store of a backup was to be put in place.
fn may_begin(data: &Path, acknowledged: u64) -> Result<(), StoreError> {
    if acknowledged > 0 {
        let message = "Corruption: the file CURRENT is gone from `store`, though records were acknowledged";
        return Err(failed("be opened", data, message));
    }
    let restoring = data.join(RESTORING);
    if restoring.exists() { Err(StoreError::Restoring(restoring)) } else { Ok(()) }
}

fn failed(doing: &'static str, path: &Path, error: impl ToString) -> StoreError {
    StoreError::Failed { doing, path: path.to_owned(), message: error.to_string() }
}

fn tuned(
    options: RocksOptions,
    cache: &BlockCache,
    tables: &[Table],
    files: i32,
) -> (Options, Vec<ColumnFamilyDescriptor>) {
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
    // In small pieces: a synced write waits for what is on its way to the disk before it.
    db.set_bytes_per_sync(128 << 10);
    db.set_compaction_readahead_size(READ_AHEAD);
    // Every reader reads the write-ahead log from its beginning: a short one keeps their start short.
    // It is flushed from here (`commit`); RocksDB does it only where that comes too late: both at once would make writes wait.
    db.set_max_total_wal_size(2 * WAL);
    let families = tables.iter().map(|table| {
        let mut family = Options::default();
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&cache.blocks);
        blocks.set_cache_index_and_filter_blocks(!cache.for_answers);
        blocks.set_bloom_filter(10.0, false);
        blocks.set_block_size(16 << 10);
        if options.plain {
            blocks.set_block_restart_interval(1);
        }
        family.set_block_based_table_factory(&blocks);
        family.set_compression_type(if options.plain {
            DBCompressionType::None
        } else {
            DBCompressionType::Lz4
        });
        let last = if options.plain { DBCompressionType::None } else { DBCompressionType::Zstd };
        family.set_bottommost_compression_type(last);
        family.set_write_buffer_size(options.write_buffer / 2);
        // Where one more waits for its flush, writes stop.
        family.set_max_write_buffer_number(MEMTABLES);
        family.set_level_zero_file_num_compaction_trigger(files);
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
        Table::StandbyClusters => "clusters_2",
        Table::StandbyClusterPopularity => "cluster_popularity_2",
        other => other.name(),
    }
}

impl Tables for RocksStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let db = self.db()?;
        let Some(family) = self.known_family(&db, table) else { return Ok(None) };
        db.get_cf(family, key).map_err(|error| self.failed("be read", error))
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let db = self.db()?;
        let Some(family) = self.known_family(&db, table) else { return Ok(()) };
        let (options, first) = range(prefix, from);
        show_each(db.raw_iterator_cf_opt(family, options), first, prefix, show)
            .map_err(|error| self.failed("be read", error))
    }
}

impl Store for RocksStore {
    fn begin(&self) -> Box<dyn Transaction + '_> {
        Box::new(RocksTransaction { store: self, bytes: Vec::new(), changes: Vec::new(), epoch: None })
    }

    fn begin_load(&self) -> Box<dyn Transaction + '_> {
        // Where it fails, the load is a little slower.
        if !self.loading.swap(true, Ordering::Relaxed)
            && let Ok(db) = self.db()
        {
            let_files_gather(&db, LOADING);
        }
        Box::new(RocksLoad::new(self))
    }

    fn loads_over(&self) {
        if self.loading.swap(false, Ordering::Relaxed)
            && let Ok(db) = self.db()
        {
            let_files_gather(&db, LIVE);
        }
    }

    fn rest(&self) {
        let Ok(db) = self.db() else { return };
        let done = || -> Result<(), rocksdb::Error> {
            flush(&db, &FlushOptions::default())?;
            let files = |family| db.property_int_value_cf(family, "rocksdb.num-files-at-level0");
            let most = families(&db).into_iter().filter_map(|family| files(family).ok().flatten()).max();
            if most.is_some_and(|most| most > LEFT) {
                let_files_gather(&db, LIVE);
                db.wait_for_compact(&WaitForCompactOptions::default())?;
            }
            Ok(())
        };
        if let Err(error) = done() {
            tracing::debug!(%error, "the store was not put in order before its end");
        }
        db.cancel_all_background_work(true);
    }

    fn ease(&self) -> Result<(), StoreError> {
        let db = self.db()?;
        flush(&db, &FlushOptions::default()).map_err(|error| self.failed("be flushed", error))
    }

    fn is_flushing(&self) -> bool {
        let flushes =
            |db: Arc<DB>| db.property_int_value(rocksdb::properties::NUM_RUNNING_FLUSHES).ok().flatten();
        self.db().ok().and_then(flushes).is_some_and(|flushes| flushes > 0)
    }

    fn at_one_moment(&self, read: &mut dyn FnMut(&dyn Tables)) -> Result<(), StoreError> {
        let db = self.db()?;
        read(&Moment::now(&db, &self.path)?);
        Ok(())
    }

    fn at_one_moment_in_memory(&self, read: &mut dyn FnMut(&dyn Tables)) -> bool {
        // An erasure holds the lock while it opens the store anew.
        let open = self.db.try_read().ok().and_then(|open| open.clone());
        let (Some(db), Some(version)) = (open, self.changes.settled()) else { return false };
        let turned = self.turned.load(Ordering::Relaxed);
        read(&Glimpse { db: &db, path: &self.path, turned, version });
        self.changes.settled() == Some(version)
    }

    fn at_one_moment_cached(&self, read: &mut dyn FnMut(&dyn Tables)) -> Result<bool, StoreError> {
        // An erasure holds the lock while it opens the store anew.
        let Some(db) = self.db.try_read().ok().and_then(|open| open.clone()) else { return Ok(false) };
        let moment = match Moment::cached(&db, &self.path) {
            Err(StoreError::NotInMemory) => return Ok(false),
            moment => moment?,
        };
        read(&moment);
        Ok(true)
    }

    fn warm(&self, table: Table, from: &[u8], bytes: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.warm_slice(table, from, bytes)
    }

    fn size(&self) -> u64 {
        let entries = std::fs::read_dir(db_path(&self.path)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
    }

    fn sizes(&self) -> Vec<(&'static str, u64)> {
        let Ok(db) = self.db() else { return Vec::new() };
        let size = |table: Table| {
            let of = |family| db.property_int_value_cf(family, "rocksdb.total-sst-files-size");
            let bytes = self.known_family(&db, table).and_then(|family| of(family).ok().flatten());
            (table.name(), bytes.unwrap_or(0))
        };
        Table::ALL.into_iter().map(size).collect()
    }

    fn clear(&self, table: Table) -> Result<(), StoreError> {
        let db = self.db()?;
        let mut batch = WriteBatch::default();
        // No key begins so: at most its first byte is a length, and UTF-8 has no byte of 0xff.
        batch.delete_range_cf(self.family(&db, table), &[][..], &[0xff; 1024][..]);
        let _changing = self.changes.begin();
        write(&db, batch, false).map_err(|error| self.failed("be cleared", error))
    }

    fn checkpoint(&self, to: &Path) -> Result<(), StoreError> {
        let db = self.db()?;
        let made = Checkpoint::new(&db).and_then(|checkpoint| checkpoint.create_checkpoint(to));
        made.map_err(|error| self.failed("be backed up", error))
    }

    fn erase(&self) -> Result<Erased, StoreError> {
        erase::erase(self)
    }

    fn commit_turned<'s>(&'s self, mut change: Box<dyn Transaction + 's>) -> Result<(), StoreError> {
        let _changing = self.changes.begin();
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

/// Changes that wait for their commit; RocksDB is not held meanwhile.
struct RocksTransaction<'a> {
    store: &'a RocksStore,
    /// Keys and values, one after the other.
    bytes: Vec<u8>,
    /// The table, and the lengths of key and value; none where the key is removed.
    changes: Vec<(Table, usize, Option<usize>)>,
    /// The epoch that is committed, where one is.
    epoch: Option<u64>,
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
            flush(&db, &soon).map_err(|error| store.failed("be flushed", error))?;
        }
        Ok(())
    }
}
