//! What a log has to search for: its kinds, and its shape under each transform.

use nearline_dataflows::types::Member;

use super::settings::Settings;
use super::shape::Shape;
use super::space::{Dimension, Space};
use super::{Searched, TuneOptions};
use crate::config::{KindTable, Transform};
use crate::offline::dataset::Dataset;
use crate::offline::train::{TrainError, transform};
use crate::offline::validation::Validation;

/// The space of what is searched in this log.
pub(super) fn space(
    validation: &Validation<'_>,
    table: &KindTable,
    options: &TuneOptions,
) -> Result<Space, TrainError> {
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
            if place < counts.len() && validation.trains(member, &event) && table.kinds.weight_of(&event) != 0
            {
                counts[place] += 1;
            }
        }
    }
    let most = (0..counts.len()).max_by_key(|place| (counts[*place], std::cmp::Reverse(*place)));
    let others = (0..counts.len()).filter(|place| counts[*place] > 0 && Some(*place) != most);
    others.map(|place| table.names[place].clone()).collect()
}

pub(super) fn dataset(validation: &Validation<'_>, table: &KindTable, written: Transform) -> Dataset {
    let keep = |member: Member, event: &_| validation.trains(member, event);
    Dataset::new(validation.live(), &table.kinds, transform(written), keep)
}
