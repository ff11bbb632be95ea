//! Tuning: a search for the settings whose lists are best, on a part of the log that does not train.
//!
//! Seeded and deterministic: the same log, config and seed give the same trials, however many are asked for. `space.rs` is
//! what is searched, `search.rs` which point comes next; a trial trains and is measured by `stopping.rs`.

mod search;
mod settings;
mod shape;
mod space;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use nearline_dataflows::types::Member;
use serde::Serialize;

use self::search::Search;
use self::shape::Shape;
use self::space::{Dimension, Space};
use super::dataset::Dataset;
use super::evaluate::metrics::{Gain, Tally};
use super::evaluate::{EvaluateError, Protocol};
use super::live::LiveSet;
use super::stopping::{self, Best, Sign};
use super::train::{TrainError, transform};
use super::training::Training;
use super::validation::{Look, Validation};
use crate::config::{KindTable, Train, Transform};

pub use self::settings::Settings;

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
    /// What its lists gain over those of the first trial.
    pub gain: Option<Gain>,
    /// Why no model came of it.
    pub failure: Option<String>,
    /// Whether it was the best when it ended.
    pub best: bool,
    /// How long it took.
    pub seconds: f64,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Tuned {
    /// The trials, in order.
    pub trials: Vec<Trial>,
    /// The number of the best one.
    pub best: usize,
    /// Its settings.
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
    /// NDCG@20 with the settings of the first trial.
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
    let mut search = Search::new(space(&validation, table, options)?, options.train.seed);
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
        return Err(EvaluateError::NothingToFind(
            why.unwrap_or_else(|| "the search was broken off in its first trial".into()),
        ));
    };
    let settings = trials[best - 1].settings.clone();
    let first = trials[0].settings.clone();
    let mut tuned = Tuned { trials, best, settings, members: validation.members(), held_back: None };
    if options.hold_back && best > 1 && watch(News::LastLook).is_continue() {
        tuned.held_back = last_look(live, table, options, [&first, &tuned.settings], watch)?;
    }
    Ok(tuned)
}

/// The space of what is searched in this log.
fn space(validation: &Validation<'_>, table: &KindTable, options: &TuneOptions) -> Result<Space, TrainError> {
    let searched = |what| options.searched.contains(&what);
    let kinds = if searched(Searched::Weights) { weighing_kinds(validation, table) } else { Vec::new() };
    let base = Settings::of(&options.train, table, kinds.iter().map(String::as_str));
    let mut transforms = vec![options.train.transform];
    if searched(Searched::Transform) {
        transforms
            .extend([Transform::Linear, Transform::Log1p].into_iter().filter(|new| *new != base.transform));
    }
    let mut ranks = vec![base.rank, 16, 32, 64, 128, 256];
    ranks.retain(|rank| *rank <= options.max_rank || *rank == base.rank);
    ranks.sort_unstable();
    ranks.dedup();
    let mut shapes = Vec::new();
    for &written in &transforms {
        let data = dataset(validation, table, written);
        if data.entries.is_empty() {
            return Err(TrainError::NoSignal { events: data.events });
        }
        shapes.push((written, Shape::of(&data)));
    }
    let mut dimensions = Vec::new();
    let mut add = |what, dimension| dimensions.extend(searched(what).then_some(dimension));
    add(Searched::Lambda, Dimension::Ridge);
    add(Searched::Alpha0, Dimension::Alpha0);
    add(Searched::Nu, Dimension::Nu);
    add(Searched::Rank, Dimension::Rank(ranks));
    add(Searched::Transform, Dimension::Transform(transforms));
    dimensions.extend(kinds.into_iter().map(Dimension::Weight));
    Ok(Space::new(dimensions, base, shapes))
}

/// The kinds with a weight that the training part has events of, by name; but the one with the most events, whose weight
/// is what the others' are measured by: all weights times ten are alpha0 and lambda by ten.
fn weighing_kinds(validation: &Validation<'_>, table: &KindTable) -> Vec<String> {
    let live = validation.live();
    let mut counts = vec![0u64; table.names.len()];
    for member in live.members_by_id() {
        for event in live.events(member) {
            let place = event.kind().index();
            if place < counts.len() && validation.trains(member, event) && table.kinds.weight_of(event) != 0 {
                counts[place] += 1;
            }
        }
    }
    let most = (0..counts.len()).max_by_key(|place| (counts[*place], std::cmp::Reverse(*place)));
    let others = (0..counts.len()).filter(|place| counts[*place] > 0 && Some(*place) != most);
    others.map(|place| table.names[place].clone()).collect()
}

fn dataset(validation: &Validation<'_>, table: &KindTable, written: Transform) -> Dataset {
    let keep = |member: Member, event: &_| validation.trains(member, event);
    Dataset::new(validation.live(), &table.kinds, transform(written), keep)
}

struct Tuning<'a> {
    validation: &'a Validation<'a>,
    table: &'a KindTable,
    options: &'a TuneOptions,
    /// The lists of the first trial.
    first: Option<Tally>,
    trials: Vec<Trial>,
}

impl Tuning<'_> {
    /// Tries settings; none where it was broken off.
    fn trial(
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
            Err(TrainError::Vanished { .. }) if number > 1 => {
                Ok(Some(Trial::failed(number, settings, took, "every factor shrinks to nothing".into())))
            }
            Err(TrainError::Diverged(why)) if number > 1 => Ok(Some(Trial::failed(number, settings, took, why))),
            Err(error) => Err(error),
        }
    }

    fn ended(&mut self, number: usize, settings: Settings, best: Best, took: Duration) -> Trial {
        let weighing = self.validation.weighing();
        let (ndcg_20, standard_error) = best.tally.ndcg_20(weighing);
        let gain = self.first.as_ref().map(|first| best.tally.gain_over(first, weighing));
        self.first.get_or_insert(best.tally);
        Trial {
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
        let (ndcg_20, standard_error, gain, failure) = (None, None, None, None);
        let seconds = took.as_secs_f64();
        Trial { number, settings, ndcg_20, standard_error, gain, failure, best: false, seconds }
    }
}

/// Trains with settings and measures the lists, where they are best.
fn tried(
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
        first: first.ndcg_20(weighing).0,
        best: best.ndcg_20(weighing).0,
        gain: best.gain_over(first, weighing),
    }))
}

#[cfg(test)]
mod tests;
