//! What an evaluation found, as JSON and as a table.

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use super::metrics::{Gain, Metrics, Tally};
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
    /// Lists from all events before the moment.
    pub nearline: Metrics,
    /// Lists from the factor as it was at the split.
    pub frozen: Option<Metrics>,
    /// The most popular items as of the split.
    pub popularity: Metrics,
    /// Nearline less frozen, member by member.
    pub gain_over_frozen: Option<Gain>,
    /// Nearline less popularity, member by member.
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
        Row {
            group,
            members: self.nearline.members(),
            nearline: self.nearline.metrics(items_in_model),
            frozen: with_frozen.then(|| self.frozen.metrics(items_in_model)),
            popularity: self.popularity.metrics(items_in_model),
            gain_over_frozen: with_frozen.then(|| self.nearline.gain_over(&self.frozen)),
            gain_over_popularity: self.nearline.gain_over(&self.popularity),
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

impl Group {
    fn title(self) -> &'static str {
        match self {
            Group::All => "all",
            Group::Known => "known before the split",
            Group::Others => "the others",
            Group::OthersFromTheirEvents => "the others, from their own events",
            Group::HeldOut => "held out",
        }
    }
}

impl Report {
    /// The row of a group.
    pub fn row(&self, group: Group) -> Option<&Row> {
        self.rows.iter().find(|row| row.group == group)
    }

    /// The report as a table, with what it was made from above and what was gained below.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["members", "", "lists", "recall@20", "NDCG@20", "NDCG@100", "coverage"]);
        let numbers = table.column_iter_mut().enumerate().filter(|(place, _)| *place != 0 && *place != 2);
        for (_, column) in numbers {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in &self.rows {
            let lists = [
                ("nearline", Some(&row.nearline)),
                ("frozen", row.frozen.as_ref()),
                ("popularity", Some(&row.popularity)),
            ];
            for (place, (name, metrics)) in lists.into_iter().enumerate() {
                let Some(metrics) = metrics else { continue };
                let (title, members) = if place == 0 {
                    (row.group.title(), row.members.to_string())
                } else {
                    ("", String::new())
                };
                table.add_row([
                    title.to_owned(),
                    members,
                    name.to_owned(),
                    format!("{:.4}", metrics.recall_20),
                    format!("{:.4}", metrics.ndcg_20),
                    format!("{:.4}", metrics.ndcg_100),
                    format!("{:.1} %", 100.0 * metrics.coverage),
                ]);
            }
        }
        format!("{}\n{table}\n{}", self.head(), self.gains())
    }

    fn head(&self) -> String {
        let Trained { counts, rank, iterations, alpha0, lambda, nu, .. } = &self.trained;
        let Tested { events, members, known, others, moments, relevant, not_in_model } = self.tested;
        let split = self.split_at.as_ref().map_or(String::new(), |at| format!(", split at {at}"));
        let who = match self.split_at {
            Some(_) => format!("{members} members: {known} known before the split, {others} not"),
            None => format!("{members} members held out"),
        };
        format!(
            "protocol {}{split}\ntrained on {} events of {} members and {} items (rank {rank}, {iterations} iterations, \
             alpha0 {alpha0}, lambda {lambda}, nu {nu})\ntested on {events} events of {who}; {relevant} items to be \
             found at {moments} moments, {not_in_model} of them not in the model",
            self.protocol, counts.events, counts.members, counts.items,
        )
    }

    fn gains(&self) -> String {
        let gain = |row: &Row, what: &str, gain: &Gain, base: f64| {
            let percent =
                if base > 0.0 { format!(", {:+.1} %", 100.0 * gain.ndcg_20 / base) } else { String::new() };
            let Gain { ndcg_20, standard_error } = gain;
            format!(
                "{}: nearline over {what} {ndcg_20:+.4} NDCG@20 (± {standard_error:.4}{percent})\n",
                row.group.title()
            )
        };
        let mut text = String::new();
        for row in self.rows.iter().filter(|row| row.group != Group::Others) {
            if let (Some(over), Some(frozen)) = (&row.gain_over_frozen, &row.frozen) {
                text += &gain(row, "frozen", over, frozen.ndcg_20);
            }
            text += &gain(row, "popularity", &row.gain_over_popularity, row.popularity.ndcg_20);
        }
        text
    }
}
