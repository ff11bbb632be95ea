//! What an answer may hold: items of some genres, of a country, and none of those that were named.
//!
//! The same rule in two forms: item by item, for lists that are there, and as sets of a model's items, for lists that
//! are made.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nearline_factors::Bitmap;

use super::catalogue::{CatalogueEntry, each_item};
use super::models::ServedModel;
use super::{Serving, ServingError, Takes};

/// Which items are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of one of these genres; of any where there are none.
    pub genres: Vec<String>,
    /// Shown in this country.
    pub country: Option<String>,
    /// None of these.
    pub exclude: Vec<String>,
    /// Only these, where they are given.
    pub candidates: Option<HashSet<String>>,
}

impl Wanted {
    /// Whether an item is wanted and may be listed at all.
    pub fn takes(&self, item: &str, known: &CatalogueEntry) -> bool {
        let of_genre =
            || known.genres.iter().any(|genre| self.genres.iter().any(|wanted| **genre == **wanted));
        let shown = |country: &String| {
            known.countries.is_empty() || known.countries.iter().any(|own| **own == **country)
        };
        !known.withdrawn
            && (self.genres.is_empty() || of_genre())
            && self.country.as_ref().is_none_or(shown)
            && !self.exclude.iter().any(|excluded| excluded == item)
            && self.candidates.as_ref().is_none_or(|candidates| candidates.contains(item))
    }
}

/// A model's items by what the catalogue says of them.
pub struct Shelves {
    pub(super) version: String,
    /// The epoch in which the catalogue changed last.
    changed_in: u64,
    available: Bitmap,
    genres: HashMap<Arc<str>, Bitmap>,
    countries: HashMap<Arc<str>, Bitmap>,
    /// Items that name no country.
    everywhere: Bitmap,
}

impl Shelves {
    fn new(model: &ServedModel, version: &str, changed_in: u64) -> Self {
        let items = model.model.items().len();
        Shelves {
            version: version.to_owned(),
            changed_in,
            available: Bitmap::full(items),
            genres: HashMap::new(),
            countries: HashMap::new(),
            everywhere: Bitmap::full(items),
        }
    }

    fn put(&mut self, index: u32, known: &CatalogueEntry) {
        let items = self.available.len();
        self.available.set(index, !known.withdrawn);
        self.everywhere.set(index, known.countries.is_empty());
        let sets = known.genres.iter().map(|genre| (true, genre));
        for (of_genre, name) in sets.chain(known.countries.iter().map(|country| (false, country))) {
            let shelf = if of_genre { &mut self.genres } else { &mut self.countries };
            shelf.entry(name.clone()).or_insert_with(|| Bitmap::empty(items)).set(index, true);
        }
    }

    /// The items that are wanted, as far as this knows: what is named, to be left out or as a candidate, is not
    /// looked at.
    pub fn wanted(&self, wanted: &Wanted) -> Bitmap {
        let mut found = self.available.clone();
        if !wanted.genres.is_empty() {
            let mut of_genre = Bitmap::empty(found.len());
            wanted
                .genres
                .iter()
                .filter_map(|genre| self.genres.get(genre.as_str()))
                .for_each(|own| of_genre.unite(own));
            found.intersect(&of_genre);
        }
        if let Some(country) = &wanted.country {
            let mut shown = self.everywhere.clone();
            if let Some(own) = self.countries.get(country.as_str()) {
                shown.unite(own);
            }
            found.intersect(&shown);
        }
        found
    }
}

impl Serving<'_> {
    /// The shelves of a model; made anew where the catalogue has changed since.
    pub(super) fn shelves(&self, model: &ServedModel, version: &str) -> Result<Arc<Shelves>, ServingError> {
        let kept = self.kept_catalogue();
        let changed_in = kept.as_ref().map_or(self.standing.epoch, |kept| kept.changed_in);
        let last = self.known.shelves(version);
        if let Some(shelves) = last.filter(|last| last.changed_in == changed_in) {
            return Ok(shelves);
        }
        self.takes(Takes::Long)?;
        let mut shelves = Shelves::new(model, version, changed_in);
        match &kept {
            Some(kept) => {
                for (item, known) in kept.items() {
                    if let Some(index) = model.model.index_of(item) {
                        shelves.put(index, known);
                    }
                }
            }
            None => each_item(self.tables, &mut |item, known| {
                if let Some(index) = model.model.index_of(item) {
                    shelves.put(index, &known);
                }
            })?,
        }
        let shelves = Arc::new(shelves);
        self.known.keep_shelves(&shelves);
        Ok(shelves)
    }
}
