//! How RocksDB is set up: what it may use, and how tables are written.

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, Options};

use super::Table;

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

/// From so many on writes slow down, and from so many they wait: never but where the disk cannot follow.
const SLOW: [i32; 2] = [1024, 2048];
/// How much is read ahead of each file that is compacted, or gone through with its whole table, in bytes: there may be hundreds.
pub(super) const READ_AHEAD: usize = 256 << 10;
/// From so many bytes on new files are compacted however few they are.
const LEVEL_BASE: u64 = 2 << 30;

/// How long the write-ahead log may get, in bytes: some tenths of a second's reading.
pub(super) const WAL: u64 = 16 << 20;

/// How many memtables a table may have, those that are being flushed included.
const MEMTABLES: i32 = 6;

/// RocksDB's options and those of the column families of these tables, of which so many `files` may gather.
pub(super) fn tuned(
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
pub(super) fn family_name(table: Table) -> &'static str {
    match table {
        Table::StandbyFactors => "factors_2",
        Table::StandbyTopPicks => "top_picks_2",
        Table::StandbyContinueWatching => "continue_watching_2",
        Table::StandbyClusters => "clusters_2",
        Table::StandbyClusterPopularity => "cluster_popularity_2",
        other => other.name(),
    }
}
