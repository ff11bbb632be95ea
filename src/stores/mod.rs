//! Where records, views and offsets are kept, epoch by epoch.
//!
//! The engine knows a store by the trait [`Store`]: ordered tables of bytes, changed by transactions that are
//! whole or absent. `rocks` is the store on disk, `memory` the one in memory that tests and `verify` use.
//! What the bytes mean is in `formats`; what the product means by them is not known here.

pub mod canonical;
pub mod formats;
pub mod long_read;
pub mod memory;
pub mod mirrored;
pub mod part;
pub mod rocks;
pub mod union;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// One kind of thing that is kept: a column family on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// The epoch, `now`, the trending list, what the views were made with.
    Meta,
    /// How far each source has been read.
    Offsets,
    /// Live events and retractions, by member.
    Records,
    /// What is left of forgotten members, by keyed digest.
    Tombstones,
    /// The catalogue: the winning version of each item.
    Items,
    /// Counts by kind, hour, country and item.
    Popularity,
    /// Member factors.
    Factors,
    /// `top_picks` by member.
    TopPicks,
    /// `continue_watching` by member.
    ContinueWatching,
    /// The same three made with the standby model.
    StandbyFactors,
    /// `top_picks` of the standby model.
    StandbyTopPicks,
    /// `continue_watching` of the standby model.
    StandbyContinueWatching,
    /// Counts by day, list, variant, position and kind.
    Performance,
    /// How many baskets hold an item, and two items.
    Together,
    /// Lists of batch jobs, by generation and member.
    BatchLists,
    /// Accepted records that are not in the archive yet, by epoch.
    ArchiveQueue,
    /// Entries that changed and that mirrors may not have yet, by epoch.
    MirrorQueue,
    /// Which cluster each member belongs to.
    Clusters,
    /// How many members of a cluster like an item.
    ClusterPopularity,
    /// The same two of the standby model.
    StandbyClusters,
    /// How many members of a cluster like an item, by the standby model.
    StandbyClusterPopularity,
}

impl Table {
    /// All tables, those that an earlier format has before those that came later.
    pub const ALL: [Table; 21] = [
        Table::Meta,
        Table::Offsets,
        Table::Records,
        Table::Tombstones,
        Table::Items,
        Table::Popularity,
        Table::Factors,
        Table::TopPicks,
        Table::ContinueWatching,
        Table::StandbyFactors,
        Table::StandbyTopPicks,
        Table::StandbyContinueWatching,
        Table::Performance,
        Table::Together,
        Table::BatchLists,
        Table::ArchiveQueue,
        Table::MirrorQueue,
        Table::Clusters,
        Table::ClusterPopularity,
        Table::StandbyClusters,
        Table::StandbyClusterPopularity,
    ];

    /// How many of them folders have, those of the newest format first.
    pub const OF_FORMATS: [usize; 7] = [21, 21, 16, 15, 13, 12, 9];

    /// The lists of the standby model and what follows from its factors, in the order of [`Table::TURNING`].
    pub const STANDBY: [Table; 5] = [
        Table::StandbyFactors,
        Table::StandbyTopPicks,
        Table::StandbyContinueWatching,
        Table::StandbyClusters,
        Table::StandbyClusterPopularity,
    ];

    /// The lists of the live model and what follows from its factors: what changes places with the standby ones when
    /// these take over.
    pub const TURNING: [Table; 5] =
        [Table::Factors, Table::TopPicks, Table::ContinueWatching, Table::Clusters, Table::ClusterPopularity];

    /// Those whose keys are members' ids, live and standby.
    pub const OF_MEMBERS: [Table; 8] = [
        Table::Factors,
        Table::TopPicks,
        Table::ContinueWatching,
        Table::Clusters,
        Table::StandbyFactors,
        Table::StandbyTopPicks,
        Table::StandbyContinueWatching,
        Table::StandbyClusters,
    ];

    /// The tables that hold nothing but views, and can be made anew from the records.
    pub const VIEWS: [Table; 8] = [
        Table::Popularity,
        Table::Performance,
        Table::Together,
        Table::Factors,
        Table::TopPicks,
        Table::ContinueWatching,
        Table::Clusters,
        Table::ClusterPopularity,
    ];

    /// The table that it changes places with when the standby lists take over; most stay where they are.
    pub fn turned(self) -> Table {
        let pairs = || Table::TURNING.into_iter().zip(Table::STANDBY);
        let turned = pairs().find_map(|(live, standby)| match self {
            _ if self == live => Some(standby),
            _ if self == standby => Some(live),
            _ => None,
        });
        turned.unwrap_or(self)
    }

    /// The table's name in digests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Offsets => "offsets",
            Table::Records => "records",
            Table::Tombstones => "tombstones",
            Table::Items => "items",
            Table::Popularity => "popularity",
            Table::Factors => "factors",
            Table::TopPicks => "top_picks",
            Table::ContinueWatching => "continue_watching",
            Table::StandbyFactors => "standby_factors",
            Table::StandbyTopPicks => "standby_top_picks",
            Table::StandbyContinueWatching => "standby_continue_watching",
            Table::Performance => "performance",
            Table::Together => "together",
            Table::BatchLists => "batch_lists",
            Table::ArchiveQueue => "archive_queue",
            Table::MirrorQueue => "mirror_queue",
            Table::Clusters => "clusters",
            Table::ClusterPopularity => "cluster_popularity",
            Table::StandbyClusters => "standby_clusters",
            Table::StandbyClusterPopularity => "standby_cluster_popularity",
        }
    }
}

/// What a store cannot do, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process writes to the folder.
    #[error(
        "the data folder {} is held by another nearline process that writes to it; stop that one, or give this \
         one another folder with --data",
        .0.display()
    )]
    Held(PathBuf),
    /// There is nothing in the folder.
    #[error("there is no nearline data in {}; pipe events into it first with `nearline run` or `nearline replay`", .0.display())]
    Empty(PathBuf),
    /// A restore into the folder did not come to its end.
    #[error(
        "a restore into this folder was broken off, or is under way: {} is there, and no store; say `nearline restore` \
         again, or remove that folder to begin without the backup",
        .0.display()
    )]
    Restoring(PathBuf),
    /// The folder was being made of those of another number of processes, and not all were made.
    #[error(
        "the data folder {} is not whole: `nearline reshard` is making it, or was broken off; remove the folders that it \
         was to make and say it again: those that it reads are as they were",
        .0.display()
    )]
    Resharding(PathBuf),
    /// The folder was written by a later version.
    #[error("the data folder {} has format {found}, and this nearline reads up to {known}; use a newer nearline", .path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is known here.
        known: u32,
    },
    /// Bytes that are not what they should be.
    #[error(
        "{table} in the store is damaged at key {key}: {what}; restore the folder from a backup, or replay the logs into a new one"
    )]
    Damaged {
        /// The table.
        table: &'static str,
        /// The key, as hexadecimal.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// The system gives no thread to store with.
    #[error(
        "no thread could be started to store with: {0}; raise the limit of threads, or stop other processes"
    )]
    Thread(String),
    /// The store has not what was acknowledged.
    #[error(
        "the store in {} has lost what was acknowledged: it ends with epoch {stored}, and epoch {acknowledged} was on \
         disk; restore the folder from a backup, or replay the logs into a new one. To go on without what is lost \
         remove {}: files are then read on from where the store is",
        .path.display(), .witness.display()
    )]
    Lost {
        /// The folder.
        path: PathBuf,
        /// The newest epoch that is stored.
        stored: u64,
        /// The newest that was acknowledged.
        acknowledged: u64,
        /// The file that says so.
        witness: PathBuf,
    },
    /// The file that says what was acknowledged cannot be read.
    #[error(
        "{} is damaged, which says how much of the store was acknowledged; restore the folder from a backup, or, to \
         trust the store as it is, remove that file and start again",
        .0.display()
    )]
    Witness(PathBuf),
    /// Another process of the pipeline is gone.
    #[error(
        "process {process} of the pipeline, at {address}, is gone ({what}): nothing more is committed here; start all \
         processes again, what was acknowledged is kept"
    )]
    Gone {
        /// The other process.
        process: usize,
        /// Where it was.
        address: String,
        /// What happened.
        what: String,
    },
    /// Several stores are read as one.
    #[error(
        "stores of several processes that are read as one cannot be written to: each process writes to its own"
    )]
    ReadOnly,
    /// The store of another process of the pipeline cannot be read.
    #[error("the store of process {process} at {address} cannot be read: {message}")]
    Elsewhere {
        /// The process.
        process: usize,
        /// Where it listens.
        address: String,
        /// What was said.
        message: String,
    },
    /// What is asked for is in the store of another process.
    #[error(
        "the member belongs to process {owner} of a pipeline of {processes}: ask its folder, or any process over HTTP \
         while they run"
    )]
    OfAnother {
        /// The process that has the member.
        owner: usize,
        /// How many there are.
        processes: usize,
    },
    /// What is asked for is in the stores of all processes.
    #[error(
        "this is the store of process {process} of {processes}, and what is counted is in those of all: ask any process \
         over HTTP while they run"
    )]
    InAll {
        /// The process.
        process: usize,
        /// How many there are.
        processes: usize,
    },
    /// The stores of a pipeline were not found at one epoch.
    #[error("the stores of the pipeline's processes were not found at one epoch in time; ask again")]
    Apart,
    /// The answer is not in memory, where only that was asked.
    #[error("it has to be read from files")]
    NotInMemory,
    /// The disk or RocksDB said no.
    #[error("the store could not {doing} in {}: {message}{}", .path.display(), advice(.message))]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// The folder.
        path: PathBuf,
        /// What was said.
        message: String,
    },
}

/// What to do about what the system or RocksDB said.
pub(crate) fn advice(message: &str) -> &'static str {
    const ADVICE: [(&[&str], &str); 8] = [
        (
            &["Corruption"],
            "; a file of the store is damaged: restore the folder from a backup, or replay the logs into a new one",
        ),
        (&["Column families not opened"], "; it has tables that are not known here: use a newer nearline"),
        (
            &["No space left", "Disk quota exceeded"],
            "; the disk is full: make room and start again, nothing that was acknowledged is lost",
        ),
        (
            &["File too large"],
            "; a file may not grow so large: raise the limit (`ulimit -f`) and start again, nothing that was \
             acknowledged is lost",
        ),
        (
            &["Read-only file system", "Permission denied"],
            "; make the folder writable for this user and start again, nothing that was acknowledged is lost",
        ),
        (&["Too many open files"], "; raise the limit of open files (`ulimit -n`) and start again"),
        (
            &["IO error: No such file"],
            "; a file of the store is gone: restore the folder from a backup, or replay the logs into a new one",
        ),
        (
            &["Input/output error"],
            "; the disk fails: move the folder to a sound one, or restore it there from a backup",
        ),
    ];
    let said = |(words, _): &&(&[&str], &str)| words.iter().any(|word| message.contains(word));
    ADVICE.iter().find(said).map_or("", |(_, advice)| advice)
}

/// Ordered tables of bytes, to be read: a store as it is now, or as it was at one moment.
pub trait Tables: Sync {
    /// The value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Shows the entries whose key starts with `prefix` and is at least `from`, in order, until told to break.
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// A number that is another one after each change, where it is known: what was read under one stays so under it.
    fn version(&self) -> Option<u64> {
        None
    }
}

/// Ordered tables of bytes that are kept.
pub trait Store: Tables + Send {
    /// Begins a transaction; nothing of it is seen before it is committed.
    fn begin(&self) -> Box<dyn Transaction + '_>;

    /// Begins a large load of entries: faster than a transaction, and on disk when it is committed, but whoever
    /// reads meanwhile may see a part of it. For folders that are marked as pending.
    fn begin_load(&self) -> Box<dyn Transaction + '_>;

    /// Says that records are read back and there are no loads for now: the store may put in order what loads left, as it
    /// goes on. Where it cannot, it is a little slower.
    fn loads_over(&self) {}

    /// Says that this process writes no more. What would be put in order in the background is left to the next one, which
    /// this one need not wait for; but where it has become a great deal.
    fn rest(&self) {}

    /// Gives back the memory of what only waits to be written together with more.
    fn ease(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether it is writing out what it held in memory, which takes a core.
    fn is_flushing(&self) -> bool {
        false
    }

    /// Shows the store as it is at one moment: whole epochs, whatever is committed meanwhile. The store cannot be
    /// erased before `read` returns.
    fn at_one_moment(&self, read: &mut dyn FnMut(&dyn Tables)) -> Result<(), StoreError>;

    /// The same without ever waiting: of what is in memory, a few entries at a time. Whatever is more than that is
    /// [`StoreError::NotInMemory`]. Gives back whether what was shown is of one moment; where it is not, or the store
    /// cannot do so at all, nothing that was read may be used.
    fn at_one_moment_in_memory(&self, _read: &mut dyn FnMut(&dyn Tables)) -> bool {
        false
    }

    /// Shows one moment of which nothing is read that is not in memory: [`StoreError::NotInMemory`] says so. What is shown
    /// stays of that moment, however long is taken over it. False where the store cannot do so now.
    fn at_one_moment_cached(&self, _read: &mut dyn FnMut(&dyn Tables)) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Reads entries of a table from a key on into memory, about so many bytes, for those who will ask for them. Gives back
    /// where the next begin, if there are more.
    fn warm(&self, _table: Table, _from: &[u8], _bytes: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    /// Bytes on disk: tables, write-ahead log and all else.
    fn size(&self) -> u64 {
        0
    }

    /// The size of the files of each table, in bytes.
    fn sizes(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Removes all entries of a table, at once.
    fn clear(&self, table: Table) -> Result<(), StoreError>;

    /// Commits a transaction, synced, with which the standby lists become the live ones and the other way round. No
    /// other transaction may be open.
    fn commit_turned<'s>(&'s self, change: Box<dyn Transaction + 's>) -> Result<(), StoreError>;

    /// Puts a copy of all that is committed into a folder that is not there yet, whole epochs only.
    fn checkpoint(&self, to: &Path) -> Result<(), StoreError> {
        let message = "it is not on disk".to_owned();
        Err(StoreError::Failed { doing: "be backed up", path: to.to_owned(), message })
    }

    /// Makes what was removed leave the disk: whatever still holds bytes of removed or replaced entries is written
    /// anew without them. Takes as long as reading and writing all that is stored.
    fn erase(&self) -> Result<Erased, StoreError> {
        Ok(Erased::default())
    }
}

/// What was written anew so that nothing removed is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// How many files of tables there were.
    pub files: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// How many bytes the files have that took their place.
    pub bytes_after: u64,
}

/// Changes that are made together or not at all.
pub trait Transaction: Send {
    /// Sets the value of a key.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]);
    /// Removes a key.
    fn delete(&mut self, table: Table, key: &[u8]);
    /// How many bytes of changes there are.
    fn size(&self) -> usize;
    /// Makes the changes; where `synced`, they are on disk when this returns.
    fn commit(self: Box<Self>, synced: bool) -> Result<(), StoreError>;
}
