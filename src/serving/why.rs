//! `nearline why`: what each past event adds to the score of an item, or which rule keeps the item out.
//!
//! A member's score is a sum over the pairs it was folded in from (Hu, Koren and Volinsky 2008, section 5). A
//! pair's part is shared out to the events behind it by their weights.

use nearline_factors::{ItemSide, Pair};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

use super::member::{Past, PastEvent};
use super::rank::RankQuery;
use super::{Serving, ServingError};
use crate::offline::Model;
use crate::stores::{Table, formats};

/// What one past event adds.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Part {
    /// The event's item.
    pub item: String,
    /// The item's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub title: Option<Arc<str>>,
    /// The event's kind.
    pub kind: String,
    /// When it was, in milliseconds since 1970.
    pub at: i64,
    /// What it adds to the score.
    pub adds: f64,
}

/// The reasons for an item's place in a member's `top_picks`, or for its absence.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WhyAnswer {
    /// Whose.
    pub member: String,
    /// Which item.
    pub item: String,
    /// The item's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub title: Option<Arc<str>>,
    /// Its place in the list, from 1; none where it is not listed.
    pub position: Option<usize>,
    /// Its score; none where there is no factor, or the item is not in the model.
    pub score: Option<f64>,
    /// Which rules keep it out.
    pub kept_out: Vec<String>,
    /// What each past event adds, most first; sums to the score but for rounding.
    pub parts: Vec<Part>,
    /// The epoch that it is read from.
    pub epoch: u64,
    /// The newest event that it covers, in milliseconds since 1970.
    pub as_of: Option<i64>,
    /// The model.
    pub model: Option<String>,
    /// The variant that the member belongs to, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Serving<'_> {
    /// Why an item is, or is not, in a member's `top_picks`.
    pub fn why(&self, member: &str, item: &str) -> Result<WhyAnswer, ServingError> {
        self.standing.made_with(self.config().meaning_hash())?;
        let past = self.past(member)?;
        let (known, making) = (self.item(item)?, self.making(member));
        let mut answer = WhyAnswer {
            member: member.to_owned(),
            item: item.to_owned(),
            title: known.title,
            position: None,
            score: None,
            kept_out: rules(&past, item, known.withdrawn),
            parts: Vec::new(),
            epoch: self.standing.epoch,
            as_of: self.standing.now,
            model: making.model.filter(|_| making.algorithm.is_kept()).map(str::to_owned),
            variant: making.variant.map(str::to_owned),
        };
        if !making.algorithm.is_kept() {
            return self.why_made_now(answer);
        }
        let Some(version) = making.model else {
            answer.kept_out.push("there is no model: train one and run with it".into());
            return Ok(answer);
        };
        if let Some(list) = self.tables.get(Table::TopPicks, member.as_bytes())? {
            let list = formats::decode_scored(member.as_bytes(), &list)?;
            answer.position = list.iter().position(|(listed, _)| *listed == item).map(|place| place + 1);
        }
        let served = self.known.models.get(version)?;
        let (model, side) = (&served.model, &served.side);
        let Some(index) = model.index_of(item) else {
            answer
                .kept_out
                .push("the item is not in the model: it had no signal when the model was trained".into());
            return Ok(answer);
        };
        let Some(factor) = self.tables.get(Table::Factors, member.as_bytes())? else {
            answer.kept_out.push("the member has no positive signal for an item of the model".into());
            return Ok(answer);
        };
        let factor = formats::decode_factor(member.as_bytes(), &factor)?;
        answer.score = Some(f64::from(side.score(&factor, index)));
        answer.parts = self.parts(&past, model, side, index)?;
        if answer.kept_out.is_empty() && answer.position.is_none() {
            let length = self.config().lists.length;
            answer.kept_out.push(format!("{length} other items score higher, and the list holds {length}"));
        }
        Ok(answer)
    }

    /// Why an item is where it is in a list that no factor makes: its place and score, and no parts.
    fn why_made_now(&self, mut answer: WhyAnswer) -> Result<WhyAnswer, ServingError> {
        let length = self.config().lists.length;
        let query = RankQuery { limit: length, ..RankQuery::default() };
        let list = self.online(&answer.member, &query)?.map(|found| found.entries).unwrap_or_default();
        answer.position = list.iter().position(|entry| entry.item == answer.item).map(|place| place + 1);
        answer.score = answer.position.map(|place| list[place - 1].score);
        if answer.kept_out.is_empty() && answer.position.is_none() {
            answer.kept_out.push(format!("{} other items are more popular", list.len()));
        }
        Ok(answer)
    }

    fn parts(
        &self,
        past: &Past,
        model: &Model,
        side: &ItemSide,
        index: u32,
    ) -> Result<Vec<Part>, ServingError> {
        let transform = model.transform();
        let mut pairs: Vec<(Pair, &str)> = past
            .states()
            .filter(|(_, state)| state.signal != 0)
            .filter_map(|(item, state)| {
                let place = model.index_of(item)?;
                Some((Pair::from_signed(place, transform.weight(state.signal)), item))
            })
            .collect();
        pairs.sort_unstable_by_key(|(pair, _)| pair.item);
        let solved: Vec<Pair> = pairs.iter().map(|(pair, _)| *pair).collect();
        let mut parts = Vec::new();
        for ((_, item), adds) in pairs.iter().zip(side.explain(&solved, index)) {
            if adds != 0.0 {
                let events: Vec<&PastEvent> =
                    past.events.iter().filter(|event| event.item == *item).collect();
                self.share_out(&events, f64::from(adds), &mut parts)?;
            }
        }
        parts.sort_by(|a, b| b.adds.total_cmp(&a.adds).then_with(|| a.item.cmp(&b.item)));
        Ok(parts)
    }

    /// Shares a pair's part out to its events by their weights; evenly where the weights cancel out.
    fn share_out(&self, events: &[&PastEvent], adds: f64, parts: &mut Vec<Part>) -> Result<(), ServingError> {
        let total: f64 = events.iter().map(|event| event.weight as f64).sum();
        for event in events {
            let share = if total == 0.0 { 1.0 / events.len() as f64 } else { event.weight as f64 / total };
            if share != 0.0 {
                parts.push(Part {
                    item: event.item.clone(),
                    title: self.item(&event.item)?.title,
                    kind: event.kind.clone(),
                    at: event.at,
                    adds: adds * share,
                });
            }
        }
        Ok(())
    }
}

/// The rules that keep an item out of `top_picks`, in words.
fn rules(past: &Past, item: &str, withdrawn: bool) -> Vec<String> {
    let state = past.of_item(item);
    let rules = [
        (past.events.is_empty(), "the member is unknown: no live event"),
        (withdrawn, "the item is withdrawn from the catalogue"),
        (state.is_some_and(|state| state.hidden), "the member hides the item"),
        (
            state.is_some_and(|state| state.signal < 0),
            "the member dislikes the item: the signal is below zero",
        ),
        (state.is_some_and(|state| state.seen), "the member has seen the item"),
    ];
    rules.iter().filter(|(holds, _)| *holds).map(|(_, rule)| (*rule).to_owned()).collect()
}
