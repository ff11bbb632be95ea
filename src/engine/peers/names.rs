//! Names that no process has met yet.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// New names, in order. Each process learns those of all before it takes the records that have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNames {
    /// Of items.
    pub items: BTreeSet<String>,
    /// Of kinds.
    pub kinds: BTreeSet<String>,
    /// Of countries.
    pub countries: BTreeSet<String>,
    /// Of lists.
    pub lists: BTreeSet<String>,
    /// Of variants.
    pub variants: BTreeSet<String>,
}

impl NewNames {
    /// Adds those of others.
    pub fn merge(&mut self, others: &NewNames) {
        let pairs = [
            (&mut self.items, &others.items),
            (&mut self.kinds, &others.kinds),
            (&mut self.countries, &others.countries),
            (&mut self.lists, &others.lists),
            (&mut self.variants, &others.variants),
        ];
        for (all, more) in pairs {
            all.extend(more.iter().cloned());
        }
    }
}
