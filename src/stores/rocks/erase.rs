//! Erasure: what was removed leaves the disk.
//!
//! RocksDB keeps the bytes of a removed entry in more places than one: in table files until they are compacted, in the
//! write-ahead log until it is dropped, and, where the key was the first or last of a file, in the history that its
//! MANIFEST keeps. So every file is written anew, and RocksDB is opened anew, which begins a new MANIFEST, a new
//! write-ahead log and a new log of its own doings. What the file system and the disk keep of deleted files is beyond
//! it.

use std::fs;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rocksdb::{BottommostLevelCompaction, CompactOptions, DB, FlushOptions, LiveFile, WaitForCompactOptions};

use crate::failpoints::reach;

use super::{
    Erased, LIVE, LOADING, Ordering, RocksStore, StoreError, db_path, failed, families, flush,
    open_for_writing,
};

/// How often files are gone over before it is said that some cannot be.
const TRIES: usize = 3;
/// How long to wait before looking again whether anybody works with RocksDB.
const AGAIN: Duration = Duration::from_millis(1);

/// Writes everything anew, and opens RocksDB anew.
pub(super) fn erase(store: &RocksStore) -> Result<Erased, StoreError> {
    let erased = rewrite(store)?;
    reach("store-rewritten");
    reopen(store)?;
    clean(store)?;
    Ok(erased)
}

/// Compacts every level of every table.
fn rewrite(store: &RocksStore) -> Result<Erased, StoreError> {
    let db = store.db()?;
    let automatic = |on: bool| {
        let options = [("disable_auto_compactions", if on { "false" } else { "true" })];
        families(&db).into_iter().try_for_each(|family| db.set_options_cf(family, &options))
    };
    // A compaction that began before could write an old entry into a file that looks new.
    let quiet = || {
        automatic(false)?;
        db.wait_for_compact(&WaitForCompactOptions::default())?;
        flush(&db, &FlushOptions::default())
    };
    let done = quiet()
        .map_err(|error| store.failed("be made ready for an erasure", error))
        .and_then(|()| rewrite_files(store, &db));
    automatic(true).map_err(|error| store.failed("go on after an erasure", error))?;
    done
}

fn rewrite_files(store: &RocksStore, db: &DB) -> Result<Erased, StoreError> {
    let files = || db.live_files().map_err(|error| store.failed("list its files", error));
    let before = files()?;
    let newest = before.iter().map(number).max().unwrap_or(0);
    let bytes = |files: &[LiveFile]| files.iter().map(|file| file.size as u64).sum();
    let mut options = CompactOptions::default();
    options.set_exclusive_manual_compaction(true);
    options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
    for _ in 0..TRIES {
        for family in families(db) {
            db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
        }
        let after = files()?;
        if after.iter().all(|file| number(file) > newest) {
            let (files, bytes_after) = (before.len() as u64, bytes(&after));
            return Ok(Erased { files, bytes: bytes(&before), bytes_after });
        }
    }
    // The compaction says nothing of why.
    let left = files()?.iter().filter(|file| number(file) <= newest).count();
    let why = format!(
        "{left} of {} files could not be written anew; see that there is room on the disk for as much again as the \
         store has, and say `nearline forget --pending`",
        before.len()
    );
    Err(failed("be erased", &store.path, why))
}

/// The number of a file, which grows with every file that is made.
fn number(file: &LiveFile) -> u64 {
    let digits: String = file.name.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Closes RocksDB as soon as nobody works with it, and opens it again.
fn reopen(store: &RocksStore) -> Result<(), StoreError> {
    loop {
        let mut slot = store.db.write().unwrap_or_else(PoisonError::into_inner);
        match slot.take().map(Arc::try_unwrap) {
            Some(Ok(db)) => {
                drop(db);
                reach("store-closed");
                let files = if store.loading.load(Ordering::Relaxed) { LOADING } else { LIVE };
                let db = open_for_writing(&store.path, store.options, files)?;
                *slot = Some(Arc::new(db));
                return Ok(());
            }
            // Whoever works with it may need it again before letting go: give way.
            Some(Err(used)) => *slot = Some(used),
            None => return Err(store.closed()),
        }
        drop(slot);
        std::thread::sleep(AGAIN);
    }
}

/// Removes RocksDB's logs of earlier times, and sees that no earlier MANIFEST is left.
fn clean(store: &RocksStore) -> Result<(), StoreError> {
    let folder = db_path(&store.path);
    let say = |error: std::io::Error| failed("look through its files", &store.path, error);
    let mut manifests = 0;
    for entry in fs::read_dir(&folder).map_err(say)? {
        let entry = entry.map_err(say)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("LOG.old") {
            fs::remove_file(entry.path()).map_err(say)?;
        }
        manifests += usize::from(name.starts_with("MANIFEST-"));
    }
    if manifests == 1 {
        return Ok(());
    }
    let why = format!("{} holds {manifests} files MANIFEST, and one is right", folder.display());
    Err(failed("be erased", &store.path, why))
}
