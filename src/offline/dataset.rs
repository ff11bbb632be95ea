//! From live events to what a model is trained on: members, items, and a signed weight for each pair of them.
//!
//! Members and items are numbered in the order of their ids as bytes, so the numbers, and with them the model,
//! depend on the set of events alone.

use nearline_dataflows::kinds::Kinds;
use nearline_dataflows::profile::profile;
use nearline_dataflows::transform::Transform;
use nearline_dataflows::types::{Event, Item, Member};
use nearline_factors::{Matrix, MatrixError, Pair};

use super::live::LiveSet;

/// What a model is trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Members with at least one pair, in the order of their ids.
    pub members: Vec<Member>,
    /// Items with at least one pair, in the order of their ids.
    pub items: Vec<Item>,
    /// Where each member's entries begin, and where the last one's end: one more than there are members.
    pub offsets: Vec<usize>,
    /// An item and its signed weight for every pair, each member's sorted by item.
    pub entries: Vec<(u32, f32)>,
    /// How many live events were looked at.
    pub events: u64,
}

/// Stands for "has no pair".
const NONE: u32 = u32::MAX;

impl Dataset {
    /// The pairs of all members: items for which the member has a signal other than zero.
    ///
    /// `keep` picks the events that count, for evaluation; each is shown with its member.
    pub fn new(
        live: &LiveSet,
        kinds: &Kinds,
        transform: Transform,
        keep: impl Fn(Member, &Event) -> bool,
    ) -> Dataset {
        let mut rows = Rows { offsets: vec![0], ..Rows::default() };
        let mut kept: Vec<Event> = Vec::new();
        for member in live.members_by_id() {
            kept.clear();
            kept.extend(live.events(member).iter().filter(|event| keep(member, event)));
            rows.events += kept.len() as u64;
            rows.add(member, &kept, kinds, transform);
        }
        rows.number_items(live)
    }

    /// The pairs of one member, by its place in `members`, as fold-in takes them.
    pub fn pairs_of(&self, place: usize) -> Vec<Pair> {
        let entries = &self.entries[self.offsets[place]..self.offsets[place + 1]];
        entries.iter().map(|(item, weight)| Pair::from_signed(*item, *weight)).collect()
    }

    /// The pairs as training takes them. Never refused: rows are sorted and their weights finite and not zero.
    pub fn matrix(&self) -> Result<Matrix, MatrixError> {
        Matrix::from_rows(self.items.len(), self.offsets.clone(), self.entries.clone())
    }
}

/// Pairs whose items are still numbered as in the live set.
#[derive(Default)]
struct Rows {
    members: Vec<Member>,
    offsets: Vec<usize>,
    signed: Vec<(Item, f32)>,
    events: u64,
}

impl Rows {
    fn add(&mut self, member: Member, events: &[Event], kinds: &Kinds, transform: Transform) {
        let states = profile(events, kinds);
        let signed = states.iter().filter(|state| state.signal != 0);
        let before = self.signed.len();
        self.signed.extend(signed.map(|state| (state.item, transform.weight(state.signal))));
        if self.signed.len() > before {
            self.members.push(member);
            self.offsets.push(self.signed.len());
        }
    }

    fn number_items(self, live: &LiveSet) -> Dataset {
        let mut numbers = vec![NONE; live.items.len()];
        self.signed.iter().for_each(|(item, _)| numbers[item.index()] = 0);
        let mut items: Vec<Item> =
            (0..numbers.len() as u32).map(Item).filter(|item| numbers[item.index()] != NONE).collect();
        items.sort_unstable_by(|a, b| live.items.name(a.0).as_bytes().cmp(live.items.name(b.0).as_bytes()));
        for (place, item) in items.iter().enumerate() {
            numbers[item.index()] = place as u32;
        }
        let entry = |(item, weight): &(Item, f32)| (numbers[item.index()], *weight);
        let mut entries: Vec<(u32, f32)> = self.signed.iter().map(entry).collect();
        for row in self.offsets.windows(2) {
            entries[row[0]..row[1]].sort_unstable_by_key(|(item, _)| *item);
        }
        Dataset { members: self.members, items, offsets: self.offsets, entries, events: self.events }
    }
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
