//! Changes of counts that nobody has looked at yet: kept sorted and packed, in runs of which each is much longer than the next.
//!
//! What is put in is sorted and summed up, and two runs are merged where the earlier is not at least twice as long as
//! the later: so a change is moved a few times on the whole, one after the other in memory, and never looked for.

use std::cmp::Ordering;

use crate::members::{Cell, CellChange};
use crate::packed::{Packed, Packer};

/// Changes in sorted runs; in each run every cell once.
#[derive(Debug, Default)]
pub struct Runs(Vec<Packed<Cell>>);

impl Runs {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts changes in, in any order.
    pub fn push(&mut self, mut changes: Vec<CellChange>) {
        sum_up(&mut changes);
        if !changes.is_empty() {
            self.0.push(changes.into_iter().map(|(cell, diff)| (cell, i64::from(diff))).collect());
        }
        while let [.., longer, last] = &self.0[..]
            && longer.len() < 2 * last.len()
        {
            self.merge_last();
        }
    }

    /// Takes everything out, sorted, every cell once; none that changed by nothing.
    pub fn take(&mut self) -> Packed<Cell> {
        while self.0.len() > 1 {
            self.merge_last();
        }
        self.0.pop().unwrap_or_default()
    }

    fn merge_last(&mut self) {
        let (Some(later), Some(earlier)) = (self.0.pop(), self.0.pop()) else { return };
        let merged = merge(earlier, later);
        if !merged.is_empty() {
            self.0.push(merged);
        }
    }
}

/// One change of each cell, sorted; none of nothing.
pub fn sum_up(changes: &mut Vec<CellChange>) {
    changes.sort_unstable_by_key(|(cell, _)| place(cell));
    changes.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    changes.retain(|(_, diff)| *diff != 0);
}

/// The order of cells as one number: two are compared at once instead of field by field.
fn place(cell: &Cell) -> u128 {
    let Cell { kind, hour, item, country } = *cell;
    u128::from(kind.0) << 96 | u128::from(hour) << 64 | u128::from(item.0) << 32 | u128::from(country.0)
}

/// Either is given back as it is read, so that this takes no more room than the two.
fn merge(one: Packed<Cell>, other: Packed<Cell>) -> Packed<Cell> {
    let mut merged = Packer::default();
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let (mut a, mut b) = (one.next(), other.next());
    while let (Some(first), Some(second)) = (a, b) {
        match place(&first.0).cmp(&place(&second.0)) {
            Ordering::Equal => {
                let diff = first.1 + second.1;
                if diff != 0 {
                    merged.push(first.0, diff);
                }
                (a, b) = (one.next(), other.next());
            }
            Ordering::Less => {
                merged.push(first.0, first.1);
                a = one.next();
            }
            Ordering::Greater => {
                merged.push(second.0, second.1);
                b = other.next();
            }
        }
    }
    a.into_iter().chain(one).chain(b).chain(other).for_each(|(cell, diff)| merged.push(cell, diff));
    merged.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::types::{Country, Item, Kind};

    fn any_change() -> impl Strategy<Value = CellChange> {
        (0..2_u16, 0..3_u32, 0..4_u32, 0..2_u32, -2..3_i32).prop_map(|(kind, hour, item, country, diff)| {
            (Cell { kind: Kind(kind), hour, item: Item(item), country: Country(country) }, diff)
        })
    }

    proptest! {
        #[test]
        fn runs_hold_the_sums_of_what_was_put_in(
            puts in prop::collection::vec(prop::collection::vec(any_change(), 0..9), 0..9),
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
            assert!(runs.0.len() <= 12, "{}", runs.0.len());
        }
        assert_eq!(runs.take().len(), 3000);
    }
}
