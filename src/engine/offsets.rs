//! How far sources are read, on its way to disk: with the epoch that read them, and where there are several processes only
//! once all of them have that epoch. What was read and not kept by all is read again, and a set does not mind.

use std::collections::VecDeque;
use std::sync::Arc;

use nearline_dataflows::types::Epoch;

use super::ingest::EpochRecords;
use crate::sources::Offset;
use crate::stores::formats::meta;
use crate::stores::{Table, Transaction};

/// Offsets to be written.
pub struct Offsets {
    /// Those of epochs that other processes may not have, also where an epoch has none; nothing where there is one process.
    waiting: Option<VecDeque<(Epoch, Vec<(Arc<str>, Offset)>)>>,
    /// The newest epoch that all processes have.
    stored_by_all: Epoch,
}

impl Offsets {
    /// Nothing yet.
    pub fn new(several: bool) -> Self {
        Offsets { waiting: several.then(VecDeque::new), stored_by_all: 0 }
    }

    /// Writes an epoch's offsets; where there are several processes, those of the epochs that all have.
    pub fn write(&mut self, epoch: Epoch, records: &EpochRecords, change: &mut dyn Transaction) {
        let Some(waiting) = &mut self.waiting else { return put(&records.offsets, change) };
        waiting.push_back((epoch, records.offsets.clone()));
        self.write_due(change);
    }

    /// All processes have this epoch on disk.
    pub fn stored_by_all(&mut self, epoch: Epoch) {
        self.stored_by_all = self.stored_by_all.max(epoch);
    }

    /// Whether there are some of epochs that all have.
    pub fn are_due(&self) -> bool {
        let first = self.waiting.as_ref().and_then(VecDeque::front);
        first.is_some_and(|(epoch, _)| *epoch <= self.stored_by_all)
    }

    /// Writes those, and which epoch all have: a store that ends before it has lost what was read.
    pub fn write_due(&mut self, change: &mut dyn Transaction) {
        let Some(waiting) = &mut self.waiting else { return };
        let mut newest = None;
        while waiting.front().is_some_and(|(epoch, _)| *epoch <= self.stored_by_all) {
            let Some((epoch, offsets)) = waiting.pop_front() else { break };
            put(&offsets, change);
            newest = Some(epoch);
        }
        // Not of epochs that were read back: no store has their numbers.
        if let Some(epoch) = newest {
            change.put(Table::Meta, meta::SYNCED, &epoch.to_be_bytes());
        }
    }
}

fn put(offsets: &[(Arc<str>, Offset)], change: &mut dyn Transaction) {
    for (source, offset) in offsets {
        let offset = serde_json::to_vec(offset).unwrap_or_default();
        change.put(Table::Offsets, source.as_bytes(), &offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::PartitionOffset;
    use crate::stores::memory::MemoryStore;
    use crate::stores::{Store, Tables};

    fn read(next: u64) -> EpochRecords {
        let offset = PartitionOffset { next, last: String::new(), resets: 0, brokers: String::new() };
        EpochRecords { offsets: vec![("s".into(), Offset::Partition(offset))], ..EpochRecords::default() }
    }

    fn stored(store: &MemoryStore, write: impl FnOnce(&mut dyn Transaction)) -> (u64, u64) {
        let mut change = store.begin();
        write(&mut *change);
        change.commit(true).unwrap();
        let offset = store
            .get(Table::Offsets, b"s")
            .unwrap()
            .map_or(0, |value| serde_json::from_slice::<Offset>(&value).unwrap().partition().unwrap().next);
        let synced = store.get(Table::Meta, meta::SYNCED).unwrap();
        (offset, synced.map_or(0, |value| u64::from_be_bytes(value.try_into().unwrap())))
    }

    #[test]
    fn with_one_process_offsets_go_with_their_epoch() {
        let (store, mut offsets) = (MemoryStore::default(), Offsets::new(false));
        assert_eq!(stored(&store, |change| offsets.write(1, &read(5), change)), (5, 0));
    }

    #[test]
    fn with_several_they_wait_for_all_and_say_up_to_which_epoch_that_is() {
        let (store, mut offsets) = (MemoryStore::default(), Offsets::new(true));
        assert_eq!(stored(&store, |change| offsets.write(1, &read(5), change)), (0, 0));
        assert_eq!(stored(&store, |change| offsets.write(2, &read(9), change)), (0, 0));
        offsets.stored_by_all(1);
        assert!(offsets.are_due());
        assert_eq!(stored(&store, |change| offsets.write(3, &read(12), change)), (5, 1));
        assert!(!offsets.are_due());
        offsets.stored_by_all(3);
        assert_eq!(stored(&store, |change| offsets.write_due(change)), (12, 3));
    }
}
