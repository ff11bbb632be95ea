//! Tuning: a search for the settings whose lists are best, on a part of the log that does not train.
//!
//! Seeded and deterministic: the same log, config and seed give the same trials, however many are asked for. `space.rs` is
//! what is searched, `search.rs` which point comes next; a trial trains and is measured by `stopping.rs`.

mod log;
mod search;
mod settings;
mod shape;
mod space;
mod trial;

use std::ops::ControlFlow;
use std::time::Instant;

use serde::Serialize;

use self::search::Search;
use self::trial::{Tuning, tried};
use super::evaluate::{EvaluateError, Gain, Protocol};
use super::live::LiveSet;
use super::stopping::Sign;
use super::train::TrainError;
use super::validation::{Look, Validation};
use crate::config::{KindTable, Train};

pub use self::settings::Settings;
pub use self::trial::Trial;

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Searched {
    /// How strongly factors are held small.
    Lambda,
    /// The weight of every pair.
    Alpha0,
    /// The power of the number of pairs in lambda's part.
    Nu,
    /// The length of a factor.
    Rank,
    /// How a signal becomes a weight.
    Transform,
    /// The weights of the kinds that the log has, but for one of them.
    Weights,
}

/// What a search is told.
#[derive(Debug, Clone)]
pub struct TuneOptions {
    /// What the first trial trains with.
    pub train: Train,
    /// How the log is divided.
    pub protocol: Protocol,
    /// Whether a fifth is held back from all trials, for a last look.
    pub hold_back: bool,
    /// What is searched for.
    pub searched: Vec<Searched>,
    /// No rank above this is tried, but that of the first trial.
    pub max_rank: usize,
    /// Each trial stops after so many iterations without a gain; without it each has `train.iterations`.
    pub patience: Option<usize>,
    /// No trial begins after so many,
    pub trials: Option<usize>,
    /// or after this, when one that is under way is broken off. The first trial is not.
    pub until: Option<Instant>,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Tuned {
    /// The trials, in order.
    pub trials: Vec<Trial>,
    /// The number of the best one.
    pub best: usize,
    /// The number of the one that gains are over: the first that a model came of, which is the first of all unless
    /// the config as it is gives none.
    pub first: usize,
    /// The settings of the best one.
    pub settings: Settings,
    /// How many members the trials were measured by.
    pub members: usize,
    /// The last look, where something was held back and the best trial is not the first.
    pub held_back: Option<HeldBack>,
}

/// What the best settings give on the part that no trial saw.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HeldBack {
    /// How many members.
    pub members: usize,
    /// NDCG@20 with the settings of the first trial that a model came of.
    pub first: f64,
    /// NDCG@20 with the best settings.
    pub best: f64,
    /// The difference.
    pub gain: Gain,
}

/// What a search tells of itself.
#[derive(Debug)]
pub enum News<'a> {
    /// A trial begins.
    Begun(usize),
    /// The trial that is under way goes on.
    Sign(Sign<'a>),
    /// A trial has ended.
    Ended(&'a Trial),
    /// The last look begins.
    LastLook,
}

/// Searches, tells what it does, and returns what it found. `watch` may break off: what was found by then holds.
pub fn tune(
    live: &LiveSet,
    table: &KindTable,
    options: &TuneOptions,
    watch: &mut dyn FnMut(News<'_>) -> ControlFlow<()>,
) -> Result<Tuned, EvaluateError> {
    options.train.check().map_err(TrainError::from)?;
    let look = if options.hold_back { Look::HoldingBack } else { Look::All };
    let validation = Validation::new(live, table, options.protocol, look)?;
    let mut tuning = Tuning { validation: &validation, table, options, first: None, trials: Vec::new() };
    let mut search = Search::new(log::space(&validation, table, options)?, options.train.seed);
    let mut best: Option<usize> = None;
    while options.trials.is_none_or(|trials| tuning.trials.len() < trials) {
        let late = options.until.is_some_and(|until| Instant::now() >= until);
        if late && best.is_some() {
            break;
        }
        let Some(settings) = search.next() else { break };
        let Some(mut trial) = tuning.trial(settings, watch)? else { break };
        trial.best = search.tell(trial.ndcg_20);
        if trial.best {
            best = Some(trial.number);
        }
        let on = watch(News::Ended(&trial));
        tuning.trials.push(trial);
        if on.is_break() {
            break;
        }
    }
    let trials = tuning.trials;
    let Some(best) = best else {
        let why = trials.iter().find_map(|trial| trial.failure.clone());
        let why =
            why.map(|why| format!("{why}, in each of {} trials; begin with a smaller lambda", trials.len()));
        return Err(EvaluateError::NothingToFind(
            why.unwrap_or_else(|| "the search was broken off in its first trial".into()),
        ));
    };
    let first = trials.iter().find(|trial| trial.failure.is_none()).map_or(best, |trial| trial.number);
    let (settings, began) = (trials[best - 1].settings.clone(), trials[first - 1].settings.clone());
    let mut tuned = Tuned { trials, best, first, settings, members: validation.members(), held_back: None };
    if options.hold_back && best > first && watch(News::LastLook).is_continue() {
        tuned.held_back = last_look(live, table, options, [&began, &tuned.settings], watch)?;
    }
    Ok(tuned)
}

/// Looks at what was held back, with the first settings and the best ones; none where it was broken off.
fn last_look(
    live: &LiveSet,
    table: &KindTable,
    options: &TuneOptions,
    both: [&Settings; 2],
    watch: &mut dyn FnMut(News<'_>) -> ControlFlow<()>,
) -> Result<Option<HeldBack>, EvaluateError> {
    let validation = Validation::new(live, table, options.protocol, Look::Last)?;
    let mut tallies = Vec::new();
    for settings in both {
        let mut sign = |sign: Sign<'_>| watch(News::Sign(sign));
        match tried((&validation, table), options, settings, None, &mut sign) {
            Ok(best) => tallies.push(best.tally),
            Err(TrainError::Core(nearline_factors::TrainError::Stopped)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    let weighing = validation.weighing();
    let [first, best] = [&tallies[0], &tallies[1]];
    Ok(Some(HeldBack {
        members: validation.members(),
        first: first.ndcg_20(weighing).mean,
        best: best.ndcg_20(weighing).mean,
        gain: best.gain_over(first, weighing),
    }))
}

#[cfg(test)]
mod tests;
