//! `verify`: all views made anew from the records, and held against those that are stored.
//!
//! The same engine runs over the records with a [`Comparison`] for a store: what the graph says is compared with
//! what is there, entry by entry, and both are summed up in a digest.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::stores::canonical::ViewsDigest;
use crate::stores::{Store, StoreError, Table, Tables, Transaction, formats};

/// How many differing entries are named.
const NAMED: usize = 10;

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// Whether every view is what the records say.
    pub equal: bool,
    /// The digest of the stored views.
    pub stored: String,
    /// The digest of the views made anew.
    pub recomputed: String,
    /// How many entries there are.
    pub entries: u64,
    /// How many entries were made anew and differ from what is stored.
    pub differing: u64,
    /// Some of them: the view and the key.
    pub examples: Vec<String>,
    /// The epoch that was verified.
    pub epoch: u64,
}

/// The entries of `meta` that are views.
const META_VIEWS: [&[u8]; 2] = [formats::meta::NOW, formats::meta::TRENDING];

/// Compares what is put into it with another store, and keeps nothing but a digest.
pub struct Comparison {
    stored: Arc<dyn Store>,
    /// Views that the folder, being of an earlier format, does not have.
    without: Vec<Table>,
    sums: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    digest: ViewsDigest,
    entries: u64,
    differing: u64,
    examples: Vec<String>,
    failure: Option<StoreError>,
}

impl Comparison {
    /// With the views of `stored`.
    pub fn new(stored: Arc<dyn Store>) -> Self {
        Comparison { stored, without: Vec::new(), sums: Mutex::default() }
    }

    /// The same of a folder that has no such views yet.
    pub fn without(self, views: Vec<Table>) -> Self {
        Comparison { without: views, ..self }
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of it, once all views were put.
    pub fn verdict(&self, epoch: u64) -> Result<Verdict, StoreError> {
        let (live, entries) = digest(&*self.stored)?;
        let mut sums = self.sums();
        if let Some(failure) = sums.failure.take() {
            return Err(failure);
        }
        // The live events and the catalogue are what the views were made from; they count for both.
        let mut recomputed = sums.digest;
        let mut sources = 0;
        for table in [Table::Records, Table::Items] {
            sources += add_table(&*self.stored, table, &mut recomputed)?;
        }
        Ok(Verdict {
            equal: live == recomputed && sums.differing == 0,
            stored: live.to_string(),
            recomputed: recomputed.to_string(),
            entries,
            differing: sums.differing.max(entries.abs_diff(sums.entries + sources)),
            examples: std::mem::take(&mut sums.examples),
            epoch,
        })
    }
}

/// The digest of the views of a store, and how many entries they have.
pub fn digest(store: &dyn Tables) -> Result<(ViewsDigest, u64), StoreError> {
    let mut digest = ViewsDigest::default();
    let mut entries = 0;
    for key in META_VIEWS {
        if let Some(value) = store.get(Table::Meta, key)? {
            add_meta(key, &value, &mut digest);
            entries += 1;
        }
    }
    for table in [Table::Records, Table::Items].into_iter().chain(Table::VIEWS) {
        entries += add_table(store, table, &mut digest)?;
    }
    Ok((digest, entries))
}

fn add_table(store: &dyn Tables, table: Table, digest: &mut ViewsDigest) -> Result<u64, StoreError> {
    let (mut entries, mut damage) = (0, None);
    let mut normal = Vec::new();
    store.scan(table, &[], &[], &mut |key, value| {
        if table != Table::Records {
            digest.add(table.name(), key, value);
        } else {
            match formats::record_of(key, value, &mut normal) {
                // Retractions and tombstones are told apart by what they do to the views.
                Ok(()) if normal[0] != 1 => return ControlFlow::Continue(()),
                // The key of a stored event is under the folder's own key; its normal form is not.
                Ok(()) => digest.add("events", &normal, &[]),
                Err(error) => {
                    damage = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        entries += 1;
        ControlFlow::Continue(())
    })?;
    damage.map_or(Ok(entries), Err)
}

fn add_meta(key: &[u8], value: &[u8], digest: &mut ViewsDigest) {
    let view = if key == formats::meta::NOW { "now" } else { "trending" };
    digest.add(view, &[], value);
}

impl Tables for Comparison {
    fn get(&self, _table: Table, _key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn scan(
        &self,
        _table: Table,
        _prefix: &[u8],
        _from: &[u8],
        _show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Store for Comparison {
    fn begin(&self) -> Box<dyn Transaction + '_> {
        Box::new(Comparing { comparison: self })
    }

    fn begin_load(&self) -> Box<dyn Transaction + '_> {
        self.begin()
    }

    fn at_one_moment(&self, read: &mut dyn FnMut(&dyn Tables)) -> Result<(), StoreError> {
        read(self);
        Ok(())
    }

    fn clear(&self, _table: Table) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit_turned<'s>(&'s self, change: Box<dyn Transaction + 's>) -> Result<(), StoreError> {
        change.commit(true)
    }
}

struct Comparing<'a> {
    comparison: &'a Comparison,
}

impl Comparing<'_> {
    fn compare(&self, table: Table, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        Ok(self.comparison.stored.get(table, key)?.as_deref() == Some(value))
    }
}

impl Transaction for Comparing<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        let is_view = Table::VIEWS.contains(&table) || (table == Table::Meta && META_VIEWS.contains(&key));
        if !is_view || self.comparison.without.contains(&table) {
            return;
        }
        let same = self.compare(table, key, value);
        let mut sums = self.comparison.sums();
        if table == Table::Meta {
            add_meta(key, value, &mut sums.digest);
        } else {
            sums.digest.add(table.name(), key, value);
        }
        sums.entries += 1;
        match same {
            Ok(true) => {}
            Ok(false) => {
                sums.differing += 1;
                if sums.examples.len() < NAMED {
                    sums.examples.push(format!("{} {}", table.name(), String::from_utf8_lossy(key)));
                }
            }
            Err(error) => sums.failure = Some(error),
        }
    }

    fn delete(&mut self, _table: Table, _key: &[u8]) {}

    fn size(&self) -> usize {
        0
    }

    fn commit(self: Box<Self>, _synced: bool) -> Result<(), StoreError> {
        Ok(())
    }
}
