//! What a walk found: over all of it, and window by window.

use serde::{Deserialize, Serialize};

use super::{Outcome, PrequentialOptions};
use crate::offline::evaluate::metrics::{Hits, Measure};
use crate::offline::evaluate::report::Trained;
use crate::offline::evaluate::tally::{Estimate, Tally, Weighing};
use crate::offline::evaluate::time::text_of;

/// What a walk found. Every event to be found counts the same, in errors as in [`Estimate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prequential {
    /// `prequential`.
    pub protocol: String,
    /// Where the walk starts, RFC 3339.
    pub start: String,
    /// How many items of a list were looked at.
    pub k: usize,
    /// The hours from one refresh to the next.
    pub refresh_hours: u32,
    /// The hours from one model to the next; none where the model of the start is the only one.
    pub retrain_hours: Option<u32>,
    /// What each model was trained on, and how.
    pub trained: Vec<Trained>,
    /// What was walked.
    pub walked: Walked,
    /// The figures of all events, and of those of each group.
    pub rows: Vec<PrequentialRow>,
    /// The figures over time. Windows in which nothing was to be found are left out.
    pub windows: Vec<Window>,
}

/// What was walked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walked {
    /// Members with something to be found.
    pub members: usize,
    /// Events to be found.
    pub events: usize,
    /// Of them, those whose item is not in the newest model: only popularity can have it.
    pub not_in_model: usize,
}

/// Whose events a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrequentialGroup {
    /// All events.
    All,
    /// Events of members who had a positive signal at the last refresh.
    Known,
    /// Events of members whose positive signals all came since the last refresh: what is refreshed is popularity.
    New,
    /// Events of members without a positive signal: popularity in every column.
    WithoutSignal,
}

/// The figures of one group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PrequentialRow {
    /// Whose.
    pub group: PrequentialGroup,
    /// What was found.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The figures of a stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Its first moment, RFC 3339.
    pub from: String,
    /// The first moment after it.
    pub until: String,
    /// What was found.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What was found at some events.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How many members they were of.
    pub members: usize,
    /// How many there were.
    pub events: usize,
    /// The part that was among the first k of its list.
    pub hit_rate: Rates,
    /// Normalised discounted cumulative gain of the first k, each event by itself: 1/log₂(place + 1), or 0.
    pub ndcg: Rates,
}

/// One measure of the lists that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Lists from all events before.
    pub nearline: Estimate,
    /// Lists from all events before the last refresh.
    pub refreshed: Estimate,
    /// The most popular items so far.
    pub popularity: Estimate,
    /// Nearline less refreshed.
    pub gain_over_refreshed: Estimate,
    /// Nearline less popularity.
    pub gain_over_popularity: Estimate,
}

/// How time is cut into windows.
pub(super) struct Cut {
    pub from: i64,
    pub width: i64,
}

impl Prequential {
    pub(super) fn new(
        options: &PrequentialOptions,
        start: i64,
        trained: Vec<Trained>,
        cut: Cut,
        mut outcomes: Vec<Outcome>,
    ) -> Self {
        let PrequentialOptions { refresh_hours, retrain_hours, k, .. } = *options;
        // Stable, so that each member's stay in the order of time; sums then have one order.
        outcomes.sort_by_key(|outcome| outcome.member);
        let groups = [PrequentialGroup::Known, PrequentialGroup::New, PrequentialGroup::WithoutSignal];
        let all = Figures::of(outcomes.iter(), k);
        let mut rows = vec![PrequentialRow { group: PrequentialGroup::All, figures: all }];
        rows.extend(groups.into_iter().map(|group| {
            let figures = Figures::of(outcomes.iter().filter(|outcome| outcome.group == group), k);
            PrequentialRow { group, figures }
        }));
        let not_in_model = outcomes.iter().filter(|outcome| !outcome.in_model).count();
        let walked = Walked { members: all.members, events: all.events, not_in_model };
        let window = |outcome: &Outcome| (outcome.at - cut.from) / cut.width;
        outcomes.sort_by_key(window);
        let windows = outcomes.chunk_by(|a, b| window(a) == window(b)).map(|outcomes| {
            let from = cut.from + window(&outcomes[0]) * cut.width;
            Window {
                from: text_of(from),
                until: text_of(from + cut.width),
                figures: Figures::of(outcomes.iter(), k),
            }
        });
        Prequential {
            protocol: "prequential".into(),
            start: text_of(start),
            k,
            refresh_hours,
            retrain_hours,
            trained,
            walked,
            rows,
            windows: windows.collect(),
        }
    }

    /// The figures of a group.
    pub fn row(&self, group: PrequentialGroup) -> Option<&Figures> {
        self.rows.iter().find(|row| row.group == group).map(|row| &row.figures)
    }
}

impl Figures {
    /// Of outcomes in the order of members.
    fn of<'a>(outcomes: impl Iterator<Item = &'a Outcome>, k: usize) -> Figures {
        let mut tallies = [0, 1, 2].map(|_| Tally::new(&[Measure::HitRate(k), Measure::Ndcg(k)]));
        let mut member = None;
        for outcome in outcomes {
            if member.replace(outcome.member) != Some(outcome.member) {
                tallies.iter_mut().for_each(Tally::end_member);
            }
            for (tally, place) in tallies.iter_mut().zip(outcome.places) {
                tally.add_hits(&Hits::of_one(place));
            }
        }
        tallies.iter_mut().for_each(Tally::end_member);
        let [nearline, refreshed, popularity] = &tallies;
        let rates = |which| Rates {
            nearline: nearline.estimate(which, Weighing::Lists),
            refreshed: refreshed.estimate(which, Weighing::Lists),
            popularity: popularity.estimate(which, Weighing::Lists),
            gain_over_refreshed: nearline.difference(refreshed, which, Weighing::Lists),
            gain_over_popularity: nearline.difference(popularity, which, Weighing::Lists),
        };
        Figures { members: nearline.members(), events: nearline.lists(), hit_rate: rates(0), ndcg: rates(1) }
    }
}
