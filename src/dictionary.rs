//! External ids and placements to numbers and back, for as long as the process lives.

use std::collections::HashMap;
use std::sync::Arc;

use nearline_dataflows::types::{Item, ItemIds, Place, Placement, Placements};

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

/// How many contexts get a number of their own. Most logs have far fewer; where each event says something else, a number for
/// each would be no shorter than what it stands for.
const CONTEXTS: usize = 1 << 16;
/// How long such a context may be, in bytes.
const CONTEXT: usize = 128;

/// Contexts and placements by number: append-only, and read by many threads while one appends.
#[derive(Debug, Default)]
pub struct PlaceTable {
    /// Of places that say all: the context, and what it means.
    whole: boxcar::Vec<(Arc<str>, Placement)>,
    /// Of places that say less.
    less: boxcar::Vec<Placement>,
}

impl PlaceTable {
    /// The context that a place says all of.
    pub fn context(&self, place: Place) -> Option<&str> {
        place.says_all().then(|| self.whole.get(place.among_its_like())).flatten().map(|(text, _)| &**text)
    }
}

impl Placements for PlaceTable {
    fn placement(&self, place: Place) -> Placement {
        let number = place.among_its_like();
        let known = if place.says_all() {
            self.whole.get(number).map(|(_, placement)| placement)
        } else {
            self.less.get(number)
        };
        known.copied().unwrap_or_default()
    }
}

/// Numbers contexts in the order in which they are first met, up to so many, and what the others mean; 0 is the empty one.
#[derive(Debug)]
pub struct Places {
    whole: HashMap<Arc<str>, Place, foldhash::fast::FixedState>,
    less: HashMap<Placement, Place, foldhash::fast::FixedState>,
    table: Arc<PlaceTable>,
}

impl Default for Places {
    fn default() -> Self {
        let mut places =
            Places { whole: HashMap::default(), less: HashMap::default(), table: Arc::default() };
        places.number("", Placement::default());
        places
    }
}

impl Places {
    /// The number of a context that was met before and has one of its own.
    pub fn get(&self, context: &str) -> Option<Place> {
        self.whole.get(context).copied()
    }

    /// The number of a context that has none of its own, a new one where it, or what it means, is met for the first time.
    pub fn number(&mut self, context: &str, placement: Placement) -> Place {
        debug_assert!(!self.whole.contains_key(context), "{context:?} would be two");
        if context.len() > CONTEXT || self.whole.len() >= CONTEXTS {
            let table = &*self.table;
            let new = || Place::saying_less(table.less.push(placement) as u32);
            return *self.less.entry(placement).or_insert_with(new);
        }
        let text: Arc<str> = context.into();
        let place = Place(self.table.whole.push((text.clone(), placement)) as u32);
        self.whole.insert(text, place);
        place
    }

    /// The placements by number, to share.
    pub fn table(&self) -> Arc<PlaceTable> {
        self.table.clone()
    }
}

#[cfg(test)]
mod tests {
    use nearline_dataflows::types::{Country, List, Variant};

    use super::*;

    #[test]
    fn contexts_keep_their_numbers_and_a_number_its_placement() {
        let mut places = Places::default();
        assert_eq!(places.get(""), Some(Place(0)));
        let placement = |country, list| {
            let (country, list) = (Country(country), List(list));
            Placement { country, list, variant: Variant(0), position: 0 }
        };
        let one = places.number("one", placement(3, 0));
        // Another context that means the same has a number of its own, since an event's digest is made of it.
        let same = places.number("same", placement(3, 0));
        assert_eq!((one, same), (Place(1), Place(2)));
        assert_eq!((places.get("one"), places.get("same"), places.get("no")), (Some(one), Some(same), None));
        let table = places.table();
        assert_eq!((table.placement(one), table.context(one)), (placement(3, 0), Some("one")));
        assert_eq!((table.placement(Place(0)), table.context(Place(0))), (Placement::default(), Some("")));

        // A long one is known by what it means.
        let long = "l".repeat(CONTEXT + 1);
        let less = places.number(&long, placement(1, 2));
        assert!(!less.says_all() && places.get(&long).is_none());
        assert_eq!((table.placement(less), table.context(less)), (placement(1, 2), None));
        assert_eq!(places.number(&format!("{long}l"), placement(1, 2)), less);
        assert_eq!(table.placement(places.number(&long, placement(7, 0))), placement(7, 0));

        // So is each beyond so many.
        for number in places.whole.len()..CONTEXTS {
            assert!(places.number(&number.to_string(), placement(0, 0)).says_all());
        }
        let beyond = places.number("beyond", placement(3, 0));
        assert!(!beyond.says_all() && table.placement(beyond) == placement(3, 0));
        assert_eq!(places.get("same"), Some(same));
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
