//! Centres of clusters take over: in one epoch every member is found among them, by the factor that the store has, and
//! nobody is folded in anew. So are all members at a start at which the views are in order.

use std::sync::Arc;

use nearline_dataflows::clusters::Centres;
use nearline_dataflows::members::Control;
use nearline_dataflows::types::Epoch;

use super::EngineError;
use super::messages::{Mode, ToCommit};
use super::pipeline::Pipeline;
use super::recover;
use crate::stores::formats::{self, CentresInUse};
use crate::stores::{Store, StoreError, Table};
use crate::variants::MadeWith;

/// What came of asking for centres.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CentresUsed {
    /// The version of the centres in use; none where there are none.
    pub centres: Option<String>,
    /// The version of those before; none where there were none, or these were in use already.
    pub previous: Option<String>,
    /// The epoch from which on that is so.
    pub epoch: Epoch,
}

/// Why centres are not used.
#[derive(Debug, thiserror::Error)]
pub enum CentresError {
    /// A bulk load makes its views at its end.
    #[error("a bulk load is under way; its views are made at its end: ask again then")]
    Loading,
    /// There are several processes.
    #[error("a pipeline of several processes takes over no centres of clusters while it runs")]
    SeveralProcesses,
    /// They are of another model.
    #[error(
        "the centres were made with model {made_with}, and no member's lists are; make centres anew with `nearline cluster`, \
         or let that model take over first"
    )]
    OtherModel {
        /// The model that they were made with.
        made_with: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Pipeline<'_> {
    /// Finds all members among these centres from a next epoch on; among none where none are given.
    pub(super) fn use_centres(
        &mut self,
        centres: Option<Arc<Centres>>,
    ) -> Result<Result<CentresUsed, CentresError>, EngineError> {
        if self.options.bulk {
            return Ok(Err(CentresError::Loading));
        }
        if let Some(Centres { model, .. }) = centres.as_deref()
            && !self.sides().iter().any(|(_, _, lists)| lists.models().contains(model.as_str()))
        {
            return Ok(Err(CentresError::OtherModel { made_with: model.clone() }));
        }
        let version = centres.as_ref().map(|centres| centres.version.clone());
        if version == self.centres {
            return Ok(Ok(CentresUsed { centres: version, previous: None, epoch: self.epoch }));
        }
        // What is fed are the factors that the store has: all that came before is to be in it.
        self.close_live()?;
        self.settled()?;
        if let Some(centres) = &centres {
            self.feed_factors(centres)?;
        }
        let in_use = centres.as_ref().map(|centres| CentresInUse {
            version: centres.version.clone(),
            model: centres.model.clone(),
            clusters: centres.factors().rows() as u32,
        });
        self.send(ToCommit::Centres(in_use))?;
        self.close(Mode::Whole, vec![Control::Centres(centres)])?;
        self.settled()?;
        let previous = std::mem::replace(&mut self.centres, version.clone());
        Ok(Ok(CentresUsed { centres: version, previous, epoch: self.epoch }))
    }

    /// What is live and what stands by: where its factors are, and what its lists are made with.
    fn sides(&self) -> Vec<(Table, bool, MadeWith)> {
        let live = (Table::Factors, false, self.models.live.clone());
        let beside = self.models.beside().map(|lists| (Table::StandbyFactors, true, lists.clone()));
        std::iter::once(live).chain(beside).collect()
    }

    /// Feeds the factors that the store has, of members whose lists are made with the centres' model, with the next epoch.
    /// Of a line-up whose lists are being built these are the factors that are there.
    pub(super) fn feed_factors(&mut self, centres: &Centres) -> Result<(), EngineError> {
        for (table, standby, lists) in self.sides() {
            let store = self.store;
            recover::each(store, table, &mut |key, value| {
                if let Some((member, factor)) = factor(key, value, &lists, centres)? {
                    self.ingest.known(member, standby, factor);
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Clears what was kept of centres whose files are gone.
pub(super) fn clear(store: &dyn Store) -> Result<(), StoreError> {
    let tables =
        [Table::Clusters, Table::ClusterPopularity, Table::StandbyClusters, Table::StandbyClusterPopularity];
    tables.into_iter().try_for_each(|table| store.clear(table))?;
    // Last: where a crash comes before, the next start does it again.
    let mut change = store.begin();
    change.delete(Table::Meta, formats::meta::CENTRES);
    change.commit(true)
}

/// A member with a factor, where it is of the centres' model.
fn factor<'a>(
    key: &'a [u8],
    value: &[u8],
    lists: &MadeWith,
    centres: &Centres,
) -> Result<Option<(&'a str, Vec<f32>)>, StoreError> {
    let damaged = |what: &str| formats::damaged(Table::Factors, key, what);
    let member = std::str::from_utf8(key).map_err(|_| damaged("is not UTF-8"))?;
    if lists.of(member).model != Some(&centres.model) {
        return Ok(None);
    }
    let factor = formats::decode_factor(key, value)?;
    if factor.len() != centres.factors().rank() {
        return Err(damaged("has a factor of another length than the model's"));
    }
    Ok(Some((member, factor)))
}
