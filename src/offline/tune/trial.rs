//! One trial: settings, the model they train, and how good its lists are.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::log::dataset;
use super::settings::Settings;
use super::{News, TuneOptions};
use crate::config::KindTable;
use crate::offline::evaluate::tally::{Estimate, Tally};
use crate::offline::evaluate::{Gain, Shared};
use crate::offline::stopping::{self, Best, Sign};
use crate::offline::train::TrainError;
use crate::offline::training::Training;
use crate::offline::validation::Validation;

/// One trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// From 1.
    pub number: usize,
    /// What it trained with; of iterations, as many as were best.
    pub settings: Settings,
    /// NDCG@20 of its lists; none where no model came of it.
    pub ndcg_20: Option<f64>,
    /// The standard error of that.
    pub standard_error: Option<f64>,
    /// What its lists gain over those of the first trial that a model came of.
    pub gain: Option<Gain>,
    /// What the lists of different members have in common; none where no model or fewer than two lists came of it.
    pub shared: Option<Shared>,
    /// Why no model came of it.
    pub failure: Option<String>,
    /// Whether it was the best when it ended.
    pub best: bool,
    /// How long it took.
    pub seconds: f64,
}

/// The trials of one search.
pub(super) struct Tuning<'a> {
    pub(super) validation: &'a Validation<'a>,
    pub(super) table: &'a KindTable,
    pub(super) options: &'a TuneOptions,
    /// The lists of the first trial that a model came of.
    pub(super) first: Option<Tally>,
    pub(super) trials: Vec<Trial>,
}

impl Tuning<'_> {
    /// Tries settings; none where it was broken off.
    pub(super) fn trial(
        &mut self,
        settings: Settings,
        watch: &mut dyn FnMut(News<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Trial>, TrainError> {
        let (begun, number) = (Instant::now(), self.trials.len() + 1);
        if watch(News::Begun(number)).is_break() {
            return Ok(None);
        }
        let until = self.options.until.filter(|_| number > 1);
        let mut sign = |sign: Sign<'_>| match watch(News::Sign(sign)) {
            ControlFlow::Continue(()) if until.is_none_or(|until| Instant::now() < until) => {
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(()),
        };
        let tried =
            tried((self.validation, self.table), self.options, &settings, self.options.patience, &mut sign);
        let took = begun.elapsed();
        match tried {
            Ok(best) => Ok(Some(self.ended(number, settings, best, took))),
            Err(TrainError::Core(nearline_factors::TrainError::Stopped)) => Ok(None),
            // What these numbers make of the log is no reason not to try others.
            Err(TrainError::Vanished { .. }) => {
                Ok(Some(Trial::failed(number, settings, took, "every factor shrinks to nothing".into())))
            }
            Err(TrainError::Diverged(why)) => Ok(Some(Trial::failed(number, settings, took, why))),
            Err(error) => Err(error),
        }
    }

    fn ended(&mut self, number: usize, settings: Settings, best: Best, took: Duration) -> Trial {
        let weighing = self.validation.weighing();
        let Estimate { mean: ndcg_20, standard_error } = best.tally.ndcg_20(weighing);
        let gain = self.first.as_ref().map(|first| best.tally.gain_over(first, weighing));
        self.first.get_or_insert(best.tally);
        Trial {
            shared: best.alike.shared(),
            ndcg_20: Some(ndcg_20),
            standard_error: Some(standard_error),
            gain,
            ..Trial::new(number, Settings { iterations: best.iterations, ..settings }, took)
        }
    }
}

impl Trial {
    fn failed(number: usize, settings: Settings, took: Duration, why: String) -> Self {
        Trial { failure: Some(format!("no model: {why}")), ..Trial::new(number, settings, took) }
    }

    /// A trial of which nothing is known yet.
    fn new(number: usize, settings: Settings, took: Duration) -> Self {
        let (ndcg_20, standard_error, gain, shared, failure) = (None, None, None, None, None);
        let seconds = took.as_secs_f64();
        Trial { number, settings, ndcg_20, standard_error, gain, shared, failure, best: false, seconds }
    }
}

/// Trains with settings and measures the lists, where they are best.
pub(super) fn tried(
    (validation, base): (&Validation<'_>, &KindTable),
    options: &TuneOptions,
    settings: &Settings,
    patience: Option<usize>,
    watch: &mut dyn FnMut(Sign<'_>) -> ControlFlow<()>,
) -> Result<Best, TrainError> {
    let (train, table) = (settings.train(&options.train), settings.table(base));
    let data = dataset(validation, &table, train.transform);
    let training = Training::new(validation.live(), &data, &table, &train)?;
    stopping::best(&training, (validation, &table), patience, watch)
}
