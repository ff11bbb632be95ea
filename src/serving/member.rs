//! One member's live events and their sums, from the store.

use std::ops::ControlFlow;

use nearline_dataflows::profile::{ItemState, profile};
use nearline_dataflows::types::{Event, Item, Kind};

use super::Serving;
use crate::dictionary::Dictionary;
use crate::records::{self, Record};
use crate::stores::{Store, StoreError, Table, formats};

/// One live event of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEvent {
    /// On what.
    pub item: String,
    /// What.
    pub kind: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// How much, in millionths.
    pub value: i64,
    /// The event's own id.
    pub id: Option<String>,
    /// Canonical JSON, or nothing.
    pub context: String,
    /// What it weighs for its item, in millionths, before floors.
    pub weight: i64,
}

/// A member's live events, and their sums by item.
#[derive(Debug, Default)]
pub struct Past {
    /// The events, newest first; at one millisecond by item id, kind, value.
    pub events: Vec<PastEvent>,
    states: Vec<ItemState>,
    items: Dictionary,
}

impl Past {
    /// The sums for an item.
    pub fn of_item(&self, item: &str) -> Option<&ItemState> {
        let number = Item(self.items.get(item)?);
        self.states.iter().find(|state| state.item == number)
    }

    /// The sums, with the items' ids.
    pub fn states(&self) -> impl Iterator<Item = (&str, &ItemState)> {
        self.states.iter().map(|state| (self.items.name(state.item.0), state))
    }
}

impl Serving {
    /// Reads a member's past.
    pub fn past(&self, member: &str) -> Result<Past, StoreError> {
        let mut past = Past::default();
        let mut packed = Vec::new();
        let mut prefix = Vec::new();
        formats::member_prefix(member, &mut prefix);
        prefix.push(b'e');
        let mut normal = Vec::new();
        let mut damage = None;
        self.store.scan(Table::Records, &prefix, &prefix, &mut |key, value| {
            match formats::record_of(key, value, &mut normal) {
                Ok(()) => self.add(&normal, &mut past, &mut packed),
                Err(error) => damage = Some(error),
            }
            ControlFlow::Continue(())
        })?;
        if let Some(damage) = damage {
            return Err(damage);
        }
        packed.sort_unstable();
        past.states = profile(&packed, &self.kinds.kinds);
        past.events.sort_by(|a, b| {
            b.at.cmp(&a.at).then_with(|| (&a.item, &a.kind, a.value).cmp(&(&b.item, &b.kind, b.value)))
        });
        Ok(past)
    }

    fn add(&self, normal: &[u8], past: &mut Past, packed: &mut Vec<Event>) {
        let Ok(Record::Event(event)) = records::decode(normal) else { return };
        // A kind that is not configured is counted and nothing more, whichever number it gets.
        let kind = self.kinds.number(event.kind).unwrap_or(Kind(u16::MAX));
        let item = Item(past.items.number(event.item));
        past.events.push(PastEvent {
            item: event.item.to_owned(),
            kind: event.kind.to_owned(),
            at: event.at,
            value: event.value,
            id: event.id.map(str::to_owned),
            context: event.context.to_owned(),
            weight: self.kinds.kinds.rule(kind).weight_of(event.value),
        });
        packed.push(Event::new(item, kind, event.at, event.value));
    }
}
