//! Counts that change: many of them packed, and beside them those that changed since, one by one.
//!
//! A few changes are counted one by one; many, as at the end of a bulk load, in one pass over all counts that there are, which packs
//! them anew. What is told of a pass is worked out slice by slice, so that it is never all in memory.
//!
//! What nobody wants to know yet is put off: kept in sorted runs (`runs.rs`) and counted with the next changes that are told. To
//! look a count up for each of many millions of changes, most of which have a key to themselves, costs several times as much.

use std::collections::BTreeMap;
use std::iter::Peekable;

use crate::packed::{Key, Packed, Packer, Unpacking};
use crate::runs::{Runs, sum_up};

/// What a key counts now, and by how much that is more than before.
pub type Told<K> = (K, u32, i32);

/// Where there are at least so many counts for each change, changes are counted one by one.
const FEW: usize = 16;

/// How many are counted at a time where nothing is told.
const SETTLED: usize = 16_384;

/// Counts by key. Those of zero are gone.
#[derive(Debug, Default)]
pub struct Counts<K: Key> {
    settled: Packed<K>,
    /// What counts have become since; zero where a key is gone.
    since: BTreeMap<K, u32>,
    /// What is counted and not yet told.
    told: std::vec::IntoIter<Told<K>>,
    /// What is being counted; nothing is settled meanwhile.
    pass: Option<Pass<K>>,
    /// Changes that are not counted yet.
    put_off: Runs<K>,
}

impl<K: Key> Counts<K> {
    /// Keeps changes until some are to be told.
    pub fn put_off(&mut self, changes: Vec<(K, i32)>) {
        self.put_off.push(changes);
    }

    /// Counts what was put off, and tells nothing of it.
    pub fn settle(&mut self) {
        self.begin(Vec::new());
        while !self.tell(SETTLED).is_empty() {}
    }

    /// Begins to count changes and all that were put off. All must be told before anything else is done: each key that changed
    /// once, in order.
    pub fn begin(&mut self, mut changes: Vec<(K, i32)>) {
        if !self.put_off.is_empty() {
            self.put_off.push(changes);
            let changes = self.put_off.take();
            return self.begin_packed(changes);
        }
        sum_up(&mut changes);
        if changes.len() > (self.settled.len() + self.since.len()) / FEW {
            return self
                .begin_packed(changes.into_iter().map(|(key, diff)| (key, i64::from(diff))).collect());
        }
        let told: Vec<Told<K>> =
            changes.into_iter().map(|(key, diff)| (key, self.add(key, diff), diff)).collect();
        self.told = told.into_iter();
    }

    /// The same of many changes, each key once.
    fn begin_packed(&mut self, changes: Packed<K>) {
        let known = replaced(std::mem::take(&mut self.settled), std::mem::take(&mut self.since));
        self.pass = Some(Pass {
            changes: changes.into_iter(),
            known: known.into_iter().peekable(),
            settled: Packer::default(),
        });
    }

    /// The next so many keys that changed, in order; nothing where all are told.
    pub fn tell(&mut self, most: usize) -> Vec<Told<K>> {
        let Some(pass) = &mut self.pass else { return self.told.by_ref().take(most).collect() };
        let told = pass.tell(most);
        if told.len() < most
            && let Some(pass) = self.pass.take()
        {
            self.settled = pass.settled.finish();
        }
        told
    }

    /// Adds to the count of one key; what it is then.
    fn add(&mut self, key: K, diff: i32) -> u32 {
        let settled = &self.settled;
        let known = || settled.get(&key).map_or(0, |count| count as u32);
        let count = self.since.entry(key).or_insert_with(known);
        *count = count.wrapping_add_signed(diff);
        *count
    }
}

/// Changes of many keys on their way into the counts, from front to back: both are given back as they are read, so there
/// is never more than one of either.
#[derive(Debug)]
struct Pass<K: Key> {
    changes: Unpacking<K>,
    known: Peekable<Unpacking<K>>,
    settled: Packer<K>,
}

impl<K: Key> Pass<K> {
    /// What the next so many keys count now; fewer where these are the last.
    fn tell(&mut self, most: usize) -> Vec<Told<K>> {
        let mut told = Vec::new();
        while told.len() < most {
            let Some((key, diff)) = self.changes.next() else {
                self.known.by_ref().for_each(|(key, count)| self.settled.push(key, count));
                break;
            };
            while let Some((key, count)) = self.known.next_if(|(other, _)| *other < key) {
                self.settled.push(key, count);
            }
            let was = self.known.next_if(|(other, _)| *other == key).map_or(0, |(_, count)| count);
            let diff = diff as i32;
            let count = (was as u32).wrapping_add_signed(diff);
            if count > 0 {
                self.settled.push(key, i64::from(count));
            }
            told.push((key, count, diff));
        }
        told
    }
}

/// Counts with some replaced by newer ones; those that are zero then are gone.
fn replaced<K: Key>(settled: Packed<K>, since: BTreeMap<K, u32>) -> Packed<K> {
    if since.is_empty() {
        return settled;
    }
    let mut all = Packer::default();
    let mut settled = settled.into_iter().peekable();
    for (key, count) in since {
        while let Some((key, count)) = settled.next_if(|(other, _)| *other < key) {
            all.push(key, count);
        }
        settled.next_if(|(other, _)| *other == key);
        if count > 0 {
            all.push(key, i64::from(count));
        }
    }
    settled.for_each(|(key, count)| all.push(key, count));
    all.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::together::ItemPair;
    use crate::types::Item;

    fn pair(number: u32) -> ItemPair {
        ItemPair::of(Item(0), Item(number))
    }

    fn all(counts: &mut Counts<ItemPair>, changes: Vec<(ItemPair, i32)>) -> Vec<u32> {
        counts.begin(changes);
        // However many are told at a time.
        let slices = std::iter::repeat_with(|| counts.tell(7)).take_while(|slice| !slice.is_empty());
        slices.flatten().map(|(_, count, _)| count).collect()
    }

    #[test]
    fn a_few_changes_are_counted_beside_what_is_settled_and_many_with_it() {
        let mut counts = Counts::default();
        let many = |diff: i32| (0..320).map(|number| (pair(number), diff)).collect::<Vec<_>>();
        assert_eq!(all(&mut counts, many(2)), [2; 320]);
        assert_eq!(all(&mut counts, vec![(pair(7), -2), (pair(9), 1)]), [0, 3]);
        assert_eq!((counts.settled.len(), counts.since.len()), (320, 2));
        let told = all(&mut counts, many(1));
        assert_eq!((told[7], told[8], told[9]), (1, 3, 4));
        assert_eq!((counts.settled.len(), counts.since.len()), (320, 0));
        assert_eq!(all(&mut counts, many(-1))[6..9], [2, 0, 2]);
        assert_eq!((counts.settled.len(), counts.since.len()), (319, 0));
    }

    #[test]
    fn what_was_put_off_is_counted_with_what_is_told_next_or_with_nothing() {
        let mut counts = Counts::default();
        counts.put_off(vec![(pair(2), 1), (pair(1), 1), (pair(2), 1)]);
        counts.settle();
        assert_eq!(all(&mut counts, vec![(pair(2), 1)]), [3]);
        counts.put_off(vec![(pair(1), -1)]);
        // Both, in order.
        assert_eq!(all(&mut counts, vec![(pair(2), 1)]), [0, 4]);
        counts.settle();
        assert_eq!(all(&mut counts, vec![(pair(2), 1), (pair(2), -1)]), []);
    }
}
