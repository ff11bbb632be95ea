//! A model as the graph uses it: item factors with all that is derived from them, by the items' numbers.

use nearline_factors::ItemSide;

use crate::kinds::KindRule;
use crate::transform::Transform;
use crate::types::Item;

/// One model. Its items are numbered in the order of their external ids, so that equal scores in the order of
/// these indexes are in the order of ids.
pub struct Model {
    /// The model's version: a hash of its content.
    pub version: String,
    /// Item factors, by index.
    pub side: ItemSide,
    /// The weights of the configured kinds under this model, by the kind's number.
    pub weights: Vec<KindRule>,
    /// From a signal to a weight.
    pub transform: Transform,
    items: Vec<Item>,
    index: Vec<u32>,
}

/// Stands for "not in the model".
const NONE: u32 = u32::MAX;

impl Model {
    /// A model whose item of index `i` is `items[i]`, in the order of external ids.
    pub fn new(
        version: String,
        side: ItemSide,
        weights: Vec<KindRule>,
        transform: Transform,
        items: Vec<Item>,
    ) -> Self {
        let last = items.iter().map(|item| item.index()).max().map_or(0, |last| last + 1);
        let mut index = vec![NONE; last];
        for (place, item) in items.iter().enumerate() {
            index[item.index()] = place as u32;
        }
        Model { version, side, weights, transform, items, index }
    }

    /// The index of an item, where it is in the model.
    pub fn index_of(&self, item: Item) -> Option<u32> {
        self.index.get(item.index()).copied().filter(|index| *index != NONE)
    }

    /// The items, by index.
    pub fn items(&self) -> &[Item] {
        &self.items
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "model {} of {} items", self.version, self.items.len())
    }
}
