//! From records with external ids to numbered ones, epoch by epoch.
//!
//! The one place where ids get numbers. An epoch that is open collects the records of its batches and what each
//! worker is to be fed; closing it is the engine's business.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use nearline_dataflows::clusters::Known;
use nearline_dataflows::types::{
    Action, Country, Event, Item, ItemVersion, Kind, List, LookUps, Member, Op, Place, Placement, Variant,
};

use super::event_digests::EventDigests;
use super::peers::NewNames;
use super::placement::Said;
use crate::dictionary::{Dictionary, ItemNames, Names, Places};
use crate::digests::{DigestKey, hex};
use crate::processes::hash;
use crate::records::{self, Record};
use crate::sources::{Batch, Offset, Reason, Rejected};
use crate::stores::formats::TombstoneValue;
use crate::variants::{Assigned, Variants};

/// How many records ahead the places of their ids are fetched.
const AHEAD: usize = 8;
/// Marks an op that stands for no record of the epoch.
const NO_SEQ: u32 = nearline_dataflows::types::KNOWN;

/// What one worker is fed for one epoch.
#[derive(Debug, Default)]
pub struct WorkerFeed {
    /// Records of its members.
    pub ops: Vec<Op>,
    /// Versions of items.
    pub items: Vec<ItemVersion>,
    /// Factors of its members, with new centres of clusters.
    pub known: Vec<Known>,
}

impl WorkerFeed {
    /// With room for as much as the epoch before brought.
    pub fn with_capacity(ops: usize) -> Self {
        WorkerFeed { ops: Vec::with_capacity(ops + ops / 16), ..WorkerFeed::default() }
    }
}

/// Where a record of the epoch lies, and what it is recognised by.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Which of the epoch's batches.
    pub batch: u32,
    /// Which of the batch's records.
    pub index: u32,
    /// Whose; `u32::MAX` where it is no member's.
    pub member: u32,
    /// The event's digest; zeros where it has none.
    pub digest: [u64; 2],
}

/// The records of an epoch, for the store.
#[derive(Debug, Default)]
pub struct EpochRecords {
    /// The batches that the slots point into.
    pub batches: Vec<Arc<Batch>>,
    /// One for each record, by its `seq`.
    pub slots: Vec<Slot>,
    /// How far each source is read with this epoch.
    pub offsets: Vec<(Arc<str>, Offset)>,
    /// Lines that could not be taken, by source.
    pub rejected: Vec<(Arc<str>, Rejected)>,
    /// Tombstones that were imported, by keyed digest of the member.
    pub tombstones: Vec<([u8; 16], TombstoneValue)>,
    /// Members of other processes that are forgotten with it: lines that could not be taken may hold their ids here.
    pub elsewhere: Vec<String>,
    /// How many of the records nobody sent: trims on the way to one.
    pub on_the_way: u64,
    /// When the first of them was taken in.
    pub opened: Option<Instant>,
}

impl EpochRecords {
    /// With room for as many records as the epoch before brought.
    pub fn with_capacity(records: usize) -> Self {
        EpochRecords { slots: Vec::with_capacity(records), ..EpochRecords::default() }
    }

    /// The normal form of a slot's record.
    pub fn bytes(&self, slot: &Slot) -> &[u8] {
        self.batches[slot.batch as usize].bytes(slot.index as usize)
    }

    /// The record of a slot.
    pub fn record(&self, slot: &Slot) -> Record<'_> {
        records::decode(self.bytes(slot)).expect("a batch holds records in normal form")
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
            && self.offsets.is_empty()
            && self.rejected.is_empty()
            && self.tombstones.is_empty()
    }
}

/// The ids of everything, by number, as the committer needs them.
#[derive(Clone)]
pub struct AllNames {
    /// Members.
    pub members: Arc<Names>,
    /// Items.
    pub items: Arc<Names>,
    /// Kinds.
    pub kinds: Arc<Names>,
    /// Countries.
    pub countries: Arc<Names>,
    /// Lists.
    pub lists: Arc<Names>,
    /// Variants.
    pub variants: Arc<Names>,
}

/// Numbers ids and sorts records out to workers.
pub struct Ingest {
    key: DigestKey,
    /// The same, for whoever makes digests elsewhere.
    shared_key: Arc<RwLock<DigestKey>>,
    members: Dictionary,
    /// By member number: the fixed hash of the external id.
    routes: Vec<u32>,
    items: Dictionary,
    kinds: Dictionary,
    /// Of countries, lists and variants 0 is the empty one: none.
    countries: Dictionary,
    lists: Dictionary,
    variants: Dictionary,
    places: Places,
    /// The member that was met last, and its number.
    last_member: (String, Member),
    /// The kind that was met last, and its number.
    last_kind: (String, Kind),
    /// Tombstones of members that have not been met by name, by keyed digest.
    dormant: HashMap<[u8; 16], TombstoneValue>,
    /// Whether no record was ever taken: only then may a key be imported.
    pristine: bool,
    /// Why records of the batch that was taken last were refused here, behind the source.
    pub refused: Vec<String>,
    /// What the next epoch brings so far.
    pub records: EpochRecords,
    /// What each worker will be fed.
    pub feeds: Vec<WorkerFeed>,
    /// Of how many processes this is one: a member's hash says first which process, then which worker.
    processes: usize,
}

impl Ingest {
    /// For a folder with this key. `kinds` are the configured ones, in the order of their numbers.
    pub fn new(key: DigestKey, kinds: &[String], workers: usize, pristine: bool) -> Self {
        let mut known = Dictionary::default();
        for kind in kinds {
            known.number(kind);
        }
        let none = || {
            let mut names = Dictionary::default();
            names.number("");
            names
        };
        Ingest {
            shared_key: Arc::new(RwLock::new(key.clone())),
            key,
            members: Dictionary::default(),
            routes: Vec::new(),
            items: Dictionary::default(),
            kinds: known,
            countries: none(),
            lists: none(),
            variants: none(),
            places: Places::default(),
            last_member: (String::new(), Member(0)),
            last_kind: (String::new(), Kind(0)),
            dormant: HashMap::new(),
            pristine,
            refused: Vec::new(),
            records: EpochRecords::default(),
            feeds: (0..workers).map(|_| WorkerFeed::default()).collect(),
            processes: 1,
        }
    }

    /// The same for one of so many processes.
    pub fn of_processes(self, processes: usize) -> Self {
        Ingest { processes, ..self }
    }

    /// Notes the names of a record that have no number.
    pub fn unknown(&self, record: &Record<'_>, new: &mut NewNames) {
        let note = |known: &Dictionary, name: &str, new: &mut BTreeSet<String>| {
            if known.get(name).is_none() && !new.contains(name) {
                new.insert(name.to_owned());
            }
        };
        match record {
            Record::Event(event) | Record::Retract(event) => {
                note(&self.items, event.item, &mut new.items);
                if event.kind != self.last_kind.0 {
                    note(&self.kinds, event.kind, &mut new.kinds);
                }
                if self.places.get(event.context).is_none() {
                    let said = Said::of(event.context);
                    note(&self.countries, &said.country, &mut new.countries);
                    note(&self.lists, &said.list, &mut new.lists);
                    note(&self.variants, &said.variant, &mut new.variants);
                }
            }
            Record::Item(version) => note(&self.items, version.item, &mut new.items),
            _ => {}
        }
    }

    /// Gives new names their numbers, in order.
    pub fn learn(&mut self, names: &NewNames) {
        let numbered = [
            (&mut self.items, &names.items),
            (&mut self.countries, &names.countries),
            (&mut self.lists, &names.lists),
            (&mut self.variants, &names.variants),
        ];
        for (known, new) in numbered {
            for name in new {
                known.number(name);
            }
        }
        // Beyond that many a record is refused by whoever takes it.
        let room = usize::from(u16::MAX) + 1 - self.kinds.len().min(usize::from(u16::MAX) + 1);
        for name in names.kinds.iter().take(room) {
            self.kinds.number(name);
        }
    }

    /// The ids by number, to share.
    pub fn names(&self) -> AllNames {
        AllNames {
            members: self.members.names(),
            items: self.items.names(),
            kinds: self.kinds.names(),
            countries: self.countries.names(),
            lists: self.lists.names(),
            variants: self.variants.names(),
        }
    }

    /// What the graph looks up by number. `variants` are those that members are dealt to, where there are some.
    pub fn look_ups(&self, variants: Option<Variants>) -> LookUps {
        let digests = EventDigests {
            key: self.shared_key.clone(),
            members: self.members.names(),
            items: self.items.names(),
            kinds: self.kinds.names(),
            places: self.places.table(),
        };
        LookUps {
            ids: Arc::new(ItemNames(self.items.names())),
            placements: self.places.table(),
            assignment: Arc::new(Assigned { members: self.members.names(), variants }),
            digests: Arc::new(digests),
        }
    }

    /// Feeds a member's factor to the member's worker with the next epoch; nothing of who was never met.
    pub fn known(&mut self, member: &str, standby: bool, factor: Vec<f32>) {
        let Some(number) = self.members.get(member) else { return };
        let worker = self.worker(Member(number));
        let known = Known { member: Member(number), standby, factor: factor.into() };
        self.feeds[worker].known.push(known);
    }

    /// The number of an item, for a model's items.
    pub fn item(&mut self, id: &str) -> Item {
        Item(self.items.number(id))
    }

    /// How many members have been met.
    pub fn members_met(&self) -> usize {
        self.members.len()
    }

    /// The key of the folder; an import may have changed it.
    pub fn key(&self) -> &DigestKey {
        &self.key
    }

    /// Remembers what keeps a forgotten member's old events out, until the member is met.
    pub fn remember(&mut self, member: [u8; 16], tombstone: TombstoneValue) {
        self.dormant.entry(member).or_insert_with(TombstoneValue::nothing).merge(tombstone);
    }

    /// Takes records of a batch from `from` on, at most `limit`; says up to which it came. With the batch's last
    /// record its offset and its rejected lines are taken too.
    pub fn take(&mut self, batch: &Arc<Batch>, from: usize, limit: usize) -> usize {
        self.take_checking(batch, from, limit).unwrap_or_else(|index| {
            unreachable!("record {index} of a batch of {} is not in normal form", batch.source)
        })
    }

    /// The same of a batch that may hold what is no normal form; says which record is not, all before it being taken.
    pub fn take_checking(&mut self, batch: &Arc<Batch>, from: usize, limit: usize) -> Result<usize, usize> {
        if from == 0 {
            self.refused.clear();
        }
        let end = batch.len().min(from.saturating_add(limit));
        if end > from {
            self.records.batches.push(batch.clone());
        }
        let place = self.records.batches.len().saturating_sub(1) as u32;
        for index in from..end {
            if index + AHEAD < end {
                self.fetch(batch.bytes(index + AHEAD));
            }
            let bytes = batch.bytes(index);
            let record = records::decode(bytes).map_err(|_| index)?;
            let digest = batch.digest(index);
            if let Err((reason, detail)) = self.take_record(&record, bytes, digest, place, index as u32) {
                self.refused.push(detail.clone());
                let rejected = Rejected { line: 0, offset: 0, reason, detail, raw: Vec::new() };
                self.records.rejected.push((batch.source.clone(), rejected));
            }
        }
        if end == batch.len() {
            let rejected = batch.rejected.iter().map(|line| (batch.source.clone(), line.clone()));
            self.records.rejected.extend(rejected);
            if let Some(offset) = &batch.offset {
                self.records.offsets.retain(|(source, _)| *source != batch.source);
                self.records.offsets.push((batch.source.clone(), offset.clone()));
            }
        }
        Ok(end)
    }

    /// Has fetched what will be looked at for a record that comes soon.
    fn fetch(&self, bytes: &[u8]) {
        if let Some((member, item)) = records::event_ids(bytes) {
            self.members.fetch(member);
            self.items.fetch(item);
        }
    }

    fn take_record(
        &mut self,
        record: &Record<'_>,
        bytes: &[u8],
        digest: Option<[u64; 2]>,
        batch: u32,
        index: u32,
    ) -> Result<(), (Reason, String)> {
        let seq = self.records.slots.len() as u32;
        let mut slot = Slot { batch, index, member: u32::MAX, digest: [0, 0] };
        match *record {
            Record::Event(event) | Record::Retract(event) => {
                let kind = self.kind(event.kind)?;
                let member = self.member(event.member);
                let mut packed = Event::new(Item(self.items.number(event.item)), kind, event.at, event.value);
                packed.place = self.place(event.context);
                packed.id = event.id.map_or(0, |id| self.key.id(event.member, id));
                packed.digest = digest.unwrap_or_else(|| self.key.event(bytes));
                (slot.member, slot.digest) = (member.0, packed.digest);
                let retracts = matches!(record, Record::Retract(_));
                let action = if retracts { Action::Retract(packed) } else { Action::Add(packed) };
                self.push(member, seq, action);
            }
            Record::RetractId { member, id } => {
                let digest = self.key.id(member, id);
                let member = self.member(member);
                slot.member = member.0;
                self.push(member, seq, Action::RetractId(digest));
            }
            Record::Forget { member, at } => {
                let member = self.member(member);
                slot.member = member.0;
                self.push(member, seq, Action::Forget(at));
            }
            Record::Trim { at } => {
                for feed in &mut self.feeds {
                    feed.ops.push(Op { member: Member(0), seq: NO_SEQ, action: Action::Trim(at) });
                }
            }
            Record::Item(version) => {
                let item = Item(self.items.number(version.item));
                let body = version.body.as_bytes().to_vec();
                let version = ItemVersion { item, at: version.at, body, withdrawn: version.withdrawn };
                self.feeds[0].items.push(version);
            }
            Record::Tombstone(tombstone) => return self.import_tombstone(tombstone.member, tombstone.body),
            Record::Key(key) => return self.import_key(key),
        }
        self.pristine = false;
        self.records.slots.push(slot);
        Ok(())
    }

    /// Which of this process's workers has a member.
    fn worker(&self, member: Member) -> usize {
        self.routes[member.index()] as usize / self.processes % self.feeds.len()
    }

    fn push(&mut self, member: Member, seq: u32, action: Action) {
        let worker = self.worker(member);
        self.feeds[worker].ops.push(Op { member, seq, action });
    }

    /// The number of a member. One that is met for the first time may have been forgotten before.
    fn member(&mut self, id: &str) -> Member {
        // Read back, and in many a log, a member's records lie together.
        if self.last_member.0 == id {
            return self.last_member.1;
        }
        let known = self.members.len();
        let member = Member(self.members.number(id));
        if self.members.len() > known {
            self.routes.push(hash(id));
            if !self.dormant.is_empty()
                && let Some(tombstone) = self.dormant.remove(&self.key.member(id))
            {
                self.wake(member, tombstone);
            }
        }
        self.last_member.0.clear();
        self.last_member.0.push_str(id);
        self.last_member.1 = member;
        member
    }

    /// Tells a member's worker what may not come back.
    fn wake(&mut self, member: Member, tombstone: TombstoneValue) {
        if tombstone.forget >= 0 {
            self.push(member, NO_SEQ, Action::Forget(tombstone.forget));
        }
        for id in tombstone.ids {
            self.push(member, NO_SEQ, Action::RetractId(id));
        }
        for (digest, at) in tombstone.events {
            self.push(member, NO_SEQ, Action::RetractDigest(digest, at));
        }
    }

    fn kind(&mut self, name: &str) -> Result<Kind, (Reason, String)> {
        // Most events are of the kind of the event before.
        if self.last_kind.0 == name {
            return Ok(self.last_kind.1);
        }
        let number = match self.kinds.get(name) {
            Some(number) => number,
            None if self.kinds.len() > usize::from(u16::MAX) => {
                let detail = format!("there are 65,536 kinds already, and {name:?} would be one more");
                return Err((Reason::TooManyKinds, detail));
            }
            None => self.kinds.number(name),
        };
        self.last_kind = (name.to_owned(), Kind(number as u16));
        Ok(self.last_kind.1)
    }

    fn place(&mut self, context: &str) -> Place {
        if let Some(place) = self.places.get(context) {
            return place;
        }
        let said = Said::of(context);
        let mut placement =
            Placement { country: Country(self.countries.number(&said.country)), ..Placement::default() };
        if !said.list.is_empty() {
            placement.list = List(self.lists.number(&said.list));
            placement.variant = Variant(self.variants.number(&said.variant));
            placement.position = said.position;
        }
        self.places.number(context, placement)
    }

    fn import_tombstone(&mut self, member: &str, body: &str) -> Result<(), (Reason, String)> {
        let refused = |detail: String| (Reason::Tombstone, detail);
        let digest =
            hex::<16>(member).ok_or_else(|| refused("`member` is not 32 hexadecimal digits".into()))?;
        let body: TombstoneBody = serde_json::from_str(body).map_err(|error| refused(error.to_string()))?;
        if body.key != self.key.fingerprint() {
            let detail = "was made under the key of another data folder; put that export's `key` line first, into \
                          an empty folder";
            return Err(refused(detail.into()));
        }
        let tombstone = body.into_value().ok_or_else(|| refused("a digest is not hexadecimal".into()))?;
        self.records.tombstones.push((digest, tombstone.clone()));
        let met = (0..self.members.len() as u32)
            .find(|number| self.key.member(self.members.name(*number)) == digest);
        match met {
            Some(number) => self.wake(Member(number), tombstone),
            None => self.remember(digest, tombstone),
        }
        Ok(())
    }

    fn import_key(&mut self, key: &str) -> Result<(), (Reason, String)> {
        let key =
            hex::<32>(key).ok_or_else(|| (Reason::Key, "`key` is not 64 hexadecimal digits".to_owned()))?;
        if key == *self.key.bytes() {
            return Ok(());
        }
        if !self.pristine {
            let detail =
                "this folder has records under a key of its own; import into an empty folder".to_owned();
            return Err((Reason::Key, detail));
        }
        self.key = DigestKey::new(key);
        self.shared_key.write().unwrap_or_else(PoisonError::into_inner).clone_from(&self.key);
        Ok(())
    }
}

/// A tombstone as exported.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TombstoneBody {
    /// Digests of retracted events and when these happened.
    pub events: Vec<(String, i64)>,
    /// Everything up to this `at` is forgotten; −1 where nothing is.
    pub forget: i64,
    /// Digests of retracted ids.
    pub ids: Vec<String>,
    /// The fingerprint of the key that the digests are made with.
    pub key: String,
}

impl TombstoneBody {
    /// From the store's form.
    pub fn new(value: &TombstoneValue, key: &DigestKey) -> Self {
        let event = |(digest, at): &([u64; 2], i64)| (format!("{:016x}{:016x}", digest[0], digest[1]), *at);
        TombstoneBody {
            events: value.events.iter().map(event).collect(),
            forget: value.forget,
            ids: value.ids.iter().map(|id| format!("{id:016x}")).collect(),
            key: key.fingerprint(),
        }
    }

    fn into_value(self) -> Option<TombstoneValue> {
        let id = |text: &String| Some(u64::from_be_bytes(hex::<8>(text)?));
        let event = |(text, at): &(String, i64)| {
            let number = u128::from_be_bytes(hex::<16>(text)?);
            Some(([(number >> 64) as u64, number as u64], *at))
        };
        Some(TombstoneValue {
            forget: self.forget,
            ids: self.ids.iter().map(id).collect::<Option<_>>()?,
            events: self.events.iter().map(event).collect::<Option<_>>()?,
        })
    }
}
