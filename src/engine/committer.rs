//! The committer: one thread that turns what came out of an epoch into one write, and says when it is on disk.
//!
//! An epoch is whole or absent: its records, changed view entries and source offsets go into one synced
//! transaction. Only while the folder is marked as pending, inside a bulk load or a rebuild, may records and view
//! entries be written ahead of it: records that are read again change nothing, and whoever finds that mark makes the
//! views anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use nearline_dataflows::graph::Delta;
use nearline_dataflows::history::Gone;
use nearline_dataflows::types::{Epoch, Member};

use super::batches::{Batches, Step};
use super::committed::Committed;
use super::erasing::{self, Erasing, Mark, Removed};
use super::gathered::{Gathered, WholeEpoch};
use super::ingest::{AllNames, EpochRecords};
use super::messages::{Mode, ToCommit};
use super::mirroring::{self, Mirroring, Queueing};
use super::observer::{Commit, Observer};
use super::offsets::Offsets;
use super::queue::{Queued, Waiting};
use super::recover::Standing;
use super::storing::{self, Job, Stopped, Storing};
use super::writer::{Effects, Writer};
use crate::digests::DigestKey;
use crate::failpoints::reach;
use crate::sources::redaction::Ids;
use crate::sources::rejected::RejectedLog;
use crate::stores::formats::{self, CentresInUse, Standby, TombstoneValue, meta};
use crate::stores::{Store, StoreError, Table, Transaction};
use crate::variants::MadeWith;

/// How many counts of a pending folder are loaded at a time: a file of some ten megabytes, of which a reader has all open.
const CELLS: usize = 393_216;
/// How long gathered epochs wait for more.
const GATHER: Duration = Duration::from_millis(50);
/// How long the committer waits where it has nothing to do.
const FOREVER: Duration = Duration::from_secs(3_600);
/// Lists of a pending folder are written ahead of their epoch, those of so many members at a time: tens of megabytes.
const AHEAD: usize = 16_384;

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
    /// Told what is committed.
    pub observer: Option<Arc<dyn Observer>>,
    /// Counts what waits to be archived, where there is an archive.
    pub archive: Option<Arc<Waiting>>,
    /// What is queued for mirrors, where there are some.
    pub mirrors: Option<Arc<Mirroring>>,
    /// Whether there are other processes.
    pub several: bool,
    /// The workers of this process.
    pub own_workers: std::ops::Range<usize>,
}

/// A committer at work.
pub(super) struct Committing<'s> {
    pub(super) store: &'s dyn Store,
    pub(super) storing: Storing<'s>,
    workers: usize,
    pub(super) key: DigestKey,
    rejected: Option<RejectedLog>,
    pub(super) committed: Arc<Committed>,
    pub(super) writer: Writer,
    /// The epochs after the committed one of which something is known.
    open: BTreeMap<Epoch, OpenEpoch>,
    /// Epochs of a bulk load that came out whole and are not on disk yet.
    gathered: Gathered,
    /// The model that stands by, as the store has it.
    pub(super) standby: Option<Standby>,
    /// Told what is committed.
    pub(super) observer: Option<Arc<dyn Observer>>,
    /// What the epoch that turns makes of the models.
    pub(super) turn: Option<(MadeWith, Option<Standby>)>,
    /// The centres of clusters that the next epoch brings, or takes away.
    centres: Option<Option<CentresInUse>>,
    batches: Batches,
    /// Whether a trim has let go of all batch lists, which are still there.
    drop_batches: bool,
    /// Counts what waits to be archived, where there is an archive.
    archive: Option<Arc<Waiting>>,
    queued: Queued,
    pub(super) mirrors: Option<Arc<Mirroring>>,
    offsets: Offsets,
}

/// Why nothing more is committed.
pub(super) enum Halt {
    /// The store failed here.
    Failed(StoreError),
    /// It failed at the thread that stores, which has said so.
    Stopped,
}

impl From<StoreError> for Halt {
    fn from(failure: StoreError) -> Self {
        Halt::Failed(failure)
    }
}

impl From<Stopped> for Halt {
    fn from(Stopped: Stopped) -> Self {
        Halt::Stopped
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
    pub fn run(self, told: &Receiver<ToCommit>, start: &Standing) {
        let Committer {
            store,
            names,
            key,
            workers,
            rejected,
            committed,
            observer,
            archive,
            mirrors,
            several,
            own_workers,
        } = self;
        committed.publish(start.epoch, start.counts);
        let batches = match Batches::of(&*store) {
            Ok(batches) => batches,
            Err(failure) => return storing::fail(&committed, failure),
        };
        let (storing, todo) = Storing::new();
        std::thread::scope(|scope| {
            let (stored, observing) = (&*committed, observer.as_ref());
            let storer = std::thread::Builder::new().name("storer".into());
            if let Err(error) = storer.spawn_scoped(scope, move || storing::run(&todo, stored, observing)) {
                storing::fail(&committed, StoreError::Thread(error.to_string()));
                return;
            }
            let committing = Committing {
                store: &*store,
                storing,
                workers,
                key,
                rejected,
                committed: committed.clone(),
                writer: Writer::new(names, start.counts, start.trimmed).of_workers(own_workers),
                open: BTreeMap::new(),
                gathered: Gathered::default(),
                standby: start.standby.clone(),
                observer: observer.clone(),
                turn: None,
                centres: None,
                batches,
                drop_batches: false,
                archive,
                queued: Queued::default(),
                mirrors,
                offsets: Offsets::new(several),
            };
            committing.run(told);
        });
    }
}

impl<'s> Committing<'s> {
    fn run(mut self, told: &Receiver<ToCommit>) {
        loop {
            let done = match told.recv_timeout(if self.gathered.is_empty() { FOREVER } else { GATHER }) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => self.commit_gathered(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match done {
                Ok(()) => {}
                Err(Halt::Failed(failure)) => return storing::fail(&self.committed, failure),
                Err(Halt::Stopped) => return,
            }
        }
    }

    fn take(&mut self, message: ToCommit) -> Result<(), Halt> {
        match message {
            ToCommit::Epoch { epoch, records, mode, members } => {
                let entry = self.open.entry(epoch).or_default();
                entry.records = Some((records, mode));
                entry.members = members;
            }
            ToCommit::Delta { epoch, delta, .. } => {
                let entry = self.open.entry(epoch).or_default();
                let mode = entry.records.as_ref().map(|(_, mode)| *mode);
                match mode {
                    Some(Mode::Discard) => {}
                    Some(mode) if mode.loads() && matches!(delta, Delta::Popularity(_)) => {
                        self.writer.held.hold(vec![delta]);
                        if self.writer.held.cells() >= CELLS {
                            self.load_cells()?;
                        }
                    }
                    Some(mode) if mode.loads() && matches!(delta, Delta::Lists(..) | Delta::Progress(..)) => {
                        entry.ahead += members_of(&delta);
                        entry.lists.push(delta);
                        if entry.ahead >= AHEAD {
                            entry.ahead = 0;
                            let lists = std::mem::take(&mut entry.lists);
                            self.write_ahead(&lists)?;
                        }
                    }
                    _ => entry.deltas.push(delta),
                }
            }
            ToCommit::Done { epoch, .. } => {
                self.open.entry(epoch).or_default().done += 1;
                while let Some(entry) = self.open.first_entry()
                    && entry.get().done == self.workers
                {
                    let epoch = *entry.key();
                    let whole = entry.remove();
                    self.finish_epoch(epoch, whole)?;
                }
            }
            ToCommit::Made { meaning, lists } => self.writer.made = Some((meaning, lists)),
            ToCommit::Key(key) => {
                self.storing.wait()?;
                let mut change = self.store.begin();
                change.put(Table::Meta, meta::KEY, key.fingerprint().as_bytes());
                change.commit(true)?;
                self.key = key;
            }
            ToCommit::Standby(standby) => self.stand_by(standby)?,
            ToCommit::Turn { live, standby } => self.turn = Some((live, standby)),
            ToCommit::Batch(step) => self.batch(step)?,
            ToCommit::Centres(centres) => self.centres = Some(centres),
            ToCommit::Live(events) => self.writer.counts.live_events = events,
            ToCommit::StoredByAll(epoch) => {
                self.offsets.stored_by_all(epoch);
                // What comes next writes them with it.
                if self.open.is_empty() && self.gathered.is_empty() && self.offsets.are_due() {
                    let mut change = self.store.begin();
                    self.offsets.write_due(&mut *change);
                    self.storing.send(Job::Write(change))?;
                }
            }
            ToCommit::KeepOffsets(reply) => {
                self.storing.wait()?;
                let mut change = self.store.begin();
                self.offsets.write_due(&mut *change);
                change.commit(true)?;
                // Whoever waited has gone away.
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    /// A step of a batch job. Slices are not synced: the epoch in which they go live is.
    fn batch(&mut self, step: Step) -> Result<(), Halt> {
        let mut change = self.store.begin();
        match step {
            Step::Begin(reply) => {
                self.batches.begin(&mut *change);
                self.storing.send(Job::Write(change))?;
                // What the job reads from now on is what came before this.
                self.storing.wait()?;
                let _ = reply.send(());
            }
            Step::Lists(lists) => {
                self.batches.put(&lists, &mut *change);
                self.storing.send(Job::Write(change))?;
                reach("batch-slice");
            }
            Step::Live(batch) => self.batches.turn(batch),
            Step::GiveUp => self.batches.give_up(),
            Step::Sweep(reply) => {
                self.storing.wait()?;
                let more = self.batches.sweep(self.store, &mut *change)?;
                self.storing.send(Job::Write(change))?;
                let _ = reply.send(more);
            }
        }
        Ok(())
    }

    /// Writes the lists of a pending folder before their epoch is whole.
    fn write_ahead(&mut self, lists: &[Delta]) -> Result<(), Halt> {
        self.mark_pending()?;
        let mut ahead = self.store.begin_load();
        lists.iter().for_each(|delta| self.writer.write_view(delta, &mut *ahead));
        Ok(self.storing.send(Job::Load(ahead))?)
    }

    /// Commits an epoch that came out whole. Epochs of a bulk load are gathered first: the more records are sorted
    /// together, the fewer files there are.
    fn finish_epoch(&mut self, epoch: Epoch, open: OpenEpoch) -> Result<(), Halt> {
        let (records, mode) = open.records.expect("an epoch's records come before it is fed");
        let whole =
            WholeEpoch { epoch, records, deltas: open.deltas, lists: open.lists, members: open.members };
        match mode {
            Mode::Discard => self.committed.stored(epoch, self.writer.counts, None),
            Mode::Whole => self.commit_whole(&whole)?,
            Mode::Slice { built, members } => self.commit_slice(&whole, built, members)?,
            Mode::Turn => self.commit_turn(&whole)?,
            Mode::Bulk => {
                let alone = whole.takes_out();
                if alone {
                    self.commit_gathered()?;
                }
                self.gathered.push(whole);
                if alone || self.gathered.are_enough() {
                    self.commit_gathered()?;
                }
            }
            Mode::EndBulk | Mode::Rebuild | Mode::EndRebuild => {
                self.gathered.push(whole);
                self.load(mode)?;
            }
        }
        if std::mem::take(&mut self.drop_batches) {
            self.storing.wait()?;
            self.store.clear(Table::BatchLists)?;
            let mut change = self.store.begin();
            self.batches.sweep(self.store, &mut *change)?;
            self.storing.send(Job::Write(change))?;
        }
        Ok(())
    }

    /// One epoch in one synced write.
    fn commit_whole(&mut self, epoch: &WholeEpoch) -> Result<(), Halt> {
        self.reject(&epoch.records);
        let mut change = Queueing::of(self.store.begin(), epoch.epoch, self.mirrors.as_ref());
        self.write_records(epoch, &mut *change)?;
        self.queued.write(epoch.epoch, &mut *change);
        self.batches.write_turn(&mut *change);
        match self.centres.take() {
            Some(Some(centres)) => {
                change.put(Table::Meta, meta::CENTRES, &serde_json::to_vec(&centres).unwrap_or_default());
            }
            Some(None) => change.delete(Table::Meta, meta::CENTRES),
            None => {}
        }
        epoch.deltas.iter().for_each(|delta| self.writer.write_view(delta, &mut *change));
        self.offsets.write(epoch.epoch, &epoch.records, &mut *change);
        self.writer.write_made(&self.key.fingerprint(), &mut *change);
        let told = self.observer.is_some().then(|| {
            let mut commit = Commit::of(epoch.epoch, &epoch.deltas, &self.writer.names);
            commit.records = epoch.records.slots.len() as u64;
            commit.rejected = epoch.records.rejected.len() as u64;
            commit.opened = epoch.records.opened;
            commit
        });
        self.close_told(epoch.epoch, change, true, told)
    }

    fn commit_gathered(&mut self) -> Result<(), Halt> {
        if self.gathered.is_empty() { Ok(()) } else { self.load(Mode::Bulk) }
    }

    /// Loads what was gathered, and commits the last of the gathered epochs.
    ///
    /// Records are on disk before the offsets that say so. What a crash leaves of them is read again, which changes
    /// nothing, and the mark sees to the views.
    fn load(&mut self, mode: Mode) -> Result<(), Halt> {
        let gathered = self.gathered.take();
        let Some(last) = gathered.last().map(|epoch| epoch.epoch) else { return Ok(()) };
        let with_records = matches!(mode, Mode::Bulk | Mode::EndBulk);
        self.mark_pending()?;
        if with_records {
            gathered.iter().for_each(|epoch| self.reject(&epoch.records));
        }
        let mut change = self.store.begin();
        let mut load = self.store.begin_load();
        let mut queue = self.store.begin_load();
        for epoch in gathered {
            if with_records {
                let (records_go_to, queue) =
                    if epoch.takes_out() { (&mut change, None) } else { (&mut load, Some(&mut queue)) };
                self.write_records(&epoch, &mut **records_go_to)?;
                self.queued.write(epoch.epoch, &mut **queue.unwrap_or(records_go_to));
                // The catalogue is kept nowhere else.
                let items = epoch.deltas.iter().filter(|delta| matches!(delta, Delta::Items(_)));
                items.for_each(|delta| self.writer.write_view(delta, &mut *change));
                self.offsets.write(epoch.epoch, &epoch.records, &mut *change);
            }
            epoch.lists.iter().for_each(|delta| self.writer.write_view(delta, &mut *load));
            self.writer.held.hold(epoch.deltas);
        }
        // Before the records: what a crash leaves of these is not read again.
        if queue.size() > 0 {
            self.storing.send(Job::Load(queue))?;
            reach("queue-loaded");
        }
        self.storing.send(Job::Load(load))?;
        if mode.ends() {
            self.load_cells()?;
            self.load_listed()?;
            self.load_together()?;
            let clusters = self.writer.held.take_clusters();
            if !clusters.is_empty() {
                self.write_ahead(&clusters)?;
            }
            let views = self.writer.held.take_views();
            views.iter().for_each(|delta| self.writer.write_view(delta, &mut *change));
            change.delete(Table::Meta, meta::PENDING);
            self.writer.pending = false;
            mirroring::fill_anew(last, self.mirrors.as_ref(), &mut *change);
            reach("end-of-load");
            self.writer.write_made(&self.key.fingerprint(), &mut *change);
        }
        self.close(last, change, mode != Mode::Rebuild)
    }

    /// Writes the epoch's number with the rest of its change, and says that it is on disk.
    fn close(&self, epoch: Epoch, change: Box<dyn Transaction + 's>, synced: bool) -> Result<(), Halt> {
        self.close_told(epoch, change, synced, None)
    }

    /// The same, and tells what it changes.
    fn close_told(
        &self,
        epoch: Epoch,
        mut change: Box<dyn Transaction + 's>,
        synced: bool,
        told: Option<Commit>,
    ) -> Result<(), Halt> {
        self.put_epoch(epoch, &mut *change);
        let counts = self.writer.counts;
        let told = told.map(|commit| Box::new(Commit { counts, ..commit }));
        Ok(self.storing.send(Job::Close { epoch, change, synced, counts, told })?)
    }

    pub(super) fn put_epoch(&self, epoch: Epoch, change: &mut dyn Transaction) {
        change.put(Table::Meta, meta::EPOCH, &epoch.to_be_bytes());
        change.put(Table::Meta, meta::COUNTS, &serde_json::to_vec(&self.writer.counts).unwrap_or_default());
    }

    /// Loads the counts that were held back while the folder was pending.
    fn load_cells(&mut self) -> Result<(), Halt> {
        self.mark_pending()?;
        for some in self.writer.held.take_cells().chunks(CELLS) {
            let mut load = self.store.begin_load();
            self.writer.write_cells(some, &mut *load);
            self.storing.send(Job::Load(load))?;
        }
        Ok(())
    }

    /// Loads the counts of lists that were held back.
    fn load_listed(&mut self) -> Result<(), Halt> {
        for some in self.writer.held.take_listed().chunks(CELLS) {
            let mut load = self.store.begin_load();
            self.writer.write_listed(some, &mut *load);
            self.storing.send(Job::Load(load))?;
        }
        Ok(())
    }

    /// Loads the counts of pairs that were held back.
    fn load_together(&mut self) -> Result<(), Halt> {
        let counts = self.writer.held.take_together();
        let (of_items, of_pairs): (Vec<_>, Vec<_>) =
            counts.into_iter().partition(|(pair, _)| pair.items().0 == pair.items().1);
        for some in of_items.chunks(CELLS) {
            let mut load = self.store.begin_load();
            self.writer.write_together(some, &mut *load);
            self.storing.send(Job::Load(load))?;
        }
        for some in self.writer.by_both(of_pairs).chunks(2 * CELLS) {
            let mut load = self.store.begin_load();
            self.writer.write_rows(some, &mut *load);
            self.storing.send(Job::Load(load))?;
        }
        Ok(())
    }

    /// Marks the folder, before anything is loaded into it.
    fn mark_pending(&mut self) -> Result<(), Halt> {
        if self.writer.pending {
            return Ok(());
        }
        self.storing.wait()?;
        let mut mark = self.store.begin();
        mark.put(Table::Meta, meta::PENDING, formats::NOTHING);
        mark.commit(true)?;
        reach("marked");
        self.writer.pending = true;
        Ok(())
    }

    /// Keeps rejected lines aside. A full disk must not stop the pipeline here; the commit will say so.
    fn reject(&mut self, records: &EpochRecords) {
        self.writer.counts.rejected += records.rejected.len() as u64;
        let Some(log) = &mut self.rejected else { return };
        for (source, line) in &records.rejected {
            if let Err(error) = log.append(source, line) {
                tracing::warn!(%error, "a rejected line could not be kept aside");
            }
        }
        if let Err(error) = log.flush() {
            tracing::warn!(%error, "rejected lines could not be kept aside");
        }
        reach("rejected");
        // Before the epoch is on disk: what a crash leaves of this is read again.
        if let Ok(ids) = Ids::new(records.elsewhere.iter().map(String::as_str))
            && !records.elsewhere.is_empty()
            && let Err(error) = log.redact(&|line, cut| ids.held_by(line, cut))
        {
            tracing::warn!(%error, "rejected lines of a forgotten member could not be taken out");
        }
    }

    /// Writes an epoch's records, but for those that changed nothing, and what its forgets leave.
    fn write_records(&mut self, epoch: &WholeEpoch, change: &mut dyn Transaction) -> Result<(), Halt> {
        let WholeEpoch { records, deltas, members, .. } = epoch;
        if epoch.takes_out() {
            // What is taken out is looked up in the store.
            self.storing.wait()?;
        }
        self.writer.counts.members = self.writer.counts.members.max(*members as u64);
        let effects = Effects::of(deltas);
        let forgets = self.take_out(epoch, &effects, change)?;
        let writer = &mut self.writer;
        writer.counts.accepted += records.slots.len() as u64 - records.on_the_way;
        let trimmed = writer.trimmed();
        writer.write_slots(records, &effects.refused, &effects.forgot, change);
        if writer.trimmed() > trimmed {
            // What was made of events that are gone is gone with them.
            self.drop_batches |= self.batches.drop_all(change);
            if self.archive.is_some() {
                self.queued.make_anew();
            }
        }
        if let Some(waiting) = &self.archive {
            let given = (&self.writer.names, &self.key);
            self.queued.add_records(epoch.epoch, (records, &effects), (deltas, given.0), waiting);
            for (member, tombstone) in &records.tombstones {
                self.queued.add_tombstone(epoch.epoch, member, (tombstone, given.1), waiting);
            }
        }
        for (member, digest) in effects.removed {
            self.writer.delete_event(member, digest, change);
        }
        self.write_imported(&records.tombstones, change)?;
        // After the imported ones: what the graph says of a member holds those of the member already.
        let names = &self.writer.names.members;
        let forgotten: Vec<&str> = effects.forgot.keys().map(|member| &*names[member.index()]).collect();
        erasing::take_out_retractions(self.store, &forgotten, *members, change)?;
        for (member, gone) in &effects.forgot {
            self.write_forgotten(epoch.epoch, *member, gone, change);
        }
        for (mark, erasing) in forgets {
            erasing::put(&mark, &erasing, change);
        }
        Ok(())
    }

    /// Counts what the epoch's forgets take out, and takes out what no view does by itself. What comes back marks the
    /// members whose bytes are to be erased.
    fn take_out(
        &mut self,
        epoch: &WholeEpoch,
        effects: &Effects,
        change: &mut dyn Transaction,
    ) -> Result<Vec<(Mark, Erasing)>, StoreError> {
        if effects.forgot.is_empty() {
            return Ok(Vec::new());
        }
        let asked = erasing::asked(&epoch.records, &effects.refused);
        let mut removed: HashMap<Member, HashSet<[u8; 16]>> = HashMap::new();
        for (member, digest) in effects.removed.iter().filter(|(member, _)| asked.contains_key(member)) {
            removed.entry(*member).or_default().insert(formats::digest_bytes(*digest));
        }
        let brought = erasing::brought(&epoch.records, &effects.refused);
        let now_event = self.store.get(Table::Meta, meta::NOW_EVENT)?;
        let now_of = now_event.and_then(|event| serde_json::from_slice::<serde_json::Value>(&event).ok());
        for member in effects.forgot.keys().filter(|member| !asked.contains_key(member)) {
            // By a tombstone that was imported.
            self.batches.forget(self.store, &self.writer.names.members[member.index()], change)?;
        }
        let mut marks = Vec::new();
        for (member, at) in asked {
            let name = &self.writer.names.members[member.index()];
            let events = removed.remove(&member).unwrap_or_default();
            let live = brought.contains(&member);
            let (counted, nothing_left) = erasing::take_out(self.store, name, &events, live, change)?;
            if nothing_left {
                self.writer.nothing_left.insert(member);
            }
            // Of several events at one millisecond the graph may have another one in mind than the store.
            if now_of.as_ref().is_some_and(|event| event["member"] == **name) {
                change.delete(Table::Meta, meta::NOW_EVENT);
            }
            let counted = Removed { batch_lists: self.batches.forget(self.store, name, change)?, ..counted };
            let mark = Mark { epoch: epoch.epoch, digest: self.key.member(name) };
            let member = Some(name.to_string());
            marks.push((
                mark,
                Erasing { member, at, removed: counted, models: Vec::new(), archived: Vec::new() },
            ));
        }
        Ok(marks)
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
    fn write_forgotten(&mut self, epoch: Epoch, member: Member, gone: &Gone, change: &mut dyn Transaction) {
        let name = &self.writer.names.members[member.index()];
        let tombstone =
            TombstoneValue { forget: gone.forgotten, ids: gone.ids.clone(), events: gone.events.clone() };
        let digest = self.key.member(name);
        change.put(Table::Tombstones, &digest, &formats::encode_tombstone(&tombstone));
        if let Some(waiting) = &self.archive {
            self.queued.add_tombstone(epoch, &digest, (&tombstone, &self.key), waiting);
        }
    }
}

/// How many members a delta of lists is of.
fn members_of(delta: &Delta) -> usize {
    match delta {
        Delta::Lists(_, lists) => lists.len(),
        Delta::Progress(_, lists) => lists.len(),
        _ => 0,
    }
}
