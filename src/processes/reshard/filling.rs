//! New folders filled with what all of a pipeline's have.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::said::Said;
use super::{Made, ReshardError, Resharded, Target, file};
use crate::backups::{copy_folder, sync};
use crate::digests::DigestKey;
use crate::folder::{Folder, write_key};
use crate::processes::Share;
use crate::processes::parts::Parts;
use crate::sources::{Offset, read_by_all};
use crate::stores::formats;
use crate::stores::rocks::{RocksOptions, RocksStore};
use crate::stores::union::{Union, member_of};
use crate::stores::{Store, StoreError, Table, Tables, Transaction};

/// How many bytes of a folder are loaded at a time.
const LOAD: usize = 8 << 20;

/// All stores of a pipeline.
type Whole = Union<Arc<dyn Store>>;

/// A new store on its way.
struct Filling<'s> {
    store: &'s RocksStore,
    load: Box<dyn Transaction + 's>,
    made: Made,
}

impl Filling<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.load.put(table, key, value);
        if self.load.size() >= LOAD { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let full = std::mem::replace(&mut self.load, self.store.begin_load());
        full.commit(false)
    }
}

/// Puts all folders together, each beside its place.
pub(super) fn fill(
    parts: &Parts,
    targets: &[Target],
    key: &DigestKey,
    pipeline: Option<String>,
    plain: bool,
) -> Result<Resharded, ReshardError> {
    let options = RocksOptions { plain, ..RocksOptions::default() };
    let open = |target: &Target| RocksStore::open(&target.beside, options);
    let stores = targets.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let mut filling: Vec<Filling<'_>> = stores
        .iter()
        .zip(targets)
        .map(|(store, target)| {
            let made = Made { folder: target.data.display().to_string(), ..Made::default() };
            Filling { store, load: store.begin_load(), made }
        })
        .collect();
    let union = parts.union();
    let tombstones = fill_members(&union, key, &mut filling)?;
    let (items, sources) =
        (fill_items(&union, &mut filling)?, fill_offsets(&union, parts.parts.len(), &mut filling)?);
    let said = Said::of(parts, &union, key, pipeline.clone())?;
    filling.iter_mut().try_for_each(Filling::flush)?;
    let folders: Vec<Made> = filling.into_iter().map(|filling| filling.made).collect();
    for (process, store) in stores.iter().enumerate() {
        let mut change = store.begin();
        said.put(Share { process, processes: folders.len() }, &folders, &mut *change);
        change.commit(true)?;
    }
    // Closed, before they are put in place.
    drop(stores);
    for target in targets {
        copy_versions(parts, &target.beside)?;
        let own = Folder::new(&target.beside);
        write_key(&own.key_file(), key).map_err(file(&own.key_file()))?;
        sync(&target.beside)?;
    }
    Ok(Resharded { pipeline, epoch: parts.first().standing.epoch, folders, items, tombstones, sources })
}

/// Goes through the entries of a table, each with those who have it.
fn each(
    union: &Whole,
    table: Table,
    take: &mut dyn FnMut(&[u8], &[(usize, &[u8])]) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let (mut entries, mut failed) = (0, None);
    union.each_held(table, (&[], &[]), &mut |key, held| match take(key, held) {
        Ok(()) => {
            entries += 1;
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(entries), Err)
}

/// Members' records, by owner, and tombstones; says of how many members these are.
fn fill_members(union: &Whole, key: &DigestKey, filling: &mut [Filling<'_>]) -> Result<u64, StoreError> {
    let mut tombstones: BTreeMap<Vec<u8>, (Vec<u8>, Option<usize>)> = BTreeMap::new();
    union.scan(Table::Tombstones, &[], &[], &mut |digest, value| {
        tombstones.insert(digest.to_vec(), (value.to_vec(), None));
        ControlFlow::Continue(())
    })?;
    let share = Share { process: 0, processes: filling.len() };
    // Whose records come now, and which process has the member.
    let mut last = (String::new(), 0);
    // Whoever has a record: also one that is not where it belongs is kept.
    each(union, Table::Records, &mut |entry, held| {
        let damaged = || formats::damaged(Table::Records, entry, "names no member");
        let member = member_of(Table::Records, entry).ok_or_else(damaged)?;
        if last.0 != member {
            last = (member.to_owned(), share.owner(member));
            filling[last.1].made.members += 1;
            if !tombstones.is_empty()
                && let Some((_, owner)) = tombstones.get_mut(&key.member(member)[..])
            {
                *owner = Some(last.1);
            }
        }
        let owner = &mut filling[last.1];
        match entry.get(member.len() + 1) {
            Some(b'e') => owner.made.live_events += 1,
            _ => owner.made.retractions += 1,
        }
        owner.put(Table::Records, entry, held[0].1)
    })?;
    for (digest, (tombstone, owner)) in &tombstones {
        for (process, filling) in filling.iter_mut().enumerate() {
            if owner.is_none_or(|owner| owner == process) {
                filling.put(Table::Tombstones, digest, tombstone)?;
            }
        }
    }
    Ok(tombstones.len() as u64)
}

/// The catalogue, to all; of versions that differ the one that wins.
fn fill_items(union: &Whole, filling: &mut [Filling<'_>]) -> Result<u64, StoreError> {
    each(union, Table::Items, &mut |item, held| {
        let mut winner: Option<((i64, &str), &[u8])> = None;
        for (_, value) in held {
            let (at, _, body) = formats::decode_item(item, value)?;
            if winner.is_none_or(|(known, _)| known < (at, body)) {
                winner = Some(((at, body), value));
            }
        }
        let Some((_, value)) = winner else { return Ok(()) };
        filling.iter_mut().try_for_each(|filling| filling.put(Table::Items, item, value))
    })
}

/// How far sources were read, to all: as far as all processes had.
fn fill_offsets(union: &Whole, processes: usize, filling: &mut [Filling<'_>]) -> Result<u64, StoreError> {
    let mut sources = 0;
    each(union, Table::Offsets, &mut |source, held| {
        let mut offsets: Vec<Option<Offset>> = vec![None; processes];
        for (process, value) in held {
            let damaged =
                |error: serde_json::Error| formats::damaged(Table::Offsets, source, &error.to_string());
            offsets[*process] = Some(serde_json::from_slice(value).map_err(damaged)?);
        }
        let read = read_by_all(&String::from_utf8_lossy(source), &offsets);
        let Some((_, value)) = held.iter().find(|(process, _)| Some(*process) == read) else { return Ok(()) };
        sources += 1;
        filling.iter_mut().try_for_each(|filling| filling.put(Table::Offsets, source, value))
    })?;
    Ok(sources)
}

/// The models and centres in use, from the first folder that has them.
fn copy_versions(parts: &Parts, into: &Path) -> Result<(), ReshardError> {
    let standing = &parts.first().standing;
    let models = standing.lists.models();
    let centres = standing.centres.as_ref().map(|centres| centres.version.as_str());
    let own = Folder::new(into);
    let copy = |what: String, place: &dyn Fn(&Folder) -> PathBuf| {
        let from = parts.parts.iter().map(|part| place(&part.folder)).find(|from| from.exists());
        let Some(from) = from else {
            return Err(ReshardError::Refused(format!(
                "{what} is in none of the folders: restore it from a backup"
            )));
        };
        let to = place(&own);
        let above = to.parent().unwrap_or(into);
        fs::create_dir_all(above).map_err(file(above))?;
        copy_folder(&from, &to)?;
        Ok(sync(above)?)
    };
    for version in models {
        copy(format!("model {version}"), &|folder| folder.model(version))?;
    }
    // Without them members belong to no cluster, as at any start.
    let has = |version: &&str| parts.parts.iter().any(|part| part.folder.centres_of(version).exists());
    if let Some(version) = centres.filter(has) {
        copy(format!("centres {version}"), &|folder| folder.centres_of(version))?;
    }
    Ok(())
}
