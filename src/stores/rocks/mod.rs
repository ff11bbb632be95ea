//! The store on disk: RocksDB, a column family per table.
//!
//! One process writes; any number read while it does. Nothing outside this folder names `rocksdb`.

mod erase;
mod files;
mod glimpse;
mod load;
mod loads;
pub(crate) mod lock;
mod moment;
mod options;
mod reader;
mod transaction;
mod warm;
mod witness;

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamily, DB, FlushOptions, WriteBatch};

use self::files::{LIVE, LOADING, families, flush, let_files_gather, table_files};
use self::glimpse::{Changes, Glimpse};
use self::load::{Buffers, RocksLoad};
use self::loads::Loads;
use self::moment::{Moment, range, show_each};
pub use self::options::{BlockCache, RocksOptions};
use self::options::{family_name, tuned};
use self::transaction::{RocksTransaction, write};
use self::witness::Witness;
use super::{Erased, Store, StoreError, Table, Tables, Transaction, formats};

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
        Box::new(RocksTransaction::new(self))
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
        if let Err(error) = files::put_in_order_at_the_end(&db) {
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
