//! What a forget takes out of the store, counted as it is taken; and the mark that says that its bytes are still on the
//! disk.
//!
//! The mark is written in the same commit as the tombstone, so that whatever happens then, the erasure is made good.
//! It names the member, whose lines must be found among the rejected ones, until these were gone through.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use nearline_dataflows::types::{Epoch, Member, day_of, hour_of};
use serde::{Deserialize, Serialize};

use super::ingest::EpochRecords;
use super::placement::Said;
use crate::records::{self, Record, RecordType};
use crate::stores::formats::{self, CellKey, ListKey, meta};
use crate::stores::{Store, StoreError, Table, Tables, Transaction};

/// How many entries of a member were taken out of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Removed {
    /// Live events.
    pub events: u64,
    /// Retractions, by fields and by id. Digests of them stay in the tombstone.
    pub retractions: u64,
    /// Counts by kind, hour, item and country that the events were part of. Each was lowered by them, and is gone where
    /// nobody else's were.
    pub popularity: u64,
    /// Counts by day, list, variant, position and kind, likewise.
    pub performance: u64,
    /// Factors: one of each model in use at most.
    pub factors: u64,
    /// To which cluster the member belonged: likewise. What the member liked no longer counts there.
    pub clusters: u64,
    /// Lists, of each model in use.
    pub lists: u64,
    /// Lists of batch jobs.
    pub batch_lists: u64,
}

/// A member that was forgotten and whose bytes are still on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasing {
    /// The member's id; none once the rejected lines were gone through.
    pub member: Option<String>,
    /// Everything up to this moment is forgotten.
    pub at: i64,
    /// What was taken out.
    pub removed: Removed,
    /// The versions of the models that were trained on the member; known once the id is not.
    #[serde(default)]
    pub models: Vec<String>,
    /// The files of the archive that held one of those who are erased together, by URL; known once they were looked for.
    #[serde(default)]
    pub archived: Vec<String>,
}

/// The key of a mark: the epoch, so that a later forget of the same member has one of its own, and the member's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The epoch from which on the member is gone.
    pub epoch: Epoch,
    /// The keyed digest of the member's id.
    pub digest: [u8; 16],
}

impl Mark {
    /// The key in `meta`.
    pub fn key(&self) -> Vec<u8> {
        [meta::ERASING, &self.epoch.to_be_bytes(), &self.digest].concat()
    }

    fn read(key: &[u8]) -> Option<Mark> {
        let (epoch, digest) = key.strip_prefix(meta::ERASING)?.split_at_checked(8)?;
        Some(Mark { epoch: u64::from_be_bytes(epoch.try_into().ok()?), digest: digest.try_into().ok()? })
    }
}

/// Puts a mark.
pub fn put(mark: &Mark, erasing: &Erasing, change: &mut dyn Transaction) {
    change.put(Table::Meta, &mark.key(), &serde_json::to_vec(erasing).unwrap_or_default());
}

/// The marks of a store, oldest first.
pub fn marks(store: &dyn Tables) -> Result<Vec<(Mark, Erasing)>, StoreError> {
    let mut marks = Vec::new();
    let mut damage = None;
    store.scan(Table::Meta, meta::ERASING, &[], &mut |key, value| match (
        Mark::read(key),
        serde_json::from_slice(value),
    ) {
        (Some(mark), Ok(erasing)) => {
            marks.push((mark, erasing));
            ControlFlow::Continue(())
        }
        _ => {
            damage = Some(formats::damaged(Table::Meta, key, "cannot be read"));
            ControlFlow::Break(())
        }
    })?;
    damage.map_or(Ok(marks), Err)
}

/// The members that records of an epoch ask to forget, each with the moment up to which; those that were refused left
/// out.
pub fn asked(records: &EpochRecords, refused: &HashSet<u32>) -> HashMap<Member, i64> {
    let mut asked = HashMap::new();
    for (seq, slot) in records.slots.iter().enumerate() {
        if records::type_of(records.bytes(slot)) == RecordType::Other
            && !refused.contains(&(seq as u32))
            && let Record::Forget { at, .. } = records.record(slot)
        {
            let up_to = asked.entry(Member(slot.member)).or_insert(at);
            *up_to = at.max(*up_to);
        }
    }
    asked
}

/// The members of whom an epoch brings events that stay.
pub fn brought(records: &EpochRecords, refused: &HashSet<u32>) -> HashSet<Member> {
    let slots = records.slots.iter().enumerate();
    let stays = slots.filter(|(seq, slot)| {
        records::type_of(records.bytes(slot)) == RecordType::Event && !refused.contains(&(*seq as u32))
    });
    stays.map(|(_, slot)| Member(slot.member)).collect()
}

/// Removes the retractions of members of whom something was forgotten; `met` is how many members there are.
///
/// Looked for member by member, or, where they are a good part of all, as after a trim, in one pass over the table.
pub fn take_out_retractions(
    store: &dyn Store,
    members: &[&str],
    met: usize,
    change: &mut dyn Transaction,
) -> Result<(), StoreError> {
    let mut prefix = Vec::new();
    if members.len() * 8 < met {
        for member in members {
            formats::member_prefix(member, &mut prefix);
            for kind in [b'i', b'r'] {
                prefix.push(kind);
                store.scan(Table::Records, &prefix, &prefix, &mut |key, _| {
                    change.delete(Table::Records, key);
                    ControlFlow::Continue(())
                })?;
                prefix.pop();
            }
        }
        return Ok(());
    }
    let prefix_of = |member: &&str| {
        let mut prefix = Vec::new();
        formats::member_prefix(member, &mut prefix);
        prefix
    };
    let prefixes: HashSet<Vec<u8>> = members.iter().map(prefix_of).collect();
    // Whose keys these are, and whether they are of one of the members: keys come member by member.
    let mut last = (Vec::new(), false);
    store.scan(Table::Records, &[], &[], &mut |key, _| {
        let of = &key[..key.len().min(key.first().map_or(0, |length| usize::from(*length) + 2))];
        if last.0 != of {
            last = (of.to_vec(), prefixes.contains(of));
        }
        if last.1 && matches!(key.get(of.len()), Some(b'i' | b'r')) {
            change.delete(Table::Records, key);
        }
        ControlFlow::Continue(())
    })
}

/// Counts what an epoch takes out of the store of a member. Where nothing is left of the member it also removes factor
/// and lists, which in a bulk load come only with its end; says whether that is so.
///
/// `removed` are the digests of the events that cease to be live, `live` says whether the epoch brings others.
pub fn take_out(
    store: &dyn Store,
    member: &str,
    removed: &HashSet<[u8; 16]>,
    live: bool,
    change: &mut dyn Transaction,
) -> Result<(Removed, bool), StoreError> {
    let mut counted = Removed::default();
    let mut prefix = Vec::new();
    formats::member_prefix(member, &mut prefix);
    let name = prefix.len() + 1;
    let mut left = live;
    let (mut cells, mut listed) = (BTreeSet::new(), BTreeSet::new());
    let mut normal = Vec::new();
    let mut damage = None;
    store.scan(Table::Records, &prefix, &prefix, &mut |key, value| {
        if key[name - 1] != b'e' {
            counted.retractions += 1;
        } else if !removed.contains(&key[name..]) {
            left = true;
        } else {
            counted.events += 1;
            match formats::record_of(key, value, &mut normal).map(|()| records::decode(&normal)) {
                Ok(Ok(Record::Event(event))) => {
                    let said = Said::of(event.context);
                    let (kind, item) = (event.kind, event.item);
                    let cell = CellKey { kind, hour: hour_of(event.at), item, country: &said.country };
                    cells.insert(written(|key| formats::cell_key(&cell, key)));
                    if !said.list.is_empty() {
                        let (list, variant, position) = (&*said.list, &*said.variant, said.position);
                        let cell = ListKey { day: day_of(event.at), list, variant, position, kind };
                        listed.insert(written(|key| formats::list_key(&cell, key)));
                    }
                }
                Ok(_) => damage = Some(formats::damaged(Table::Records, key, "is not in normal form")),
                Err(error) => damage = Some(error),
            }
        }
        if damage.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(damage) = damage {
        return Err(damage);
    }
    counted.popularity = cells.len() as u64;
    counted.performance = listed.len() as u64;
    if !left {
        for table in Table::OF_MEMBERS {
            if store.get(table, member.as_bytes())?.is_some() {
                change.delete(table, member.as_bytes());
                *match table {
                    Table::Factors | Table::StandbyFactors => &mut counted.factors,
                    Table::Clusters | Table::StandbyClusters => &mut counted.clusters,
                    _ => &mut counted.lists,
                } += 1;
            }
        }
    }
    Ok((counted, !left))
}

/// A key of its own.
fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut key = Vec::new();
    write(&mut key);
    key
}
