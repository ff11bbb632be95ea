//! What is liked most in the member's cluster: by members whose taste is nearest to the member's.

use super::{Algorithm, Inputs};
use crate::serving::ServingError;
use crate::serving::list::Entry;
use crate::serving::rank::{NoList, RankQuery};

/// Ranks by how many members of the cluster like an item.
pub struct PeopleLikeYou;

impl Algorithm for PeopleLikeYou {
    fn name(&self) -> &'static str {
        "people_like_you"
    }

    fn rank(
        &self,
        inputs: &Inputs<'_>,
        query: &RankQuery,
    ) -> Result<Result<Vec<Entry>, NoList>, ServingError> {
        let Inputs { data, signals, member, .. } = inputs;
        let belongs = match data.belongs(member)? {
            Ok(belongs) => belongs,
            Err(why) => return Ok(Err(why)),
        };
        let liked = data.liked_in(belongs.cluster)?;
        let left = liked.iter().filter(|(item, _)| !signals.leaves_out(item));
        let left = left.map(|(item, count)| (&**item, *count as f64));
        let RankQuery { wanted, offset, limit, .. } = query;
        let entries = data.entries(left, wanted, *offset, *limit)?;
        let nothing = entries.is_empty() && *limit > 0 && *offset == 0;
        Ok(if nothing { Err("no item is left to list".into()) } else { Ok(entries) })
    }
}
