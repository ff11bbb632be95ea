//! `continue_watching`: what a member has begun and not finished, newest first.
//!
//! The items whose newest play (by `at`, then value) has a value from `from` up to below `below`; equal `at` by
//! item id. Hidden and disliked items are in no list. A function of a member's profile alone.

use crate::profile::ItemState;
use crate::types::{Ids, Item};

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Which item.
    pub item: Item,
    /// When it was last played, in milliseconds since 1970.
    pub at: i64,
    /// The part watched, in millionths.
    pub value: i64,
}

/// What the view is made with.
#[derive(Clone)]
pub struct ProgressOptions {
    /// The least part watched, in millionths.
    pub from: i64,
    /// The part from which an item is finished, in millionths.
    pub below: i64,
    /// How many entries the list has at most.
    pub length: usize,
    /// For ties.
    pub ids: Ids,
}

/// The list of one member.
pub fn continue_watching(states: &[ItemState], options: &ProgressOptions) -> Vec<Begun> {
    let begun = |state: &ItemState| {
        let (at, value) = state.newest?;
        let listed = (options.from..options.below).contains(&value) && !state.never_listed();
        listed.then_some(Begun { item: state.item, at, value })
    };
    let mut list: Vec<Begun> = states.iter().filter_map(begun).collect();
    list.sort_unstable_by(|a, b| b.at.cmp(&a.at).then_with(|| options.ids.order(a.item, b.item)));
    list.truncate(options.length);
    list
}
