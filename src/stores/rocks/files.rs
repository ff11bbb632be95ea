//! How many files tables have: a load brings hundreds, which are put in order after it.

use std::path::Path;

use rocksdb::{ColumnFamily, DB, FlushOptions, WaitForCompactOptions};

use super::Table;
use super::options::family_name;

/// How many files of a table may gather before they are compacted. Readers find their way through some dozens by
/// their filters.
pub(super) const LIVE: i32 = 40;
/// The same during a load, which brings a file for some epochs and table, and while records are read back: most are compacted
/// once, after it, and not again and again; and neither has to share two cores with what can wait.
pub(super) const LOADING: i32 = 768;
/// How many a process may leave that ends: whoever reads has each of them open.
const LEFT: u64 = 256;

/// How many table files a store has.
pub(super) fn table_files(path: &Path) -> usize {
    let is_table =
        |file: &std::fs::DirEntry| file.path().extension().is_some_and(|extension| extension == "sst");
    std::fs::read_dir(path).map_or(0, |files| files.flatten().filter(is_table).count())
}

/// The column families of all tables, wherever these lie.
pub(super) fn families(db: &DB) -> Vec<&ColumnFamily> {
    let of = |table| db.cf_handle(family_name(table)).expect("a writer opens every table");
    Table::ALL.into_iter().map(of).collect()
}

/// Writes what is in memory of all tables to files.
pub(super) fn flush(db: &DB, options: &FlushOptions) -> Result<(), rocksdb::Error> {
    db.flush_cfs_opt(&families(db), options)
}

/// Where it fails, files are compacted sooner or later than they might be.
pub(super) fn let_files_gather(db: &DB, files: i32) {
    let files = files.to_string();
    let options = [("level0_file_num_compaction_trigger", files.as_str())];
    for family in families(db) {
        if let Err(error) = db.set_options_cf(family, &options) {
            tracing::debug!(%error, "how many files may gather was not changed");
        }
    }
}

/// Flushes what is in memory, and compacts where more would be left than readers can have open.
pub(super) fn put_in_order_at_the_end(db: &DB) -> Result<(), rocksdb::Error> {
    flush(db, &FlushOptions::default())?;
    let files = |family| db.property_int_value_cf(family, "rocksdb.num-files-at-level0");
    let most = families(db).into_iter().filter_map(|family| files(family).ok().flatten()).max();
    if most.is_some_and(|most| most > LEFT) {
        let_files_gather(db, LIVE);
        db.wait_for_compact(&WaitForCompactOptions::default())?;
    }
    Ok(())
}
