//! Co-occurrence: what others have seen who have seen what the member has. Needs no model.

use super::{Algorithm, Inputs};
use crate::serving::list::Entry;
use crate::serving::rank::{NoList, RankQuery};
use crate::serving::{Serving, ServingError};

/// Ranks by what is seen together with the member's basket.
pub struct Together;

impl Algorithm for Together {
    fn name(&self) -> &'static str {
        "together"
    }

    fn prepare(&self, data: &Serving<'_>) -> Result<(), ServingError> {
        data.keep_pairs()
    }

    fn rank(
        &self,
        inputs: &Inputs<'_>,
        query: &RankQuery,
    ) -> Result<Result<Vec<Entry>, NoList>, ServingError> {
        let Inputs { data, signals, .. } = inputs;
        if let Some(why) = data.no_together() {
            return Ok(Err(why.into()));
        }
        let basket = signals.basket(data.config().lists.basket);
        if basket.is_empty() {
            let unknown = signals.events.is_empty();
            return Ok(Err(if unknown { "unknown member" } else { "nothing was seen" }.into()));
        }
        let likely = data.together_with(&basket)?;
        let left = likely.each().filter(|(item, _)| !signals.leaves_out(item));
        let RankQuery { wanted, offset, limit, .. } = query;
        let entries = data.entries(left, wanted, *offset, *limit)?;
        let nothing = entries.is_empty() && *limit > 0 && *offset == 0;
        Ok(if nothing { Err("no item is left to list".into()) } else { Ok(entries) })
    }
}
