//! `nearline variants`: the variants side by side, by what their members were shown and did.
//!
//! Members are counted where they belong; impressions, clicks and plays where their events say, in the view of how lists
//! do (`dataflows/`'s `performance`). A rate treats impressions as if they had nothing to do with each other. Those of one
//! member have, so the truth is less sure than the intervals say.

use std::sync::Arc;
use std::time::Instant;

use nearline_dataflows::types::day_of;
use serde::Serialize;
use utoipa::ToSchema;

use super::intervals::{self, Estimate};
use super::{Serving, ServingError};
use crate::variants::{Algorithm, Making, Variant, Variants};

/// Counting members may take a hundredth of the time.
const RESTS: u32 = 100;

/// What to compare by.
#[derive(Debug, Clone)]
pub struct VariantsQuery {
    /// Events of how many UTC days back from now, the present one included.
    pub days: u32,
    /// Only events in this list.
    pub list: Option<String>,
    /// The variant that the others are compared with; the one with the greatest share unless given.
    pub against: Option<String>,
}

/// A figure, and from where to where the true one is to be expected: 95 times in 100 it is there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Interval {
    /// What was found.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl From<Estimate> for Interval {
    fn from(Estimate { value, low, high }: Estimate) -> Self {
        Interval { value, low, high }
    }
}

/// How often something came of an impression.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Rate {
    /// Of one impression, by Wilson's interval.
    #[serde(flatten)]
    pub of: Interval,
    /// By how much it is above that of the variant that is compared with, by Newcombe's interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Interval>,
}

/// One variant.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct VariantAnswer {
    /// Its name.
    pub variant: String,
    /// The part of the members that it is to have, from 0 to 1.
    pub share: f64,
    /// How its `top_picks` are made.
    pub algorithm: Algorithm,
    /// The model that its lists are made with.
    pub model: Option<String>,
    /// The members with live events that belong to it.
    pub members: u64,
    /// Events of the kind `impression` that name it.
    pub impressions: u64,
    /// Events of the kind `click`.
    pub clicks: u64,
    /// Events of the kind `play`.
    pub plays: u64,
    /// Clicks of an impression; none where there were no impressions, or fewer than clicks.
    pub click_rate: Option<Rate>,
    /// Plays of an impression.
    pub play_rate: Option<Rate>,
}

/// The variants, and how fresh that is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct VariantsAnswer {
    /// The name of the experiment; none where there are no variants.
    pub experiment: Option<String>,
    /// The variant that every member belongs to, where one was promoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted: Option<String>,
    /// Events of how many days.
    pub days: u32,
    /// Only events in this list, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// The variant that the others are compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// By name.
    pub variants: Vec<VariantAnswer>,
    /// The epoch that members were counted at: it may be an earlier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_at_epoch: Option<u64>,
    /// The epoch that events are read from.
    pub epoch: u64,
    /// The newest event that they cover, in milliseconds since 1970.
    pub as_of: Option<i64>,
    /// Whether counts lag behind the records, inside a bulk load or a rebuild.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub views_pending: bool,
}

/// Of how many members each variant is, at an epoch.
pub(super) struct Counted {
    epoch: u64,
    variants: Variants,
    members: Vec<u64>,
    /// When it was counted, and how long that took.
    at: Instant,
    took: std::time::Duration,
}

impl Serving<'_> {
    /// Compares the variants.
    pub fn variants(&self, query: &VariantsQuery) -> Result<VariantsAnswer, ServingError> {
        let mut answer = VariantsAnswer {
            experiment: None,
            promoted: None,
            days: query.days,
            list: query.list.clone(),
            against: None,
            variants: Vec::new(),
            members_at_epoch: None,
            epoch: self.standing.epoch,
            as_of: self.standing.now,
            views_pending: self.standing.is_to_be_made_anew(),
        };
        let Some(variants) = &self.standing.lists.variants else { return Ok(answer) };
        let counted = self.members_of(variants)?;
        answer.members_at_epoch = Some(counted.epoch);
        answer.experiment = Some(variants.experiment.clone());
        answer.promoted.clone_from(&variants.promoted);
        let members = variants.variants.iter().zip(&counted.members);
        answer.variants =
            members.map(|(variant, members)| self.variant(variants, variant, *members)).collect();
        self.count_events(query, &mut answer.variants)?;
        answer.variants.iter_mut().for_each(|variant| {
            let rate = |events| Some(intervals::rate(events, variant.impressions)?.into());
            let rate = |events| rate(events).map(|of| Rate { of, above: None });
            (variant.click_rate, variant.play_rate) = (rate(variant.clicks), rate(variant.plays));
        });
        answer.against = against(variants, query.against.as_deref());
        compare(&mut answer);
        Ok(answer)
    }

    fn variant(&self, variants: &Variants, variant: &Variant, members: u64) -> VariantAnswer {
        let Making { algorithm, model, .. } = self.standing.lists.of_variant(variant);
        VariantAnswer {
            variant: variant.name.clone(),
            share: variants.part(variant),
            algorithm,
            model: model.filter(|_| algorithm.is_kept()).map(str::to_owned),
            members,
            impressions: 0,
            clicks: 0,
            plays: 0,
            click_rate: None,
            play_rate: None,
        }
    }

    fn count_events(
        &self,
        query: &VariantsQuery,
        variants: &mut [VariantAnswer],
    ) -> Result<(), ServingError> {
        let now = self.standing.now.map_or(0, day_of);
        self.listed((now + 1).saturating_sub(query.days), &mut |cell, count| {
            let of = |variant: &&mut VariantAnswer| variant.variant == cell.variant;
            let Some(variant) = variants.iter_mut().find(of) else { return };
            if query.list.as_ref().is_some_and(|list| list != cell.list) {
                return;
            }
            match cell.kind {
                "impression" => variant.impressions += count,
                "click" => variant.clicks += count,
                "play" => variant.plays += count,
                _ => {}
            }
        })?;
        Ok(())
    }

    /// How many members each variant has; not counted anew as often as it is asked for.
    fn members_of(&self, variants: &Variants) -> Result<Arc<Counted>, ServingError> {
        let kept = self.known.counted();
        let fresh = |counted: &Arc<Counted>| {
            counted.variants == *variants
                && (counted.epoch == self.standing.epoch || counted.at.elapsed() < RESTS * counted.took)
        };
        if let Some(counted) = kept.filter(fresh) {
            return Ok(counted);
        }
        let (at, mut members) = (Instant::now(), vec![0; variants.variants.len()]);
        let promoted = variants.promoted.as_ref();
        let promoted = promoted.and_then(|name| variants.variants.iter().position(|own| own.name == *name));
        self.each_member(&mut |member| {
            members[promoted.unwrap_or_else(|| variants.place(member))] += 1;
        })?;
        let took = at.elapsed();
        let (epoch, variants, at) = (self.standing.epoch, variants.clone(), Instant::now());
        let counted = Arc::new(Counted { epoch, variants, members, at, took });
        self.known.keep_counted(&counted);
        Ok(counted)
    }
}

/// The variant that others are compared with: the one that is asked for, or the first of those with the greatest share.
fn against(variants: &Variants, asked: Option<&str>) -> Option<String> {
    let greatest = || {
        let most = variants.variants.iter().map(|variant| variant.share).max()?;
        variants.variants.iter().find(|variant| variant.share == most)
    };
    let found = asked.map_or_else(greatest, |name| variants.get(name))?;
    Some(found.name.clone())
}

/// Says how far above the one that is compared with each rate is.
fn compare(answer: &mut VariantsAnswer) {
    let Some(own) = answer.variants.iter().find(|own| Some(&own.variant) == answer.against.as_ref()) else {
        return;
    };
    let (name, clicks, plays) = (own.variant.clone(), own.click_rate, own.play_rate);
    let above = |rate: &mut Option<Rate>, base: Option<Rate>| {
        let (Some(rate), Some(base)) = (rate, base) else { return };
        let estimate = |Interval { value, low, high }| Estimate { value, low, high };
        rate.above = Some(intervals::difference(estimate(rate.of), estimate(base.of)).into());
    };
    for variant in answer.variants.iter_mut().filter(|variant| variant.variant != name) {
        above(&mut variant.click_rate, clicks);
        above(&mut variant.play_rate, plays);
    }
}
