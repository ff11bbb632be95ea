//! Rows that someone else made, as a model: what is wrong with them, and what they do not say.
//!
//! Factors from elsewhere come without the strength of regularisation and without what was counted as evidence, so
//! the caller says how members are to be folded in and what the kinds weigh.

use std::collections::HashMap;
use std::path::Path;

use super::folder::ModelError;
use super::items_file::Rows;
use super::manifest::{Counts, FORMAT, Manifest};
use super::model::Model;
use super::train::transform;
use crate::config::{KindTable, Train};
use crate::records::MAX_ID;

/// Rows as they were read.
pub(super) struct Foreign<'a> {
    /// The rows.
    pub rows: Rows,
    /// Where their ids are from.
    pub ids: &'a Path,
    /// Where an id stands there, in words.
    pub id_place: &'a dyn Fn(usize) -> String,
    /// Where their numbers are from.
    pub factors: &'a Path,
    /// Where a factor stands there, in words.
    pub factor_place: &'a dyn Fn(usize) -> String,
}

impl Foreign<'_> {
    /// The model that they are: `alpha0`, `lambda`, `nu` and the transform are those of `options`, the kinds those of
    /// the table.
    pub fn model(self, table: &KindTable, options: &Train) -> Result<Model, ModelError> {
        self.check_ids()?;
        self.check_numbers()?;
        let manifest = Manifest {
            format: FORMAT,
            version: String::new(),
            rank: 0,
            alpha0: options.alpha0,
            lambda: options.lambda,
            nu: options.nu,
            kinds: Manifest::kinds_of(table),
            transform: transform(options.transform).into(),
            counts: Counts::default(),
            trained_at: super::train::now(),
            loss: None,
        };
        let refuse = |problem| {
            ModelError::refused(self.factors, problem, "give other factors, or see `[train]` of the config")
        };
        let model = Model::new(manifest, self.rows).map_err(refuse)?;
        match model.manifest.problem() {
            Some(problem) => Err(refuse(problem)),
            None => Ok(model),
        }
    }

    fn check_ids(&self) -> Result<(), ModelError> {
        let refuse = |problem, remedy| Err(ModelError::refused(self.ids, problem, remedy));
        let place = self.id_place;
        if self.rows.ids.is_empty() {
            return refuse("it holds no item".into(), "a model needs the factor of at least one");
        }
        let mut seen = HashMap::with_capacity(self.rows.ids.len());
        for (row, id) in self.rows.ids.iter().enumerate() {
            if !(1..=MAX_ID).contains(&id.len()) {
                let problem = format!("{}: an id of {} bytes", place(row), id.len());
                return refuse(problem, "the id of an item has 1 to 256 bytes");
            }
            if let Some(before) = seen.insert(id.as_str(), row) {
                let problem = format!("the item {id:?} is there twice, {} and {}", place(before), place(row));
                return refuse(problem, "an item has one factor: keep one of them");
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), ModelError> {
        let Rows { ids, values, rank } = &self.rows;
        let Some(broken) = values.iter().position(|value| !value.is_finite()) else {
            return Ok(());
        };
        let (row, place, number) = (broken / rank, broken % rank + 1, values[broken]);
        let problem = format!(
            "{}: the factor of item {:?} is not finite: number {place} of {rank} is {number}",
            (self.factor_place)(row),
            ids[row]
        );
        let remedy = "leave such items out, or train so that every number is finite in single precision";
        Err(ModelError::refused(self.factors, problem, remedy))
    }
}
