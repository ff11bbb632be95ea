//! The live events of a log: what is left once every retraction, forget and trim has had its say.
//!
//! A function of the set of records: neither their order nor how often each was sent matters, as in the graph,
//! whose [`History`] does the work here too. Held in memory, 16 bytes an event, 48 where it has a context or an id of its
//! own, and a little for each member.

use std::collections::HashMap;

use nearline_dataflows::history::{Effects, History};
use nearline_dataflows::types::{Action, Digest, Event, Item, Kind, Member, Place};

use super::tombstones::Tombstones;
use crate::dictionary::Dictionary;
use crate::digests::{DigestKey, hex};
use crate::records::{self, ItemVersion, Record};
use crate::sources::Batch;

/// Gathers records into a [`LiveSet`].
pub struct Gatherer {
    key: DigestKey,
    /// Whether a digest was made under `key`: then it can no longer be replaced.
    key_used: bool,
    tombstones: Tombstones,
    trimmed: i64,
    set: LiveSet,
    pending: Vec<(Member, Action)>,
    actions: Vec<(u32, Action)>,
    effects: Effects,
    refused: u64,
}

/// Members with their live events, and the catalogue.
#[derive(Default)]
pub struct LiveSet {
    /// The ids of members, also of those with no live event.
    pub members: Dictionary,
    /// The ids of items, of events and of the catalogue.
    pub items: Dictionary,
    /// The names of kinds: the configured ones first, in the order of their numbers.
    pub kinds: Dictionary,
    histories: Vec<History>,
    catalogue: HashMap<Item, CatalogueEntry>,
    refused: u64,
}

/// The version of an item that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// When it was made, in milliseconds since 1970.
    pub at: i64,
    /// Canonical JSON of title, genres and the like.
    pub body: Box<str>,
    /// Whether the item may no longer be listed.
    pub withdrawn: bool,
}

impl Gatherer {
    /// Starts from nothing. `kinds` are the names of the configured kinds, in the order of their numbers; `key` is
    /// that of the data folder the records come from, and any for logs.
    pub fn new<'a>(kinds: impl IntoIterator<Item = &'a str>, key: DigestKey) -> Self {
        let mut set = LiveSet::default();
        for kind in kinds {
            set.kinds.number(kind);
        }
        Gatherer {
            key,
            key_used: false,
            tombstones: Tombstones::default(),
            trimmed: -1,
            set,
            pending: Vec::new(),
            actions: Vec::new(),
            effects: Effects::default(),
            refused: 0,
        }
    }

    /// Takes the records of a batch. Its rejected lines are the caller's business.
    pub fn take(&mut self, batch: &Batch) {
        for (record, normal) in batch.records() {
            self.take_record(&record, normal);
        }
        // Stable, so what one member did stays together and nothing else is moved.
        self.pending.sort_by_key(|(member, _)| *member);
        self.set.histories.resize_with(self.set.members.len(), History::default);
        for of_member in self.pending.chunk_by(|a, b| a.0 == b.0) {
            self.actions.clear();
            self.actions.extend(of_member.iter().map(|(_, action)| (0, *action)));
            let member = of_member[0].0;
            let mut history = std::mem::take(&mut self.set.histories[member.index()]);
            let digest = |event: &Event| self.set.digest(&self.key, member, event);
            history.apply(&self.actions, digest, &mut self.effects);
            self.set.histories[member.index()] = history;
            self.effects.clear();
        }
        self.pending.clear();
    }

    fn take_record(&mut self, record: &Record<'_>, normal: &[u8]) {
        match *record {
            Record::Event(event) | Record::Retract(event) => {
                let Some(kind) = self.kind(event.kind) else {
                    self.refused += 1;
                    return;
                };
                self.key_used = true;
                let member = Member(self.set.members.number(event.member));
                let item = Item(self.set.items.number(event.item));
                let mut packed = Event::new(item, kind, event.at, event.value);
                if !event.context.is_empty() {
                    packed.place = Place::saying_less(0);
                }
                packed.id = event.id.map_or(0, |id| self.key.id(event.member, id));
                packed.digest = self.key.event(normal);
                match record {
                    Record::Retract(_) => self.pending.push((member, Action::Retract(packed))),
                    _ if event.at > self.trimmed => self.pending.push((member, Action::Add(packed))),
                    _ => {}
                }
            }
            Record::RetractId { member, id } => {
                self.key_used = true;
                let id = self.key.id(member, id);
                self.act(member, Action::RetractId(id));
            }
            Record::Forget { member, at } => self.act(member, Action::Forget(at)),
            Record::Trim { at } => self.trimmed = self.trimmed.max(at),
            Record::Item(version) => self.set.take_version(&version),
            Record::Tombstone(tombstone) => {
                self.key_used = true;
                self.refused += u64::from(!self.tombstones.take(&tombstone, &self.key));
            }
            Record::Key(key) => match hex(key).map(DigestKey::new) {
                Some(key) if !self.key_used || key.bytes() == self.key.bytes() => self.key = key,
                _ => self.refused += 1,
            },
        }
    }

    fn act(&mut self, member: &str, action: Action) {
        let member = Member(self.set.members.number(member));
        self.pending.push((member, action));
    }

    fn kind(&mut self, name: &str) -> Option<Kind> {
        let kinds = &mut self.set.kinds;
        let number = kinds.get(name).or_else(|| {
            // Numbers of kinds have 16 bits.
            (kinds.len() <= usize::from(u16::MAX)).then(|| kinds.number(name))
        })?;
        Some(Kind(number as u16))
    }

    /// What is live once all records are taken.
    pub fn finish(mut self) -> LiveSet {
        if !self.tombstones.is_empty() {
            let mut histories = std::mem::take(&mut self.set.histories);
            for (history, member) in histories.iter_mut().zip((0..).map(Member)) {
                let of_member = self.key.member(self.set.members.name(member.0));
                self.actions.clear();
                self.actions.extend(self.tombstones.of(&of_member).map(|action| (0, action)));
                let digest = |event: &Event| self.set.digest(&self.key, member, event);
                history.apply(&self.actions, digest, &mut self.effects);
                self.effects.clear();
            }
            self.set.histories = histories;
        }
        if self.trimmed >= 0 {
            for history in &mut self.set.histories {
                history.trim(self.trimmed, &mut self.effects);
                self.effects.clear();
            }
        }
        self.set.refused = self.refused;
        self.set
    }
}

impl LiveSet {
    /// What is live in these batches.
    pub fn gather<'a>(
        kinds: impl IntoIterator<Item = &'a str>,
        batches: impl IntoIterator<Item = Batch>,
    ) -> LiveSet {
        let mut gatherer = Gatherer::new(kinds, DigestKey::new([0; 32]));
        batches.into_iter().for_each(|batch| gatherer.take(&batch));
        gatherer.finish()
    }

    /// The live events of a member, sorted by item; none for a member that was never met.
    pub fn events(&self, member: Member) -> Vec<Event> {
        self.histories.get(member.index()).map_or_else(Vec::new, |history| history.events().collect())
    }

    /// The digest of a member's live event, under the key that it was gathered with.
    pub fn digest(&self, key: &DigestKey, member: Member, event: &Event) -> Digest {
        if event.digest != [0, 0] {
            return event.digest;
        }
        key.event_of(&records::Event {
            member: self.members.name(member.0),
            item: self.items.name(event.item.0),
            kind: self.kinds.name(event.kind().0.into()),
            at: event.at(),
            value: event.value,
            id: None,
            context: "",
        })
    }

    /// The members that have a live event, in the order of their ids.
    pub fn members_by_id(&self) -> Vec<Member> {
        let mut members: Vec<Member> = (0..self.histories.len() as u32)
            .map(Member)
            .filter(|member| !self.histories[member.index()].is_empty())
            .collect();
        members.sort_unstable_by(|a, b| {
            self.members.name(a.0).as_bytes().cmp(self.members.name(b.0).as_bytes())
        });
        members
    }

    /// How many events are live.
    pub fn len(&self) -> usize {
        self.histories.iter().map(|history| history.len()).sum()
    }

    /// Whether no event is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The catalogue: each item's version that holds.
    pub fn catalogue(&self) -> &HashMap<Item, CatalogueEntry> {
        &self.catalogue
    }

    /// How many records could not be used: kinds beyond 65,536, and tombstones or keys of another data folder.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn take_version(&mut self, version: &ItemVersion<'_>) {
        let item = Item(self.items.number(version.item));
        let newer = |known: &CatalogueEntry| (version.at, version.body) > (known.at, &known.body);
        if self.catalogue.get(&item).is_none_or(newer) {
            let ItemVersion { at, body, withdrawn, .. } = *version;
            self.catalogue.insert(item, CatalogueEntry { at, body: body.into(), withdrawn });
        }
    }
}

#[cfg(test)]
mod tests;
