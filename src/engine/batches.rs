//! Lists of batch jobs on their way into the store: a new generation beside the live one, in slices, and live at once.
//!
//! All of it is written by the committer, which hears of slices and of forgets in one order. A member who is forgotten
//! while a generation is being built is in none of its slices from then on, and what an earlier one has of the member is
//! taken out with the forget. A trim takes out all batch lists. What a crash leaves of a generation is taken out at the
//! next start.

use std::collections::HashSet;
use std::ops::ControlFlow;

use crossbeam_channel::Sender;

use crate::stores::formats::{self, OfflineBatch, meta};
use crate::stores::{Store, StoreError, Table, Tables, Transaction};

/// How many entries are taken out at a time.
const SWEPT: usize = 4096;

/// A member's list, as a batch job makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchList {
    /// Whose.
    pub member: String,
    /// Items with their scores, best first.
    pub entries: Vec<(String, f64)>,
}

/// What a batch job asks of the committer, in this order.
pub enum Step {
    /// Begin a generation; forgets are heeded from here on.
    Begin(Sender<()>),
    /// Keep these lists.
    Lists(Vec<BatchList>),
    /// Let the generation be live from the next epoch on.
    Live(OfflineBatch),
    /// Let go of the generation.
    GiveUp,
    /// Take out some of what is of no generation in use, and say whether there is more.
    Sweep(Sender<bool>),
}

/// The generations in use.
#[derive(Debug, Default)]
pub(super) struct Batches {
    live: Option<u64>,
    building: Option<u64>,
    /// What was in use and may not be swept out yet.
    stale: Vec<u64>,
    /// Members who were forgotten since the building began.
    forgotten: HashSet<String>,
    /// How many lists were kept since.
    kept: u64,
    /// What goes live with the next epoch.
    turn: Option<OfflineBatch>,
}

impl Batches {
    /// What a store says.
    pub fn of(store: &dyn Tables) -> Result<Self, StoreError> {
        let live = live(store)?.map(|batch| batch.generation);
        Ok(Batches { live, ..Batches::default() })
    }

    /// Begins a generation, and notes it, so that what a crash leaves of it is known for that.
    pub fn begin(&mut self, change: &mut dyn Transaction) {
        self.give_up();
        let newest = self.live.into_iter().chain(self.stale.iter().copied()).max().unwrap_or(0);
        self.building = Some(newest + 1);
        change.put(Table::Meta, meta::BATCH_BEGUN, formats::NOTHING);
    }

    /// Puts lists into the generation that is being built.
    pub fn put(&mut self, lists: &[BatchList], change: &mut dyn Transaction) {
        let Some(generation) = self.building else { return };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for list in lists.iter().filter(|list| !self.forgotten.contains(&list.member)) {
            formats::batch_key(generation, &list.member, &mut key);
            formats::begin_list(&mut value);
            list.entries.iter().for_each(|(item, score)| formats::push_ranked(item, *score, &mut value));
            change.put(Table::BatchLists, &key, &value);
            self.kept += 1;
        }
    }

    /// Lets the generation go live with the next epoch, where it is still being built.
    pub fn turn(&mut self, batch: OfflineBatch) {
        if let Some(generation) = self.building {
            let members = self.kept;
            self.turn = Some(OfflineBatch { generation, members, ..batch });
        }
    }

    /// Writes what goes live with this epoch.
    pub fn write_turn(&mut self, change: &mut dyn Transaction) {
        let Some(batch) = self.turn.take() else { return };
        change.put(Table::Meta, meta::BATCH, &serde_json::to_vec(&batch).unwrap_or_default());
        self.building = None;
        self.stale.extend(self.live.replace(batch.generation));
        self.give_up();
    }

    /// Lets go of the generation that is being built.
    pub fn give_up(&mut self) {
        self.stale.extend(self.building.take());
        self.forgotten.clear();
        (self.kept, self.turn) = (0, None);
    }

    /// Takes out a member's lists; says how many there were.
    pub fn forget(
        &mut self,
        store: &dyn Tables,
        member: &str,
        change: &mut dyn Transaction,
    ) -> Result<u64, StoreError> {
        if self.building.is_some() {
            self.forgotten.insert(member.to_owned());
        }
        let (mut key, mut removed) = (Vec::new(), 0);
        for generation in self.live.into_iter().chain(self.building).chain(self.stale.iter().copied()) {
            formats::batch_key(generation, member, &mut key);
            if store.get(Table::BatchLists, &key)?.is_some() {
                change.delete(Table::BatchLists, &key);
                removed += 1;
                if self.building == Some(generation) {
                    self.kept = self.kept.saturating_sub(1);
                }
            }
        }
        Ok(removed)
    }

    /// Lets go of all batch lists, as a trim does; says whether there are any.
    pub fn drop_all(&mut self, change: &mut dyn Transaction) -> bool {
        let any = self.live.is_some() || self.building.is_some();
        if any {
            change.delete(Table::Meta, meta::BATCH);
            change.put(Table::Meta, meta::BATCH_BEGUN, formats::NOTHING);
            self.give_up();
            self.stale.extend(self.live.take());
        }
        any
    }

    /// Takes out some of what is of no generation in use; says whether there is more. With the last goes the note that
    /// there is something.
    pub fn sweep(&mut self, store: &dyn Tables, change: &mut dyn Transaction) -> Result<bool, StoreError> {
        let used: Vec<[u8; 8]> = self.live.into_iter().chain(self.building).map(u64::to_be_bytes).collect();
        let mut left = SWEPT;
        let mut from = Vec::new();
        while left > 0 {
            // What is in use is stepped over, not read.
            let mut next = None;
            store.scan(Table::BatchLists, &[], &from, &mut |key, _| {
                match used.iter().find(|generation| key.starts_with(*generation)) {
                    Some(generation) => next = Some(u64::from_be_bytes(*generation) + 1),
                    None => {
                        change.delete(Table::BatchLists, key);
                        left -= 1;
                    }
                }
                if next.is_some() || left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            match next {
                Some(generation) => from = generation.to_be_bytes().to_vec(),
                None => break,
            }
        }
        if left > 0 {
            self.stale.clear();
            if self.building.is_none() {
                change.delete(Table::Meta, meta::BATCH_BEGUN);
            }
        }
        Ok(left == 0)
    }
}

/// The last batch that is whole.
pub fn live(store: &dyn Tables) -> Result<Option<OfflineBatch>, StoreError> {
    let Some(value) = store.get(Table::Meta, meta::BATCH)? else { return Ok(None) };
    serde_json::from_slice(&value)
        .map(Some)
        .map_err(|error| formats::damaged(Table::Meta, meta::BATCH, &error.to_string()))
}

/// Takes out what a batch that was broken off has left. For whoever has just opened the store.
pub(super) fn clear_leftovers(store: &dyn Store) -> Result<(), StoreError> {
    if store.get(Table::Meta, meta::BATCH_BEGUN)?.is_none() {
        return Ok(());
    }
    let mut batches = Batches::of(store)?;
    loop {
        let mut change = store.begin();
        let more = batches.sweep(store, &mut *change)?;
        change.commit(!more)?;
        if !more {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::memory::MemoryStore;

    fn list(member: &str) -> BatchList {
        BatchList { member: member.to_owned(), entries: vec![("a".to_owned(), 1.5)] }
    }

    fn change(store: &MemoryStore, make: impl FnOnce(&mut dyn Transaction)) {
        let mut change = store.begin();
        make(&mut *change);
        change.commit(true).unwrap();
    }

    fn members(store: &MemoryStore) -> Vec<String> {
        let mut members = Vec::new();
        let mut show = |key: &[u8], _: &[u8]| {
            members.push(format!("{} {}", key[7], String::from_utf8_lossy(&key[8..])));
            ControlFlow::Continue(())
        };
        store.scan(Table::BatchLists, &[], &[], &mut show).unwrap();
        members
    }

    fn built(store: &MemoryStore, batches: &mut Batches, members: &[&str]) {
        change(store, |change| batches.begin(change));
        let lists: Vec<BatchList> = members.iter().map(|member| list(member)).collect();
        change(store, |change| batches.put(&lists, change));
    }

    #[test]
    fn a_generation_is_live_at_once_and_what_was_before_is_swept() {
        let store = MemoryStore::default();
        let mut batches = Batches::of(&store).unwrap();
        built(&store, &mut batches, &["m1", "m2"]);
        assert_eq!(live(&store).unwrap(), None);
        batches.turn(OfflineBatch::default());
        change(&store, |change| batches.write_turn(change));
        let first = live(&store).unwrap().unwrap();
        assert_eq!((first.generation, first.members), (1, 2));

        built(&store, &mut batches, &["m2", "m3"]);
        assert_eq!(live(&store).unwrap().unwrap(), first);
        assert_eq!(members(&store), ["1 m1", "1 m2", "2 m2", "2 m3"]);
        change(&store, |change| assert!(!batches.sweep(&store, change).unwrap()));
        assert_eq!(members(&store).len(), 4, "both are in use");
        batches.turn(OfflineBatch::default());
        change(&store, |change| batches.write_turn(change));
        change(&store, |change| assert!(!batches.sweep(&store, change).unwrap()));
        assert_eq!(members(&store), ["2 m2", "2 m3"]);
        assert_eq!(store.get(Table::Meta, meta::BATCH_BEGUN).unwrap(), None);
    }

    #[test]
    fn who_is_forgotten_while_lists_are_made_is_in_none_of_them() {
        let store = MemoryStore::default();
        let mut batches = Batches::of(&store).unwrap();
        built(&store, &mut batches, &["m1", "m2"]);
        change(&store, |change| assert_eq!(batches.forget(&store, "m1", change).unwrap(), 1));
        change(&store, |change| assert_eq!(batches.forget(&store, "m3", change).unwrap(), 0));
        change(&store, |change| batches.put(&[list("m3"), list("m4"), list("m1")], change));
        assert_eq!(members(&store), ["1 m2", "1 m4"]);
        // The next one is made from what there is after the forget.
        built(&store, &mut batches, &["m1"]);
        assert_eq!(members(&store), ["1 m2", "1 m4", "2 m1"]);
    }

    #[test]
    fn what_a_crash_leaves_is_taken_out_at_the_start() {
        let store = MemoryStore::default();
        let mut batches = Batches::of(&store).unwrap();
        built(&store, &mut batches, &["m1"]);
        batches.turn(OfflineBatch::default());
        change(&store, |change| batches.write_turn(change));
        built(&store, &mut batches, &["m1", "m2"]);
        clear_leftovers(&store).unwrap();
        assert_eq!(members(&store), ["1 m1"]);

        let mut batches = Batches::of(&store).unwrap();
        change(&store, |change| assert!(batches.drop_all(change)));
        assert_eq!(live(&store).unwrap(), None);
        clear_leftovers(&store).unwrap();
        assert_eq!(members(&store), [""; 0]);
    }
}
