//! The protocol `prequential`: the log is walked in the order of time, and the list that each event finds is looked at
//! before the event is learnt from (Vinagre, Jorge, Gama: Evaluation of recommender systems in streaming environments,
//! REDD 2014; "test, then learn").
//!
//! Three lists are compared. *Nearline* is folded in from all that the member did before the event. *Refreshed* is
//! folded in from what the member had done at the last refresh, one every so many hours from the start on. Both are of
//! the same model, trained on what came before the start and, where so asked, anew every so many hours: what differs is
//! how fresh the factor is. *Popularity* is by all counts before the event. All three leave out what the member has seen, hidden or disliked by
//! then, and where there is no positive signal to make a list from, popularity is shown.

mod popular;
mod report;
mod table;
#[cfg(test)]
mod tests;
mod walk;

use nearline_dataflows::signals::Signals;
use nearline_dataflows::types::Item;

pub use report::{Figures, Prequential, PrequentialGroup, PrequentialRow, Rates, Walked, Window};

use super::lists::Picks;
use super::report::Trained;
use super::spread::spread;
use super::time::{something_trains, split_at, text_of};
use super::{EvaluateError, Split, Stage};
use crate::config::{KindTable, Train};
use crate::offline::dataset::Dataset;
use crate::offline::live::LiveSet;
use crate::offline::manifest::Counts;
use crate::offline::train::{train_on, transform};
use walk::{Asked, Route, Walker, walk};

/// How a log is walked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrequentialOptions {
    /// Where the walk starts; what came before trains the model.
    pub start: Split,
    /// The hours from one refresh to the next, one or more.
    pub refresh_hours: u32,
    /// The hours from one model to the next, one or more; without, there is only the model of the start.
    pub retrain_hours: Option<u32>,
    /// The hours of a window; without, ten windows of equal length.
    pub window_hours: Option<u32>,
    /// How many items of a list are looked at, one or more.
    pub k: usize,
}

/// Milliseconds in an hour.
const HOUR: i64 = 3_600_000;

/// How many windows there are unless their length is given.
const WINDOWS: i64 = 10;

/// Asked lists that a thread makes at a time.
const AT_ONCE: usize = 32;

/// Where the event of one list was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    member: u32,
    at: i64,
    group: PrequentialGroup,
    in_model: bool,
    /// Its place in the lists nearline, refreshed and popularity.
    places: [Option<usize>; 3],
}

/// Trains on what came before the start and walks the rest.
pub fn evaluate_prequential(
    live: &LiveSet,
    table: &KindTable,
    options: &PrequentialOptions,
    train: &Train,
    progress: &mut dyn FnMut(Stage),
) -> Result<Prequential, EvaluateError> {
    let start = split_at(live, options.start)?;
    something_trains(live, start)?;
    let route = Route {
        start,
        refresh: i64::from(options.refresh_hours) * HOUR,
        retrain: options.retrain_hours.map(|hours| i64::from(hours) * HOUR),
        k: options.k,
    };
    let mut notes =
        Notes { live, table, train, k: options.k, models: Vec::new(), outcomes: Vec::new(), progress };
    let walked = walk(live, &table.kinds, &route, &mut notes)?;
    let Notes { models, outcomes, .. } = notes;
    if outcomes.is_empty() {
        let why = format!(
            "from the start ({}) on no member has a first event of positive weight for any item; start earlier",
            text_of(start)
        );
        return Err(EvaluateError::NothingToFind(why));
    }
    let (first, last) = walked.expect("lists were asked for by events");
    let width = match options.window_hours {
        Some(hours) => i64::from(hours) * HOUR,
        None => ((last + 1 - first) as u64).div_ceil(WINDOWS as u64) as i64,
    };
    let trained = models.iter().map(|counts| Trained::new(train, *counts)).collect();
    // Windows of a given length begin with the start, and others with the first event after it.
    let from = if options.window_hours.is_some() { start } else { first };
    Ok(Prequential::new(options, start, trained, report::Cut { from, width }, outcomes))
}

/// What is noted on the walk.
struct Notes<'a> {
    live: &'a LiveSet,
    table: &'a KindTable,
    train: &'a Train,
    k: usize,
    /// What each model was trained on.
    models: Vec<Counts>,
    outcomes: Vec<Outcome>,
    progress: &'a mut dyn FnMut(Stage),
}

impl Walker for Notes<'_> {
    fn model_at(&mut self, at: i64) -> Result<Picks, EvaluateError> {
        let Notes { live, table, train, .. } = *self;
        let data = Dataset::new(live, &table.kinds, transform(train.transform), |_, event| event.at() < at);
        let mut tell = |done| (self.progress)(Stage::Training(done));
        let (model, _) = train_on(live, &data, table, train, &mut tell)?;
        self.models.push(model.manifest.counts);
        let number = |id: &str| Item(live.items.get(id).expect("the model was trained on these items"));
        Ok(Picks::new(model.for_graph(table, number)))
    }

    fn take(&mut self, picks: &Picks, asked: &[Asked], passed: usize, of: usize) {
        let some: Vec<&[Asked]> = asked.chunks(AT_ONCE).collect();
        let each = |some: &&[Asked]| look(picks, some, self.k);
        spread(&some, &each, &mut |found: Vec<Outcome>, _| self.outcomes.extend(found));
        (self.progress)(Stage::Testing { done: passed, of });
    }
}

/// Makes some lists and finds their events in them.
fn look(picks: &Picks, asked: &[Asked], k: usize) -> Vec<Outcome> {
    let fresh: Vec<&Signals> = asked.iter().map(|asked| &asked.signals).collect();
    let nearline = lists(picks, &fresh, &fresh, k);
    let changed = || asked.iter().filter(|asked| asked.stale.is_some());
    let stale: Vec<&Signals> = changed().filter_map(|asked| asked.stale.as_ref()).collect();
    let shown_to: Vec<&Signals> = changed().map(|asked| &asked.signals).collect();
    let mut refreshed = lists(picks, &stale, &shown_to, k).into_iter();
    let mut outcomes = Vec::new();
    for (asked, nearline) in asked.iter().zip(&nearline) {
        // Where nothing came since the refresh, both are one list.
        let refreshed = if asked.stale.is_some() { refreshed.next().flatten() } else { nearline.clone() };
        let group = match (&refreshed, nearline) {
            (Some(_), _) => PrequentialGroup::Known,
            (None, Some(_)) => PrequentialGroup::New,
            (None, None) => PrequentialGroup::WithoutSignal,
        };
        let or_popular = |list: Option<&Vec<Item>>| list.unwrap_or(&asked.popularity).clone();
        let shown = [or_popular(nearline.as_ref()), or_popular(refreshed.as_ref()), asked.popularity.clone()];
        outcomes.extend(asked.wanted.iter().map(|item| Outcome {
            member: asked.member,
            at: asked.at,
            group,
            in_model: picks.knows(*item),
            places: [0, 1, 2].map(|column: usize| shown[column].iter().position(|listed| listed == item)),
        }));
    }
    outcomes
}

/// The lists that signals give, shown to members with other ones; none without a positive signal.
fn lists(picks: &Picks, made_from: &[&Signals], shown_to: &[&Signals], k: usize) -> Vec<Option<Vec<Item>>> {
    let positive = || made_from.iter().zip(shown_to).filter(|(made_from, _)| made_from.positive);
    let (folded, shown): (Vec<&Signals>, Vec<&Signals>) = positive().map(|(a, b)| (*a, *b)).unzip();
    let mut selected = picks.select(&picks.fold_in(&folded), &shown, k).into_iter();
    made_from.iter().map(|signals| if signals.positive { selected.next() } else { None }).collect()
}
