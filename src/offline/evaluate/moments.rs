//! The moments of a member at which something was there to be found, with all that was known just before.

use nearline_dataflows::kinds::{Kinds, Seen};
use nearline_dataflows::profile::profile;
use nearline_dataflows::types::{Event, Item};

/// A moment at which a list is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// The member's events before it, in the order of [`Event`].
    pub before: Vec<Event>,
    /// The items to be found: never empty.
    pub relevant: Vec<Item>,
}

/// The member's moments from `split` on.
///
/// Events of one millisecond are one moment, since neither knew of the other. An item is to be found where these
/// events give it a positive signal and nothing before had to do with it: no event that carries weight, marks seen
/// or hides. What was met before may be listed still, and is no discovery.
pub fn moments(events: &[Event], kinds: &Kinds, split: i64) -> Vec<Moment> {
    let mut by_time: Vec<Event> = events.to_vec();
    by_time.sort_by_key(Event::at);
    let mut before: Vec<Event> = Vec::new();
    let mut met: Vec<Item> = Vec::new();
    let mut moments = Vec::new();
    for now in by_time.chunk_by_mut(|a, b| a.at() == b.at()) {
        now.sort_unstable();
        if now[0].at() >= split {
            let states = profile(now, kinds);
            let relevant: Vec<Item> = states
                .iter()
                .filter(|state| state.signal > 0 && !state.hidden && met.binary_search(&state.item).is_err())
                .map(|state| state.item)
                .collect();
            if !relevant.is_empty() {
                moments.push(Moment { before: before.clone(), relevant });
            }
        }
        before.extend_from_slice(now);
        before.sort();
        met.extend(now.iter().filter(|event| matters(event, kinds)).map(|event| event.item));
        met.sort_unstable();
        met.dedup();
    }
    moments
}

/// Whether an event has to do with its item, rather than being counted only.
fn matters(event: &Event, kinds: &Kinds) -> bool {
    let rule = kinds.rule(event.kind());
    kinds.weight_of(event) != 0 || rule.seen != Seen::No || rule.hides
}
