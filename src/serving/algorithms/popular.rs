//! What is trending: events of everybody, the newest counting most.

use super::{Algorithm, Inputs};
use crate::serving::list::Entry;
use crate::serving::models::ServedModel;
use crate::serving::rank::{NoList, RankQuery};
use crate::serving::{ServingError, Takes};
use crate::stores::{Table, formats};

/// Ranks by what is acted on most of late.
pub struct Popular;

impl Algorithm for Popular {
    fn name(&self) -> &'static str {
        "popular"
    }

    fn takes(&self, _: Option<&ServedModel>) -> Takes {
        Takes::Look
    }

    fn rank(
        &self,
        inputs: &Inputs<'_>,
        query: &RankQuery,
    ) -> Result<Result<Vec<Entry>, NoList>, ServingError> {
        let Inputs { data, signals, .. } = inputs;
        let RankQuery { offset, limit, wanted, kept, .. } = query;
        let (entries, more) = match data.tables.get(Table::Meta, formats::meta::TRENDING)? {
            Some(value) if !data.standing.pending => {
                let entries = formats::decode_trends(&value)?;
                let more = entries.len() >= data.config().lists.length;
                let left = entries.into_iter().filter(|(item, _)| !signals.leaves_out(item));
                (data.entries(left.map(scored), wanted, *offset, *limit)?, more)
            }
            Some(_) => (Vec::new(), true),
            None => (Vec::new(), data.standing.pending),
        };
        if entries.len() >= *limit || !more || *kept {
            return Ok(Ok(entries));
        }
        // What is left out leaves too little of the stored list: count further down.
        data.takes(Takes::Long)?;
        let ranking = data.trending_counts()?;
        let left = ranking.ranked.iter().filter(|(item, _)| !signals.leaves_out(item));
        let left = left.map(|(item, score)| scored((&**item, *score)));
        Ok(Ok(data.entries(left, wanted, *offset, *limit)?))
    }
}

/// A place of the trending list: from units of 2⁻³² events to events.
fn scored<S>((item, score): (S, u128)) -> (S, f64) {
    (item, score as f64 / 4_294_967_296.0)
}
