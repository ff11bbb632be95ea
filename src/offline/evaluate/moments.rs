//! The moments of a member at which something was there to be found, with all that was known just before.

use nearline_dataflows::kinds::{Kinds, Seen};
use nearline_dataflows::profile::{ItemState, profile};
use nearline_dataflows::types::{Event, Item};

/// A moment at which a list is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// The member's events before it, in the order of [`Event`].
    pub before: Vec<Event>,
    /// The items to be found: never empty.
    pub relevant: Vec<Item>,
}

/// What one member did up to a moment.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// The events, in the order of [`Event`].
    pub events: Vec<Event>,
    /// The items that they had to do with, in order.
    met: Vec<Item>,
}

impl Past {
    /// The items that are to be found at the moment of these events, in the order of [`Event`].
    ///
    /// They are those to which these events give a positive signal and with which nothing before had to do: no event
    /// that carries weight, marks seen or hides. What was met before may be listed still, and is no discovery.
    pub fn wanted(&self, now: &[Event], kinds: &Kinds) -> Vec<Item> {
        let states = profile(now, kinds);
        let found = |state: &&ItemState| {
            state.signal > 0 && !state.hidden && self.met.binary_search(&state.item).is_err()
        };
        states.iter().filter(found).map(|state| state.item).collect()
    }

    /// The moment has passed.
    pub fn learn(&mut self, now: &[Event], kinds: &Kinds) {
        self.events.extend_from_slice(now);
        self.events.sort();
        self.met.extend(now.iter().filter(|event| matters(event, kinds)).map(|event| event.item));
        self.met.sort_unstable();
        self.met.dedup();
    }
}

/// The member's moments from `split` on. Events of one millisecond are one moment, since neither knew of the other.
pub fn moments(events: &[Event], kinds: &Kinds, split: i64) -> Vec<Moment> {
    let mut by_time: Vec<Event> = events.to_vec();
    by_time.sort_by_key(Event::at);
    let mut past = Past::default();
    let mut moments = Vec::new();
    for now in by_time.chunk_by_mut(|a, b| a.at() == b.at()) {
        now.sort_unstable();
        if now[0].at() >= split {
            let relevant = past.wanted(now, kinds);
            if !relevant.is_empty() {
                moments.push(Moment { before: past.events.clone(), relevant });
            }
        }
        past.learn(now, kinds);
    }
    moments
}

/// Whether an event has to do with its item, rather than being counted only.
fn matters(event: &Event, kinds: &Kinds) -> bool {
    let rule = kinds.rule(event.kind());
    kinds.weight_of(event) != 0 || rule.seen != Seen::No || rule.hides
}
