//! Online computation: a list made when it is asked for, by any of the [`algorithms`](super::algorithms), from the live
//! events, what the member did a moment ago and no log has yet, the model, and what is wanted.

use std::borrow::Cow;
use std::sync::Arc;

use super::algorithms::{Algorithm, Inputs};
use super::filters::Wanted;
use super::list::{Entry, ListQuery};
use super::member::PastEvent;
use super::models::ServedModel;
use super::{Serving, ServingError};

/// What is to be ranked.
#[derive(Debug, Clone, Default)]
pub struct RankQuery {
    /// Events that are in no log yet.
    pub session: Vec<PastEvent>,
    /// Which items are wanted.
    pub wanted: Wanted,
    /// How many to leave out at the head.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
    /// Whether what is kept will do, however short it is.
    pub kept: bool,
}

impl RankQuery {
    /// What a list would hold if it were made now.
    pub fn of(query: &ListQuery) -> Self {
        let ListQuery { offset, limit, wanted, .. } = query;
        RankQuery { wanted: wanted.clone(), offset: *offset, limit: *limit, ..RankQuery::default() }
    }

    /// The same from the head on, as far down as was asked for.
    pub fn head(self) -> Self {
        RankQuery { limit: self.offset.saturating_add(self.limit), offset: 0, ..self }
    }
}

/// Why a rung has no list.
pub type NoList = Cow<'static, str>;

impl Serving<'_> {
    /// What an algorithm makes for a member at this moment, or why it makes nothing.
    pub fn rank(
        &self,
        algorithm: &dyn Algorithm,
        member: &str,
        query: &RankQuery,
    ) -> Result<Result<Vec<Entry>, NoList>, ServingError> {
        let model = if algorithm.needs_model() {
            match self.model_of(member)? {
                Ok(model) => Some(model),
                Err(why) => return Ok(Err(why)),
            }
        } else {
            None
        };
        self.takes(algorithm.takes(model.as_deref()))?;
        let signals = self.past_with(member, &query.session)?;
        let inputs = Inputs { model: model.as_deref(), data: self, signals: &signals, member };
        algorithm.rank(&inputs, query)
    }

    /// The model of a member's variant, or the live one. A command waits until it is read; a process that serves has read
    /// it before, or does without, since that takes longer than anyone waits.
    fn model_of(&self, member: &str) -> Result<Result<Arc<ServedModel>, NoList>, ServingError> {
        let Some(version) = self.making(member).model else { return Ok(Err("no model".into())) };
        let models = &self.known.models;
        Ok(match models.ready(version) {
            Some(model) => Ok(model),
            None if self.known.serves() => Err("the model is being read".into()),
            None => Ok(models.get(version)?),
        })
    }
}
