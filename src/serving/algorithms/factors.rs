//! Matrix factorisation: the member folded in, every item of the model scored.
//!
//! The same steps as in the graph, with the same code below them (`factors/`): without session events and filters the
//! list is the stored `top_picks`, to the bit.

use nearline_factors::{Bitmap, Pair, Scratch};

use super::{Algorithm, Inputs};
use crate::serving::filters::Wanted;
use crate::serving::list::Entry;
use crate::serving::member::Past;
use crate::serving::models::ServedModel;
use crate::serving::rank::{NoList, RankQuery};
use crate::serving::{Serving, ServingError, Takes};

/// So many numbers of item factors are gone through in less than a millisecond.
const IN_A_MOMENT: usize = 1 << 22;

/// Ranks by a member's factor.
pub struct Factors;

impl Algorithm for Factors {
    fn name(&self) -> &'static str {
        "factors"
    }

    fn needs_model(&self) -> bool {
        true
    }

    fn takes(&self, model: Option<&ServedModel>) -> Takes {
        let numbers = model.map_or(0, |model| model.model.items().len() * model.side.items().rank());
        if numbers <= IN_A_MOMENT { Takes::Moment } else { Takes::Long }
    }

    fn rank(
        &self,
        inputs: &Inputs<'_>,
        query: &RankQuery,
    ) -> Result<Result<Vec<Entry>, NoList>, ServingError> {
        let Inputs { model, data, signals: past, .. } = inputs;
        let Some(model) = model else { return Ok(Err("no model".into())) };
        let (pairs, mut excluded) = signals(past, model);
        if !pairs.iter().any(|pair| pair.b > 0.0) {
            let unknown = past.events.is_empty();
            let why = if unknown { "unknown member" } else { "no positive signal for an item of the model" };
            return Ok(Err(why.into()));
        }
        excluded.extend(query.wanted.exclude.iter().filter_map(|item| model.model.index_of(item)));
        excluded.sort_unstable();
        let available = available(data, query, model)?;
        let mut factor = vec![0.0; model.side.items().rank()];
        model.side.fold_in(&pairs, &mut Scratch::new(), &mut factor);
        let (mut selected, wanted) = (Vec::new(), query.offset.saturating_add(query.limit));
        model.side.select(&factor, &[&excluded], &available, wanted, &mut selected);
        let best = selected.pop().unwrap_or_default();
        let named = best
            .into_iter()
            .skip(query.offset)
            .map(|scored| (model.model.items()[scored.item as usize].clone(), f64::from(scored.score)));
        // Every one of them is available: nothing is left out here, and titles are looked up.
        Ok(Ok(data.entries(named, &Wanted::default(), 0, query.limit)?))
    }
}

/// The pairs that a member is folded in from, and what is in none of the member's lists, both by index.
fn signals(past: &Past, model: &ServedModel) -> (Vec<Pair>, Vec<u32>) {
    let transform = model.model.transform();
    let (mut pairs, mut excluded) = (Vec::new(), Vec::new());
    for (item, state) in past.states() {
        let Some(index) = model.model.index_of(item) else { continue };
        if state.signal != 0 {
            pairs.push(Pair::from_signed(index, transform.weight(state.signal)));
        }
        if state.seen || state.never_listed() {
            excluded.push(index);
        }
    }
    pairs.sort_unstable_by_key(|pair| pair.item);
    (pairs, excluded)
}

fn available(data: &Serving<'_>, query: &RankQuery, model: &ServedModel) -> Result<Bitmap, ServingError> {
    let version = &model.model.manifest.version;
    let mut available = data.shelves(model, version)?.wanted(&query.wanted);
    if let Some(candidates) = &query.wanted.candidates {
        let mut own = Bitmap::empty(available.len());
        let known = candidates.iter().filter_map(|item| model.model.index_of(item));
        known.for_each(|index| own.set(index, true));
        available.intersect(&own);
    }
    Ok(available)
}
