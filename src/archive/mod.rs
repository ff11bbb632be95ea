//! The archive: every accepted record as Parquet in a repository, a folder a day, for DuckDB, Spark and pandas and for our own
//! `train`, `evaluate` and `replay`.
//!
//! The commit that accepts records queues them in the store (`engine/queue.rs`); the archive ships what is queued, in files of
//! many records, and takes it out of the queue. What is archived is said by the ledger, an object of the repository that is
//! put whole: it names the files and the epoch up to which all is in them. So each record is archived once, wherever either
//! side crashes, and the pipeline waits for no repository.
//!
//! Small files are put together (`compaction.rs`). A forget has the files written anew that hold the member (`erasing.rs`). An
//! archive of a folder that has records already, and one whose history was trimmed, is made from one moment of the store
//! (`backfill.rs`).

mod archiver;
mod backfill;
mod compaction;
mod erasing;
pub mod ledger;
mod rows;
mod shipping;
mod verify;
mod writer;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};

pub use archiver::Archiver;
pub use compaction::Compacted;
pub use erasing::Forgotten;
pub use verify::{Verdict, verify};

use self::ledger::{ArchivedFile, Ledger};
use self::rows::Rows;
use crate::config::{self, Config};
use crate::engine::queue::{self, Waiting};
use crate::engine::recover::Standing;
use crate::folder::Folder;
use crate::repositories::{Repository, RepositoryError};
use crate::sources::json::Decoder;
use crate::sources::parquet::{Lines, RowsError, file_of};
use crate::sources::{Batch, Place, decode_lines};
use crate::stores::formats::{self, meta};
use crate::stores::long_read::LongRead;
use crate::stores::{Store, StoreError, Table, Tables};

/// Why something could not be archived.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository failed.
    #[error("the archive: {0}")]
    Repository(#[from] RepositoryError),
    /// A file of the archive cannot be read.
    #[error(
        "the archive's file {file}: {source}; `nearline archive backfill` makes the archive anew from the store"
    )]
    File {
        /// Its URL.
        file: String,
        /// Why not.
        source: RowsError,
    },
    /// Records cannot be written as Parquet.
    #[error("records cannot be written as Parquet: {0}")]
    Parquet(#[from] ParquetError),
    /// A file of this machine.
    #[error("the archive is put together in {}: {source}", .path.display())]
    Spill {
        /// The file or folder.
        path: std::path::PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// There was an archive, and there is none.
    #[error(
        "the ledger of the archive at {0} is gone: see that the repository is the one that it was; `nearline archive \
         backfill` makes the archive anew"
    )]
    Gone(String),
    /// The folder, the config and the archive do not belong together.
    #[error("{0}")]
    Refused(String),
}

impl ArchiveError {
    /// Whether what was given is at fault, and not the store or the repository.
    pub fn is_bad_use(&self) -> bool {
        match self {
            ArchiveError::Refused(_) => true,
            ArchiveError::Repository(error) => error.is_bad_use(),
            _ => false,
        }
    }
}

/// Where a folder's archive is and how far, as the store has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveState {
    /// The repository's URL.
    pub repository: String,
    /// The version of the ledger that was put last.
    pub version: u64,
    /// The epoch up to which all is archived.
    pub archived: u64,
    /// When something was archived last, by the wall clock, in milliseconds since 1970.
    pub at: Option<i64>,
    /// How many files there are.
    pub files: u64,
    /// How many records are in them.
    pub records: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

impl ArchiveState {
    /// What a store says.
    pub fn of(store: &dyn Tables) -> Result<Option<ArchiveState>, StoreError> {
        let Some(value) = store.get(Table::Meta, meta::ARCHIVE)? else { return Ok(None) };
        serde_json::from_slice(&value)
            .map(Some)
            .map_err(|error| formats::damaged(Table::Meta, meta::ARCHIVE, &error.to_string()))
    }

    fn value(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What waits in a store to be archived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// How many records.
    pub records: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Whether the archive is to be made anew, as it was just turned on, or as history was trimmed.
    pub anew: bool,
}

impl Queue {
    /// What waits.
    pub fn of(store: &dyn Tables) -> Result<Queue, StoreError> {
        let mut queue = Queue { anew: anew(store)?.is_some(), ..Queue::default() };
        each_queued(store, 0, &mut |_, normal| {
            queue.records += 1;
            queue.bytes += normal.len() as u64;
            ControlFlow::Continue(())
        })?;
        Ok(queue)
    }
}

/// The repositories that held the archive of a folder before, and may still.
pub fn left(store: &dyn Tables) -> Result<Vec<String>, StoreError> {
    let value = store.get(Table::Meta, meta::ARCHIVES_LEFT)?;
    let read = value.map(|value| serde_json::from_slice(&value)).transpose();
    let damaged =
        |error: serde_json::Error| formats::damaged(Table::Meta, meta::ARCHIVES_LEFT, &error.to_string());
    Ok(read.map_err(damaged)?.unwrap_or_default())
}

/// Turns the archive of a folder off: from now on nothing is queued, and nothing of it is erased. Says where it was.
pub fn leave(store: &dyn Store) -> Result<Option<String>, StoreError> {
    let Some(state) = ArchiveState::of(store)? else { return Ok(None) };
    let mut left = left(store)?;
    left.retain(|known| *known != state.repository);
    left.push(state.repository.clone());
    let mut change = store.begin();
    change.put(Table::Meta, meta::ARCHIVES_LEFT, &serde_json::to_vec(&left).unwrap_or_default());
    change.delete(Table::Meta, meta::ARCHIVE);
    keys_of(store, Table::Meta, meta::ARCHIVE_ANEW)?.iter().for_each(|key| change.delete(Table::Meta, key));
    keys_of(store, Table::ArchiveQueue, &[])?.iter().for_each(|key| change.delete(Table::ArchiveQueue, key));
    change.commit(true)?;
    Ok(Some(state.repository))
}

/// The archive of the folder that this process holds.
pub struct Archive {
    store: Arc<dyn Store>,
    folder: Folder,
    config: config::Archive,
    repository: Arc<Repository>,
    key: String,
    long_read: Arc<LongRead>,
    waiting: Arc<Waiting>,
    /// The ledger, once it is known; whoever holds it is the one at work.
    ledger: Mutex<Option<Ledger>>,
    failures: AtomicU64,
}

impl Archive {
    /// The archive that the config names, if it names one: that of the folder, or a new one. `standing` is that of the store,
    /// which was just opened and takes nothing yet.
    pub fn of(
        folder: &Folder,
        config: &Config,
        (store, standing): (&Arc<dyn Store>, &Standing),
        long_read: &Arc<LongRead>,
    ) -> Result<Option<Arc<Archive>>, ArchiveError> {
        let known = ArchiveState::of(&**store)?;
        let Some(given) = &config.archive else {
            return match known {
                None => Ok(None),
                Some(known) => Err(ArchiveError::Refused(format!(
                    "this folder has an archive at {}, and the config names none: give the config that does with \
                     --config, or turn the archive off with `nearline archive leave`",
                    known.repository
                ))),
            };
        };
        let repository = Arc::new(Repository::open(&given.repository, &config.access)?);
        if let Some(known) = known.as_ref().filter(|known| known.repository != repository.url()) {
            return Err(ArchiveError::Refused(format!(
                "this folder has its archive at {}, and the config says {}: give the one that it has, or turn it off \
                 first with `nearline archive leave`",
                known.repository,
                repository.url()
            )));
        }
        let key = folder
            .key(standing.key.as_deref())
            .map_err(|source| ArchiveError::Spill { path: folder.key_file(), source })?;
        backfill::clean(folder);
        queue::settle(&**store, &key, standing)?;
        if known.is_none() {
            let state = ArchiveState { repository: repository.url().to_owned(), ..ArchiveState::default() };
            let mut change = store.begin();
            change.put(Table::Meta, meta::ARCHIVE, &state.value());
            if standing.epoch > 0 || standing.pending {
                change.put(Table::Meta, &queue::anew_key(standing.epoch), formats::NOTHING);
            }
            change.commit(true)?;
        }
        let waiting = Waiting::default();
        let queue = Queue::of(&**store)?;
        waiting.set(queue.records, queue.bytes);
        Ok(Some(Arc::new(Archive {
            store: store.clone(),
            folder: folder.clone(),
            config: given.clone(),
            key: key.fingerprint(),
            repository,
            long_read: long_read.clone(),
            waiting: Arc::new(waiting),
            ledger: Mutex::new(None),
            failures: AtomicU64::new(0),
        })))
    }

    /// Counts what waits.
    pub fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    /// How often the repository could not be used.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Where it is and how far.
    pub fn state(&self) -> Result<ArchiveState, StoreError> {
        Ok(ArchiveState::of(&*self.store)?.unwrap_or_default())
    }

    /// Works with the ledger, which is read again where work was broken off: what it left is swept out then.
    fn with_ledger<T>(
        &self,
        work: impl FnOnce(&mut Ledger) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let mut held: MutexGuard<'_, Option<Ledger>> =
            self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ledger = match held.take() {
            Some(ledger) => ledger,
            None => self.read_ledger().inspect_err(|_| self.failed())?,
        };
        let done = work(&mut ledger).inspect_err(|_| self.failed())?;
        *held = Some(ledger);
        Ok(done)
    }

    fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    fn read_ledger(&self) -> Result<Ledger, ArchiveError> {
        let state = self.state()?;
        let at = self.repository.url();
        let ledger = match Ledger::read(&self.repository)? {
            Some(ledger) => ledger,
            None if state.version == 0 => Ledger::new(self.key.clone()),
            None => {
                return Err(ArchiveError::Gone(at.to_owned()));
            }
        };
        if ledger.key != self.key {
            return Err(ArchiveError::Refused(format!(
                "{at} holds the archive of another data folder, that of the key {}: name another repository",
                ledger.key
            )));
        }
        // One more: the process may have ended before it could note the last.
        if !(state.version..=state.version + 1).contains(&ledger.version) {
            return Err(ArchiveError::Refused(format!(
                "the archive at {at} is not as this folder left it (its ledger has version {}, and {} is known \
                 here): another copy of the folder writes to it, or one of the two was restored. `nearline archive \
                 backfill` makes it anew from this folder",
                ledger.version, state.version
            )));
        }
        self.sweep(&ledger)?;
        Ok(ledger)
    }

    /// Takes out files that the ledger does not name.
    fn sweep(&self, ledger: &Ledger) -> Result<(), ArchiveError> {
        for object in self.repository.list("")? {
            let ours = object.name.starts_with("day=") && object.name.ends_with(".parquet");
            if ours && !ledger.files.iter().any(|file| file.name == object.name) {
                self.repository.delete(&object.name)?;
            }
        }
        Ok(())
    }

    /// Puts records of one day as a file, which no ledger names yet.
    fn put_day(
        &self,
        day: &str,
        rows: &mut Rows,
        ledger: &Ledger,
        part: usize,
    ) -> Result<ArchivedFile, ArchiveError> {
        rows.sort();
        let (from, to) = rows.epochs();
        let bytes = writer::write(rows)?;
        // The version of the ledger that will name it, so that no two files ever had one name.
        let name = format!("{day}/{from:012}-{to:012}-{}-{part}.parquet", ledger.version + 1);
        let file = ArchivedFile { name, bytes: bytes.len() as u64, records: rows.len() as u64, from, to };
        self.repository.put(&file.name, bytes)?;
        Ok(file)
    }

    /// Notes in the store what the ledger says, with a change of its own.
    fn note(
        &self,
        ledger: &Ledger,
        add: impl FnOnce(&mut dyn crate::stores::Transaction),
    ) -> Result<(), ArchiveError> {
        let state = ArchiveState {
            repository: self.repository.url().to_owned(),
            version: ledger.version,
            archived: ledger.archived,
            at: Some(jiff::Timestamp::now().as_millisecond()),
            files: ledger.files.len() as u64,
            records: ledger.files.iter().map(|file| file.records).sum(),
            bytes: ledger.files.iter().map(|file| file.bytes).sum(),
        };
        let mut change = self.store.begin();
        change.put(Table::Meta, meta::ARCHIVE, &state.value());
        add(&mut *change);
        Ok(change.commit(true)?)
    }

    /// The records of a file.
    fn read_file(&self, name: &str) -> Result<Rows, ArchiveError> {
        let mut rows = Rows::default();
        each_row(&self.repository, name, &mut |epoch, normal| rows.push(epoch, normal))?;
        Ok(rows)
    }
}

/// Shows the records of a file of an archive, with their epochs.
fn each_row(
    repository: &Repository,
    name: &str,
    show: &mut dyn FnMut(u64, &[u8]),
) -> Result<(), ArchiveError> {
    let told = |source: RowsError| ArchiveError::File { file: repository.url_of(name), source };
    let mut lines = file_of(repository, name).and_then(Lines::open).map_err(told)?;
    let mut decoder = Decoder::default();
    while lines.next_slice().map_err(told)?.rows > 0 {
        let mut batch = Batch::new(name.into());
        decode_lines(&lines.text, Place::default(), i64::MAX, &mut decoder, &mut batch);
        if let Some(rejected) = batch.rejected.first() {
            return Err(told(RowsError::Wrong(format!("a row is no record: {}", rejected.detail))));
        }
        for (index, epoch) in lines.epochs.iter().enumerate().take(batch.len()) {
            show(*epoch, batch.bytes(index));
        }
    }
    Ok(())
}

/// Shows the records that wait, with their epochs, from an epoch on, until told to break; what is under the same key comes
/// all the same.
fn each_queued(
    store: &dyn Tables,
    from: u64,
    show: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut failed = None;
    store.scan(Table::ArchiveQueue, &[], &formats::queue_key(from, 0), &mut |key, value| {
        let mut go_on = ControlFlow::Continue(());
        let read = formats::queue_epoch(key).and_then(|epoch| {
            formats::each_queued(key, value, &mut |normal| {
                if show(epoch, normal).is_break() {
                    go_on = ControlFlow::Break(());
                }
            })
        });
        if let Err(error) = read {
            failed = Some(error);
            return ControlFlow::Break(());
        }
        go_on
    })?;
    failed.map_or(Ok(()), Err)
}

/// The keys of what waits up to an epoch.
fn queued_up_to(store: &dyn Tables, epoch: u64) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut keys = Vec::new();
    store.scan(Table::ArchiveQueue, &[], &[], &mut |key, _| match formats::queue_epoch(key) {
        Ok(queued) if queued <= epoch => {
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Break(()),
    })?;
    Ok(keys)
}

/// As of which epoch or a later one the archive is to be made anew, where it is.
fn anew(store: &dyn Tables) -> Result<Option<u64>, StoreError> {
    let keys = keys_of(store, Table::Meta, meta::ARCHIVE_ANEW)?;
    Ok(keys.last().and_then(|key| Some(u64::from_be_bytes(*key.last_chunk::<8>()?))))
}

/// The keys of a table that begin with a prefix.
fn keys_of(store: &dyn Tables, table: Table, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut keys = Vec::new();
    store.scan(table, prefix, prefix, &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(keys)
}

/// The epoch that a store has committed last.
fn epoch_of(store: &dyn Tables) -> Result<u64, StoreError> {
    let value = store.get(Table::Meta, meta::EPOCH)?;
    Ok(value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes))
}
