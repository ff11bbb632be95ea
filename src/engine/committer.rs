//! The committer: one thread that turns what came out of an epoch into one write, and says when it is on disk.
//!
//! An epoch is whole or absent: its records, changed view entries and source offsets go into one synced
//! transaction. Only while the folder is marked as pending, inside a bulk load or a rebuild, may records and view
//! entries be written ahead of it: records that are read again change nothing, and whoever finds that mark makes the
//! views anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use nearline_dataflows::graph::Delta;
use nearline_dataflows::histories::RecordEffect;
use nearline_dataflows::history::Gone;
use nearline_dataflows::members::Cell;
use nearline_dataflows::types::{Epoch, Member};

use super::held::{self, Held};
use super::ingest::{AllNames, EpochRecords};
use super::recover::Standing;
use crate::digests::DigestKey;
use crate::records::{self, Record, RecordType};
use crate::sources::rejected::RejectedLog;
use crate::stores::formats::{self, CellKey, RecordKind, TombstoneValue, meta};
use crate::stores::{Store, StoreError, Table, Transaction};

/// How many counts of a pending folder are loaded at a time.
const CELLS: usize = 131_072;
/// How many records of a bulk load are loaded at a time.
const GATHERED: usize = 49_152;
/// How long gathered epochs wait for more.
const GATHER: Duration = Duration::from_millis(50);
/// How long the committer waits where it has nothing to do.
const FOREVER: Duration = Duration::from_secs(3_600);
/// Lists of a pending folder are written ahead of their epoch, those of so many members at a time: tens of megabytes.
const AHEAD: usize = 16_384;

/// What the committer does with an epoch's changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All in one synced write.
    Whole,
    /// Inside a bulk load: records are loaded, then offsets written. The views lag behind until the last epoch.
    Bulk,
    /// Ends a bulk load: view entries may be written ahead, the rest in one synced write that lifts the mark.
    EndBulk,
    /// Recovery: the store has all this already.
    Discard,
    /// Recovery of a folder whose views are made anew: no records, only views, written ahead.
    Rebuild,
    /// Ends a rebuild and lifts the mark.
    EndRebuild,
}

impl Mode {
    /// Whether the folder is pending: entries may be loaded before the epoch is whole.
    fn loads(self) -> bool {
        matches!(self, Mode::Bulk | Mode::Rebuild) || self.ends()
    }

    /// Whether the folder is pending no longer after this epoch.
    fn ends(self) -> bool {
        matches!(self, Mode::EndBulk | Mode::EndRebuild)
    }
}

/// What the committer is told.
pub enum ToCommit {
    /// A worker's change of a view.
    Delta {
        /// Which worker.
        worker: usize,
        /// In which epoch.
        epoch: Epoch,
        /// The change.
        delta: Delta,
    },
    /// A worker has said all about an epoch.
    Done {
        /// Which worker.
        worker: usize,
        /// Which epoch.
        epoch: Epoch,
    },
    /// The records of an epoch. Comes before the epoch is fed to the workers.
    Epoch {
        /// Which epoch.
        epoch: Epoch,
        /// Its records.
        records: Box<EpochRecords>,
        /// What to do with it.
        mode: Mode,
        /// How many members have been met.
        members: usize,
    },
    /// What the views are made with from now on.
    Made {
        /// The hash of the config's meaning.
        meaning: [u8; 32],
        /// The version of the model.
        model: Option<String>,
    },
    /// The folder's key has changed, by an import.
    Key(DigestKey),
    /// How many live events were read back: a bulk load that was broken off may have left more than were counted.
    Live(u64),
}

/// Counts of records since the folder was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Live events.
    pub live_events: u64,
    /// Records that were accepted.
    pub accepted: u64,
    /// Accepted records that changed nothing: sent before, retracted or forgotten.
    pub without_effect: u64,
    /// Lines that were rejected.
    pub rejected: u64,
    /// Members that have been met.
    pub members: u64,
}

/// How far the committer is: shared with whoever waits for it.
#[derive(Debug, Default)]
pub struct Committed {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone)]
struct State {
    epoch: Epoch,
    counts: Counts,
    failure: Option<Arc<StoreError>>,
}

impl Committed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest epoch on disk.
    pub fn epoch(&self) -> Epoch {
        self.state().epoch
    }

    /// Counts up to that epoch.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Why nothing is committed any more, where that is so.
    pub fn failure(&self) -> Option<Arc<StoreError>> {
        self.state().failure.clone()
    }

    /// Waits until an epoch is on disk, or nothing will be any more.
    pub fn wait_for(&self, epoch: Epoch) -> Result<(), Arc<StoreError>> {
        let mut state = self.state();
        while state.epoch < epoch {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    fn publish(&self, epoch: Epoch, counts: Counts) {
        let mut state = self.state();
        (state.epoch, state.counts) = (epoch, counts);
        self.changed.notify_all();
    }

    fn fail(&self, failure: StoreError) {
        self.state().failure = Some(Arc::new(failure));
        self.changed.notify_all();
    }
}

/// What the committer works with.
pub struct Committer {
    /// Where everything goes.
    pub store: Arc<dyn Store>,
    /// Ids by number.
    pub names: AllNames,
    /// The folder's key.
    pub key: DigestKey,
    /// How many workers there are.
    pub workers: usize,
    /// Where rejected lines go; nowhere for a store that nobody keeps.
    pub rejected: Option<RejectedLog>,
    /// Where to say how far it is.
    pub committed: Arc<Committed>,
    /// Epochs of a bulk load that came out whole and are not on disk yet.
    pub gathered: Vec<WholeEpoch>,
    /// How many records they have.
    pub gathered_records: usize,
}

/// An epoch that came out whole.
pub struct WholeEpoch {
    epoch: Epoch,
    records: Box<EpochRecords>,
    deltas: Vec<Delta>,
    lists: Vec<Delta>,
    members: usize,
}

impl WholeEpoch {
    /// Whether the epoch takes out or changes what is in the store. In a bulk load it is then committed by itself and
    /// in one write, since tables are loaded one after the other.
    fn takes_out(&self) -> bool {
        let takes_out = |effect: &RecordEffect| !matches!(effect, RecordEffect::Refused(_));
        !self.records.tombstones.is_empty()
            || self.deltas.iter().any(|delta| match delta {
                Delta::Records(effects) => effects.iter().any(takes_out),
                _ => false,
            })
    }
}

/// An epoch that is not on disk yet.
#[derive(Default)]
struct OpenEpoch {
    records: Option<(Box<EpochRecords>, Mode)>,
    members: usize,
    deltas: Vec<Delta>,
    /// Lists that may be written ahead, and of how many members they are.
    lists: Vec<Delta>,
    ahead: usize,
    done: usize,
}

impl Committer {
    /// Commits epoch by epoch until nobody tells it anything any more, or the store fails.
    pub fn run(mut self, told: &Receiver<ToCommit>, start: &Standing) {
        let mut writer = Writer::new(self.names.clone(), start.counts, start.trimmed);
        self.committed.publish(start.epoch, start.counts);
        // Invariant: the epochs after the committed one of which something is known.
        let mut open: BTreeMap<Epoch, OpenEpoch> = BTreeMap::new();
        loop {
            let done = match told.recv_timeout(if self.gathered.is_empty() { FOREVER } else { GATHER }) {
                Ok(message) => self.take(message, &mut open, &mut writer),
                Err(RecvTimeoutError::Timeout) => self.commit_gathered(&mut writer),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(failure) = done {
                tracing::error!(%failure, "nothing is committed any more");
                self.committed.fail(failure);
                return;
            }
        }
    }

    fn take(
        &mut self,
        message: ToCommit,
        open: &mut BTreeMap<Epoch, OpenEpoch>,
        writer: &mut Writer,
    ) -> Result<(), StoreError> {
        match message {
            ToCommit::Epoch { epoch, records, mode, members } => {
                let entry = open.entry(epoch).or_default();
                entry.records = Some((records, mode));
                entry.members = members;
            }
            ToCommit::Delta { epoch, delta, .. } => {
                let entry = open.entry(epoch).or_default();
                let mode = entry.records.as_ref().map(|(_, mode)| *mode);
                match mode {
                    Some(Mode::Discard) => {}
                    Some(mode) if mode.loads() && matches!(delta, Delta::Lists(_) | Delta::Progress(_)) => {
                        entry.ahead += members_of(&delta);
                        entry.lists.push(delta);
                        if entry.ahead >= AHEAD {
                            entry.ahead = 0;
                            self.write_ahead(&std::mem::take(&mut entry.lists), writer)?;
                        }
                    }
                    _ => entry.deltas.push(delta),
                }
            }
            ToCommit::Done { epoch, .. } => {
                open.entry(epoch).or_default().done += 1;
                while let Some(entry) = open.first_entry()
                    && entry.get().done == self.workers
                {
                    let epoch = *entry.key();
                    self.finish_epoch(epoch, entry.remove(), writer)?;
                }
            }
            ToCommit::Made { meaning, model } => writer.made = Some((meaning, model)),
            ToCommit::Key(key) => {
                let mut change = self.store.begin();
                change.put(Table::Meta, meta::KEY, key.fingerprint().as_bytes());
                change.commit(true)?;
                self.key = key;
            }
            ToCommit::Live(events) => writer.counts.live_events = events,
        }
        Ok(())
    }

    /// Writes the lists of a pending folder before their epoch is whole.
    fn write_ahead(&self, lists: &[Delta], writer: &mut Writer) -> Result<(), StoreError> {
        let mut ahead = self.store.begin_load();
        lists.iter().for_each(|delta| writer.write_view(delta, &mut *ahead));
        ahead.commit(true)
    }

    /// Commits an epoch that came out whole. Epochs of a bulk load are gathered first: the more records are sorted
    /// together, the fewer files there are.
    fn finish_epoch(&mut self, epoch: Epoch, open: OpenEpoch, writer: &mut Writer) -> Result<(), StoreError> {
        let (records, mode) = open.records.expect("an epoch's records come before it is fed");
        let whole =
            WholeEpoch { epoch, records, deltas: open.deltas, lists: open.lists, members: open.members };
        match mode {
            Mode::Discard => self.committed.publish(epoch, writer.counts),
            Mode::Whole => self.commit_whole(&whole, writer)?,
            Mode::Bulk => {
                let alone = whole.takes_out();
                if alone {
                    self.commit_gathered(writer)?;
                }
                self.gathered_records += whole.records.slots.len();
                self.gathered.push(whole);
                if alone || self.gathered_records >= GATHERED {
                    self.commit_gathered(writer)?;
                }
            }
            Mode::EndBulk | Mode::Rebuild | Mode::EndRebuild => {
                self.gathered.push(whole);
                self.load(mode, writer)?;
            }
        }
        Ok(())
    }

    /// One epoch in one synced write.
    fn commit_whole(&mut self, epoch: &WholeEpoch, writer: &mut Writer) -> Result<(), StoreError> {
        self.reject(&epoch.records, writer);
        let mut change = self.store.begin();
        self.write_records(epoch, writer, &mut *change)?;
        let mut cells = Vec::new();
        epoch.deltas.iter().for_each(|delta| held::add_cells(delta, &mut cells));
        writer.write_cells(&held::newest(cells), &mut *change);
        epoch.deltas.iter().for_each(|delta| writer.write_view(delta, &mut *change));
        write_offsets(&epoch.records, &mut *change);
        writer.write_made(&self.key.fingerprint(), &mut *change);
        self.close(epoch.epoch, change, true, writer)
    }

    fn commit_gathered(&mut self, writer: &mut Writer) -> Result<(), StoreError> {
        if self.gathered.is_empty() { Ok(()) } else { self.load(Mode::Bulk, writer) }
    }

    /// Loads what was gathered, and commits the last of the gathered epochs.
    ///
    /// Records are on disk before the offsets that say so. What a crash leaves of them is read again, which changes
    /// nothing, and the mark sees to the views.
    fn load(&mut self, mode: Mode, writer: &mut Writer) -> Result<(), StoreError> {
        let gathered = std::mem::take(&mut self.gathered);
        self.gathered_records = 0;
        let Some(last) = gathered.last().map(|epoch| epoch.epoch) else { return Ok(()) };
        let with_records = matches!(mode, Mode::Bulk | Mode::EndBulk);
        self.mark_pending(writer)?;
        if with_records {
            gathered.iter().for_each(|epoch| self.reject(&epoch.records, writer));
        }
        let mut change = self.store.begin();
        let mut load = self.store.begin_load();
        for epoch in gathered {
            if with_records {
                let records_go_to = if epoch.takes_out() { &mut change } else { &mut load };
                self.write_records(&epoch, writer, &mut **records_go_to)?;
                // The catalogue is kept nowhere else.
                let items = epoch.deltas.iter().filter(|delta| matches!(delta, Delta::Items(_)));
                items.for_each(|delta| writer.write_view(delta, &mut *change));
                write_offsets(&epoch.records, &mut *change);
            }
            epoch.lists.iter().for_each(|delta| writer.write_view(delta, &mut *load));
            writer.held.hold(epoch.deltas);
        }
        load.commit(true)?;
        if with_records && writer.held.cells() >= CELLS {
            self.write_cells(writer)?;
        }
        if mode.ends() {
            self.write_cells(writer)?;
            writer.held.take_views().iter().for_each(|delta| writer.write_view(delta, &mut *change));
            change.delete(Table::Meta, meta::PENDING);
            writer.pending = false;
            writer.write_made(&self.key.fingerprint(), &mut *change);
        }
        self.close(last, change, mode != Mode::Rebuild, writer)
    }

    /// Writes the epoch's number with the rest of its change, and says that it is on disk.
    fn close(
        &self,
        epoch: Epoch,
        mut change: Box<dyn Transaction + '_>,
        synced: bool,
        writer: &Writer,
    ) -> Result<(), StoreError> {
        change.put(Table::Meta, meta::EPOCH, &epoch.to_be_bytes());
        let counts = serde_json::to_vec(&writer.counts).unwrap_or_default();
        change.put(Table::Meta, meta::COUNTS, &counts);
        change.commit(synced)?;
        self.committed.publish(epoch, writer.counts);
        Ok(())
    }

    /// Writes the counts that were held back while the folder was pending.
    fn write_cells(&self, writer: &mut Writer) -> Result<(), StoreError> {
        for some in writer.held.take_cells().chunks(CELLS) {
            let mut load = self.store.begin_load();
            writer.write_cells(some, &mut *load);
            load.commit(true)?;
        }
        Ok(())
    }

    /// Marks the folder, before anything is loaded into it.
    fn mark_pending(&self, writer: &mut Writer) -> Result<(), StoreError> {
        if writer.pending {
            return Ok(());
        }
        let mut mark = self.store.begin();
        mark.put(Table::Meta, meta::PENDING, formats::NOTHING);
        mark.commit(true)?;
        writer.pending = true;
        Ok(())
    }

    /// Keeps rejected lines aside. A full disk must not stop the pipeline here; the commit will say so.
    fn reject(&mut self, records: &EpochRecords, writer: &mut Writer) {
        writer.counts.rejected += records.rejected.len() as u64;
        let Some(log) = &mut self.rejected else { return };
        for (source, line) in &records.rejected {
            if let Err(error) = log.append(source, line) {
                tracing::warn!(%error, "a rejected line could not be kept aside");
            }
        }
        if let Err(error) = log.flush() {
            tracing::warn!(%error, "rejected lines could not be kept aside");
        }
    }

    /// Writes an epoch's records, but for those that changed nothing, and what its forgets leave.
    fn write_records(
        &self,
        epoch: &WholeEpoch,
        writer: &mut Writer,
        change: &mut dyn Transaction,
    ) -> Result<(), StoreError> {
        let WholeEpoch { records, deltas, members, .. } = epoch;
        writer.counts.members = writer.counts.members.max(*members as u64);
        let effects = Effects::of(deltas);
        writer.counts.accepted += records.slots.len() as u64;
        writer.write_slots(records, &effects.refused, &effects.forgot, change);
        for (member, digest) in effects.removed {
            writer.delete_event(member, digest, change);
        }
        self.write_imported(&records.tombstones, change)?;
        // After the imported ones: what the graph says of a member holds those of the member already.
        for (member, gone) in &effects.forgot {
            self.write_forgotten(*member, gone, writer, change)?;
        }
        Ok(())
    }

    /// Adds imported tombstones to what is known of their members: an older export must not weaken a later forget.
    fn write_imported(
        &self,
        imported: &[([u8; 16], TombstoneValue)],
        change: &mut dyn Transaction,
    ) -> Result<(), StoreError> {
        let mut merged: BTreeMap<&[u8; 16], TombstoneValue> = BTreeMap::new();
        for (digest, tombstone) in imported {
            if !merged.contains_key(digest) {
                let known = self.store.get(Table::Tombstones, digest)?;
                let known = known.map(|value| formats::decode_tombstone(digest, &value)).transpose()?;
                merged.insert(digest, known.unwrap_or_else(TombstoneValue::nothing));
            }
            if let Some(known) = merged.get_mut(digest) {
                known.merge(tombstone.clone());
            }
        }
        for (digest, tombstone) in merged {
            change.put(Table::Tombstones, digest, &formats::encode_tombstone(&tombstone));
        }
        Ok(())
    }

    /// Of a forgotten member's retractions only digests stay, under the digest of the member.
    fn write_forgotten(
        &self,
        member: Member,
        gone: &Gone,
        writer: &mut Writer,
        change: &mut dyn Transaction,
    ) -> Result<(), StoreError> {
        let name = &writer.names.members[member.index()];
        let mut prefix = Vec::new();
        formats::member_prefix(name, &mut prefix);
        for kind in [b'i', b'r'] {
            prefix.push(kind);
            self.store.scan(Table::Records, &prefix, &prefix, &mut |key, _| {
                change.delete(Table::Records, key);
                ControlFlow::Continue(())
            })?;
            prefix.pop();
        }
        let tombstone =
            TombstoneValue { forget: gone.forgotten, ids: gone.ids.clone(), events: gone.events.clone() };
        let digest = self.key.member(name);
        change.put(Table::Tombstones, &digest, &formats::encode_tombstone(&tombstone));
        Ok(())
    }
}

/// What the graph says of an epoch's records.
#[derive(Default)]
struct Effects {
    /// Records that changed nothing, by their place in the epoch.
    refused: HashSet<u32>,
    /// Events that ceased to be live.
    removed: Vec<(Member, [u64; 2])>,
    /// Members of whom something was forgotten, and what must stay known of them.
    forgot: HashMap<Member, Gone>,
}

impl Effects {
    fn of(deltas: &[Delta]) -> Self {
        let mut all = Effects::default();
        let effects = deltas.iter().filter_map(|delta| match delta {
            Delta::Records(effects) => Some(effects),
            _ => None,
        });
        for effect in effects.flatten() {
            match effect {
                RecordEffect::Refused(seq) => drop(all.refused.insert(*seq)),
                RecordEffect::Removed(member, digest) => all.removed.push((*member, *digest)),
                RecordEffect::Forgot(member, gone) => drop(all.forgot.insert(*member, (**gone).clone())),
            }
        }
        all
    }
}

/// How many members a delta of lists is of.
fn members_of(delta: &Delta) -> usize {
    match delta {
        Delta::Lists(lists) => lists.len(),
        Delta::Progress(lists) => lists.len(),
        _ => 0,
    }
}

fn write_offsets(records: &EpochRecords, change: &mut dyn Transaction) {
    for (source, offset) in &records.offsets {
        let offset = serde_json::to_vec(offset).unwrap_or_default();
        change.put(Table::Offsets, source.as_bytes(), &offset);
    }
}

/// Writes entries into a transaction, with buffers that are used again.
struct Writer {
    names: AllNames,
    counts: Counts,
    trimmed: i64,
    /// Whether the folder is marked as pending.
    pending: bool,
    made: Option<([u8; 32], Option<String>)>,
    held: Held,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Writer {
    fn new(names: AllNames, counts: Counts, trimmed: i64) -> Self {
        Writer {
            names,
            counts,
            trimmed,
            pending: false,
            made: None,
            held: Held::default(),
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    fn write_made(&mut self, fingerprint: &str, change: &mut dyn Transaction) {
        let Some((meaning, model)) = self.made.take() else { return };
        change.put(Table::Meta, meta::FORMAT, &formats::FORMAT.to_be_bytes());
        change.put(Table::Meta, meta::MEANING, &meaning);
        change.put(Table::Meta, meta::KEY, fingerprint.as_bytes());
        match model {
            Some(model) => change.put(Table::Meta, meta::MODEL, model.as_bytes()),
            None => change.delete(Table::Meta, meta::MODEL),
        }
    }

    fn write_slots(
        &mut self,
        records: &EpochRecords,
        refused: &HashSet<u32>,
        forgot: &HashMap<Member, Gone>,
        change: &mut dyn Transaction,
    ) {
        for (seq, slot) in records.slots.iter().enumerate() {
            if !refused.is_empty() && refused.contains(&(seq as u32)) {
                self.counts.without_effect += 1;
                continue;
            }
            let bytes = records.bytes(slot);
            let forgotten = !forgot.is_empty() && forgot.contains_key(&Member(slot.member));
            match records::type_of(bytes) {
                RecordType::Event => {
                    formats::event_entry(
                        RecordKind::Event,
                        bytes,
                        slot.digest,
                        &mut self.key,
                        &mut self.value,
                    );
                    change.put(Table::Records, &self.key, &self.value);
                    self.counts.live_events += 1;
                }
                RecordType::Retract if !forgotten => {
                    formats::event_entry(
                        RecordKind::Retract,
                        bytes,
                        slot.digest,
                        &mut self.key,
                        &mut self.value,
                    );
                    change.put(Table::Records, &self.key, &self.value);
                }
                RecordType::Retract => {}
                RecordType::Other => self.write_rare(&records.record(slot), forgotten, change),
            }
        }
    }

    fn write_rare(&mut self, record: &Record<'_>, forgotten: bool, change: &mut dyn Transaction) {
        match *record {
            Record::RetractId { member, id } if !forgotten => {
                formats::record_key(member, RecordKind::RetractId, id.as_bytes(), &mut self.key);
                change.put(Table::Records, &self.key, formats::NOTHING);
            }
            Record::Trim { at } => {
                self.trimmed = self.trimmed.max(at);
                change.put(Table::Meta, meta::TRIMMED, &self.trimmed.to_be_bytes());
            }
            _ => {}
        }
    }

    fn delete_event(&mut self, member: Member, digest: [u64; 2], change: &mut dyn Transaction) {
        let digest = formats::digest_bytes(digest);
        formats::record_key(&self.names.members[member.index()], RecordKind::Event, &digest, &mut self.key);
        change.delete(Table::Records, &self.key);
        self.counts.live_events = self.counts.live_events.saturating_sub(1);
    }

    /// Writes counts; a count of zero is absent.
    fn write_cells(&mut self, cells: &[(Cell, u64)], change: &mut dyn Transaction) {
        for (cell, count) in cells {
            let key = CellKey {
                kind: &self.names.kinds[cell.kind.index()],
                hour: cell.hour,
                item: &self.names.items[cell.item.index()],
                country: &self.names.countries[cell.country.index()],
            };
            formats::cell_key(&key, &mut self.key);
            if *count > 0 {
                formats::encode_count(*count, &mut self.value);
                change.put(Table::Popularity, &self.key, &self.value);
            } else {
                change.delete(Table::Popularity, &self.key);
            }
        }
    }

    fn write_view(&mut self, delta: &Delta, change: &mut dyn Transaction) {
        match delta {
            Delta::Records(_) | Delta::Popularity(_) => {}
            Delta::Now(Some(now)) => {
                change.put(Table::Meta, meta::NOW, &now.at.to_be_bytes());
                let event = serde_json::json!({
                    "member": &*self.names.members[now.member.index()],
                    "item": &*self.names.items[now.item.index()],
                    "kind": &*self.names.kinds[now.kind.index()],
                });
                change.put(Table::Meta, meta::NOW_EVENT, event.to_string().as_bytes());
            }
            Delta::Now(None) => {
                change.delete(Table::Meta, meta::NOW);
                change.delete(Table::Meta, meta::NOW_EVENT);
            }
            Delta::Trending(list) => {
                formats::begin_list(&mut self.value);
                for entry in list {
                    formats::push_trend(&self.names.items[entry.item.index()], entry.score, &mut self.value);
                }
                self.put_list(Table::Meta, meta::TRENDING, list.is_empty(), change);
            }
            Delta::Items(versions) => {
                for version in versions {
                    let body = std::str::from_utf8(&version.body).unwrap_or_default();
                    formats::encode_item(version.at, version.withdrawn, body, &mut self.value);
                    let item = self.names.items[version.item.index()].as_bytes();
                    change.put(Table::Items, item, &self.value);
                }
            }
            Delta::Progress(lists) => {
                for (member, list) in lists {
                    formats::begin_list(&mut self.value);
                    for entry in list {
                        let item = &self.names.items[entry.item.index()];
                        formats::push_begun(item, entry.at, entry.value, &mut self.value);
                    }
                    let member = self.names.members[member.index()].clone();
                    self.put_list(Table::ContinueWatching, member.as_bytes(), list.is_empty(), change);
                }
            }
            Delta::Lists(lists) => {
                for made in lists {
                    let member = self.names.members[made.member.index()].clone();
                    let Some(factor) = &made.factor else {
                        change.delete(Table::Factors, member.as_bytes());
                        change.delete(Table::TopPicks, member.as_bytes());
                        continue;
                    };
                    formats::encode_factor(factor, &mut self.value);
                    change.put(Table::Factors, member.as_bytes(), &self.value);
                    formats::begin_list(&mut self.value);
                    for (item, score) in &made.top_picks {
                        formats::push_scored(&self.names.items[item.index()], *score, &mut self.value);
                    }
                    self.put_list(Table::TopPicks, member.as_bytes(), made.top_picks.is_empty(), change);
                }
            }
        }
    }

    /// Puts the list that `value` holds; an empty one is absent.
    fn put_list(&self, table: Table, key: &[u8], empty: bool, change: &mut dyn Transaction) {
        if empty {
            change.delete(table, key);
        } else {
            change.put(table, key, &self.value);
        }
    }
}
