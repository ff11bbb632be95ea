//! `verify`: all views made anew from the records, and held against those that are stored.
//!
//! The same engine runs over the records with a store that keeps nothing and sums up what the graph says. What is stored is
//! summed up as well. Where the sums are equal, so are the views. Where they are not, the engine runs once
//! more, and what it says is looked up in the store, entry by entry: of those whose hashes fall where the sums differ.

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
/// What the views are made from.
const SOURCES: [Table; 2] = [Table::Records, Table::Items];

/// Sums of entries apart from each other, by their hashes: where these differ, few entries need to be looked at.
const PLACES: usize = 4096;

/// A digest, and what it is made of.
struct Sums {
    digest: ViewsDigest,
    entries: u64,
    places: Vec<ViewsDigest>,
}

impl Sums {
    fn new() -> Self {
        Sums { digest: ViewsDigest::default(), entries: 0, places: vec![ViewsDigest::default(); PLACES] }
    }

    /// Adds an entry; says where its hash falls.
    fn add(&mut self, view: &str, key: &[u8], value: &[u8]) -> usize {
        let hash = self.digest.add(view, key, value);
        let place = hash[0] as usize % PLACES;
        self.places[place].add_hash(&hash);
        self.entries += 1;
        place
    }

    fn add_meta(&mut self, key: &[u8], value: &[u8]) -> usize {
        self.add(if key == formats::meta::NOW { "now" } else { "trending" }, &[], value)
    }

    /// What the views of a store are made from.
    fn of_sources(store: &dyn Tables) -> Result<Self, StoreError> {
        let mut sums = Sums::new();
        SOURCES.into_iter().try_for_each(|table| sums.add_table(store, table))?;
        Ok(sums)
    }

    /// Adds the views of a store.
    fn add_views(&mut self, store: &dyn Tables) -> Result<(), StoreError> {
        for key in META_VIEWS {
            if let Some(value) = store.get(Table::Meta, key)? {
                self.add_meta(key, &value);
            }
        }
        Table::VIEWS.into_iter().try_for_each(|table| self.add_table(store, table))
    }

    /// Adds all that others have.
    fn merge(&mut self, other: &Sums) {
        self.digest.merge(&other.digest);
        self.entries += other.entries;
        self.places.iter_mut().zip(&other.places).for_each(|(place, other)| place.merge(other));
    }

    fn add_table(&mut self, store: &dyn Tables, table: Table) -> Result<(), StoreError> {
        let mut damage = None;
        let mut normal = Vec::new();
        store.scan(table, &[], &[], &mut |key, value| {
            if table != Table::Records {
                self.add(table.name(), key, value);
                return ControlFlow::Continue(());
            }
            match formats::record_of(key, value, &mut normal) {
                // Retractions and tombstones are told apart by what they do to the views.
                Ok(()) if normal[0] != 1 => {}
                // The key of a stored event is under the folder's own key; its normal form is not.
                Ok(()) => drop(self.add("events", &normal, &[])),
                Err(error) => {
                    damage = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        damage.map_or(Ok(()), Err)
    }
}

/// Makes the views of a store anew and holds them against those that it has. `remake` has the engine put all views into the
/// store that it is given, each time from the beginning; `without` are views that the folder, being of an earlier
/// format, does not have.
pub fn verify<E: From<StoreError>>(
    stored: &Arc<dyn Store>,
    without: &[Table],
    epoch: u64,
    remake: &mut dyn FnMut(Arc<dyn Store>) -> Result<(), E>,
) -> Result<Verdict, E> {
    let remade = Arc::new(Remade::new(without, None));
    remake(remade.clone())?;
    let mut recomputed = std::mem::replace(&mut *remade.sums(), Sums::new());
    // The live events and the catalogue are what the views were made from; they count for both.
    let mut found = Sums::of_sources(&**stored)?;
    recomputed.merge(&found);
    found.add_views(&**stored)?;
    let mut verdict = Verdict {
        equal: found.digest == recomputed.digest,
        stored: found.digest.to_string(),
        recomputed: recomputed.digest.to_string(),
        entries: found.entries,
        differing: 0,
        examples: Vec::new(),
        epoch,
    };
    if !verdict.equal {
        let apart = found.places.iter().zip(&recomputed.places).map(|(one, other)| one != other).collect();
        let looked_up =
            LookedUp { stored: stored.clone(), apart, differing: 0, examples: Vec::new(), failure: None };
        let remade = Arc::new(Remade::new(without, Some(looked_up)));
        remake(remade.clone())?;
        let looked_up = remade.looked_up().take().expect("it was given");
        looked_up.failure.map_or(Ok(()), Err)?;
        verdict.differing = looked_up.differing.max(found.entries.abs_diff(recomputed.entries));
        verdict.examples = looked_up.examples;
    }
    Ok(verdict)
}

/// The digest of the views of a store, and how many entries they have.
pub fn digest(store: &dyn Tables) -> Result<(ViewsDigest, u64), StoreError> {
    let mut sums = Sums::of_sources(store)?;
    sums.add_views(store)?;
    Ok((sums.digest, sums.entries))
}

/// Keeps nothing of what is put into it but sums; looks it up elsewhere, if it is to.
struct Remade {
    without: Vec<Table>,
    sums: Mutex<Sums>,
    looked_up: Mutex<Option<LookedUp>>,
}

/// What was looked up in the store that is verified.
struct LookedUp {
    stored: Arc<dyn Store>,
    /// Of each place of hashes, whether its sums differ.
    apart: Vec<bool>,
    differing: u64,
    examples: Vec<String>,
    failure: Option<StoreError>,
}

impl LookedUp {
    fn look_up(&mut self, table: Table, key: &[u8], value: &[u8]) {
        match self.stored.get(table, key) {
            Ok(found) if found.as_deref() == Some(value) => {}
            Ok(_) => {
                self.differing += 1;
                if self.examples.len() < NAMED {
                    self.examples.push(format!("{} {}", table.name(), String::from_utf8_lossy(key)));
                }
            }
            Err(error) => self.failure = Some(error),
        }
    }
}

impl Remade {
    fn new(without: &[Table], looked_up: Option<LookedUp>) -> Self {
        Remade { without: without.to_vec(), sums: Mutex::new(Sums::new()), looked_up: Mutex::new(looked_up) }
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn looked_up(&self) -> MutexGuard<'_, Option<LookedUp>> {
        self.looked_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables for Remade {
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

impl Store for Remade {
    fn begin(&self) -> Box<dyn Transaction + '_> {
        Box::new(Remaking(self))
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

struct Remaking<'a>(&'a Remade);

impl Transaction for Remaking<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        let is_view = Table::VIEWS.contains(&table) || (table == Table::Meta && META_VIEWS.contains(&key));
        if !is_view || self.0.without.contains(&table) {
            return;
        }
        let mut sums = self.0.sums();
        let place =
            if table == Table::Meta { sums.add_meta(key, value) } else { sums.add(table.name(), key, value) };
        drop(sums);
        if let Some(looked_up) = &mut *self.0.looked_up()
            && looked_up.apart[place]
        {
            looked_up.look_up(table, key, value);
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
