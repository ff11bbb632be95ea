//! A model in the making: pairs and options, checked, from which training begins or goes on, and what it ends in.
//!
//! It does not step: that is for whoever wants to watch, save, measure or stop between two iterations.

use nearline_factors::{Factors, Matrix, State, TrainOptions, Trainer};

use super::checkpoint::Origin;
use super::dataset::Dataset;
use super::items_file::Rows;
use super::live::LiveSet;
use super::manifest::{Counts, FORMAT, Manifest};
use super::model::Model;
use super::train::{TrainError, how, now, transform, vanished};
use super::trained_on::TrainedOn;
use crate::config::{KindTable, Train};

/// What a model is trained on, and how.
pub struct Training<'a> {
    live: &'a LiveSet,
    data: &'a Dataset,
    table: &'a KindTable,
    options: &'a Train,
    matrix: Matrix,
    how: TrainOptions,
}

impl<'a> Training<'a> {
    /// Checks the options, and that there is something to learn from.
    pub fn new(
        live: &'a LiveSet,
        data: &'a Dataset,
        table: &'a KindTable,
        options: &'a Train,
    ) -> Result<Self, TrainError> {
        let how = how(options)?;
        if !data.entries.iter().any(|(_, weight)| *weight > 0.0) {
            return Err(TrainError::NoSignal { events: data.events });
        }
        Ok(Training { live, data, table, options, matrix: data.matrix()?, how })
    }

    /// How many iterations there are to be.
    pub fn iterations(&self) -> usize {
        self.how.iterations
    }

    /// Training before its first iteration.
    pub fn begin(&self) -> Result<Trainer<'_>, TrainError> {
        Ok(Trainer::new(&self.matrix, &self.how)?)
    }

    /// Training as it was after an iteration.
    pub fn go_on(&self, state: State) -> Result<Trainer<'_>, TrainError> {
        Ok(Trainer::resume(&self.matrix, &self.how, state)?)
    }

    /// What a checkpoint of this training says it was made from.
    pub fn origin(&self) -> Origin {
        Origin::new(self.live, self.data, self.table, self.options)
    }

    /// The model with these item factors.
    pub fn model(&self, items: &Factors, loss: Option<f64>) -> Result<Model, TrainError> {
        let data = self.data;
        let Train { rank, alpha0, lambda, nu, .. } = *self.options;
        vanished(items, self.options)?;
        let manifest = Manifest {
            format: FORMAT,
            version: String::new(),
            rank,
            alpha0,
            lambda,
            nu,
            kinds: Manifest::kinds_of(self.table),
            transform: transform(self.options.transform).into(),
            counts: Counts {
                members: data.members.len() as u64,
                items: data.items.len() as u64,
                pairs: data.entries.len() as u64,
                events: data.events,
            },
            trained_at: now(),
            loss,
        };
        let ids = data.items.iter().map(|item| self.live.items.name(item.0).to_owned()).collect();
        let rows = Rows { ids, values: items.as_slice().to_vec(), rank };
        let mut model = Model::new(manifest, rows).map_err(TrainError::Diverged)?;
        let members = data.members.iter().map(|member| self.live.members.name(member.0));
        model.trained_on = Some(TrainedOn::new(&model.manifest.version, members));
        Ok(model)
    }
}
