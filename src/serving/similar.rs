//! `nearline similar` and the list `because_you_watched`: the items nearest to one, by the angle between their factors;
//! or by who has seen both.
//!
//! All are made when they are read, from the model and the store; nothing of them is stored.

use std::sync::Arc;

use nearline_factors::Bitmap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::filters::Wanted;
use super::list::{Entry, ListQuery};
use super::member::Past;
use super::models::ServedModel;
use super::{Serving, ServingError};

/// By what items are alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Likeness {
    /// The angle between their factors in the model.
    #[default]
    Factors,
    /// The members who have seen both.
    Together,
}

/// The items most like one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SimilarAnswer {
    /// Like which.
    pub item: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub title: Option<Arc<str>>,
    /// By what they are alike.
    pub by: Likeness,
    /// The items, the most alike first; the score is the cosine of the angle between the factors, or between the sets of
    /// members who have the items among what they have seen last.
    pub items: Vec<Entry>,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The epoch that the catalogue is read from.
    pub epoch: u64,
    /// The model, where it is by that.
    pub model: Option<String>,
    /// The variant whose model it is, where a member was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Serving<'_> {
    /// The `limit` items most like `item`, withdrawn ones left out. By factors it is by the model of a member's variant,
    /// where one is named, and else by the live model.
    pub fn similar(
        &self,
        item: &str,
        by: Likeness,
        member: Option<&str>,
        limit: usize,
    ) -> Result<SimilarAnswer, ServingError> {
        self.standing.made_with(self.config().meaning_hash())?;
        let lists = &self.standing.lists;
        let making = member.map_or_else(|| lists.live(), |member| lists.of(member));
        let (items, reason) = match by {
            Likeness::Factors => self.similar_by_factors(item, making.model, limit)?,
            Likeness::Together => self.similar_by_members(item, limit)?,
        };
        let own = |text: Option<&str>| text.filter(|_| by == Likeness::Factors).map(str::to_owned);
        let (title, epoch) = (self.title(item)?, self.standing.epoch);
        let (model, variant) = (own(making.model), own(making.variant));
        Ok(SimilarAnswer { item: item.to_owned(), title, by, items, reason, epoch, model, variant })
    }

    fn similar_by_members(
        &self,
        item: &str,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<&'static str>), ServingError> {
        if let Some(why) = self.no_together() {
            return Ok((Vec::new(), Some(why)));
        }
        let likely = self.together_with(&[item])?;
        let items = self.entries(likely.each(), &Wanted::default(), 0, limit)?;
        let alone = "no member has it and another item among what they have seen last";
        let reason = (items.is_empty() && limit > 0).then_some(alone);
        Ok((items, reason))
    }

    fn similar_by_factors(
        &self,
        item: &str,
        version: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<&'static str>), ServingError> {
        let found = match self.used_model(version)? {
            None => Err("there is no model: train one and run with it, or ask by what is seen together"),
            Some(model) => match model.model.index_of(item) {
                None => Err("the item is not in the model: it had no signal when the model was trained"),
                Some(index) => {
                    let version = &model.model.manifest.version;
                    let available = self.shelves(&model, version)?.wanted(&Wanted::default());
                    Ok(self.nearest(&model, index, &available, 0, limit)?)
                }
            },
        };
        let alone = "the item's factor is zero: nobody was found to prefer it";
        Ok(match found {
            Ok(items) if items.is_empty() && limit > 0 => (items, Some(alone)),
            Ok(items) => (items, None),
            Err(reason) => (Vec::new(), Some(reason)),
        })
    }

    /// The item that a member last turned to, of those with a positive signal in the model, and what is most like it of
    /// what is wanted and the member has not seen, hides or dislikes; or why there is none.
    pub(super) fn because(
        &self,
        member: &str,
        past: &Past,
        query: &ListQuery,
    ) -> Result<Result<(String, Vec<Entry>), &'static str>, ServingError> {
        let Some(model) = self.used_model(self.making(member).model)? else { return Ok(Err("no model")) };
        let positive = |item: &str| past.of_item(item).is_some_and(|state| state.signal > 0);
        let newest = past.events.iter().map(|event| event.item.as_str()).find(|item| positive(item));
        let of_model = past.events.iter().find_map(|event| {
            let index = model.model.index_of(&event.item)?;
            positive(&event.item).then_some((event.item.clone(), index))
        });
        let Some((item, index)) = of_model else {
            return Ok(Err(match newest {
                Some(_) => "no positive signal for an item of the model",
                None => "no positive signal",
            }));
        };
        let mut wished = self.shelves(&model, &model.model.manifest.version)?.wanted(&query.wanted);
        let unwanted = past
            .states()
            .filter(|(_, state)| state.seen || state.never_listed())
            .map(|(item, _)| item)
            .chain(query.wanted.exclude.iter().map(String::as_str));
        unwanted.filter_map(|item| model.model.index_of(item)).for_each(|index| wished.set(index, false));
        let entries = self.nearest(&model, index, &wished, query.offset, query.limit)?;
        let nothing = entries.is_empty() && query.limit > 0 && query.offset == 0;
        Ok(if nothing { Err("no item is left to list") } else { Ok((item, entries)) })
    }

    fn used_model(&self, version: Option<&str>) -> Result<Option<Arc<ServedModel>>, ServingError> {
        Ok(version.map(|version| self.known.models.get(version)).transpose()?)
    }

    /// The nearest of `wished` items: `limit` of them from `offset` on.
    fn nearest(
        &self,
        model: &ServedModel,
        index: u32,
        wished: &Bitmap,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Entry>, ServingError> {
        let found = model.side.similar(index, wished, offset.saturating_add(limit));
        let named = found
            .into_iter()
            .skip(offset)
            .map(|scored| (model.model.items()[scored.item as usize].clone(), f64::from(scored.score)));
        Ok(self.entries(named, &Wanted::default(), 0, limit)?)
    }
}
