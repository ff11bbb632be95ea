//! How many iterations are best: trained on one part of the log and measured on another after each of them.
//!
//! The loss falls on; the lists of what was not trained on get better for a while and then worse again.

use std::ops::ControlFlow;

use nearline_factors::Progress;

use super::evaluate::alike::Alike;
use super::evaluate::tally::Tally;
use super::train::TrainError;
use super::training::Training;
use super::validation::Validation;
use crate::config::KindTable;

/// What was trained, where it was best.
#[derive(Debug, Clone)]
pub struct Best {
    /// After how many iterations.
    pub iterations: usize,
    /// The lists then.
    pub tally: Tally,
    /// How alike those of different members were.
    pub alike: Alike,
}

/// What a search tells of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sign<'a> {
    /// Training went on.
    Step(&'a Progress),
    /// NDCG@20 after an iteration.
    Measured(f64),
}

/// Trains until NDCG@20 has not got better for `patience` iterations, or all are done. Without `patience` it is
/// measured after the last one alone.
///
/// The first of several iterations that are equally good is the best. `watch` may break off between and within
/// iterations.
pub fn best(
    training: &Training<'_>,
    (validation, table): (&Validation<'_>, &KindTable),
    patience: Option<usize>,
    watch: &mut dyn FnMut(Sign<'_>) -> ControlFlow<()>,
) -> Result<Best, TrainError> {
    let mut trainer = training.begin()?;
    let mut best: Option<(f64, Best)> = None;
    while trainer.iteration() < training.iterations() {
        trainer.step(&mut |progress| watch(Sign::Step(progress)))?;
        let iterations = trainer.iteration();
        if patience.is_none() && iterations < training.iterations() {
            continue;
        }
        let (tally, alike) = validation.measure(&training.model(trainer.items(), None)?, table);
        let figure = tally.ndcg_20(validation.weighing()).mean;
        if best.as_ref().is_none_or(|(best, _)| figure > *best) {
            best = Some((figure, Best { iterations, tally, alike }));
        }
        if watch(Sign::Measured(figure)).is_break() {
            return Err(nearline_factors::TrainError::Stopped.into());
        }
        let since = best.as_ref().map_or(0, |(_, best)| iterations - best.iterations);
        if patience.is_some_and(|patience| since >= patience) {
            break;
        }
    }
    Ok(best.expect("there is at least one iteration, and it or the last one is measured").1)
}
