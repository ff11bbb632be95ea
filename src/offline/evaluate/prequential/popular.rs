//! Popularity as it is at any moment of the walk.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use nearline_dataflows::kinds::Kinds;
use nearline_dataflows::profile::ItemState;
use nearline_dataflows::types::{Event, Item};

use crate::offline::evaluate::lists::left_out;

/// Items by how many events of positive weight there were so far, most first, ties by id.
pub struct Popular {
    counts: Vec<u64>,
    /// Each item's place in the order of ids.
    order: Vec<u32>,
    /// The items in that order.
    items: Vec<Item>,
    ranked: BTreeSet<(Reverse<u64>, u32)>,
}

impl Popular {
    /// Nothing has come yet. `items` are in the order of their ids.
    pub fn new(items: Vec<Item>) -> Self {
        let mut order = vec![0; items.len()];
        items.iter().zip(0..).for_each(|(item, place)| order[item.index()] = place);
        Popular { counts: vec![0; items.len()], order, items, ranked: BTreeSet::new() }
    }

    /// An item's place in the order of ids.
    pub fn order(&self, item: Item) -> u32 {
        self.order[item.index()]
    }

    /// These events have come.
    pub fn learn(&mut self, events: &[Event], kinds: &Kinds) {
        for event in events.iter().filter(|event| kinds.weight_of(event) > 0) {
            let (count, place) = (&mut self.counts[event.item.index()], self.order[event.item.index()]);
            self.ranked.remove(&(Reverse(*count), place));
            *count += 1;
            self.ranked.insert((Reverse(*count), place));
        }
    }

    /// The first `k` that a member of this profile may be shown.
    pub fn list(&self, states: &[ItemState], k: usize) -> Vec<Item> {
        let items = self.ranked.iter().map(|(_, place)| self.items[*place as usize]);
        items.filter(|item| !left_out(states, *item)).take(k).collect()
    }
}
