//! The offline rung: a member's list of the last batch job, filtered by what is known now.

use super::list::{Found, ListQuery, Moment, Rung};
use super::rank::{NoList, RankQuery};
use super::{Serving, ServingError};
use crate::engine::batches;
use crate::stores::{Table, formats};

impl Serving<'_> {
    /// The list of the last batch, without what the member has seen, hides or dislikes by now; or why there is none.
    pub(super) fn offline(
        &self,
        member: &str,
        query: &ListQuery,
        now_ms: i64,
    ) -> Result<Result<Found, NoList>, ServingError> {
        let Some(batch) = batches::live(self.tables)? else {
            return Ok(Err("no batch job has made lists".into()));
        };
        let max_age = self.config().serve.offline_max_age;
        if now_ms - batch.made_at > max_age.ms() {
            return Ok(Err(format!("the lists of the last batch job are older than {max_age}").into()));
        }
        let mut key = Vec::new();
        formats::batch_key(batch.generation, member, &mut key);
        let Some(value) = self.tables.get(Table::BatchLists, &key)? else {
            return Ok(Err("the last batch job has no list of the member".into()));
        };
        let past = self.past(member)?;
        let ranked = formats::decode_ranked(&key, &value)?;
        let left = ranked.into_iter().filter(|(item, _)| !past.leaves_out(item));
        let head = RankQuery::of(query).head();
        let entries = self.entries(left, &head.wanted, head.offset, head.limit)?;
        if entries.is_empty() && head.limit > 0 {
            return Ok(Err("no item of the last batch job's list is left".into()));
        }
        Ok(Ok(Found {
            entries: self.filled_up(entries, member, query)?,
            source: Rung::Offline,
            model: batch.model,
            of: Some(Moment { epoch: batch.epoch, as_of: batch.as_of }),
            ..Found::none()
        }))
    }
}
