//! Epochs of a bulk load that came out whole and wait for others: what is stored together is sorted together, in one file.

use nearline_dataflows::graph::Delta;
use nearline_dataflows::histories::RecordEffect;
use nearline_dataflows::types::Epoch;

use super::ingest::EpochRecords;

/// How many records of a bulk load are stored together: the least, and the most.
const TOGETHER: [usize; 2] = [131_072, 393_216];
/// As a load goes on, more of it is stored together: one part in so many of what was stored before. A short load is stored while
/// more is read; a long one has fewer files, from all of which a member's records are put together when they are read back.
const PART: usize = 16;
/// With so many bytes the least is enough: records with long contexts are some hundred times as large as others.
const BYTES: usize = 32 << 20;

/// An epoch that came out whole.
pub(super) struct WholeEpoch {
    pub(super) epoch: Epoch,
    pub(super) records: Box<EpochRecords>,
    pub(super) deltas: Vec<Delta>,
    pub(super) lists: Vec<Delta>,
    pub(super) members: usize,
}

impl WholeEpoch {
    /// Whether the epoch takes out or changes what is in the store. In a bulk load it is then committed by itself and
    /// in one write, since tables are loaded one after the other.
    pub(super) fn takes_out(&self) -> bool {
        let takes_out = |effect: &RecordEffect| !matches!(effect, RecordEffect::Refused(_));
        !self.records.tombstones.is_empty()
            || self.deltas.iter().any(|delta| match delta {
                Delta::Records(effects) => effects.iter().any(takes_out),
                _ => false,
            })
    }
}

/// Epochs that are gathered.
#[derive(Default)]
pub(super) struct Gathered {
    epochs: Vec<WholeEpoch>,
    /// How many records they have.
    records: usize,
    /// Of how many bytes these are; those of a batch count for each epoch that has some of it.
    bytes: usize,
    /// How many all had that were taken out.
    taken: usize,
}

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    pub(super) fn push(&mut self, epoch: WholeEpoch) {
        self.records += epoch.records.slots.len();
        self.bytes += epoch.records.batches.iter().map(|batch| batch.size()).sum::<usize>();
        self.epochs.push(epoch);
    }

    /// Whether they are worth a file.
    pub(super) fn are_enough(&self) -> bool {
        let [least, most] = TOGETHER;
        let enough = if self.bytes < BYTES { (self.taken / PART).clamp(least, most) } else { least };
        self.records >= enough
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> Vec<WholeEpoch> {
        self.taken += std::mem::take(&mut self.records);
        self.bytes = 0;
        std::mem::take(&mut self.epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ingest::Slot;

    fn epoch(records: usize) -> WholeEpoch {
        let mut of = EpochRecords::default();
        of.slots.resize_with(records, || Slot { batch: 0, index: 0, member: 0, digest: [0, 0] });
        let (deltas, lists) = (Vec::new(), Vec::new());
        WholeEpoch { epoch: 1, records: Box::new(of), deltas, lists, members: 0 }
    }

    #[test]
    fn the_longer_a_load_the_more_is_stored_together() {
        let mut gathered = Gathered::default();
        let mut stored = Vec::new();
        for _ in 0..10_000_000 / 65_536 {
            gathered.push(epoch(65_536));
            if gathered.are_enough() {
                let epochs = gathered.take();
                stored.push(epochs.iter().map(|epoch| epoch.records.slots.len()).sum::<usize>());
                assert!(gathered.is_empty());
            }
        }
        assert!(stored.is_sorted());
        assert_eq!((stored[0], stored[stored.len() - 1]), (131_072, 393_216));
        assert!(stored.len() < 10_000_000 / 131_072 * 3 / 5, "{}", stored.len());
    }
}
