//! The start: what the store says it holds, and its records read back into the graph.

use std::ops::ControlFlow;

use super::committed::Counts;
use crate::processes::Part;
use crate::records::{self, Record};
use crate::sources::Batch;
use crate::stores::formats::{self, TombstoneValue, meta};
use crate::stores::{StoreError, Table, Tables};
use crate::variants::MadeWith;

/// How many records are read back at a time.
const CHUNK: usize = 65_536;

/// The views of a folder were made with a config of another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the views were made with another config, or by a release that computes otherwise: give that config with \
     --config, or start `nearline run` to make them anew"
)]
pub struct OtherConfig;

/// What a store says it holds.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The version of the folder's format; none before the first commit that leaves it not pending.
    pub format: Option<u32>,
    /// The epoch that was committed last; 0 where there is none.
    pub epoch: u64,
    /// Counts up to it.
    pub counts: Counts,
    /// Everything up to this `at` is forgotten; −1 where nothing is.
    pub trimmed: i64,
    /// The newest `at` among the live events.
    pub now: Option<i64>,
    /// The hash of the config's meaning that the views were made with.
    pub meaning: Option<[u8; 32]>,
    /// What the lists were made with.
    pub lists: MadeWith,
    /// The model that stands by.
    pub standby: Option<formats::Standby>,
    /// The centres of clusters in use.
    pub centres: Option<formats::CentresInUse>,
    /// Whether the views lag behind the records.
    pub pending: bool,
    /// The fingerprint of the key that digests are made with.
    pub key: Option<String>,
    /// Which part of a pipeline of several processes the store has; none where it has all.
    pub part: Option<Part>,
    /// The newest epoch that all processes were known to have on disk.
    pub synced: u64,
    /// Whether the other processes have not been told what this store has.
    pub untold: bool,
}

impl Standing {
    /// Refuses a config whose meaning, by its hash, is not that of the views. A folder without views takes any.
    pub fn made_with(&self, meaning: [u8; 32]) -> Result<(), OtherConfig> {
        if self.meaning.is_none_or(|known| known == meaning) { Ok(()) } else { Err(OtherConfig) }
    }

    /// Whether the folder is of a format that has not all views of today.
    pub fn lacks_views(&self) -> bool {
        self.format.is_some_and(|format| format < formats::ALL_VIEWS)
    }

    /// The views that it has not.
    pub fn missing_views(&self) -> Vec<Table> {
        let earlier = self.format.map_or(0, |format| formats::FORMAT.saturating_sub(format)) as usize;
        let had = Table::OF_FORMATS.get(earlier).copied().unwrap_or(0);
        Table::VIEWS.into_iter().filter(|view| Table::ALL[had..].contains(view)).collect()
    }

    /// Whether whoever opens the folder for writing makes its views anew, whatever they were made with.
    pub fn is_to_be_made_anew(&self) -> bool {
        self.pending || self.lacks_views()
    }

    /// Asks a store.
    pub fn of(store: &dyn Tables) -> Result<Self, StoreError> {
        let get = |key: &[u8]| store.get(Table::Meta, key);
        let integer = |key: &[u8]| -> Result<Option<i64>, StoreError> {
            get(key)?.map(|value| formats::decode_i64(key, &value)).transpose()
        };
        let counts = get(meta::COUNTS)?.map(|value| serde_json::from_slice(&value));
        let counts = counts
            .transpose()
            .map_err(|error| formats::damaged(Table::Meta, meta::COUNTS, &error.to_string()))?;
        let standby = get(meta::STANDBY)?.map(|value| serde_json::from_slice(&value)).transpose();
        let standby =
            standby.map_err(|error| formats::damaged(Table::Meta, meta::STANDBY, &error.to_string()))?;
        let centres = get(meta::CENTRES)?.map(|value| serde_json::from_slice(&value)).transpose();
        let centres =
            centres.map_err(|error| formats::damaged(Table::Meta, meta::CENTRES, &error.to_string()))?;
        let variants = get(meta::VARIANTS)?.map(|value| serde_json::from_slice(&value)).transpose();
        let variants =
            variants.map_err(|error| formats::damaged(Table::Meta, meta::VARIANTS, &error.to_string()))?;
        let part = get(meta::PART)?.map(|value| serde_json::from_slice(&value)).transpose();
        let part = part.map_err(|error| formats::damaged(Table::Meta, meta::PART, &error.to_string()))?;
        let model = get(meta::MODEL)?.map(|value| String::from_utf8_lossy(&value).into_owned());
        let format = get(meta::FORMAT)?.and_then(|value| value.try_into().ok()).map(u32::from_be_bytes);
        Ok(Standing {
            format,
            epoch: integer(meta::EPOCH)?.map_or(0, |epoch| epoch as u64),
            counts: counts.unwrap_or_default(),
            trimmed: integer(meta::TRIMMED)?.unwrap_or(-1),
            now: integer(meta::NOW)?,
            meaning: get(meta::MEANING)?.and_then(|value| value.try_into().ok()),
            lists: MadeWith { model, variants },
            standby,
            centres,
            pending: get(meta::PENDING)?.is_some(),
            key: get(meta::KEY)?.map(|value| String::from_utf8_lossy(&value).into_owned()),
            part,
            untold: get(meta::UNTOLD)?.is_some(),
            synced: integer(meta::SYNCED)?.map_or(0, |epoch| epoch as u64),
        })
    }
}

/// Shows the tombstones of forgotten members, by keyed digest.
pub fn tombstones(
    store: &dyn Tables,
    show: &mut dyn FnMut([u8; 16], TombstoneValue) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    each(store, Table::Tombstones, &mut |key, value| {
        let digest =
            key.try_into().map_err(|_| formats::damaged(Table::Tombstones, key, "has a wrong key"))?;
        show(digest, formats::decode_tombstone(key, value)?)
    })
}

/// Shows the record of every item, in the order of the ids, until one cannot be shown.
pub fn items<E: From<StoreError>>(
    store: &dyn Tables,
    show: &mut dyn FnMut(records::ItemVersion<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut failed = None;
    store.scan(Table::Items, &[], &[], &mut |key, value| match item_of(key, value)
        .map_err(E::from)
        .and_then(&mut *show)
    {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// Shows every record that is kept, but for tombstones: a trim, the catalogue, then live events and retractions,
/// member by member, in batches.
pub fn records<E: From<StoreError>>(
    store: &dyn Tables,
    standing: &Standing,
    show: &mut dyn FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    read(store, standing, true, show)
}

/// The same for whoever looks whether records are normal forms while taking them: it is done once for each.
pub fn records_unchecked<E: From<StoreError>>(
    store: &dyn Tables,
    standing: &Standing,
    show: &mut dyn FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    read(store, standing, false, show)
}

fn read<E: From<StoreError>>(
    store: &dyn Tables,
    standing: &Standing,
    checked: bool,
    show: &mut dyn FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    let mut batch = Batch::read_back(CHUNK);
    if standing.trimmed >= 0 {
        push(&Record::Trim { at: standing.trimmed }, &mut batch);
    }
    let mut failed: Option<E> = None;
    let mut give = |batch: &mut Batch, least: usize| {
        if batch.len() < least || batch.is_empty() {
            return ControlFlow::Continue(());
        }
        match show(std::mem::replace(batch, Batch::read_back(CHUNK))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let mut damage = None;
    store.scan(Table::Items, &[], &[], &mut |key, value| match item_of(key, value) {
        Ok(item) => {
            push(&Record::Item(item), &mut batch);
            give(&mut batch, CHUNK)
        }
        Err(error) => {
            damage = Some(error);
            ControlFlow::Break(())
        }
    })?;
    store.scan(Table::Records, &[], &[], &mut |key, value| {
        // The last bytes of any other key are no digest.
        let digest = formats::is_of_event(key).then(|| formats::digest_of(key)).flatten();
        let append = |bytes: &mut Vec<u8>| {
            let start = bytes.len();
            formats::append_record_of(key, value, bytes)?;
            if checked && records::decode(&bytes[start..]).is_err() {
                return Err(formats::damaged(Table::Records, key, "is not in normal form"));
            }
            Ok(())
        };
        match batch.push_read_back(digest, append) {
            Ok(()) => give(&mut batch, CHUNK),
            Err(error) => {
                damage = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(damage) = damage {
        return Err(damage.into());
    }
    let _ = give(&mut batch, 1);
    failed.map_or(Ok(()), Err)
}

fn push(record: &Record<'_>, batch: &mut Batch) {
    let Ok(()) = batch.push_read_back(None, |bytes| {
        records::encode(record, bytes);
        Ok::<(), std::convert::Infallible>(())
    });
}

fn item_of<'a>(key: &'a [u8], value: &'a [u8]) -> Result<records::ItemVersion<'a>, StoreError> {
    let (at, withdrawn, body) = formats::decode_item(key, value)?;
    let item = std::str::from_utf8(key).map_err(|_| formats::damaged(Table::Items, key, "is not UTF-8"))?;
    Ok(records::ItemVersion { item, at, body, withdrawn })
}

/// Shows every entry of a table, until one cannot be read.
pub fn each(
    store: &dyn Tables,
    table: Table,
    show: &mut dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut failed = None;
    store.scan(table, &[], &[], &mut |key, value| match show(key, value) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(()), Err)
}
