//! One member's live events and their sums, from the store.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use nearline_dataflows::profile::{ItemState, profile};
use nearline_dataflows::types::{Event, Item, Kind};

use super::{Serving, ServingError};
use crate::config::KindTable;
use crate::dictionary::Dictionary;
use crate::records::{self, MAX_ID, Record, format_micros};
use crate::stores::{StoreError, Table, formats};

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
    /// In the order of the items' numbers.
    states: Vec<ItemState>,
    items: Dictionary,
}

impl Past {
    /// The sums for an item.
    pub fn of_item(&self, item: &str) -> Option<&ItemState> {
        let number = Item(self.items.get(item)?);
        let place = self.states.binary_search_by_key(&number, |state| state.item).ok()?;
        Some(&self.states[place])
    }

    /// Whether an item is in no list of what the member might like: seen, hidden or disliked.
    pub fn leaves_out(&self, item: &str) -> bool {
        self.of_item(item).is_some_and(|state| state.seen || state.never_listed())
    }

    /// The id of an item.
    pub fn name(&self, item: Item) -> &str {
        self.items.name(item.0)
    }

    /// The sums, with the items' ids.
    pub fn states(&self) -> impl Iterator<Item = (&str, &ItemState)> {
        self.states.iter().map(|state| (self.items.name(state.item.0), state))
    }
}

/// One live event in an answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HistoryEvent {
    /// On what.
    pub item: String,
    /// The item's title, where the catalogue has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub title: Option<Arc<str>>,
    /// What.
    pub kind: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// How much.
    #[schema(value_type = f64)]
    pub value: Number,
    /// What it weighs for its item, before floors.
    #[schema(value_type = f64)]
    pub weight: Number,
    /// The event's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub context: Option<serde_json::Value>,
}

/// A member's live events, and how fresh they are.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HistoryAnswer {
    /// Whose.
    pub member: String,
    /// The events, newest first.
    pub events: Vec<HistoryEvent>,
    /// How many there are, beyond those that are shown.
    pub live_events: u64,
    /// The epoch that it is read from.
    pub epoch: u64,
    /// The newest event that it covers, in milliseconds since 1970.
    pub as_of: Option<i64>,
}

/// Millionths as a decimal, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub i64);

impl std::fmt::Display for Number {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&format_micros(self.0))
    }
}

impl Serialize for Number {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let exact = serde_json::value::RawValue::from_string(self.to_string());
        exact.map_err(serde::ser::Error::custom)?.serialize(to)
    }
}

impl Serving<'_> {
    /// A member's live events, `limit` of them at most.
    pub fn history(&self, member: &str, limit: Option<usize>) -> Result<HistoryAnswer, ServingError> {
        let past = self.past(member)?;
        let live_events = past.events.len() as u64;
        let mut events = Vec::new();
        for event in past.events.into_iter().take(limit.unwrap_or(usize::MAX)) {
            events.push(HistoryEvent {
                title: self.title(&event.item)?,
                context: serde_json::from_str(&event.context).ok(),
                value: Number(event.value),
                weight: Number(event.weight),
                item: event.item,
                kind: event.kind,
                at: event.at,
                id: event.id,
            });
        }
        let (epoch, as_of) = (self.standing.epoch, self.standing.now);
        Ok(HistoryAnswer { member: member.to_owned(), events, live_events, epoch, as_of })
    }

    /// Members with live events or retractions whose ids begin with a text, in the order of their ids.
    pub fn members(&self, beginning: &str, limit: usize) -> Result<Vec<String>, ServingError> {
        let mut found = Vec::new();
        // Keys begin with the length of the id.
        for length in beginning.len().max(1)..=MAX_ID {
            let prefix = [&[(length - 1) as u8], beginning.as_bytes()].concat();
            let (mut from, mut of_length) = (prefix.clone(), 0);
            while of_length < limit {
                let mut next = None;
                self.tables.scan(Table::Records, &prefix, &from, &mut |key, _| {
                    next = key.get(..=length).map(<[u8]>::to_vec);
                    ControlFlow::Break(())
                })?;
                let Some(mut key) = next else { break };
                found.push(String::from_utf8_lossy(&key[1..]).into_owned());
                of_length += 1;
                key.push(0xff);
                from = key;
            }
        }
        found.sort_unstable();
        found.truncate(limit);
        Ok(found)
    }

    /// Shows every member that has live events.
    pub(super) fn each_member(&self, show: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        let mut from = Vec::new();
        loop {
            let mut next = None;
            self.tables.scan(Table::Records, &[], &from, &mut |key, _| {
                next = Some(key.to_vec());
                ControlFlow::Break(())
            })?;
            // A member's first record is a live event, where there is one.
            let Some(key) = next else { return Ok(()) };
            let length = key.first().map_or(0, |length| usize::from(*length) + 1);
            let Some(id) = key.get(1..=length) else {
                return Err(formats::damaged(Table::Records, &key, "is cut off"));
            };
            if key.get(length + 1) == Some(&b'e') {
                show(&String::from_utf8_lossy(id));
            }
            from = [&key[..=length], &[0xff]].concat();
        }
    }

    /// Reads a member's past.
    pub fn past(&self, member: &str) -> Result<Past, ServingError> {
        self.past_with(member, &[])
    }

    /// Reads a member's past, with events that are in no log yet.
    pub fn past_with(&self, member: &str, more: &[PastEvent]) -> Result<Past, ServingError> {
        let mut past = Past::default();
        if member.is_empty() {
            // Nobody in particular, as for what is trending: no member has such an id, and no key.
            return Ok(past);
        }
        let kinds = self.kinds_of(member)?;
        let mut packed = Vec::new();
        let mut prefix = Vec::new();
        formats::member_prefix(member, &mut prefix);
        prefix.push(b'e');
        let mut normal = Vec::new();
        let mut damage = None;
        self.tables.scan(Table::Records, &prefix, &prefix, &mut |key, value| {
            match formats::record_of(key, value, &mut normal) {
                Ok(()) => add(&normal, &kinds, &mut past, &mut packed),
                Err(error) => damage = Some(error),
            }
            ControlFlow::Continue(())
        })?;
        if let Some(damage) = damage {
            return Err(damage.into());
        }
        more.iter().for_each(|event| take(event.clone(), &kinds, &mut past, &mut packed));
        packed.sort_unstable();
        past.states = profile(&packed, &kinds.kinds);
        past.events.sort_by(|a, b| {
            b.at.cmp(&a.at).then_with(|| (&a.item, &a.kind, a.value).cmp(&(&b.item, &b.kind, b.value)))
        });
        Ok(past)
    }
}

fn add(normal: &[u8], kinds: &KindTable, past: &mut Past, packed: &mut Vec<Event>) {
    let Ok(Record::Event(event)) = records::decode(normal) else { return };
    let event = PastEvent {
        item: event.item.to_owned(),
        kind: event.kind.to_owned(),
        at: event.at,
        value: event.value,
        id: event.id.map(str::to_owned),
        context: event.context.to_owned(),
        weight: 0,
    };
    take(event, kinds, past, packed);
}

fn take(mut event: PastEvent, kinds: &KindTable, past: &mut Past, packed: &mut Vec<Event>) {
    // A kind that is not configured is counted and nothing more, whichever number it gets.
    let kind = kinds.number(&event.kind).unwrap_or(Kind(u16::MAX));
    event.weight = kinds.kinds.rule(kind).weight_of(event.value);
    packed.push(Event::new(Item(past.items.number(&event.item)), kind, event.at, event.value));
    past.events.push(event);
}
