//! How far each mirror is, as the store has it, and the queue of what they lack.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::config::Mirror as Given;
use crate::engine::recover;
use crate::stores::formats::{self, meta};
use crate::stores::mirrored::{self, View};
use crate::stores::{Store, StoreError, Table, Tables, Transaction};

/// So many entries are taken out of the queue in one transaction.
const AT_ONCE: usize = 16_384;

/// Where a mirror is and how far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorState {
    /// Its address.
    pub url: String,
    /// The views that it has.
    pub views: Vec<View>,
    /// The epoch up to which its server has acknowledged all that changed.
    pub acked: u64,
    /// The epoch of the last reason to fill it anew that it knows of.
    pub anew: u64,
    /// Whether it says of itself that it is whole.
    #[serde(default)]
    pub whole: bool,
    /// How far it is filled, while it is.
    pub filling: Option<Filling>,
    /// When it was begun last to fill it anew as entries run out, in milliseconds since 1970.
    #[serde(default)]
    pub filled: Option<i64>,
    /// When the server acknowledged something last, by the wall clock, in milliseconds since 1970.
    pub at: Option<i64>,
    /// What its last write was stamped with, where a server orders writes by that: microseconds since 1970.
    pub stamp: i64,
}

/// How far a mirror is filled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filling {
    /// Of the mirror's views, which is being written; past the last one what the store has not is taken out.
    pub view: usize,
    /// The key from which on it is, as hexadecimal.
    pub from: String,
    /// How many entries have been written.
    pub written: u64,
}

/// What there is to say of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorStatus {
    /// Its name.
    pub name: String,
    /// Where and how far it is.
    #[serde(flatten)]
    pub state: MirrorState,
    /// How many changed entries wait in the queue for it; of one that others need too it is counted for each.
    pub waiting: u64,
}

impl MirrorState {
    /// Of a mirror as it is given: as it was, or to be filled.
    pub(super) fn begin(known: Option<MirrorState>, given: &Given, epoch: u64) -> MirrorState {
        match known {
            Some(known) if known.views == given.views => known,
            known => MirrorState {
                url: given.url.clone(),
                views: given.views.clone(),
                acked: known.as_ref().map_or(epoch, |known| known.acked),
                filling: Some(Filling::default()),
                ..known.unwrap_or_default()
            },
        }
    }

    pub(super) fn put(&self, name: &str, change: &mut dyn Transaction) {
        change.put(Table::Meta, &key_of(name), &serde_json::to_vec(self).unwrap_or_default());
    }
}

pub(super) fn key_of(name: &str) -> Vec<u8> {
    [meta::MIRROR, name.as_bytes()].concat()
}

/// The mirrors of a store, by name.
pub fn states(store: &dyn Tables) -> Result<Vec<(String, MirrorState)>, StoreError> {
    let mut states = Vec::new();
    let mut damage = None;
    store.scan(Table::Meta, meta::MIRROR, &[], &mut |key, value| match serde_json::from_slice(value) {
        Ok(state) => {
            states.push((String::from_utf8_lossy(&key[meta::MIRROR.len()..]).into_owned(), state));
            ControlFlow::Continue(())
        }
        Err(error) => {
            damage = Some(formats::damaged(Table::Meta, key, &error.to_string()));
            ControlFlow::Break(())
        }
    })?;
    damage.map_or(Ok(states), Err)
}

/// What there is to say of the mirrors of a store.
pub fn status(store: &dyn Tables) -> Result<Vec<MirrorStatus>, StoreError> {
    let states = states(store)?;
    if states.is_empty() {
        return Ok(Vec::new());
    }
    let mut waiting = vec![0; states.len()];
    recover::each(store, Table::MirrorQueue, &mut |key, _| {
        let (epoch, view, _) = mirrored::decode_queue_key(key)?;
        for ((_, state), waiting) in states.iter().zip(&mut waiting) {
            *waiting += u64::from(epoch > state.acked && state.views.contains(&view));
        }
        Ok::<_, StoreError>(())
    })?;
    let with = |((name, state), waiting)| MirrorStatus { name, state, waiting };
    Ok(states.into_iter().zip(waiting).map(with).collect())
}

/// The addresses of mirrors that were given up.
pub fn left(store: &dyn Tables) -> Result<Vec<String>, StoreError> {
    let value = store.get(Table::Meta, meta::MIRRORS_LEFT)?;
    let read = value.map(|value| serde_json::from_slice(&value)).transpose();
    let damaged =
        |error: serde_json::Error| formats::damaged(Table::Meta, meta::MIRRORS_LEFT, &error.to_string());
    Ok(read.map_err(damaged)?.unwrap_or_default())
}

/// Takes out of the queue what changed after one epoch and up to another.
pub(super) fn empty_queue(store: &dyn Store, after: u64, up_to: u64) -> Result<(), StoreError> {
    let mut from = mirrored::from_epoch(after.saturating_add(1)).to_vec();
    let end = mirrored::from_epoch(up_to.saturating_add(1));
    loop {
        let mut keys = Vec::new();
        store.scan(Table::MirrorQueue, &[], &from, &mut |key, _| {
            if *key >= end[..] || keys.len() == AT_ONCE {
                return ControlFlow::Break(());
            }
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        })?;
        let Some(last) = keys.last() else { return Ok(()) };
        from.clone_from(last);
        let mut change = store.begin();
        keys.iter().for_each(|key| change.delete(Table::MirrorQueue, key));
        change.commit(false)?;
    }
}
