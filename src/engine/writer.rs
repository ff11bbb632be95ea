//! What the committer writes: records, counts and views, as entries of a transaction.

use std::collections::{HashMap, HashSet};

use nearline_dataflows::clusters::{Counted, Moved};
use nearline_dataflows::graph::Delta;
use nearline_dataflows::histories::RecordEffect;
use nearline_dataflows::history::Gone;
use nearline_dataflows::members::Role;
use nearline_dataflows::performance::ListCell;
use nearline_dataflows::popularity;
use nearline_dataflows::together::ItemPair;
use nearline_dataflows::types::{Item, Member};

use super::committed::Counts;
use super::held::Held;
use super::ingest::{AllNames, EpochRecords};
use crate::records::{self, Record, RecordType};
use crate::stores::formats::{self, CellKey, ListKey, RecordKind, meta};
use crate::stores::{Table, Transaction};
use crate::variants::MadeWith;

/// What the graph says of an epoch's records.
#[derive(Default)]
pub struct Effects {
    /// Records that changed nothing, by their place in the epoch.
    pub refused: HashSet<u32>,
    /// Events that ceased to be live.
    pub removed: Vec<(Member, [u64; 2])>,
    /// Members of whom something was forgotten, and what must stay known of them.
    pub forgot: HashMap<Member, Gone>,
}

impl Effects {
    /// Sums an epoch's changes up.
    pub fn of(deltas: &[Delta]) -> Self {
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

/// Where a model's factors, lists and clusters are.
fn tables(role: Role) -> [Table; 5] {
    match role {
        Role::Live => Table::TURNING,
        Role::Standby => Table::STANDBY,
    }
}

/// Writes what the live lists are made with.
pub fn put_made_with(lists: &MadeWith, change: &mut dyn Transaction) {
    match &lists.model {
        Some(model) => change.put(Table::Meta, meta::MODEL, model.as_bytes()),
        None => change.delete(Table::Meta, meta::MODEL),
    }
    match &lists.variants {
        Some(variants) => {
            change.put(Table::Meta, meta::VARIANTS, &serde_json::to_vec(variants).unwrap_or_default());
        }
        None => change.delete(Table::Meta, meta::VARIANTS),
    }
}
/// Writes entries into a transaction, with buffers that are used again.
pub struct Writer {
    /// Ids by number.
    pub names: AllNames,
    /// Counts up to what was written last.
    pub counts: Counts,
    trimmed: i64,
    /// Whether the folder is marked as pending.
    pub pending: bool,
    /// What the views are made with, where the store does not know yet.
    pub made: Option<([u8; 32], MadeWith)>,
    /// What is held back while it is.
    pub held: Held,
    /// Members of whom a forget left no list and no factor: there is nothing to remove, and a removal would bring
    /// their ids back to the disk.
    pub nothing_left: HashSet<Member>,
    /// The workers of this process.
    own_workers: std::ops::Range<usize>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Writer {
    /// A writer that goes on from what the store holds.
    pub fn new(names: AllNames, counts: Counts, trimmed: i64) -> Self {
        Writer {
            names,
            counts,
            trimmed,
            pending: false,
            made: None,
            held: Held::default(),
            nothing_left: HashSet::new(),
            own_workers: 0..usize::MAX,
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    /// The same where only these workers are of this process.
    pub fn of_workers(self, own_workers: std::ops::Range<usize>) -> Self {
        Writer { own_workers, ..self }
    }

    /// Everything up to this `at` is forgotten.
    pub fn trimmed(&self) -> i64 {
        self.trimmed
    }

    /// Writes what the views are made with, where that is news.
    pub fn write_made(&mut self, fingerprint: &str, change: &mut dyn Transaction) {
        let Some((meaning, lists)) = self.made.take() else { return };
        change.put(Table::Meta, meta::FORMAT, &formats::FORMAT.to_be_bytes());
        change.put(Table::Meta, meta::MEANING, &meaning);
        change.put(Table::Meta, meta::KEY, fingerprint.as_bytes());
        put_made_with(&lists, change);
    }

    /// Writes an epoch's records but for those that were refused.
    pub fn write_slots(
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

    /// Removes an event that is live no more.
    pub fn delete_event(&mut self, member: Member, digest: [u64; 2], change: &mut dyn Transaction) {
        let digest = formats::digest_bytes(digest);
        formats::record_key(&self.names.members[member.index()], RecordKind::Event, &digest, &mut self.key);
        change.delete(Table::Records, &self.key);
        self.counts.live_events = self.counts.live_events.saturating_sub(1);
    }

    /// Writes counts; a count of zero is absent.
    pub fn write_cells(&mut self, cells: &[popularity::Counted], change: &mut dyn Transaction) {
        for popularity::Counted { cell, count, .. } in cells {
            let key = CellKey {
                kind: &self.names.kinds[cell.kind.index()],
                hour: cell.hour,
                item: &self.names.items[cell.item.index()],
                country: &self.names.countries[cell.country.index()],
            };
            formats::cell_key(&key, &mut self.key);
            self.put_count(Table::Popularity, (*count).into(), change);
        }
    }

    /// Writes counts of lists; a count of zero is absent.
    pub fn write_listed(&mut self, counts: &[(ListCell, u64)], change: &mut dyn Transaction) {
        for (cell, count) in counts {
            let key = ListKey {
                day: cell.day,
                list: &self.names.lists[cell.list.index()],
                variant: &self.names.variants[cell.variant.index()],
                position: cell.position,
                kind: &self.names.kinds[cell.kind.index()],
            };
            formats::list_key(&key, &mut self.key);
            self.put_count(Table::Performance, *count, change);
        }
    }

    /// Writes counts of pairs, each under both of its items; a count of zero is absent.
    pub fn write_together(&mut self, counts: &[(ItemPair, u32)], change: &mut dyn Transaction) {
        for (pair, count) in counts {
            let (one, other) = pair.items();
            if one == other {
                formats::together_key(&self.names.items[one.index()], None, &mut self.key);
                self.put_count(Table::Together, (*count).into(), change);
            } else {
                self.write_rows(&[([one, other], *count), ([other, one], *count)], change);
            }
        }
    }

    /// Writes to which clusters members belong.
    fn write_moved(&mut self, moved: &[Moved], change: &mut dyn Transaction) {
        for (role, member, belongs) in moved {
            if self.stays_nothing(*member, belongs.is_none()) {
                continue;
            }
            let [_, _, _, clusters, _] = tables(*role);
            let member = self.names.members[member.index()].as_bytes();
            match belongs {
                Some(belongs) => {
                    formats::encode_belongs(*belongs, &mut self.value);
                    change.put(clusters, member, &self.value);
                }
                None => change.delete(clusters, member),
            }
        }
    }

    /// Writes how many members of clusters like items; a count of zero is absent.
    fn write_liked(&mut self, counts: &[Counted], change: &mut dyn Transaction) {
        for (role, of, count) in counts {
            let [.., liked] = tables(*role);
            formats::cluster_key(of.cluster, &self.names.items[of.item.index()], &mut self.key);
            self.put_count(liked, (*count).into(), change);
        }
    }

    /// Counts of pairs, each under both of its items, in about the order of the keys: what is loaded in order is sorted
    /// already, and lies apart from what is loaded after it. Of several counts of a pair the last.
    pub fn by_both(&self, counts: Vec<(ItemPair, u32)>) -> Vec<([Item; 2], u32)> {
        let names = &self.names.items;
        let mut ordered: Vec<u32> = (0..names.count() as u32).collect();
        let key = |item: &u32| (names[*item as usize].len(), &*names[*item as usize]);
        ordered.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let mut places = vec![0_u32; ordered.len()];
        ordered.iter().zip(0..).for_each(|(item, place)| places[*item as usize] = place);
        let place = |item: Item| places[item.index()];
        let both = |(pair, count): (ItemPair, u32)| {
            let (one, other) = pair.items();
            [([place(one), place(other)], count), ([place(other), place(one)], count)]
        };
        let mut rows: Vec<([u32; 2], u32)> = counts.into_iter().flat_map(both).collect();
        rows.sort_by_key(|(places, _)| *places);
        rows.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = next.1;
            }
            same
        });
        let item = |place: u32| Item(ordered[place as usize]);
        rows.into_iter().map(|(places, count)| (places.map(item), count)).collect()
    }

    /// Writes counts of pairs under the first of their items.
    pub fn write_rows(&mut self, rows: &[([Item; 2], u32)], change: &mut dyn Transaction) {
        for ([one, other], count) in rows {
            let names = &self.names.items;
            formats::together_key(&names[one.index()], Some(&names[other.index()]), &mut self.key);
            self.put_count(Table::Together, (*count).into(), change);
        }
    }

    /// Puts a count under the key that `key` holds.
    fn put_count(&mut self, table: Table, count: u64, change: &mut dyn Transaction) {
        if count > 0 {
            formats::encode_count(count, &mut self.value);
            change.put(table, &self.key, &self.value);
        } else {
            change.delete(table, &self.key);
        }
    }

    /// Writes a change of any view.
    pub fn write_view(&mut self, delta: &Delta, change: &mut dyn Transaction) {
        match delta {
            Delta::Records(_) => {}
            Delta::Popularity(counts) => self.write_cells(counts, change),
            Delta::Performance(counts) => self.write_listed(counts, change),
            Delta::Together(counts) => self.write_together(counts, change),
            Delta::Clusters(moved) => self.write_moved(moved, change),
            Delta::ClusterPopularity(counts) => self.write_liked(counts, change),
            Delta::Now(Some(now)) => {
                change.put(Table::Meta, meta::NOW, &now.at.to_be_bytes());
                if !self.own_workers.contains(&now.worker) {
                    // Whose event it is is known there.
                    return change.delete(Table::Meta, meta::NOW_EVENT);
                }
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
            Delta::Progress(role, lists) => {
                let [_, _, watching, ..] = tables(*role);
                for (member, list) in lists {
                    if self.stays_nothing(*member, list.is_empty()) {
                        continue;
                    }
                    formats::begin_list(&mut self.value);
                    for entry in list {
                        let item = &self.names.items[entry.item.index()];
                        formats::push_begun(item, entry.at, entry.value, &mut self.value);
                    }
                    let member = self.names.members[member.index()].clone();
                    self.put_list(watching, member.as_bytes(), list.is_empty(), change);
                }
            }
            Delta::Lists(role, lists) => {
                let [factors, picks, ..] = tables(*role);
                for made in lists {
                    if self.stays_nothing(made.member, made.factor.is_none()) {
                        continue;
                    }
                    let member = self.names.members[made.member.index()].clone();
                    let Some(factor) = &made.factor else {
                        change.delete(factors, member.as_bytes());
                        change.delete(picks, member.as_bytes());
                        continue;
                    };
                    formats::encode_factor(factor, &mut self.value);
                    change.put(factors, member.as_bytes(), &self.value);
                    formats::begin_list(&mut self.value);
                    for (item, score) in &made.top_picks {
                        formats::push_scored(&self.names.items[item.index()], *score, &mut self.value);
                    }
                    self.put_list(picks, member.as_bytes(), made.top_picks.is_empty(), change);
                }
            }
        }
    }

    /// Whether nothing is there of a member and nothing comes.
    fn stays_nothing(&mut self, member: Member, nothing: bool) -> bool {
        if nothing {
            return self.nothing_left.contains(&member);
        }
        self.nothing_left.remove(&member);
        false
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
