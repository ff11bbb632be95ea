//! What is seen together: the counts of the view `together`, and the likeness of items by them.
//!
//! The likeness of two items is the cosine between them, each taken as the set of baskets that hold it: with c baskets
//! that hold both, n and m that hold the one and the other, c ÷ √(n m) (Deshpande and Karypis, "Item-based top-N
//! recommendation algorithms", TOIS 2004, section 4.1.1). A member's score for an item is the sum of its likenesses to
//! the items of the member's basket.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use nearline_dataflows::together::basket;

use super::member::Past;
use super::{Serving, ServingError};
use crate::engine::recover;
use crate::stores::{StoreError, Table, formats};

/// Up to so many items are looked up one by one; for more, all are read.
const ONE_BY_ONE: usize = 256;

/// Items with their scores, the best first.
pub(super) enum Likely {
    /// As they were read.
    Read(Vec<(String, f64)>),
    /// By their places in what is kept.
    Known(Arc<Pairs>, Vec<(u32, f64)>),
}

impl Likely {
    /// Each item with its score.
    pub fn each(&self) -> Box<dyn Iterator<Item = (&str, f64)> + '_> {
        match self {
            Likely::Read(scored) => Box::new(scored.iter().map(|(item, score)| (&**item, *score))),
            Likely::Known(pairs, scored) => {
                Box::new(scored.iter().map(|(place, score)| (&*pairs.items[*place as usize], *score)))
            }
        }
    }
}

/// All counts of an epoch, in memory: what the table holds, by places instead of ids.
#[derive(Debug, Default)]
pub struct Pairs {
    /// In the order of their ids.
    items: Vec<Box<str>>,
    held: Vec<u64>,
    /// Of each item the others that are in baskets with it.
    rows: Vec<Vec<(u32, u32)>>,
}

impl Pairs {
    /// An item; they come in the order of their ids, and before all pairs.
    fn add_item(&mut self, item: &[u8], count: u64) {
        self.items.push(String::from_utf8_lossy(item).into());
        self.held.push(count);
        self.rows.push(Vec::new());
    }

    fn add_pair(&mut self, item: &str, other: &str, count: u64) {
        if let (Some(item), Some(other)) = (self.place(item), self.place(other)) {
            self.rows[item].push((other as u32, count as u32));
        }
    }

    fn place(&self, item: &str) -> Option<usize> {
        self.items.binary_search_by(|known| (**known).cmp(item)).ok()
    }

    /// The same sums as of what is read, in the same order.
    fn together_with(&self, items: &[&str]) -> Vec<(u32, f64)> {
        let mut sums = vec![0.0_f64; self.items.len()];
        let mut touched = Vec::new();
        for item in items.iter().filter_map(|item| self.place(item)) {
            let root = (self.held[item].max(1) as f64).sqrt();
            for (other, count) in &self.rows[item] {
                let sum = &mut sums[*other as usize];
                if *sum == 0.0 {
                    touched.push(*other);
                }
                *sum += f64::from(*count) / root;
            }
        }
        let score = |place: u32| sums[place as usize] / (self.held[place as usize].max(1) as f64).sqrt();
        let mut scored: Vec<(u32, f64)> = touched.into_iter().map(|place| (place, score(place))).collect();
        scored.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        scored
    }
}

impl Past {
    /// The ids of the items in the member's basket, sorted.
    pub fn basket(&self, size: usize) -> Vec<&str> {
        let states: Vec<_> = self.states().map(|(_, state)| *state).collect();
        let name = |item| self.name(item);
        let mut items: Vec<&str> =
            basket(&states, size, |a, b| name(a).cmp(name(b))).into_iter().map(name).collect();
        items.sort_unstable();
        items
    }
}

impl Serving<'_> {
    /// Why nothing is known here of what is seen together.
    pub(super) fn no_together(&self) -> Option<&'static str> {
        match () {
            () if self.config().lists.basket == 0 => Some("`lists.basket` is 0 in the config"),
            () if self.lacks(Table::Together) => {
                Some("this folder was made by an earlier release: start `nearline run` once")
            }
            () if self.standing.pending => Some("the lists are being made anew"),
            () if self.standing.made_with(self.config().meaning_hash()).is_err() => {
                Some("the folder was made with another config")
            }
            () => None,
        }
    }

    /// Items by the sum of their likenesses to some, which are sorted by id: the greatest first, then by id. Sums run in
    /// the order of the ids, so that they depend on nothing else.
    pub(super) fn together_with(&self, items: &[&str]) -> Result<Likely, ServingError> {
        if let Some(pairs) = self.known.pairs(self.standing.epoch) {
            let scored = pairs.together_with(items);
            return Ok(Likely::Known(pairs, scored));
        }
        let mut sums: HashMap<String, f64> = HashMap::new();
        for item in items {
            let held = self.baskets_with(item)?;
            if held == 0 {
                continue;
            }
            let root = (held as f64).sqrt();
            self.each_other(item, &mut |other, count| {
                let more = count as f64 / root;
                match sums.get_mut(other) {
                    Some(sum) => *sum += more,
                    None => drop(sums.insert(other.to_owned(), more)),
                }
            })?;
        }
        let mut scored: Vec<(String, f64)> = sums.into_iter().collect();
        scored.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.divide_by_roots(&mut scored)?;
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(Likely::Read(scored))
    }

    /// Keeps all counts of this epoch in memory, for whoever asks for many members.
    pub(super) fn keep_pairs(&self) -> Result<(), ServingError> {
        let mut pairs = Pairs::default();
        recover::each(self.tables, Table::Together, &mut |key, value| {
            let count = formats::decode_count(Table::Together, key, value)?;
            match key.split_first() {
                Some((b'i', item)) => pairs.add_item(item, count),
                _ => {
                    let (item, other) = formats::together_pair(key)?;
                    pairs.add_pair(item, other, count);
                }
            }
            Ok(())
        })?;
        self.known.keep_pairs(self.standing.epoch, pairs);
        Ok(())
    }

    /// Divides sums of items, sorted by id, by the roots of how many baskets hold them.
    fn divide_by_roots(&self, scored: &mut [(String, f64)]) -> Result<(), StoreError> {
        if scored.len() <= ONE_BY_ONE {
            for (item, sum) in scored {
                *sum /= (self.baskets_with(item)?.max(1) as f64).sqrt();
            }
            return Ok(());
        }
        let (mut prefix, mut place, mut damage) = (Vec::new(), 0, None);
        formats::together_key("", None, &mut prefix);
        self.tables.scan(Table::Together, &prefix, &prefix, &mut |key, value| {
            let item = &key[prefix.len()..];
            while scored.get(place).is_some_and(|(wanted, _)| wanted.as_bytes() < item) {
                place += 1;
            }
            match scored.get_mut(place) {
                Some((wanted, sum)) if wanted.as_bytes() == item => {
                    match formats::decode_count(Table::Together, key, value) {
                        Ok(count) => *sum /= (count.max(1) as f64).sqrt(),
                        Err(error) => damage = Some(error),
                    }
                    ControlFlow::Continue(())
                }
                Some(_) => ControlFlow::Continue(()),
                None => ControlFlow::Break(()),
            }
        })?;
        damage.map_or(Ok(()), Err)
    }

    /// How many baskets hold an item.
    fn baskets_with(&self, item: &str) -> Result<u64, StoreError> {
        let mut key = Vec::new();
        formats::together_key(item, None, &mut key);
        let count = self.tables.get(Table::Together, &key)?;
        count.map_or(Ok(0), |count| formats::decode_count(Table::Together, &key, &count))
    }

    /// Shows the items that are in baskets with one, with how many baskets hold both, in the order of their ids.
    fn each_other(&self, item: &str, show: &mut dyn FnMut(&str, u64)) -> Result<(), StoreError> {
        let (mut prefix, mut damage) = (Vec::new(), None);
        formats::together_key(item, Some(""), &mut prefix);
        self.tables.scan(Table::Together, &prefix, &prefix, &mut |key, value| {
            let read = formats::together_other(key, prefix.len())
                .and_then(|other| Ok((other, formats::decode_count(Table::Together, key, value)?)));
            match read {
                Ok((other, count)) => {
                    show(other, count);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    damage = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        damage.map_or(Ok(()), Err)
    }
}
