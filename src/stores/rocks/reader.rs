//! Opening a store to read it, beside a process that may be writing: as it was at one moment, whole write batches
//! only.
//!
//! Not as RocksDB's "secondaries" do: these pass over a damaged file in silence, and answer from what was before it.

use std::path::Path;
use std::time::{Duration, Instant};

use rocksdb::DB;

use super::files::LIVE;
use super::{BlockCache, RocksOptions, StoreError, Table, failed, loads, tuned};

/// What a reader uses.
pub(super) const OPTIONS: RocksOptions =
    RocksOptions { block_cache: 8 << 20, write_buffer: 64 << 20, plain: false, for_answers: false };
/// For how long a reader tries to find the store quiet, how often at least, and how long it waits in between.
const PATIENCE: Duration = Duration::from_secs(10);
const TRIES: usize = 20;
/// How often in a row an error must come to be told.
const ERRORS: usize = 4;
const PAUSE: Duration = Duration::from_millis(5);

/// Opens the store at `path`, of the data folder `data`, with as many tables as folders of its format have.
pub(super) fn open(path: &Path, data: &Path, cache: &BlockCache) -> Result<DB, StoreError> {
    let missing = |error: &str| error.contains("olumn famil") && error.contains("not found");
    let [newest, earlier @ ..] = Table::OF_FORMATS;
    let mut opened = quietly(path, data, cache, &Table::ALL[..newest]);
    for tables in earlier {
        if opened.as_ref().is_err_and(|error| missing(error)) {
            opened = quietly(path, data, cache, &Table::ALL[..tables]);
        }
    }
    opened.map_err(|error| match error {
        // Whoever makes the folder has not come to the end of it.
        error if missing(&error) => StoreError::Empty(data.to_owned()),
        error => failed("be opened for reading", data, error),
    })
}

/// Opens the store as of one moment: its list of files as it was read, with all files of the list and all logs since.
///
/// What a writer does meanwhile is noticed. A file of the list that is gone is an error to RocksDB, and one to be told
/// only where the list is still the same, again and again: files that are in no list, as those of options, go too.
/// A log that is gone is none, and its records would be left out; but logs go in their order, so that where the oldest
/// is still there none is gone. Files that came by a load are in no log: they are counted.
fn quietly(path: &Path, data: &Path, cache: &BlockCache, tables: &[Table]) -> Result<DB, String> {
    let started = Instant::now();
    let mut errors = 0;
    for tries in 1.. {
        let (mut options, families) = tuned(OPTIONS, cache, tables, LIVE);
        options.create_if_missing(false);
        options.create_missing_column_families(false);
        // A reader must keep every file open: the writer may delete files that it still reads.
        options.set_max_open_files(-1);
        let before = (oldest_log(path), loads::count(data));
        let list = manifest(path);
        let opened = DB::open_cf_descriptors_read_only(&options, path, families, false);
        let same_list = list == manifest(path);
        let nothing_gone = before.0.is_some() && before == (oldest_log(path), loads::count(data));
        match opened {
            Ok(db) if same_list || nothing_gone => return Ok(db),
            Err(error) if same_list => {
                errors += 1;
                if errors == ERRORS {
                    return Err(error.to_string());
                }
            }
            _ => errors = 0,
        }
        if tries >= TRIES && started.elapsed() >= PATIENCE {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    Err("it is being written faster than it can be opened; ask again when less is piped in".into())
}

/// The number of the oldest log that is there; none where there is no log.
fn oldest_log(path: &Path) -> Option<u64> {
    let names = std::fs::read_dir(path).ok()?.flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.strip_suffix(".log")?.parse().ok()).min()
}

/// RocksDB's list of files: where it lies and how long it is. It grows whenever a file comes or goes.
fn manifest(path: &Path) -> Option<(String, u64)> {
    let name = std::fs::read_to_string(path.join("CURRENT")).ok()?;
    let length = std::fs::metadata(path.join(name.trim_end())).ok()?.len();
    Some((name, length))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::atomic::{AtomicBool, Ordering};

    use crate::stores::formats::meta;
    use crate::stores::rocks::{RocksOptions, RocksStore};
    use crate::stores::{Store, Table, Tables};

    /// Each step brings an entry, by a commit or by a load, and then says so in another table; logs and files go all the
    /// while. No reader may see a step of which something is missing.
    #[test]
    fn a_reader_sees_whole_epochs_while_logs_and_files_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = RocksStore::open(folder.path(), RocksOptions::default()).unwrap();
        let say = |step: u64, load: bool| {
            let mut change = store.begin();
            if load {
                let mut load = store.begin_load();
                load.put(Table::Records, &step.to_be_bytes(), b"by a load");
                load.commit(true).unwrap();
            } else {
                change.put(Table::Records, &step.to_be_bytes(), b"by a commit");
            }
            change.put(Table::Meta, meta::EPOCH, &step.to_be_bytes());
            change.commit(false).unwrap();
        };
        say(1, false);
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for step in 2..=1_500 {
                    say(step, step % 7 == 0);
                    if step % 5 == 0 {
                        store.ease().unwrap();
                    }
                }
                ended.store(true, Ordering::Relaxed);
            });
            let mut seen = 0;
            while !ended.load(Ordering::Relaxed) {
                let reader = match RocksStore::open_reader(folder.path()) {
                    // Nobody writes like this for long, but for a machine that does other things as well.
                    Err(error) if error.to_string().contains("written faster than it can be opened") => {
                        continue;
                    }
                    opened => opened.unwrap(),
                };
                let epoch = reader.get(Table::Meta, meta::EPOCH).unwrap().unwrap();
                let epoch = u64::from_be_bytes(epoch.try_into().unwrap());
                let mut entries = 0;
                let mut count = |_: &[u8], _: &[u8]| {
                    entries += 1;
                    ControlFlow::Continue(())
                };
                reader.scan(Table::Records, &[], &[], &mut count).unwrap();
                assert_eq!(entries, epoch, "after epoch {seen}");
                assert!(epoch >= seen);
                seen = epoch;
            }
            assert!(seen > 1);
        });
    }
}
