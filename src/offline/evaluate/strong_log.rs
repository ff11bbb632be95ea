//! The protocol `strong` on a log of ours: the split that Mult-VAE makes (Liang et al. 2018, section 4.1), by hashes.
//!
//! A pair is a member and an item of non-zero signal, with the weight that the transform gives. What was seen without
//! a signal is no pair: neither folded in nor left out, as the paper knows nothing of it.

use nearline_dataflows::profile::{ItemState, profile};
use nearline_dataflows::transform::Transform;
use nearline_dataflows::types::{Item, Member};

use super::comparison::Comparison;
use super::fitted::Training;
use super::members::{ONE_IN, hash};
use super::published::{Case, strong};
use super::{EvaluateError, Stage};
use crate::config::{KindTable, Train};
use crate::offline::dataset::Dataset;
use crate::offline::live::LiveSet;
use crate::offline::train::transform;

/// Measures strong generalisation: a fifth of the members, drawn by a hash of seed and id, is held out of training; a
/// fifth of the items of each, rounded down, is to be found in the list that the rest gives.
pub fn evaluate_strong_log(
    live: &LiveSet,
    table: &KindTable,
    options: &Train,
    progress: &mut dyn FnMut(Stage),
) -> Result<Comparison, EvaluateError> {
    let seed = options.seed;
    let held_out = |member: Member| hash(seed, live.members.name(member.0), "").is_multiple_of(ONE_IN);
    let transform = transform(options.transform);
    let data = Dataset::new(live, &table.kinds, transform, |member, _| !held_out(member));
    if !data.entries.iter().any(|(_, weight)| *weight > 0.0) {
        let why = "the members that are not held out have no signal for any item; more members are needed";
        return Err(EvaluateError::NothingToFind(why.into()));
    }
    let split = Split { live, table, transform, seed, numbers: numbers(live, &data.items) };
    let members = live.members_by_id().into_iter().filter(|member| held_out(*member));
    let (cases, left_out): (Vec<Case>, Vec<usize>) = members.map(|member| split.divide(member)).unzip();
    if cases.iter().all(|case| case.wanted.is_empty()) {
        let why = format!(
            "of {} members held out none has {ONE_IN} items of positive signal; more members or events are needed",
            cases.len()
        );
        return Err(EvaluateError::NothingToFind(why));
    }
    let Dataset { items, offsets, entries, events, .. } = data;
    let training = Training { items: items.len(), offsets, entries };
    let mut found = strong((training, Some(events)), cases, options, progress)?;
    found.tested.left_out = left_out.into_iter().sum();
    Ok(found)
}

/// The number of each item of the live set in the model.
fn numbers(live: &LiveSet, items: &[Item]) -> Vec<Option<u32>> {
    let mut numbers = vec![None; live.items.len()];
    items.iter().zip(0..).for_each(|(item, number)| numbers[item.index()] = Some(number));
    numbers
}

struct Split<'a> {
    live: &'a LiveSet,
    table: &'a KindTable,
    transform: Transform,
    seed: u64,
    numbers: Vec<Option<u32>>,
}

impl Split<'_> {
    /// A held-out member's test, and how many of its pairs are for items that training never saw: as in the published
    /// code they are left out before the split.
    fn divide(&self, member: Member) -> (Case, usize) {
        let states = profile(self.live.events(member), &self.table.kinds);
        let with_signal = || states.iter().filter(|state| state.signal != 0);
        let pairs: Vec<(u32, &ItemState)> =
            with_signal().filter_map(|state| Some((self.numbers[state.item.index()]?, state))).collect();
        let left_out = with_signal().count() - pairs.len();
        let mut liked: Vec<(u32, &ItemState)> =
            pairs.iter().copied().filter(|(_, state)| state.signal > 0 && !state.hidden).collect();
        let name = self.live.members.name(member.0);
        liked.sort_by_cached_key(|(_, state)| hash(self.seed, name, self.live.items.name(state.item.0)));
        let mut wanted: Vec<u32> =
            liked.iter().take(liked.len() / ONE_IN as usize).map(|(number, _)| *number).collect();
        wanted.sort_unstable();
        let mut folded: Vec<(u32, f32)> = pairs
            .into_iter()
            .filter(|(number, _)| wanted.binary_search(number).is_err())
            .map(|(number, state)| (number, self.transform.weight(state.signal)))
            .collect();
        folded.sort_unstable_by_key(|(number, _)| *number);
        (Case { folded, wanted, not_in_model: 0 }, left_out)
    }
}
