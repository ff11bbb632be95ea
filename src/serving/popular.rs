//! `nearline popular`: rankings and windows, made from the counts when they are read.

use std::collections::HashMap;
use std::ops::ControlFlow;

use nearline_dataflows::trending::decay_table;
use nearline_dataflows::types::{HOUR_MS, Kind, hour_of};
use serde::Serialize;
use std::sync::{Arc, PoisonError};
use utoipa::ToSchema;

use super::{Serving, ServingError};
use crate::stores::{StoreError, Table, formats};

/// Items with what they are ranked by, best first; equal ones by item id.
#[derive(Debug)]
pub struct Ranking {
    /// The items.
    pub ranked: Vec<(String, u128)>,
}

/// What to rank by count.
#[derive(Debug, Clone)]
pub struct PopularQuery {
    /// Events of which kind.
    pub kind: String,
    /// Of how many hours back from now, the present one included; all where none is given.
    pub hours: Option<u32>,
    /// Only of this country.
    pub country: Option<String>,
    /// How many items at most.
    pub limit: usize,
}

/// One item of a ranking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PopularEntry {
    /// The item's id.
    pub item: String,
    /// Live events in the window.
    pub count: u64,
    /// Its title, where the catalogue has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub title: Option<Arc<str>>,
}

/// Events of a kind in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HourCount {
    /// When the hour begins, in milliseconds since 1970.
    pub at: i64,
    /// The kind.
    pub kind: String,
    /// Live events.
    pub count: u64,
}

/// How often an item was acted on, hour by hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CountsAnswer {
    /// The item's id.
    pub item: String,
    /// Its title, where the catalogue has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub title: Option<Arc<str>>,
    /// Hours with events, the oldest first.
    pub counts: Vec<HourCount>,
    /// The epoch that it is read from.
    pub epoch: u64,
    /// The newest event that it covers, in milliseconds since 1970.
    pub as_of: Option<i64>,
}

/// A ranking, and how fresh it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PopularAnswer {
    /// Which kind was counted.
    pub kind: String,
    /// Over how many hours; all where none is given.
    pub window_hours: Option<u32>,
    /// In which country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The items, most events first.
    pub items: Vec<PopularEntry>,
    /// The epoch that it is read from.
    pub epoch: u64,
    /// The newest event that it covers, in milliseconds since 1970.
    pub as_of: Option<i64>,
    /// Whether counts lag behind the records, inside a bulk load or a rebuild: they are those on disk so far.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub views_pending: bool,
}

impl Serving<'_> {
    /// Ranks items by count.
    pub fn popular(&self, query: &PopularQuery) -> Result<PopularAnswer, ServingError> {
        let mut counts: HashMap<String, u128> = HashMap::new();
        self.count(&query.kind, query.hours, &mut |cell, count| {
            if query.country.as_ref().is_none_or(|country| country == cell.country) {
                *counts.entry(cell.item.to_owned()).or_default() += u128::from(count);
            }
        })?;
        let Ranking { ranked } = rank(counts);
        let mut items = Vec::new();
        for (item, count) in ranked.into_iter().take(query.limit) {
            let title = self.item(&item)?.title;
            items.push(PopularEntry { item, count: count as u64, title });
        }
        Ok(PopularAnswer {
            kind: query.kind.clone(),
            window_hours: query.hours,
            country: query.country.clone(),
            items,
            epoch: self.standing.epoch,
            as_of: self.standing.now,
            views_pending: self.standing.pending,
        })
    }

    /// How often an item was acted on in each hour of a window, as far as there are events.
    pub fn counts_of(
        &self,
        item: &str,
        kind: Option<&str>,
        hours: u32,
    ) -> Result<CountsAnswer, ServingError> {
        let kinds = kind.map_or_else(|| self.counted_kinds(), |kind| Ok(vec![kind.to_owned()]))?;
        let now = self.standing.now.map_or(0, hour_of);
        let (mut prefix, mut counts) = (Vec::new(), Vec::new());
        for hour in (now + 1).saturating_sub(hours)..=now {
            for kind in &kinds {
                formats::cell_key(&formats::CellKey { kind, hour, item, country: "" }, &mut prefix);
                let mut count = 0;
                self.each_cell(&prefix, &prefix, &mut |_, more| count += more)?;
                if count > 0 {
                    let at = i64::from(hour) * HOUR_MS;
                    counts.push(HourCount { at, kind: kind.clone(), count });
                }
            }
        }
        Ok(CountsAnswer {
            item: item.to_owned(),
            title: self.title(item)?,
            counts,
            epoch: self.standing.epoch,
            as_of: self.standing.now,
        })
    }

    /// All trending items: what the stored list is the head of. They are those of an epoch, and added up once for it,
    /// but while counts are being loaded.
    pub(super) fn trending_counts(&self) -> Result<Arc<Ranking>, ServingError> {
        let kept = || self.known.trends.lock().unwrap_or_else(PoisonError::into_inner);
        let (epoch, known) = (self.standing.epoch, kept().clone());
        if let Some((_, ranking)) = known.filter(|(of, _)| *of == epoch && !self.standing.pending) {
            return Ok(ranking);
        }
        let ranking = Arc::new(self.add_up_trends()?);
        *kept() = Some((epoch, ranking.clone()));
        Ok(ranking)
    }

    fn add_up_trends(&self) -> Result<Ranking, ServingError> {
        let decay = decay_table(self.config().lists.half_life_hours);
        let now = self.standing.now.map_or(0, hour_of);
        let kinds = &self.config().kinds;
        let mut scores: HashMap<String, u128> = HashMap::new();
        for (number, name) in kinds.names.iter().enumerate() {
            if !kinds.kinds.trends(Kind(number as u16)) {
                continue;
            }
            self.count(name, Some(decay.len() as u32), &mut |cell, count| {
                let share = decay.get(now.saturating_sub(cell.hour) as usize).copied().unwrap_or(0);
                *scores.entry(cell.item.to_owned()).or_default() += u128::from(count) * u128::from(share);
            })?;
        }
        Ok(rank(scores))
    }

    /// The kinds that have counts, for a hint.
    pub fn counted_kinds(&self) -> Result<Vec<String>, StoreError> {
        let mut kinds: Vec<String> = Vec::new();
        let mut from = Vec::new();
        loop {
            let mut found = None;
            self.tables.scan(Table::Popularity, &[], &from, &mut |key, _| {
                found = formats::decode_cell_key(key).ok().map(|cell| cell.kind.to_owned());
                ControlFlow::Break(())
            })?;
            let Some(kind) = found else { return Ok(kinds) };
            formats::kind_prefix(&kind, Some(u32::MAX), &mut from);
            from.push(0xff);
            kinds.push(kind);
        }
    }

    /// Shows the counts of a kind in the hours of a window.
    fn count(
        &self,
        kind: &str,
        hours: Option<u32>,
        show: &mut dyn FnMut(&formats::CellKey<'_>, u64),
    ) -> Result<(), StoreError> {
        let now = self.standing.now.map_or(0, hour_of);
        let first = hours.map(|hours| (now + 1).saturating_sub(hours));
        let (mut prefix, mut from) = (Vec::new(), Vec::new());
        formats::kind_prefix(kind, None, &mut prefix);
        formats::kind_prefix(kind, first, &mut from);
        self.each_cell(&prefix, &from, show)
    }

    /// Shows the counts whose keys begin with a prefix, from a key on.
    fn each_cell(
        &self,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&formats::CellKey<'_>, u64),
    ) -> Result<(), StoreError> {
        let mut damage = None;
        self.tables.scan(Table::Popularity, prefix, from, &mut |key, value| {
            let read = formats::decode_cell_key(key)
                .and_then(|cell| Ok((cell, formats::decode_count(Table::Popularity, key, value)?)));
            match read {
                Ok((cell, count)) => {
                    show(&cell, count);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    damage = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        damage.map_or(Ok(()), Err)
    }
}

fn rank(scores: HashMap<String, u128>) -> Ranking {
    let mut ranked: Vec<(String, u128)> = scores.into_iter().filter(|(_, score)| *score > 0).collect();
    ranked.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ranking { ranked }
}
