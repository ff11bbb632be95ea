//! A model: item factors, and the numbers that members are folded in with.
//!
//! Valid by construction: whoever holds a [`Model`] holds sorted ids of items, a finite factor for each, and a
//! version that is the hash of both. `folder.rs` keeps it on disk.

use nearline_dataflows::kinds::{KindRule, Kinds};
use nearline_dataflows::model::Model as GraphModel;
use nearline_dataflows::transform::Transform;
use nearline_dataflows::types::Item;
use nearline_factors::{Factors, ItemSide, Regularisation};

pub use super::folder::{ITEMS, MANIFEST, ModelError};
use super::items_file::Rows;
pub use super::manifest::Manifest;
use super::trained_on::TrainedOn;
use crate::config::KindTable;
use crate::records::MAX_ID;

/// A model in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What it says of itself.
    pub manifest: Manifest,
    items: Vec<String>,
    factors: Factors,
    regularisation: Regularisation,
    /// Whom it was trained on, where that is known.
    pub trained_on: Option<TrainedOn>,
}

impl Model {
    /// Puts a model together from rows in any order, which it sorts and checks, and works out the version.
    ///
    /// `manifest` needs neither `version` nor `rank` nor `counts.items`. The error says what is wrong with the rows.
    pub fn new(mut manifest: Manifest, rows: Rows) -> Result<Model, String> {
        let Rows { ids, values, rank } = rows;
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_unstable_by(|a, b| ids[*a].as_bytes().cmp(ids[*b].as_bytes()));
        let sorted =
            order.iter().flat_map(|place| &values[place * rank..(place + 1) * rank]).copied().collect();
        let mut ids: Vec<Option<String>> = ids.into_iter().map(Some).collect();
        let items: Vec<String> = order.iter().filter_map(|place| ids[*place].take()).collect();
        manifest.rank = rank;
        manifest.counts.items = items.len() as u64;
        let mut model = Model::of_sorted(manifest, items, sorted)?;
        model.manifest.version = model.content_hash();
        Ok(model)
    }

    /// Puts a model together from rows as they are, and checks all but the version.
    pub(super) fn of_sorted(
        manifest: Manifest,
        items: Vec<String>,
        values: Vec<f32>,
    ) -> Result<Model, String> {
        if items.is_empty() {
            return Err("it holds no item".into());
        }
        if manifest.counts.items != items.len() as u64 {
            return Err(format!(
                "it holds {} items, and {MANIFEST} says {}",
                items.len(),
                manifest.counts.items
            ));
        }
        if let Some(id) = items.iter().find(|id| !(1..=MAX_ID).contains(&id.len())) {
            return Err(format!("the id of an item must have 1 to {MAX_ID} bytes, and one has {}", id.len()));
        }
        let in_disorder = |pair: &&[String]| pair[0].as_bytes() >= pair[1].as_bytes();
        if let Some([first, second]) = items.windows(2).find(in_disorder) {
            let how = if first == second { "is there twice" } else { "stands after a greater one" };
            return Err(format!("the item {second:?} {how}"));
        }
        if let Some(broken) = values.iter().position(|value| !value.is_finite()) {
            let (item, place) = (&items[broken / manifest.rank], broken % manifest.rank + 1);
            let (rank, number) = (manifest.rank, values[broken]);
            return Err(format!(
                "the factor of item {item:?} is not finite: number {place} of {rank} is {number}"
            ));
        }
        let Manifest { alpha0, lambda, nu, .. } = manifest;
        let regularisation =
            Regularisation::new(alpha0, lambda, nu).map_err(|error| format!("{MANIFEST}: {error}"))?;
        let factors = Factors::new(manifest.rank, values).map_err(|error| error.to_string())?;
        Ok(Model { manifest, items, factors, regularisation, trained_on: None })
    }

    /// The ids of the items, sorted as bytes. An item's place here is its index.
    pub fn items(&self) -> &[String] {
        &self.items
    }

    /// The items' factors, by index.
    pub fn factors(&self) -> &Factors {
        &self.factors
    }

    /// The index of an item, where the model has it.
    pub fn index_of(&self, item: &str) -> Option<u32> {
        let place = self.items.binary_search_by(|own| own.as_bytes().cmp(item.as_bytes()));
        place.ok().map(|place| place as u32)
    }

    /// How a signal becomes a weight.
    pub fn transform(&self) -> Transform {
        self.manifest.transform.into()
    }

    /// The model with all that folding in and scoring derive from it.
    pub fn side(&self) -> ItemSide {
        ItemSide::new(self.factors.clone(), self.regularisation)
    }

    /// The weights of the configured kinds under this model, by the kind's number.
    pub fn weights(&self, table: &KindTable) -> Vec<KindRule> {
        self.manifest.weights(table)
    }

    /// The configured kinds with the weights of this model.
    pub fn kinds(&self, table: &KindTable) -> Kinds {
        table.kinds.weighted_by(&self.weights(table))
    }

    /// The model as the graph uses it. `number` gives an item's number for its id.
    pub fn for_graph(&self, table: &KindTable, number: impl FnMut(&str) -> Item) -> GraphModel {
        self.with_side(self.side(), table, number)
    }

    /// The same, with what [`side`](Self::side) gave.
    pub fn with_side(
        &self,
        side: ItemSide,
        table: &KindTable,
        number: impl FnMut(&str) -> Item,
    ) -> GraphModel {
        let numbers = self.items.iter().map(String::as_str).map(number).collect();
        let version = self.manifest.version.clone();
        GraphModel::new(version, side, self.weights(table), self.transform(), numbers)
    }

    /// BLAKE3 of what lists follow from (docs/formats.md, "Model").
    pub(super) fn content_hash(&self) -> String {
        let Manifest { format, rank, alpha0, lambda, nu, kinds, transform, .. } = &self.manifest;
        let numbers = [alpha0.to_bits(), lambda.to_bits(), nu.to_bits()];
        let meaning = serde_json::to_vec(&(format, rank, numbers, kinds, transform, self.items.len()));
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"nearline model 1\n").update(&meaning.expect("numbers and names are JSON"));
        for id in &self.items {
            hasher.update(&(id.len() as u16).to_be_bytes()).update(id.as_bytes());
        }
        let mut bytes = Vec::with_capacity(4 * rank);
        for factor in self.factors.as_slice().chunks(*rank) {
            bytes.clear();
            bytes.extend(factor.iter().flat_map(|value| value.to_bits().to_be_bytes()));
            hasher.update(&bytes);
        }
        hasher.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
