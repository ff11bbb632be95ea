//! Opening a store to read it, beside a process that may be writing: as it was at one moment, whole write batches
//! only.
//!
//! Not as RocksDB's "secondaries" do: these pass over a damaged file in silence, and answer from what was before it.

use std::path::Path;
use std::time::Duration;

use rocksdb::DB;

use super::{RocksOptions, StoreError, Table, failed, tuned};

/// What a reader uses.
pub(super) const OPTIONS: RocksOptions =
    RocksOptions { block_cache: 8 << 20, write_buffer: 64 << 20, plain: false };
/// How often a reader tries to find the store quiet, and how long it waits in between: long enough for a load.
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// The tables of a folder of format 1.
const FIRST: [Table; 9] = [
    Table::Meta,
    Table::Offsets,
    Table::Records,
    Table::Tombstones,
    Table::Items,
    Table::Popularity,
    Table::Factors,
    Table::TopPicks,
    Table::ContinueWatching,
];

/// Opens the store at `path`, of the data folder `data`.
pub(super) fn open(path: &Path, data: &Path) -> Result<DB, StoreError> {
    let missing = |error: &rocksdb::Error| {
        let message = error.to_string();
        message.contains("olumn famil") && message.contains("not found")
    };
    let opened = match quietly(path, &Table::ALL) {
        Err(error) if missing(&error) => quietly(path, &FIRST),
        opened => opened,
    };
    opened.map_err(|error| match error {
        // Whoever makes the folder has not come to the end of it.
        error if missing(&error) => StoreError::Empty(data.to_owned()),
        error => failed("be opened for reading", data, error),
    })
}

/// Opens the store at a moment at which no file came or went: only then is what was opened one moment of the store,
/// and an error an error. Else a log may have gone before it was read, and a file before it was opened.
fn quietly(path: &Path, tables: &[Table]) -> Result<DB, rocksdb::Error> {
    let mut tries = 0;
    loop {
        let (mut options, families) = tuned(OPTIONS, tables);
        options.create_if_missing(false);
        options.create_missing_column_families(false);
        // A reader must keep every file open: the writer may delete files that it still reads.
        options.set_max_open_files(-1);
        let before = manifest(path);
        let opened = DB::open_cf_descriptors_read_only(&options, path, families, false);
        tries += 1;
        if tries == TRIES || before == manifest(path) {
            return opened;
        }
        std::thread::sleep(PAUSE);
    }
}

/// RocksDB's list of files: where it lies and how long it is. It grows whenever a file comes or goes.
fn manifest(path: &Path) -> Option<(String, u64)> {
    let name = std::fs::read_to_string(path.join("CURRENT")).ok()?;
    let length = std::fs::metadata(path.join(name.trim_end())).ok()?.len();
    Some((name, length))
}
