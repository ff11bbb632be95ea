//! Lists against popularity, measure by measure: what the protocols `lightgcn`, `strong` and `ncf` report.

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use super::Stage;
use super::metrics::{Hits, Measure};
use super::report::Trained;
use super::spread::spread;
use super::tally::{Estimate, Tally, Weighing};

/// What a published protocol found. Means are over members, each of whom has one list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// `lightgcn`, `strong` or `ncf`.
    pub protocol: String,
    /// What the model was trained on, and how.
    pub trained: Trained,
    /// What was tested.
    pub tested: Cases,
    /// The measures.
    pub figures: Vec<Figure>,
}

/// What was tested.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cases {
    /// Members with something to be found.
    pub members: usize,
    /// Members of the test part with nothing to be found: in no mean.
    pub empty: usize,
    /// Of the members tested, those without a positive signal for an item of the model: popularity in every column.
    pub without_signal: usize,
    /// Items to be found.
    pub wanted: usize,
    /// Of them, those that training never saw.
    pub not_in_model: usize,
    /// Of them, those that the member's list is made from: they are left out of it, and so missed.
    pub folded_in: usize,
    /// Items of held-out members that were left out beforehand, since training never saw them.
    pub left_out: usize,
}

/// One measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name, such as `recall@20`.
    pub measure: String,
    /// Lists of the model.
    pub nearline: Estimate,
    /// The most popular items of the training part.
    pub popularity: Estimate,
    /// Nearline less popularity.
    pub gain: Estimate,
}

/// The hits of one member.
pub struct Pairing {
    /// Of the model's list.
    pub nearline: Hits,
    /// Of the most popular items.
    pub popularity: Hits,
}

/// So many cases are looked at at once.
const AT_ONCE: usize = 64;

/// Measures every case, on all cores. `hits` looks at some of them, and gives nothing for one with nothing to find.
pub fn compare<C: Sync>(
    cases: &[C],
    measures: &[Measure],
    hits: &(impl Fn(&[C]) -> Vec<Option<Pairing>> + Sync),
    progress: &mut dyn FnMut(Stage),
) -> Vec<Figure> {
    let some: Vec<&[C]> = cases.chunks(AT_ONCE).collect();
    let (mut nearline, mut popularity) = (Tally::new(measures), Tally::new(measures));
    spread(&some, &|some: &&[C]| hits(some), &mut |pairings, done| {
        for pairing in pairings.into_iter().flatten() {
            nearline.add_hits(&pairing.nearline);
            nearline.end_member();
            popularity.add_hits(&pairing.popularity);
            popularity.end_member();
        }
        progress(Stage::Testing { done: (done * AT_ONCE).min(cases.len()), of: cases.len() });
    });
    let figure = |(which, measure): (usize, &Measure)| Figure {
        measure: measure.to_string(),
        nearline: nearline.estimate(which, Weighing::Members),
        popularity: popularity.estimate(which, Weighing::Members),
        gain: nearline.difference(&popularity, which, Weighing::Members),
    };
    measures.iter().enumerate().map(figure).collect()
}

impl Comparison {
    /// A measure by its name.
    pub fn figure(&self, measure: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.measure == measure)
    }

    /// The comparison as text: means over members, each with its standard error.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["", "nearline", "popularity", "gain"]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for Figure { measure, nearline, popularity, gain } in &self.figures {
            let gain = format!("{:+.4} ± {:.4}", gain.mean, gain.standard_error);
            table.add_row([measure.clone(), nearline.to_string(), popularity.to_string(), gain]);
        }
        let Cases { members, wanted, .. } = self.tested;
        format!(
            "protocol {}\n{}\ntested on {members} members with {wanted} items to be found{}\n{table}\n",
            self.protocol,
            self.trained,
            self.tested.notes(self.protocol == "ncf")
        )
    }
}

impl Cases {
    /// What else there is to know, where there is. `among_others`: what is to be found is ranked among others.
    fn notes(&self, among_others: bool) -> String {
        let Cases { empty, without_signal, not_in_model, folded_in, left_out, .. } = *self;
        let (unknown, own) = if among_others {
            (
                "of them are not in the model and have score 0",
                "of them are folded in, and ranked all the same",
            )
        } else {
            (
                "of them are not in the model and count as missed",
                "of them are folded in, so left out of the list, and count as missed",
            )
        };
        let notes = [
            (not_in_model, unknown),
            (folded_in, own),
            (empty, "more members have nothing to be found and are in no mean"),
            (without_signal, "of the members have no signal: popularity in every column"),
            (left_out, "more items of theirs were left out, as training never saw them"),
        ];
        let told = notes.into_iter().filter(|(count, _)| *count > 0);
        told.map(|(count, note)| format!("\n{count} {note}")).collect()
    }
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:.4} ± {:.4}", self.mean, self.standard_error)
    }
}
