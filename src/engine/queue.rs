//! Records on their way to the archive: queued in the store by the commit that accepts them, and taken out once the archive
//! has them. So each is archived once, whatever crashes.
//!
//! Queued is what changed something: a record that the graph refused is not. Of an item it is each version that was the
//! winning one of its epoch; of a member who is forgotten the tombstone, which names nobody. A trim has the archive made
//! anew instead.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use nearline_dataflows::graph::Delta;
use nearline_dataflows::types::{Epoch, Member};

use super::ingest::{AllNames, EpochRecords, TombstoneBody};
use super::recover::Standing;
use super::writer::Effects;
use crate::digests::{DigestKey, to_hex};
use crate::records::{self, ItemVersion, Record, RecordType, Tombstone};
use crate::stores::formats::{self, RecordKind, TombstoneValue, meta};
use crate::stores::{Store, StoreError, Table, Transaction};

/// How many bytes of records are put under one key.
const CHUNK: usize = 256 << 10;

/// How much waits to be archived, as the committer and the archive count it together.
#[derive(Debug, Default)]
pub struct Waiting {
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Waiting {
    /// How many records wait.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// How many bytes their normal forms have.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Says how much waits.
    pub fn set(&self, records: u64, bytes: u64) {
        self.records.store(records, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    fn add(&self, bytes: usize) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Takes off what was archived. What the committer has counted and not committed yet stays.
    pub fn take_off(&self, records: u64, bytes: u64) {
        let less = |by: u64| move |now: u64| Some(now.saturating_sub(by));
        let _ = self.records.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less(records));
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less(bytes));
    }
}

/// Entries of `archive_queue` that are put together and not in a transaction yet.
#[derive(Default)]
pub(super) struct Queued {
    chunks: Vec<(Epoch, Vec<u8>)>,
    normal: Vec<u8>,
    anew: bool,
}

impl Queued {
    /// Adds a record of an epoch.
    fn push(&mut self, epoch: Epoch, normal: &[u8], waiting: &Waiting) {
        let full = |(of, chunk): &(Epoch, Vec<u8>)| *of != epoch || chunk.len() >= CHUNK;
        if self.chunks.last().is_none_or(full) {
            let mut chunk = Vec::new();
            formats::begin_queued(&mut chunk);
            self.chunks.push((epoch, chunk));
        }
        if let Some((_, chunk)) = self.chunks.last_mut() {
            formats::push_queued(normal, chunk);
        }
        waiting.add(normal.len());
    }

    fn push_record(&mut self, epoch: Epoch, record: &Record<'_>, waiting: &Waiting) {
        let mut normal = std::mem::take(&mut self.normal);
        normal.clear();
        records::encode(record, &mut normal);
        self.push(epoch, &normal, waiting);
        self.normal = normal;
    }

    /// Adds what an epoch brings but for its tombstones.
    pub fn add_records(
        &mut self,
        epoch: Epoch,
        (records, effects): (&EpochRecords, &Effects),
        (deltas, names): (&[Delta], &AllNames),
        waiting: &Waiting,
    ) {
        for (seq, slot) in records.slots.iter().enumerate() {
            if !effects.refused.is_empty() && effects.refused.contains(&(seq as u32)) {
                continue;
            }
            let normal = records.bytes(slot);
            let forgotten = effects.forgot.contains_key(&Member(slot.member));
            match records::type_of(normal) {
                RecordType::Event => self.push(epoch, normal, waiting),
                // A retraction of a member who is forgotten is in the tombstone.
                RecordType::Retract if !forgotten => self.push(epoch, normal, waiting),
                RecordType::Retract => {}
                RecordType::Other => match records.record(slot) {
                    Record::RetractId { .. } if !forgotten => self.push(epoch, normal, waiting),
                    _ => {}
                },
            }
        }
        for delta in deltas {
            let Delta::Items(versions) = delta else { continue };
            for version in versions {
                let item = &*names.items[version.item.index()];
                let body = std::str::from_utf8(&version.body).unwrap_or_default();
                let version = ItemVersion { item, at: version.at, body, withdrawn: version.withdrawn };
                self.push_record(epoch, &Record::Item(version), waiting);
            }
        }
    }

    /// Has the archive made anew, as of the epoch that is written next.
    pub fn make_anew(&mut self) {
        self.anew = true;
    }

    /// Adds what is left of a member.
    pub fn add_tombstone(
        &mut self,
        epoch: Epoch,
        member: &[u8; 16],
        (tombstone, key): (&TombstoneValue, &DigestKey),
        waiting: &Waiting,
    ) {
        let body = serde_json::to_string(&TombstoneBody::new(tombstone, key)).unwrap_or_default();
        let record = Record::Tombstone(Tombstone { member: &to_hex(member), body: &body });
        self.push_record(epoch, &record, waiting);
    }

    /// Puts all of it into a transaction.
    pub fn write(&mut self, epoch: Epoch, change: &mut dyn Transaction) {
        let mut last = (0, 0);
        for (epoch, chunk) in self.chunks.drain(..) {
            last = if last.0 == epoch { (epoch, last.1 + 1) } else { (epoch, 0) };
            change.put(Table::ArchiveQueue, &formats::queue_key(epoch, last.1), &chunk);
        }
        if std::mem::take(&mut self.anew) {
            change.put(Table::Meta, &anew_key(epoch), formats::NOTHING);
        }
    }
}

/// The key that says that the archive is to be made anew, as of an epoch or a later one.
pub fn anew_key(epoch: Epoch) -> Vec<u8> {
    [meta::ARCHIVE_ANEW, &epoch.to_be_bytes()].concat()
}

/// Puts the queue in order after a crash: for whoever has just opened the store, and before it takes anything.
///
/// Inside a bulk load records are queued, synced, before they are loaded, and both before the epoch counts. Of what is
/// queued beyond the committed epoch the archive gets what the store has; what it has not is read again, and queued
/// again. That is put under the epoch after the committed one, which is one of recovery and has no records of its own.
pub fn settle(store: &dyn Store, key: &DigestKey, standing: &Standing) -> Result<(), StoreError> {
    let mut kept = Queued::default();
    let mut stale = Vec::new();
    let mut failed = None;
    let from = formats::queue_key(standing.epoch + 1, 0);
    store.scan(Table::ArchiveQueue, &[], &from, &mut |queued, value| {
        stale.push(queued.to_vec());
        let mut inner = Ok(());
        let read = formats::each_queued(queued, value, &mut |normal| {
            match has(store, key, normal) {
                Ok(true) => kept.push(standing.epoch + 1, normal, &Waiting::default()),
                Ok(false) => {}
                Err(error) => inner = Err(error),
            };
        });
        match read.and(inner) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if stale.is_empty() {
        return Ok(());
    }
    let mut change = store.begin();
    stale.iter().for_each(|queued| change.delete(Table::ArchiveQueue, queued));
    kept.write(standing.epoch + 1, &mut *change);
    change.commit(true)
}

/// Whether the store has a record that a load was to bring. An item's version is committed with its epoch.
fn has(store: &dyn Store, key: &DigestKey, normal: &[u8]) -> Result<bool, StoreError> {
    let mut stored = Vec::new();
    match records::decode(normal) {
        Ok(Record::Event(event)) => {
            let digest = formats::digest_bytes(key.event(normal));
            formats::record_key(event.member, RecordKind::Event, &digest, &mut stored);
        }
        Ok(Record::Retract(event)) => {
            let digest = formats::digest_bytes(key.event(normal));
            formats::record_key(event.member, RecordKind::Retract, &digest, &mut stored);
        }
        Ok(Record::RetractId { member, id }) => {
            formats::record_key(member, RecordKind::RetractId, id.as_bytes(), &mut stored);
        }
        _ => return Ok(false),
    }
    Ok(store.get(Table::Records, &stored)?.is_some())
}
