//! How alike the lists of different members are: what no measure of hits tells. Where regularisation leaves factors one
//! dimension, everybody has the same list but for what is left out of it, and that list may be a good one.
//!
//! The yardstick are lists by popularity, which *are* one list but for what is left out: what the lists of two members
//! have in common is compared with what theirs by popularity have in common.

use std::collections::HashMap;

use nearline_dataflows::types::Item;
use serde::{Deserialize, Serialize};

/// How many places of a list are looked at, where there are many times as many items.
const PLACES: usize = 20;

/// No more than one item in so many is looked at: of few items any two lists have most in common.
const ONE_IN: usize = 5;

/// From this part on of what lists by popularity have in common, lists are nearly one.
const NEARLY_ONE: f64 = 0.9;

/// Gathers one list of each member.
#[derive(Debug, Clone, Default)]
pub struct Alike {
    nearline: Common,
    popularity: Common,
}

/// The part of a list's first places that another member's list has among its own, on average over all pairs of members.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    /// In lists of the model.
    pub nearline: f64,
    /// In lists by popularity, of the same members.
    pub popularity: f64,
}

impl Shared {
    /// Whether everybody has nearly the same list.
    pub fn nearly_one(&self) -> bool {
        self.nearline >= NEARLY_ONE * self.popularity
    }
}

impl Alike {
    /// The two lists of a member. `items` are those that lists are made of.
    pub fn add(&mut self, nearline: &[Item], popularity: &[Item], items: usize) {
        let places = (items / ONE_IN).clamp(1, PLACES);
        self.nearline.add(nearline, places);
        self.popularity.add(popularity, places);
    }

    /// Adds what another has gathered of other members.
    pub fn merge(&mut self, other: &Alike) {
        self.nearline.merge(&other.nearline);
        self.popularity.merge(&other.popularity);
    }

    /// What lists have in common; none of fewer than two.
    pub fn shared(&self) -> Option<Shared> {
        Some(Shared { nearline: self.nearline.part()?, popularity: self.popularity.part()? })
    }
}

/// How many lists have which item.
#[derive(Debug, Clone, Default)]
struct Common {
    lists: u64,
    counts: HashMap<Item, u64>,
}

impl Common {
    fn add(&mut self, list: &[Item], places: usize) {
        self.lists += 1;
        list.iter().take(places).for_each(|item| *self.counts.entry(*item).or_default() += 1);
    }

    fn merge(&mut self, other: &Common) {
        self.lists += other.lists;
        other.counts.iter().for_each(|(item, count)| *self.counts.entry(*item).or_default() += count);
    }

    /// Of the places of all lists, each seen from every other list, the part whose item is there too. In integers, so
    /// that no order of adding matters.
    fn part(&self) -> Option<f64> {
        let places: u64 = self.counts.values().sum();
        let there_too: u64 = self.counts.values().map(|count| count * (count - 1)).sum();
        (self.lists > 1 && places > 0).then(|| there_too as f64 / (places * (self.lists - 1)) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(numbers: impl IntoIterator<Item = u32>) -> Vec<Item> {
        numbers.into_iter().map(Item).collect()
    }

    #[test]
    fn what_lists_share_is_the_mean_over_pairs_of_members() {
        let mut alike = Alike::default();
        assert_eq!(alike.shared(), None);
        for list in [[1, 2, 9], [2, 3, 9], [4, 5, 9]] {
            let mut one = Alike::default();
            // Of ten items two places are looked at.
            one.add(&items(list), &items([7, 8]), 10);
            assert_eq!(one.shared(), None, "one list is like no other");
            alike.merge(&one);
        }
        // Of three pairs of lists of two items one pair has one in common.
        let shared = alike.shared().unwrap();
        assert_eq!(shared, Shared { nearline: 1.0 / 6.0, popularity: 1.0 });
        assert!(!shared.nearly_one());
    }

    #[test]
    fn lists_that_differ_by_what_is_left_out_are_nearly_one() {
        let mut alike = Alike::default();
        for member in 0..10 {
            let own = |from: u32| items((from..from + 60).filter(|item| item % 10 != member).take(20));
            alike.add(&own(0), &own(100), 1000);
        }
        let shared = alike.shared().unwrap();
        assert!(shared.nearly_one() && shared.nearline > 0.8 && shared.nearline < 1.0, "{shared:?}");
        for member in 0..10 {
            alike.add(&items(30 * member..30 * member + 20), &items(100..120), 1000);
        }
        assert!(!alike.shared().unwrap().nearly_one());
    }
}
