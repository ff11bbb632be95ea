//! A member's history item by item: the sums that every list is made from.
//!
//! A function of the history and the kinds. Sums are of integers, so they do not depend on any order.

use std::borrow::Borrow;

use crate::kinds::{Kinds, Seen};
use crate::types::{Event, Item, Kind};

/// What a member's live events say about one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemState {
    /// Which item.
    pub item: Item,
    /// The sum of the weights of the live events, in millionths.
    pub signal: i128,
    /// Whether the member has seen the item.
    pub seen: bool,
    /// `at` of the newest event of a kind that marks items as seen, in milliseconds; `i64::MIN` where there is none.
    pub seen_at: i64,
    /// Whether the member hides the item.
    pub hidden: bool,
    /// `at` (milliseconds) and value (millionths) of the newest play, by `at`, then value.
    pub newest: Option<(i64, i64)>,
}

impl ItemState {
    /// Whether the item may be in no list of the member: hidden, or disliked.
    pub fn never_listed(&self) -> bool {
        self.hidden || self.signal < 0
    }
}

/// Sums up a history, item by item, in the order of the items' numbers. `events` are sorted by item.
pub fn profile<E: Borrow<Event>>(events: impl IntoIterator<Item = E>, kinds: &Kinds) -> Vec<ItemState> {
    let (mut sums, mut states) = (KindSums::default(), Vec::new());
    let mut events = events.into_iter().map(|event| *event.borrow()).peekable();
    while let Some(first) = events.next() {
        let others = std::iter::from_fn(|| events.next_if(|event| event.item == first.item));
        states.push(sums.sum_up(first, others, kinds));
    }
    states
}

/// Sums by kind of one item's events. A handful of kinds at most, so a list beats a map.
#[derive(Default)]
struct KindSums(Vec<KindSum>);

struct KindSum {
    kind: Kind,
    weight: i128,
    value: i128,
}

impl KindSums {
    fn sum_up(&mut self, first: Event, others: impl Iterator<Item = Event>, kinds: &Kinds) -> ItemState {
        let mut state = ItemState {
            item: first.item,
            signal: 0,
            seen: false,
            seen_at: i64::MIN,
            hidden: false,
            newest: None,
        };
        self.0.clear();
        for event in std::iter::once(first).chain(others) {
            let kind = event.kind();
            let rule = kinds.rule(kind);
            state.seen |= rule.seen == Seen::Yes;
            state.hidden |= rule.hides;
            if rule.seen != Seen::No {
                state.seen_at = state.seen_at.max(event.at());
            }
            if kinds.is_progress(kind) {
                state.newest = state.newest.max(Some((event.at(), event.value)));
            }
            self.add(kind, rule.weight_of(event.value), event.value);
        }
        for sum in &self.0 {
            let rule = kinds.rule(sum.kind);
            state.signal += rule.floor.map_or(sum.weight, |floor| sum.weight.max(i128::from(floor)));
            state.seen |= rule.seen == Seen::WhilePositive && sum.value > 0;
        }
        state
    }

    fn add(&mut self, kind: Kind, weight: i64, value: i64) {
        let (weight, value) = (i128::from(weight), i128::from(value));
        match self.0.iter_mut().find(|sum| sum.kind == kind) {
            Some(sum) => {
                sum.weight += weight;
                sum.value += value;
            }
            None => self.0.push(KindSum { kind, weight, value }),
        }
    }
}
