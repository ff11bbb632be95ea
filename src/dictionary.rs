//! External ids and placements to numbers and back, for as long as the process lives.

use std::collections::HashMap;
use std::sync::Arc;

use nearline_dataflows::types::{Country, Item, ItemIds, List, Place, Placement, Placements};

use crate::short_ids::{ShortId, ShortIds};

/// Ids by number: append-only, and read by many threads while one appends.
pub type Names = boxcar::Vec<Arc<str>>;

/// Numbers external ids in the order in which they are first met.
#[derive(Debug, Default)]
pub struct Dictionary {
    short: ShortIds,
    long: HashMap<Arc<str>, u32, foldhash::fast::FixedState>,
    names: Arc<Names>,
}

impl Dictionary {
    /// The number of `id`, a new one where it is met for the first time.
    pub fn number(&mut self, id: &str) -> u32 {
        let short = ShortId::of(id.as_bytes());
        if let Some(number) = self.known(id, short) {
            return number;
        }
        let id: Arc<str> = id.into();
        let number = self.names.push(id.clone()) as u32;
        match short {
            Some(short) => self.short.insert(short, number),
            None => drop(self.long.insert(id, number)),
        }
        number
    }

    /// Has fetched from memory what [`number`](Self::number) will look at. To wait for it is most of what a look-up costs,
    /// so whoever knows which ids come next says so some ids ahead.
    pub fn fetch(&self, id: &[u8]) {
        if let Some(short) = ShortId::of(id) {
            self.short.fetch(short);
        }
    }

    fn known(&self, id: &str, short: Option<ShortId>) -> Option<u32> {
        match short {
            Some(short) => self.short.get(short),
            None => self.long.get(id).copied(),
        }
    }

    /// The number of `id`, where it has one.
    pub fn get(&self, id: &str) -> Option<u32> {
        self.known(id, ShortId::of(id.as_bytes()))
    }

    /// How many ids have a number.
    pub fn len(&self) -> usize {
        self.names.count()
    }

    /// Whether no id has a number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids by number, to share.
    pub fn names(&self) -> Arc<Names> {
        self.names.clone()
    }

    /// The id of a number that this dictionary gave.
    pub fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }
}

/// The ids of items, as the graph asks for them.
pub struct ItemNames(pub Arc<Names>);

impl ItemIds for ItemNames {
    fn id(&self, item: Item) -> &[u8] {
        self.0.get(item.index()).map_or(&[], |id| id.as_bytes())
    }
}

/// Placements by number: append-only, and read by many threads while one appends.
#[derive(Debug, Default)]
pub struct PlaceTable(boxcar::Vec<Placement>);

impl Placements for PlaceTable {
    fn placement(&self, place: Place) -> Placement {
        self.0.get(place.index()).copied().unwrap_or_default()
    }
}

/// Numbers placements in the order in which they are first met; 0 says nothing.
#[derive(Debug)]
pub struct Places {
    /// By number of the country: of events outside of any list, which are most.
    outside: Vec<Option<Place>>,
    /// Of events in a list.
    listed: HashMap<Placement, Place, foldhash::fast::FixedState>,
    table: Arc<PlaceTable>,
}

impl Default for Places {
    fn default() -> Self {
        let table = Arc::new(PlaceTable::default());
        table.0.push(Placement::default());
        Places { outside: vec![Some(Place(0))], listed: HashMap::default(), table }
    }
}

impl Places {
    /// The number of a placement, a new one where it is met for the first time.
    pub fn number(&mut self, placement: Placement) -> Place {
        let table = &*self.table;
        let new = || Place(table.0.push(placement) as u32);
        let Placement { country: Country(country), list, .. } = placement;
        if list != List(0) {
            return *self.listed.entry(placement).or_insert_with(new);
        }
        let country = country as usize;
        if self.outside.len() <= country {
            self.outside.resize(country + 1, None);
        }
        *self.outside[country].get_or_insert_with(new)
    }

    /// The placements by number, to share.
    pub fn table(&self) -> Arc<PlaceTable> {
        self.table.clone()
    }
}

#[cfg(test)]
mod tests {
    use nearline_dataflows::types::Variant;

    use super::*;

    #[test]
    fn placements_keep_their_numbers_and_a_number_its_placement() {
        let mut places = Places::default();
        let mut all = Vec::new();
        for (country, list, variant, position) in
            [(0, 0, 0, 0), (3, 0, 0, 0), (1, 0, 0, 0), (3, 1, 0, 0), (3, 1, 0, 7), (3, 1, 2, 7), (0, 1, 2, 7)]
        {
            let (country, list, variant) = (Country(country), List(list), Variant(variant));
            all.push(Placement { country, list, variant, position });
        }
        for _ in 0..2 {
            for (number, placement) in all.iter().enumerate() {
                assert_eq!(places.number(*placement), Place(number as u32));
                assert_eq!(places.table().placement(Place(number as u32)), *placement);
            }
        }
    }

    #[test]
    fn ids_of_every_length_keep_their_numbers() {
        let mut dictionary = Dictionary::default();
        let mut ids: Vec<String> = (0..40).map(|length| "m".repeat(length)).collect();
        // Only their lengths, or what follows the last letter, tells these apart.
        ids.extend(
            ["a", "a\0", "a\0\0", "fourteen bytes", "fifteen bytes..", "fifteen bytes.\u{f}"]
                .map(String::from),
        );
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(dictionary.get(id), None, "{id:?}");
            assert_eq!(dictionary.number(id), number as u32, "{id:?}");
        }
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(dictionary.number(id), number as u32, "{id:?}");
            assert_eq!(dictionary.name(number as u32), id);
        }
        assert_eq!(dictionary.len(), ids.len());
    }
}
