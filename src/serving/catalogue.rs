//! What answers say of items: titles, genres, countries, and what is withdrawn.
//!
//! A process that serves keeps the catalogue in memory. It is that of one epoch, so an answer of another epoch, between
//! a commit that changes items and its arrival here, reads the store instead.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use serde::Deserialize;

use super::Serving;
use super::encoded::{ItemText, ItemTexts};
use crate::stores::{StoreError, Table, Tables, formats};

/// What an answer says of an item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// Its title.
    pub title: Option<Arc<str>>,
    /// Its genres.
    pub genres: Arc<[Arc<str>]>,
    /// The countries where it may be shown; everywhere where there are none.
    pub countries: Arc<[Arc<str>]>,
    /// Whether it may no longer be listed.
    pub withdrawn: bool,
    /// When the record was made, in milliseconds since 1970.
    pub at: i64,
}

/// The part of an item's body that answers use. Whatever else it holds, or holds of another type, is passed over.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    title: serde_json::Value,
    #[serde(default)]
    genres: serde_json::Value,
    #[serde(default)]
    countries: serde_json::Value,
}

impl CatalogueEntry {
    /// Reads an item of the store.
    pub fn read(tables: &dyn Tables, item: &str) -> Result<Self, StoreError> {
        let value = tables.get(Table::Items, item.as_bytes())?;
        value.map_or(Ok(CatalogueEntry::default()), |value| CatalogueEntry::decode(item.as_bytes(), &value))
    }

    /// Reads an item as it is stored.
    pub fn decode(item: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let (at, withdrawn, body) = formats::decode_item(item, value)?;
        let Ok(Body { title, genres, countries }) = serde_json::from_str(body) else {
            return Ok(CatalogueEntry { withdrawn, at, ..CatalogueEntry::default() });
        };
        Ok(CatalogueEntry {
            title: title.as_str().map(Arc::from),
            genres: texts(&genres),
            countries: texts(&countries),
            withdrawn,
            at,
        })
    }
}

fn texts(value: &serde_json::Value) -> Arc<[Arc<str>]> {
    let texts = value.as_array().into_iter().flatten();
    texts.filter_map(|text| text.as_str()).map(Arc::from).collect()
}

/// Shows every item of the catalogue as it is stored, in the order of the ids.
pub fn each_item(tables: &dyn Tables, show: &mut dyn FnMut(&str, CatalogueEntry)) -> Result<(), StoreError> {
    let mut damage = None;
    tables.scan(Table::Items, &[], &[], &mut |key, value| match CatalogueEntry::decode(key, value) {
        Ok(entry) => {
            show(&String::from_utf8_lossy(key), entry);
            ControlFlow::Continue(())
        }
        Err(error) => {
            damage = Some(error);
            ControlFlow::Break(())
        }
    })?;
    damage.map_or(Ok(()), Err)
}

/// The catalogue in memory.
#[derive(Debug)]
pub struct Catalogue {
    kept: RwLock<Kept>,
    /// The newest epoch that changes items and is on its way, or committed.
    changes_in: AtomicU64,
}

/// The items of an epoch.
#[derive(Debug)]
pub struct Kept {
    /// The epoch in which items changed last.
    pub changed_in: u64,
    items: HashMap<Box<str>, CatalogueEntry, foldhash::fast::RandomState>,
    /// The same, as answers say it.
    pub(super) texts: ItemTexts,
    newest: OnceLock<Newest>,
}

/// Items with when their records were made, the newest first; of one moment by id.
pub type Newest = Arc<[(i64, Box<str>)]>;

fn newest_first(mut items: Vec<(i64, Box<str>)>) -> Newest {
    items.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    items.into()
}

impl Kept {
    fn put(&mut self, item: &str, entry: CatalogueEntry) {
        self.texts.replace(ItemText::new(item, &entry));
        self.items.insert(item.into(), entry);
    }

    /// What is known of an item.
    pub fn get(&self, item: &str) -> CatalogueEntry {
        self.items.get(item).cloned().unwrap_or_default()
    }

    /// All items that may be listed, the newest first.
    pub fn newest(&self) -> Newest {
        let listed = || self.items().filter(|(_, known)| !known.withdrawn);
        let made = || newest_first(listed().map(|(item, known)| (known.at, item.into())).collect());
        self.newest.get_or_init(made).clone()
    }

    /// All items, in no order.
    pub fn items(&self) -> impl Iterator<Item = (&str, &CatalogueEntry)> {
        self.items.iter().map(|(id, entry)| (&**id, entry))
    }
}

impl Catalogue {
    /// The catalogue of a store at an epoch.
    pub fn read(tables: &dyn Tables, epoch: u64) -> Result<Self, StoreError> {
        let (items, texts) = (HashMap::default(), ItemTexts::default());
        let mut kept = Kept { changed_in: epoch, items, texts, newest: OnceLock::new() };
        each_item(tables, &mut |item, entry| kept.put(item, entry))?;
        Ok(Catalogue { kept: RwLock::new(kept), changes_in: AtomicU64::new(epoch) })
    }

    /// The catalogue at an epoch, where it is that one's.
    pub fn at(&self, epoch: u64) -> Option<RwLockReadGuard<'_, Kept>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let current = kept.changed_in == self.changes_in.load(Ordering::Acquire) && kept.changed_in <= epoch;
        current.then_some(kept)
    }

    /// Told before an epoch is committed that changes items.
    pub fn will_change(&self, epoch: u64) {
        self.changes_in.store(epoch, Ordering::Release);
    }

    /// Told afterwards: the items that changed, as the store has them.
    pub fn changed(&self, tables: &dyn Tables, epoch: u64, items: &[Arc<str>]) -> Result<(), StoreError> {
        let entries: Result<Vec<_>, StoreError> =
            items.iter().map(|item| Ok((&**item, CatalogueEntry::read(tables, item)?))).collect();
        let entries = entries?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for (item, entry) in entries {
            kept.put(item, entry);
        }
        kept.changed_in = epoch;
        kept.newest = OnceLock::new();
        Ok(())
    }
}

impl Serving<'_> {
    /// All items that may be listed, the newest first.
    pub fn newest_items(&self) -> Result<Newest, StoreError> {
        if let Some(kept) = self.kept_catalogue() {
            return Ok(kept.newest());
        }
        let mut items = Vec::new();
        each_item(self.tables, &mut |item, known| {
            if !known.withdrawn {
                items.push((known.at, item.into()));
            }
        })?;
        Ok(newest_first(items))
    }

    /// The catalogue in memory, where it is that of this moment.
    pub(super) fn kept_catalogue(&self) -> Option<RwLockReadGuard<'_, Kept>> {
        self.known.catalogue.as_ref().and_then(|catalogue| catalogue.at(self.standing.epoch))
    }
}
