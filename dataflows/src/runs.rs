//! Changes of counts that nobody has looked at yet: kept sorted and packed, in runs of which some are merged now and then.
//!
//! What is put in is sorted and summed up, and where the last eight runs are of one level they become one of the next: so a change
//! is moved a few times on the whole, one after the other in memory, and never looked for. Each time it is unpacked and packed,
//! which costs more than to compare the heads of eight runs.

use crate::packed::{Key, Packed, Packer, Unpacking};

/// How many runs are merged at a time.
const MERGED: usize = 8;

/// Changes in sorted runs; in each run every key once.
#[derive(Debug, Default)]
pub struct Runs<K>(Vec<Run<K>>);

#[derive(Debug)]
struct Run<K> {
    /// How often what is in it was merged.
    level: u32,
    changes: Packed<K>,
}

impl<K: Key> Runs<K> {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts changes in, in any order.
    pub fn push(&mut self, mut changes: Vec<(K, i32)>) {
        sum_up(&mut changes);
        if changes.is_empty() {
            return;
        }
        let changes = changes.into_iter().map(|(key, diff)| (key, i64::from(diff))).collect();
        self.0.push(Run { level: 0, changes });
        while let Some(first) = self.0.len().checked_sub(MERGED)
            && self.0[first].level == self.0[self.0.len() - 1].level
        {
            self.merge_from(first);
        }
    }

    /// Takes everything out, sorted, every key once; none that changed by nothing.
    pub fn take(&mut self) -> Packed<K> {
        // The last ones are the shortest.
        while self.0.len() > 1 {
            self.merge_from(self.0.len().saturating_sub(MERGED));
        }
        self.0.pop().map(|run| run.changes).unwrap_or_default()
    }

    fn merge_from(&mut self, first: usize) {
        let level = self.0[first].level + 1;
        let changes = merge(self.0.drain(first..).map(|run| run.changes));
        if !changes.is_empty() {
            self.0.push(Run { level, changes });
        }
    }
}

/// One change of each key, sorted; none of nothing.
pub fn sum_up<K: Key>(changes: &mut Vec<(K, i32)>) {
    changes.sort_unstable_by_key(|(key, _)| key.order());
    changes.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    changes.retain(|(_, diff)| *diff != 0);
}

/// The next change of a run.
struct Head<K: Key> {
    order: K::Order,
    key: K,
    diff: i64,
    rest: Unpacking<K>,
}

impl<K: Key> Head<K> {
    fn of(mut rest: Unpacking<K>) -> Option<Self> {
        let (key, diff) = rest.next()?;
        Some(Head { order: key.order(), key, diff, rest })
    }

    /// Goes on to the next one; says whether there is one.
    fn next(&mut self) -> bool {
        let Some((key, diff)) = self.rest.next() else { return false };
        (self.order, self.key, self.diff) = (key.order(), key, diff);
        true
    }
}

/// Each is given back as it is read, so that this takes no more room than all of them.
fn merge<K: Key>(runs: impl Iterator<Item = Packed<K>>) -> Packed<K> {
    let mut merged = Packer::default();
    let mut heads: Vec<Head<K>> = runs.filter_map(|run| Head::of(run.into_iter())).collect();
    while let Some(least) = heads.iter().map(|head| head.order).min() {
        let (mut key, mut sum, mut place) = (K::default(), 0, 0);
        while place < heads.len() {
            let head = &mut heads[place];
            if head.order == least {
                key = head.key;
                sum += head.diff;
                if !head.next() {
                    heads.swap_remove(place);
                    continue;
                }
            }
            place += 1;
        }
        if sum != 0 {
            merged.push(key, sum);
        }
    }
    merged.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::members::{Cell, CellChange};
    use crate::types::{Country, Item, Kind};

    fn any_change() -> impl Strategy<Value = CellChange> {
        (0..2_u16, 0..3_u32, 0..4_u32, 0..2_u32, -2..3_i32).prop_map(|(kind, hour, item, country, diff)| {
            (Cell { kind: Kind(kind), hour, item: Item(item), country: Country(country) }, diff)
        })
    }

    proptest! {
        #[test]
        fn runs_hold_the_sums_of_what_was_put_in(
            puts in prop::collection::vec(prop::collection::vec(any_change(), 0..9), 0..100),
        ) {
            let mut runs = Runs::default();
            let mut sums: BTreeMap<Cell, i64> = BTreeMap::new();
            for changes in puts {
                changes.iter().for_each(|(cell, diff)| *sums.entry(*cell).or_default() += i64::from(*diff));
                runs.push(changes);
            }
            sums.retain(|_, diff| *diff != 0);
            prop_assert_eq!(runs.take().into_iter().collect::<Vec<_>>(), sums.into_iter().collect::<Vec<_>>());
            prop_assert!(runs.is_empty());
        }
    }

    #[test]
    fn there_are_never_many_runs() {
        let mut runs = Runs::default();
        for hour in 0..1000 {
            let cell = |item| Cell { kind: Kind(0), hour, item: Item(item), country: Country(0) };
            runs.push((0..3).map(|item| (cell(item), 1)).collect());
            assert!(runs.0.len() <= 4 * (MERGED - 1), "{}", runs.0.len());
        }
        assert_eq!(runs.take().len(), 3000);
    }
}
