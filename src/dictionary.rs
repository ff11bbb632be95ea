//! External ids to numbers and back, for as long as the process lives.

use std::collections::HashMap;
use std::sync::Arc;

use nearline_dataflows::types::{Item, ItemIds};

/// Ids by number: append-only, and read by many threads while one appends.
pub type Names = boxcar::Vec<Arc<str>>;

/// Numbers external ids in the order in which they are first met.
#[derive(Debug, Default)]
pub struct Dictionary {
    numbers: HashMap<Arc<str>, u32, foldhash::fast::FixedState>,
    names: Arc<Names>,
}

impl Dictionary {
    /// The number of `id`, a new one where it is met for the first time.
    pub fn number(&mut self, id: &str) -> u32 {
        if let Some(&number) = self.numbers.get(id) {
            return number;
        }
        let id: Arc<str> = id.into();
        let number = self.names.push(id.clone()) as u32;
        self.numbers.insert(id, number);
        number
    }

    /// The number of `id`, where it has one.
    pub fn get(&self, id: &str) -> Option<u32> {
        self.numbers.get(id).copied()
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
