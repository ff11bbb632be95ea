//! Online computation: a member's list made when it is asked for, from the live events, what the member did a moment
//! ago and no log has yet, the model, and what is wanted.
//!
//! The same steps as in the graph, with the same code below them (`factors/`): without session events and filters the
//! list is the stored one, to the bit.

use std::borrow::Cow;
use std::collections::HashSet;

use nearline_factors::{Bitmap, Pair, Scratch};

use super::filters::Wanted;
use super::list::Entry;
use super::member::{Past, PastEvent};
use super::models::ServedModel;
use super::{Serving, ServingError};

/// What is to be ranked.
#[derive(Debug, Clone, Default)]
pub struct RankQuery {
    /// Events that are in no log yet.
    pub session: Vec<PastEvent>,
    /// Only these items, where they are given.
    pub candidates: Option<Vec<String>>,
    /// Which items are wanted.
    pub wanted: Wanted,
    /// How many to leave out at the head.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// Why a rung has no list.
pub type NoList = Cow<'static, str>;

impl Serving<'_> {
    /// Ranks the items of a model for a member; or says why that cannot be.
    pub fn rank(
        &self,
        member: &str,
        query: &RankQuery,
        model: &ServedModel,
    ) -> Result<Result<Vec<Entry>, NoList>, ServingError> {
        let past = self.past_with(member, &query.session)?;
        let (pairs, mut excluded) = self.signals(&past, model);
        if !pairs.iter().any(|pair| pair.b > 0.0) {
            let why = if past.events.is_empty() {
                "unknown member"
            } else {
                "no positive signal for an item of the model"
            };
            return Ok(Err(why.into()));
        }
        excluded.extend(query.wanted.exclude.iter().filter_map(|item| model.model.index_of(item)));
        excluded.sort_unstable();
        let available = self.available(query, model)?;
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
        Ok(Ok(self.entries(named, &Wanted::default(), 0, query.limit)?))
    }

    /// What is trending, of what is to be ranked for a member: the list of whoever has the algorithm `popular`.
    pub fn popular_for(
        &self,
        member: &str,
        query: &RankQuery,
    ) -> Result<Result<Vec<Entry>, NoList>, ServingError> {
        let past = self.past_with(member, &query.session)?;
        if past.events.is_empty() {
            return Ok(Err("unknown member".into()));
        }
        let candidates: Option<HashSet<&str>> =
            query.candidates.as_ref().map(|items| items.iter().map(String::as_str).collect());
        let takes = |item: &str| candidates.as_ref().is_none_or(|own| own.contains(item));
        let entries = self.trending_for(&past, &query.wanted, &takes, query.offset, query.limit)?;
        let nothing = entries.is_empty() && query.limit > 0 && query.offset == 0;
        Ok(if nothing { Err("no item is left to list".into()) } else { Ok(entries) })
    }

    /// The pairs that a member is folded in from, and what is in none of the member's lists, both by index.
    fn signals(&self, past: &Past, model: &ServedModel) -> (Vec<Pair>, Vec<u32>) {
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

    fn available(&self, query: &RankQuery, model: &ServedModel) -> Result<Bitmap, ServingError> {
        let version = &model.model.manifest.version;
        let mut available = self.shelves(model, version)?.wanted(&query.wanted);
        if let Some(candidates) = &query.candidates {
            let mut own = Bitmap::empty(available.len());
            let known: HashSet<u32> =
                candidates.iter().filter_map(|item| model.model.index_of(item)).collect();
            known.into_iter().for_each(|index| own.set(index, true));
            available.intersect(&own);
        }
        Ok(available)
    }
}
