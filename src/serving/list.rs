//! `nearline get`: a member's list, and what to show where there is none.

use schemars::JsonSchema;
use serde::Serialize;

use super::popular::Ranking;
use super::{Serving, ServingError};
use crate::stores::{Store, StoreError, Table, formats};

/// The lists that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ListName {
    /// The best unseen items by the model.
    TopPicks,
    /// What the member has begun and not finished.
    ContinueWatching,
    /// What is most like the item that the member last turned to.
    BecauseYouWatched,
    /// What is acted on most of late.
    Trending,
}

impl ListName {
    fn as_str(self) -> &'static str {
        match self {
            ListName::TopPicks => "top_picks",
            ListName::ContinueWatching => "continue_watching",
            ListName::BecauseYouWatched => "because_you_watched",
            ListName::Trending => "trending",
        }
    }
}

/// One place of a list.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Entry {
    /// The item's id.
    pub item: String,
    /// What it is ordered by: the model's score; the part watched; likeness; events, the newest counting most.
    pub score: f64,
    /// Its title, where the catalogue has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// The item that a list is about.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Because {
    /// Its id.
    pub item: String,
    /// Its title, where the catalogue has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// Why there is no stored list; no reason where trending is what was asked for.
type NoList = Option<&'static str>;

/// An item, and what is like it.
type Like = (Option<Because>, Vec<Entry>);

/// A list, and how fresh it is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ListAnswer {
    /// Whose.
    pub member: String,
    /// Which list was asked for.
    pub list: &'static str,
    /// The item that they are like; in `because_you_watched` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Because>,
    /// Its items, best first.
    pub items: Vec<Entry>,
    /// Where it is from: `nearline` or `trending`.
    pub source: &'static str,
    /// Why another list than the one asked for is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The epoch that it is read from.
    pub epoch: u64,
    /// The newest event that it covers, in milliseconds since 1970.
    pub as_of: Option<i64>,
    /// How long ago that was, in milliseconds.
    pub age_ms: Option<i64>,
    /// The model that it is made with.
    pub model: Option<String>,
}

impl Serving {
    /// A member's list, `limit` items from `offset` on. `now_ms` is the wall clock, for the age.
    pub fn list(
        &self,
        member: &str,
        list: ListName,
        offset: usize,
        limit: usize,
        now_ms: i64,
    ) -> Result<ListAnswer, ServingError> {
        // The fallback is a list like any other: no longer than lists are.
        let wanted = offset.saturating_add(limit).min(self.config.lists.length);
        let found = match list {
            ListName::BecauseYouWatched => self.similar_to_newest(member, wanted)?,
            _ => self.stored(member, list, wanted)?.map(|entries| (None, entries)),
        };
        let (because, entries, reason) = match found {
            Ok((because, entries)) => (because, entries, None),
            Err(reason) => (None, self.trending(member, wanted)?, reason),
        };
        let fell_back = reason.is_some() || list == ListName::Trending;
        Ok(ListAnswer {
            member: member.to_owned(),
            list: list.as_str(),
            because,
            items: entries.into_iter().skip(offset).collect(),
            source: if fell_back { "trending" } else { "nearline" },
            reason,
            epoch: self.standing.epoch,
            as_of: self.standing.now,
            age_ms: self.standing.now.map(|now| now_ms - now),
            model: if fell_back { None } else { self.standing.model.clone() },
        })
    }

    /// `because_you_watched`, or why there is none.
    fn similar_to_newest(&self, member: &str, wanted: usize) -> Result<Result<Like, NoList>, ServingError> {
        self.standing.made_with(self.config.meaning_hash())?;
        let past = self.past(member)?;
        if past.events.is_empty() {
            return Ok(Err(Some("unknown member")));
        }
        Ok(match self.because(&past, wanted)? {
            Ok((item, entries)) => {
                let title = self.title(&item)?;
                Ok((Some(Because { item, title }), entries))
            }
            Err(reason) => Err(Some(reason)),
        })
    }

    /// The stored list, or why there is none; no reason where trending is what was asked for.
    fn stored(
        &self,
        member: &str,
        list: ListName,
        wanted: usize,
    ) -> Result<Result<Vec<Entry>, NoList>, ServingError> {
        let key = member.as_bytes();
        let table = match list {
            ListName::TopPicks => Table::TopPicks,
            ListName::ContinueWatching => Table::ContinueWatching,
            ListName::BecauseYouWatched | ListName::Trending => return Ok(Err(None)),
        };
        if self.standing.pending {
            return Ok(Err(Some("the lists are being made anew")));
        }
        let Some(value) = self.store.get(table, key)? else {
            let past = self.past(member)?;
            return Ok(match list {
                _ if past.events.is_empty() => Err(Some("unknown member")),
                ListName::ContinueWatching => Ok(Vec::new()),
                _ if self.standing.model.is_none() => Err(Some("no model")),
                _ if self.store.get(Table::Factors, key)?.is_some() => Err(Some("no item is left to list")),
                _ => Err(Some("no positive signal for an item of the model")),
            });
        };
        let scored: Vec<(String, f64)> = if table == Table::TopPicks {
            let entries = formats::decode_scored(key, &value)?;
            entries.into_iter().map(|(item, score)| (item.to_owned(), f64::from(score))).collect()
        } else {
            let entries = formats::decode_begun(key, &value)?;
            entries.into_iter().map(|(item, _, value)| (item.to_owned(), value as f64 / 1e6)).collect()
        };
        Ok(Ok(self.entries(scored, wanted)?))
    }

    /// Trending items without those that the member has seen, hides or dislikes.
    fn trending(&self, member: &str, wanted: usize) -> Result<Vec<Entry>, ServingError> {
        let past = self.past(member)?;
        let unwanted =
            |item: &str| past.of_item(item).is_some_and(|state| state.seen || state.never_listed());
        let stored = match self.store.get(Table::Meta, formats::meta::TRENDING)? {
            Some(value) if !self.standing.pending => {
                let entries = formats::decode_trends(&value)?;
                let length = entries.len();
                let left: Vec<(String, f64)> = entries
                    .into_iter()
                    .filter(|(item, _)| !unwanted(item))
                    .map(|(item, score)| (item.to_owned(), trend_score(score)))
                    .collect();
                let short = length >= self.config.lists.length;
                (self.entries(left, wanted)?, short)
            }
            Some(_) => (Vec::new(), true),
            None => (Vec::new(), self.standing.pending),
        };
        let (entries, more) = stored;
        if entries.len() >= wanted || !more {
            return Ok(entries);
        }
        // What the member has seen left too little of the stored list: count further down.
        let Ranking { ranked, .. } = self.trending_counts()?;
        let left = ranked.into_iter().filter(|(item, _)| !unwanted(item));
        let scored = left.map(|(item, score)| (item, trend_score(score))).collect();
        Ok(self.entries(scored, wanted)?)
    }

    /// The first `wanted` of scored items that are not withdrawn, with their titles.
    pub(super) fn entries(
        &self,
        scored: Vec<(String, f64)>,
        wanted: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::with_capacity(wanted.min(scored.len()));
        for (item, score) in scored {
            if entries.len() == wanted {
                break;
            }
            let known = self.item(&item)?;
            if !known.withdrawn {
                entries.push(Entry { item, score, title: known.title });
            }
        }
        Ok(entries)
    }
}

/// From units of 2⁻³² events to events.
fn trend_score(score: u128) -> f64 {
    score as f64 / 4_294_967_296.0
}

/// The JSON Schema of a list, as `get --json` prints it.
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(ListAnswer)).expect("a schema is JSON")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_in_the_repository_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/list.schema.json");
        let text = serde_json::to_string_pretty(&super::schema()).unwrap() + "\n";
        if std::env::var_os("NEARLINE_REWRITE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text, "NEARLINE_REWRITE=1 writes it anew");
    }
}
