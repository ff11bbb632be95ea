//! The archive made anew, from one moment of the store: when it is turned on for a folder that has records, when history was
//! trimmed, and when somebody asks for it.
//!
//! The store has records by member and the archive by day, so they are dealt out into a file a day first, beside the store.
//! The ledger then names the new files alone, and the epoch of the moment; what is queued up to that is in them.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::ledger::Ledger;
use super::rows::{Rows, day_of, folder_of};
use super::{Archive, ArchiveError, keys_of, queued_up_to};
use crate::digests::to_hex;
use crate::engine::ingest::TombstoneBody;
use crate::engine::recover::{self, Standing};
use crate::failpoints::reach;
use crate::folder::Folder;
use crate::records::{self, Record, Tombstone};
use crate::stores::formats::{self, meta};
use crate::stores::{Table, Tables};

/// How much of the days is held in memory, in bytes.
const HELD: usize = 64 << 20;
/// How many bytes of records a file has at most.
const FILE: usize = 256 << 20;
/// The folder that the days are dealt out in, for as long as that takes.
const SPILL: &str = ".archive";

/// Removes what a backfill that was broken off has left.
pub fn clean(folder: &Folder) {
    let _ = fs::remove_dir_all(folder.path().join(SPILL));
}

/// Why a moment was let go of.
enum End {
    /// An erasure wants the store.
    Wanted,
    /// A load is under way.
    Pending,
    Failed(ArchiveError),
}

impl<E: Into<ArchiveError>> From<E> for End {
    fn from(error: E) -> Self {
        End::Failed(error.into())
    }
}

impl Archive {
    /// Makes the archive anew; says whether it did, which it does not while a load is under way. `whatever`: also where the
    /// ledger is not as this folder left it.
    pub fn make_anew(&self, whatever: bool) -> Result<bool, ArchiveError> {
        if whatever {
            self.take_over()?;
        }
        self.with_ledger(|ledger| {
            loop {
                match self.attempt(ledger) {
                    Ok(()) => return Ok(true),
                    Err(End::Pending) => return Ok(false),
                    Err(End::Failed(error)) => return Err(error),
                    Err(End::Wanted) => {
                        tracing::info!("members are being erased: the archive is begun anew after that");
                    }
                }
            }
        })
    }

    /// Makes the ledger that is there this folder's.
    fn take_over(&self) -> Result<(), ArchiveError> {
        let held = self.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if held.is_some() {
            return Ok(());
        }
        let state = self.state()?;
        let there = Ledger::read(&self.repository).ok().flatten();
        if let Some(other) = there.as_ref().filter(|there| there.key != self.key) {
            return Err(ArchiveError::Refused(format!(
                "{} holds the archive of another data folder, that of the key {}: name another repository",
                self.repository.url(),
                other.key
            )));
        }
        let version = there.map_or(0, |there| there.version).max(state.version);
        let mut ledger = Ledger { version, ..Ledger::new(self.key.clone()) };
        // Until the new files are named there are none: the records are in the store.
        let mut change = self.store.begin();
        let epoch = super::epoch_of(&*self.store)?;
        change.put(Table::Meta, &crate::engine::queue::anew_key(epoch), formats::NOTHING);
        change.commit(true)?;
        ledger.put(&self.repository)?;
        self.note(&ledger, |_| ())
    }

    fn attempt(&self, ledger: &mut Ledger) -> Result<(), End> {
        let _held = self.long_read.hold();
        let spill = Spill::new(self.folder.path().join(SPILL))?;
        let mut epoch = 0;
        let mut outcome = Ok(());
        let mut dealt = Some(spill);
        self.store.at_one_moment(&mut |tables| {
            let Some(spill) = &mut dealt else { return };
            outcome = self.deal(tables, spill).map(|moment| epoch = moment);
        })?;
        outcome?;
        let Some(mut spill) = dealt else { return Ok(()) };
        spill.flush()?;
        let mut files = Vec::new();
        for day in spill.days() {
            spill.each(day, epoch, &mut |mut rows, part| {
                files.push(self.put_day(&folder_of(day), &mut rows, ledger, part)?);
                Ok(())
            })?;
            reach("archive-backfilled");
            if self.long_read.is_wanted() {
                return Err(End::Wanted);
            }
        }
        let old: Vec<String> = ledger.files.iter().map(|file| file.name.clone()).collect();
        ledger.files = files;
        ledger.archived = epoch;
        ledger.put(&self.repository)?;
        reach("archive-ledger");
        let queued = queued_up_to(&*self.store, epoch)?;
        let done = crate::engine::queue::anew_key(epoch);
        let asked = keys_of(&*self.store, Table::Meta, meta::ARCHIVE_ANEW)?;
        self.note(ledger, |change| {
            queued.iter().for_each(|key| change.delete(Table::ArchiveQueue, key));
            asked.iter().filter(|key| **key <= done).for_each(|key| change.delete(Table::Meta, key));
        })?;
        let queue = super::Queue::of(&*self.store)?;
        self.waiting.set(queue.records, queue.bytes);
        for name in old {
            self.repository.delete(&name)?;
        }
        Ok(())
    }

    /// Deals the records of a moment out by day; says of which epoch it is.
    fn deal(&self, tables: &dyn Tables, spill: &mut Spill) -> Result<u64, End> {
        let standing = Standing::of(tables)?;
        if standing.pending {
            return Err(End::Pending);
        }
        let key = self
            .folder
            .key(standing.key.as_deref())
            .map_err(|source| End::Failed(ArchiveError::Spill { path: self.folder.key_file(), source }))?;
        let mut normal = Vec::new();
        let mut spilled = Ok(());
        recover::tombstones(tables, &mut |digest, tombstone| {
            let body = serde_json::to_string(&TombstoneBody::new(&tombstone, &key)).unwrap_or_default();
            let record = Record::Tombstone(Tombstone { member: &to_hex(&digest), body: &body });
            normal.clear();
            records::encode(&record, &mut normal);
            if spilled.is_ok() {
                spilled = spill.push(&normal);
            }
            Ok(())
        })?;
        spilled?;
        let mut wanted = false;
        recover::records::<ArchiveError>(tables, &standing, &mut |batch| {
            wanted |= self.long_read.is_wanted();
            if wanted {
                return Err(ArchiveError::Refused(String::new()));
            }
            (0..batch.len()).try_for_each(|index| spill.push(batch.bytes(index)))
        })
        .map_err(|error| if wanted { End::Wanted } else { End::Failed(error) })?;
        Ok(standing.epoch)
    }
}

/// Records dealt out by day, in a file each.
struct Spill {
    folder: PathBuf,
    days: BTreeMap<i64, Vec<u8>>,
    held: usize,
}

impl Spill {
    fn new(folder: PathBuf) -> Result<Spill, ArchiveError> {
        let told = |source| ArchiveError::Spill { path: folder.clone(), source };
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(told(error)),
            _ => fs::create_dir_all(&folder).map_err(told)?,
        }
        Ok(Spill { folder, days: BTreeMap::new(), held: 0 })
    }

    fn push(&mut self, normal: &[u8]) -> Result<(), ArchiveError> {
        formats::push_queued(normal, self.days.entry(day_of(normal)).or_default());
        self.held += normal.len() + 4;
        if self.held >= HELD { self.flush() } else { Ok(()) }
    }

    fn path(&self, day: i64) -> PathBuf {
        self.folder.join(folder_of(day))
    }

    /// Puts on disk what is held.
    fn flush(&mut self) -> Result<(), ArchiveError> {
        self.held = 0;
        for (day, bytes) in &self.days {
            let path = self.path(*day);
            let append = || OpenOptions::new().create(true).append(true).open(&path)?.write_all(bytes);
            append().map_err(|source| ArchiveError::Spill { path: path.clone(), source })?;
        }
        self.days.values_mut().for_each(|bytes| *bytes = Vec::new());
        Ok(())
    }

    fn days(&self) -> Vec<i64> {
        self.days.keys().copied().collect()
    }

    /// Shows the records of a day, in parts.
    fn each(
        &self,
        day: i64,
        epoch: u64,
        show: &mut dyn FnMut(Rows, usize) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let path = self.path(day);
        let told = |source| ArchiveError::Spill { path: path.clone(), source };
        let mut file = std::io::BufReader::with_capacity(1 << 20, File::open(&path).map_err(told)?);
        let (mut rows, mut part) = (Rows::default(), 0);
        while let Some(normal) = next(&mut file).map_err(told)? {
            rows.push(epoch, &normal);
            if rows.bytes() >= FILE {
                show(std::mem::take(&mut rows), part)?;
                part += 1;
            }
        }
        if rows.is_empty() { Ok(()) } else { show(rows, part) }
    }
}

fn next(file: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match file.read_exact(&mut length) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut normal = vec![0; u32::from_be_bytes(length) as usize];
    file.read_exact(&mut normal)?;
    Ok(Some(normal))
}

impl Drop for Spill {
    /// It holds ids: nothing of it stays.
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "what an archive was put together in could not be removed");
    }
}
