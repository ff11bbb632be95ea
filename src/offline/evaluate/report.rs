//! What an evaluation found, as JSON.

use serde::{Deserialize, Serialize};

use super::tally::{Gain, Metrics, Tally, Weighing};
use crate::config::Train;
use crate::offline::manifest::{Counts, Transform};
use crate::offline::train::transform;

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `time` or `members`.
    pub protocol: String,
    /// The moment that divides the log, RFC 3339, where it is divided by time.
    pub split_at: Option<String>,
    /// What the model was trained on, and how.
    pub trained: Trained,
    /// What was tested.
    pub tested: Tested,
    /// The figures, group by group.
    pub rows: Vec<Row>,
}

/// What the model was trained on, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Members, items, pairs and events of the training part.
    pub counts: Counts,
    /// The length of a factor.
    pub rank: usize,
    /// How many iterations.
    pub iterations: usize,
    /// The weight of every pair.
    pub alpha0: f32,
    /// The strength of regularisation.
    pub lambda: f32,
    /// Its power of the number of pairs.
    pub nu: f32,
    /// The seed of the first factors.
    pub seed: u64,
    /// How a signal becomes a weight.
    pub transform: Transform,
}

/// What was tested.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// Live events of the test part.
    pub events: u64,
    /// Members with something to be found.
    pub members: usize,
    /// Those of them who have a frozen list: a positive signal before the split.
    pub known: usize,
    /// The others.
    pub others: usize,
    /// Moments at which a list was looked at.
    pub moments: usize,
    /// Items to be found, each at its moment.
    pub relevant: usize,
    /// Those of them that are not in the model: no list can hold them, and they count as missed.
    pub not_in_model: usize,
}

/// Whose figures a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// All members of the test. Members without a frozen list have popularity as of the split in every column.
    All,
    /// Members with a frozen list.
    Known,
    /// Members without one: popularity as of the split in every column.
    Others,
    /// The same members, with the nearline lists that they would really have had.
    OthersFromTheirEvents,
    /// Members that the model was not trained on.
    HeldOut,
}

/// The figures of one group of members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Whose.
    pub group: Group,
    /// How many members.
    pub members: usize,
    /// How many moments, each of which asked for a list.
    pub moments: usize,
    /// The means over moments: every list counts the same.
    pub by_moment: Columns,
    /// The means over members: every member counts the same, however many moments it had.
    pub by_member: Columns,
}

/// The figures of the lists that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Columns {
    /// Lists from all events before the moment.
    pub nearline: Metrics,
    /// Lists from the factor as it was at the split.
    pub frozen: Option<Metrics>,
    /// The most popular items as of the split.
    pub popularity: Metrics,
    /// Nearline less frozen.
    pub gain_over_frozen: Option<Gain>,
    /// Nearline less popularity.
    pub gain_over_popularity: Gain,
}

/// What one group gathers.
#[derive(Debug, Default)]
pub struct Tallies {
    /// Lists from all events before the moment.
    pub nearline: Tally,
    /// Lists from the factor as it was at the split.
    pub frozen: Tally,
    /// The most popular items.
    pub popularity: Tally,
}

impl Tested {
    /// Adds the counts of others.
    pub fn add(&mut self, other: &Tested) {
        self.events += other.events;
        self.members += other.members;
        self.known += other.known;
        self.others += other.others;
        self.moments += other.moments;
        self.relevant += other.relevant;
        self.not_in_model += other.not_in_model;
    }
}

impl Tallies {
    /// All three columns, for one change of each.
    pub fn each(&mut self, mut change: impl FnMut(&mut Tally)) {
        [&mut self.nearline, &mut self.frozen, &mut self.popularity].into_iter().for_each(&mut change);
    }

    /// Adds what another has gathered.
    pub fn merge(&mut self, other: Tallies) {
        self.nearline.merge(other.nearline);
        self.frozen.merge(other.frozen);
        self.popularity.merge(other.popularity);
    }

    /// The row of a group. Without frozen lists that column stays empty.
    pub fn row(&self, group: Group, with_frozen: bool, items_in_model: usize) -> Row {
        let columns = |weighing| Columns {
            nearline: self.nearline.metrics(items_in_model, weighing),
            frozen: with_frozen.then(|| self.frozen.metrics(items_in_model, weighing)),
            popularity: self.popularity.metrics(items_in_model, weighing),
            gain_over_frozen: with_frozen.then(|| self.nearline.gain_over(&self.frozen, weighing)),
            gain_over_popularity: self.nearline.gain_over(&self.popularity, weighing),
        };
        Row {
            group,
            members: self.nearline.members(),
            moments: self.nearline.lists(),
            by_moment: columns(Weighing::Lists),
            by_member: columns(Weighing::Members),
        }
    }
}

impl Trained {
    /// From options and what they were used on.
    pub fn new(options: &Train, counts: Counts) -> Self {
        let Train { rank, iterations, alpha0, lambda, nu, seed, .. } = *options;
        let transform = transform(options.transform).into();
        Trained { counts, rank, iterations, alpha0, lambda, nu, seed, transform }
    }
}

impl std::fmt::Display for Trained {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Trained { counts, rank, iterations, alpha0, lambda, nu, .. } = self;
        write!(
            out,
            "trained on {} events of {} members and {} items (rank {rank}, {iterations} iterations, alpha0 {alpha0}, \
             lambda {lambda}, nu {nu})",
            counts.events, counts.members, counts.items,
        )
    }
}

impl Report {
    /// The row of a group.
    pub fn row(&self, group: Group) -> Option<&Row> {
        self.rows.iter().find(|row| row.group == group)
    }
}
