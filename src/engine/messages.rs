//! What the committer is told: an epoch's records by ingest, its changes by the workers, and what to do with them.

use crossbeam_channel::Sender;
use nearline_dataflows::graph::Delta;
use nearline_dataflows::types::Epoch;

use super::batches::Step;
use super::ingest::EpochRecords;
use crate::digests::DigestKey;
use crate::stores::formats::{CentresInUse, Standby};
use crate::variants::MadeWith;

/// What the committer does with an epoch's changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All in one synced write.
    Whole,
    /// Inside a bulk load: records are loaded, then offsets written. The views lag behind until the last epoch.
    Bulk,
    /// Ends a bulk load: view entries may be written ahead, the rest in one synced write that lifts the mark.
    EndBulk,
    /// Lists that are built beside the live ones, up to that of member `built` of `members`. Nobody reads them yet,
    /// so the write need not be synced, and counts for no epoch.
    Slice {
        /// Of how many members the lists are built then.
        built: u32,
        /// Of how many there are to be lists.
        members: u32,
    },
    /// The standby lists are the live ones from here on, and the other way round.
    Turn,
    /// Recovery: the store has all this already.
    Discard,
    /// Recovery of a folder whose views are made anew: no records, only views, written ahead.
    Rebuild,
    /// Ends a rebuild and lifts the mark.
    EndRebuild,
}

impl Mode {
    /// Whether the folder is pending: entries may be loaded before the epoch is whole.
    pub fn loads(self) -> bool {
        matches!(self, Mode::Bulk | Mode::Rebuild) || self.ends()
    }

    /// Whether what records the epoch has are written.
    pub fn takes_records(self) -> bool {
        matches!(self, Mode::Whole | Mode::Bulk | Mode::EndBulk)
    }

    /// Whether the folder is pending no longer after this epoch.
    pub fn ends(self) -> bool {
        matches!(self, Mode::EndBulk | Mode::EndRebuild)
    }
}

/// What the committer is told.
pub enum ToCommit {
    /// A worker's change of a view.
    Delta {
        /// Which worker.
        worker: usize,
        /// In which epoch.
        epoch: Epoch,
        /// The change.
        delta: Delta,
    },
    /// A worker has said all about an epoch.
    Done {
        /// Which worker.
        worker: usize,
        /// Which epoch.
        epoch: Epoch,
    },
    /// The records of an epoch. Comes before the epoch is fed to the workers.
    Epoch {
        /// Which epoch.
        epoch: Epoch,
        /// Its records.
        records: Box<EpochRecords>,
        /// What to do with it.
        mode: Mode,
        /// How many members have been met.
        members: usize,
    },
    /// What the views are made with from now on.
    Made {
        /// The hash of the config's meaning.
        meaning: [u8; 32],
        /// The model and the variants.
        lists: MadeWith,
    },
    /// A step of a batch job.
    Batch(Step),
    /// The centres of clusters that are in use from the next epoch on.
    Centres(Option<CentresInUse>),
    /// Which model stands by from now on, with no lists yet.
    Standby(Option<Standby>),
    /// What the next epoch, which turns, makes of the models.
    Turn {
        /// What is live then.
        live: MadeWith,
        /// What stands by then.
        standby: Option<Standby>,
    },
    /// The folder's key has changed, by an import.
    Key(DigestKey),
    /// Every process of the pipeline has all up to this epoch on disk.
    StoredByAll(Epoch),
    /// Write the offsets of all that every process has on disk, synced, and say so.
    KeepOffsets(Sender<()>),
    /// How many live events were read back: a bulk load that was broken off may have left more than were counted.
    Live(u64),
}
