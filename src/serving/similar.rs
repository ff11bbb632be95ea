//! `nearline similar` and the list `because_you_watched`: the items nearest to one, by the angle between their factors.
//!
//! Both are made when they are read, from the model and the store; nothing of them is stored.

use nearline_factors::{Bitmap, ItemSide};
use serde::Serialize;

use super::list::Entry;
use super::member::Past;
use super::{Serving, ServingError};
use crate::offline::Model;

/// The items most like one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimilarAnswer {
    /// Like which.
    pub item: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The items, the most alike first; the score is the cosine of the angle between the factors.
    pub items: Vec<Entry>,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The epoch that the catalogue is read from.
    pub epoch: u64,
    /// The model.
    pub model: Option<String>,
}

impl Serving {
    /// The `limit` items most like `item`, withdrawn ones left out.
    pub fn similar(&self, item: &str, limit: usize) -> Result<SimilarAnswer, ServingError> {
        self.standing.made_with(self.config.meaning_hash())?;
        let found = match self.used_model()? {
            None => Err("there is no model: train one and run with it"),
            Some(model) => match model.index_of(item) {
                None => Err("the item is not in the model: it had no signal when the model was trained"),
                Some(index) => {
                    let all = Bitmap::full(model.items().len());
                    Ok(self.nearest(&model, index, &all, limit)?)
                }
            },
        };
        let alone = "the item's factor is zero: nobody was found to prefer it";
        let (items, reason) = match found {
            Ok(items) if items.is_empty() && limit > 0 => (items, Some(alone)),
            Ok(items) => (items, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        Ok(SimilarAnswer {
            item: item.to_owned(),
            title: self.title(item)?,
            items,
            reason,
            epoch: self.standing.epoch,
            model: self.standing.model.clone(),
        })
    }

    /// The item that a member last turned to, of those with a positive signal in the model, and what is most like it of
    /// what the member has not seen, hides or dislikes; or why there is none.
    pub(super) fn because(
        &self,
        past: &Past,
        wanted: usize,
    ) -> Result<Result<(String, Vec<Entry>), &'static str>, ServingError> {
        let Some(model) = self.used_model()? else { return Ok(Err("no model")) };
        let positive = |item: &str| past.of_item(item).is_some_and(|state| state.signal > 0);
        let newest = past.events.iter().map(|event| event.item.as_str()).find(|item| positive(item));
        let of_model = past.events.iter().find_map(|event| {
            let index = model.index_of(&event.item)?;
            positive(&event.item).then_some((event.item.clone(), index))
        });
        let Some((item, index)) = of_model else {
            return Ok(Err(match newest {
                Some(_) => "no positive signal for an item of the model",
                None => "no positive signal",
            }));
        };
        let mut wished = Bitmap::full(model.items().len());
        for (item, state) in past.states() {
            if (state.seen || state.never_listed())
                && let Some(unwanted) = model.index_of(item)
            {
                wished.set(unwanted, false);
            }
        }
        let entries = self.nearest(&model, index, &wished, wanted)?;
        Ok(if entries.is_empty() { Err("no item is left to list") } else { Ok((item, entries)) })
    }

    fn used_model(&self) -> Result<Option<Model>, ServingError> {
        let load = |version: &String| Model::load(&self.folder.model(version));
        Ok(self.standing.model.as_ref().map(load).transpose()?)
    }

    /// The `wanted` nearest of `wished` items that are not withdrawn.
    fn nearest(
        &self,
        model: &Model,
        index: u32,
        wished: &Bitmap,
        wanted: usize,
    ) -> Result<Vec<Entry>, ServingError> {
        let side: ItemSide = model.side();
        let mut asked = wanted;
        loop {
            let found = side.similar(index, wished, asked);
            let end = found.len() < asked;
            let named = found
                .into_iter()
                .map(|scored| (model.items()[scored.item as usize].clone(), f64::from(scored.score)));
            let entries = self.entries(named.collect(), wanted)?;
            // Withdrawn ones left too few: look further.
            if end || entries.len() == wanted {
                return Ok(entries);
            }
            asked = asked.saturating_mul(4);
        }
    }
}
