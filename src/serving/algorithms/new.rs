//! What is new: the items of the catalogue, by when their records say they were made.

use super::{Algorithm, Inputs};
use crate::serving::ServingError;
use crate::serving::list::Entry;
use crate::serving::rank::{NoList, RankQuery};

/// Ranks by the `at` of the items' records, the newest first.
pub struct New;

impl Algorithm for New {
    fn name(&self) -> &'static str {
        "new"
    }

    fn rank(
        &self,
        inputs: &Inputs<'_>,
        query: &RankQuery,
    ) -> Result<Result<Vec<Entry>, NoList>, ServingError> {
        let Inputs { data, signals, .. } = inputs;
        let newest = data.newest_items()?;
        if newest.is_empty() {
            return Ok(Err("there is no catalogue".into()));
        }
        let RankQuery { wanted, offset, limit, .. } = query;
        let left = newest.iter().filter(|(_, item)| !signals.leaves_out(item));
        let scored = left.map(|(at, item)| (&**item, *at as f64));
        let entries = data.entries(scored, wanted, *offset, *limit)?;
        let nothing = entries.is_empty() && *limit > 0 && *offset == 0;
        Ok(if nothing { Err("no item is left to list".into()) } else { Ok(entries) })
    }
}
