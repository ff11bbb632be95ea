//! Clusters: to which a member belongs, or why to none, and what a cluster likes.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use nearline_dataflows::clusters::Belongs;
use schemars::JsonSchema;
use serde::Serialize;
use utoipa::ToSchema;

use super::algorithms::PeopleLikeYou;
use super::list::{Found, ListQuery, Rung};
use super::rank::{NoList, RankQuery};
use super::rungs::PENDING;
use super::{Serving, ServingError};
use crate::engine::recover;
use crate::stores::{StoreError, Table, formats};

/// Items with how many members like them, most first, then by id.
pub(super) type Liked = Vec<(Box<str>, u64)>;

/// What clusters like, of those that were asked for in an epoch.
#[derive(Debug, Default)]
pub(super) struct LikedByCluster {
    epoch: u64,
    clusters: HashMap<u32, Arc<Liked>>,
}

/// The clusters of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, ToSchema)]
pub struct ClustersStatus {
    /// The version of their centres.
    pub centres: String,
    /// The version of the model that these were made with.
    pub model: String,
    /// How many there are.
    pub clusters: u32,
    /// How many members belong to one.
    pub members: u64,
}

impl Serving<'_> {
    /// The cluster of a member, or why there is none.
    pub(super) fn belongs(&self, member: &str) -> Result<Result<Belongs, NoList>, ServingError> {
        let Some(centres) = &self.standing.centres else {
            return Ok(Err("there are no clusters: make them with `nearline cluster`".into()));
        };
        if self.standing.pending {
            return Ok(Err(PENDING.into()));
        }
        if let Some(belongs) = self.kept_cluster(member)? {
            return Ok(Ok(belongs));
        }
        let why = match self.making(member) {
            _ if self.past(member)?.events.is_empty() => "unknown member",
            making if making.model != Some(&centres.model) => {
                "the clusters were made with another model: make them with `nearline cluster`"
            }
            making if !making.algorithm.is_kept() => "the member's variant keeps no factors",
            _ => "no positive signal for an item of the model",
        };
        Ok(Err(why.into()))
    }

    fn kept_cluster(&self, member: &str) -> Result<Option<Belongs>, StoreError> {
        let key = member.as_bytes();
        let value = self.tables.get(Table::Clusters, key)?;
        value.map(|value| formats::decode_belongs(key, &value)).transpose()
    }

    /// Whether so little is known of a member's taste that `top_picks` are what the member's cluster likes.
    pub(super) fn knows_little(&self, member: &str) -> Result<bool, StoreError> {
        let few = self.config().clusters.few_items;
        if few == 0 || self.standing.centres.is_none() || self.standing.pending {
            return Ok(false);
        }
        Ok(self.kept_cluster(member)?.is_some_and(|belongs| belongs.liked <= few))
    }

    /// `popular_with_people_like_you`, or why there is none.
    pub(super) fn like_you(
        &self,
        member: &str,
        query: &ListQuery,
    ) -> Result<Result<Found, NoList>, ServingError> {
        let made = self.rank(&PeopleLikeYou, member, &RankQuery::of(query))?;
        Ok(made.map(|entries| self.found(member, entries, Rung::Nearline)))
    }

    /// The same in the place of `top_picks`, for a reason: filled up with what is trending.
    pub(super) fn like_you_instead(
        &self,
        member: &str,
        query: &ListQuery,
        why: NoList,
    ) -> Result<Result<Found, NoList>, ServingError> {
        let Ok(entries) = self.rank(&PeopleLikeYou, member, &RankQuery::of(query).head())? else {
            return Ok(Err(why));
        };
        let entries = self.filled_up(entries, member, query)?;
        Ok(Ok(Found { reason: Some(why), ..self.found(member, entries, Rung::Nearline) }))
    }

    /// What a cluster likes; read once an epoch, as long as it is asked for.
    pub(super) fn liked_in(&self, cluster: u32) -> Result<Arc<Liked>, ServingError> {
        let epoch = self.standing.epoch;
        if let Some(liked) = self.known.liked(epoch, cluster) {
            return Ok(liked);
        }
        let (prefix, mut damage) = (formats::cluster_prefix(cluster), None);
        let mut liked = Liked::new();
        self.tables.scan(Table::ClusterPopularity, &prefix, &prefix, &mut |key, value| {
            let read = formats::cluster_item(key)
                .and_then(|item| Ok((item, formats::decode_count(Table::ClusterPopularity, key, value)?)));
            match read {
                Ok((item, count)) => {
                    liked.push((item.into(), count));
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    damage = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(damage) = damage {
            return Err(damage.into());
        }
        // Stable: keys come in the order of the ids.
        liked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let liked = Arc::new(liked);
        self.known.keep_liked(epoch, cluster, &liked);
        Ok(liked)
    }

    /// The clusters in use, with how many members belong to them.
    pub fn clusters(&self) -> Result<Option<ClustersStatus>, StoreError> {
        let Some(formats::CentresInUse { version, model, clusters }) = self.standing.centres.clone() else {
            return Ok(None);
        };
        let mut members = 0;
        recover::each(self.tables, Table::Clusters, &mut |_, _| {
            members += 1;
            Ok(())
        })?;
        Ok(Some(ClustersStatus { centres: version, model, clusters, members }))
    }
}

impl LikedByCluster {
    /// What a cluster liked in an epoch, where that was asked for.
    pub(super) fn get(&self, epoch: u64, cluster: u32) -> Option<Arc<Liked>> {
        self.clusters.get(&cluster).filter(|_| self.epoch == epoch).cloned()
    }

    /// Keeps what a cluster likes, and lets go of what was in an earlier epoch.
    pub(super) fn keep(&mut self, epoch: u64, cluster: u32, liked: &Arc<Liked>) {
        if self.epoch < epoch {
            *self = LikedByCluster { epoch, clusters: HashMap::new() };
        }
        if self.epoch == epoch {
            self.clusters.insert(cluster, liked.clone());
        }
    }
}
