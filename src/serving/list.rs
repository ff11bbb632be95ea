//! `nearline get`: a member's list, and what to show where there is none.
//!
//! Lists are looked for on *rungs*, one below the other: the list as it is stored; where that cannot fill what is
//! wanted, one that is made now ([`super::rank`]); and what is trending. Each rung gives a list or says why it has none.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use utoipa::ToSchema;

use super::filters::Wanted;
use super::member::Past;
use super::popular::Ranking;
use super::rank::{NoList, RankQuery};
use super::{Serving, ServingError};
use crate::stores::{StoreError, Table, formats};
use crate::variants::Making;

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
    /// All of them.
    pub const ALL: [ListName; 4] =
        [ListName::TopPicks, ListName::ContinueWatching, ListName::BecauseYouWatched, ListName::Trending];

    /// The list's name.
    pub fn as_str(self) -> &'static str {
        match self {
            ListName::TopPicks => "top_picks",
            ListName::ContinueWatching => "continue_watching",
            ListName::BecauseYouWatched => "because_you_watched",
            ListName::Trending => "trending",
        }
    }
}

/// What answers of ranked items are called, which are no list of their own.
pub const RANKED: &str = "rank";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Which list.
    pub list: ListName,
    /// How many items to leave out at the head.
    pub offset: usize,
    /// How many items at most.
    pub limit: usize,
    /// Which items are wanted.
    pub wanted: Wanted,
}

impl ListQuery {
    /// The first `limit` items of a list.
    pub fn first(list: ListName, limit: usize) -> Self {
        ListQuery { list, offset: 0, limit, wanted: Wanted::default() }
    }
}

/// One place of a list.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, ToSchema)]
pub struct Entry {
    /// The item's id.
    pub item: String,
    /// What it is ordered by: the model's score; the part watched; likeness; events, the newest counting most.
    pub score: f64,
    /// Its title, where the catalogue has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub title: Option<Arc<str>>,
    /// Its genres, where the catalogue has some.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub genres: Arc<[Arc<str>]>,
}

/// The item that a list is about.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, ToSchema)]
pub struct Because {
    /// Its id.
    pub item: String,
    /// Its title, where the catalogue has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub title: Option<Arc<str>>,
}

/// What a rung gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What the entries are like, in `because_you_watched`.
    pub because: Option<Because>,
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where from.
    pub source: Rung,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Made when it was asked for.
    Online,
    /// Kept fresh, event by event.
    Nearline,
    /// Of the last batch job.
    Offline,
    /// What is acted on most of late.
    Trending,
}

impl Rung {
    /// The rung's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Rung::Online => "online",
            Rung::Nearline => "nearline",
            Rung::Offline => "offline",
            Rung::Trending => "trending",
        }
    }
}

/// A list, and how fresh it is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, ToSchema)]
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
    /// Where it is from.
    pub source: Rung,
    /// Why another list than the one asked for is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason: Option<Cow<'static, str>>,
    /// The epoch that it is read from.
    pub epoch: u64,
    /// The newest event that it covers, in milliseconds since 1970.
    pub as_of: Option<i64>,
    /// How long ago that was, in milliseconds.
    pub age_ms: Option<i64>,
    /// The model that it is made with.
    pub model: Option<String>,
    /// The variant that the member belongs to, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Serving<'_> {
    /// A member's list from the first rung that has it. `now_ms` is the wall clock, for the age.
    pub fn list(&self, member: &str, query: &ListQuery, now_ms: i64) -> Result<ListAnswer, ServingError> {
        let (found, reason) = match self.own_list(member, query)? {
            Ok(found) => (found, None),
            Err(reason) => (self.trending_list(member, query)?, Some(reason).filter(|why| !why.is_empty())),
        };
        Ok(self.answer(member, query.list.as_str(), found, reason, now_ms))
    }

    /// What was found as an answer of this epoch.
    pub fn answer(
        &self,
        member: &str,
        list: &'static str,
        found: Found,
        reason: Option<NoList>,
        now_ms: i64,
    ) -> ListAnswer {
        let Making { variant, algorithm, model } = self.making(member);
        let of_model = algorithm.is_kept() || list != ListName::TopPicks.as_str() && list != RANKED;
        ListAnswer {
            member: member.to_owned(),
            list,
            because: found.because,
            items: found.entries,
            source: found.source,
            reason,
            epoch: self.standing.epoch,
            as_of: self.standing.now,
            age_ms: self.standing.now.map(|now| now_ms - now),
            model: model.filter(|_| of_model && found.source != Rung::Trending).map(str::to_owned),
            variant: variant.filter(|_| !member.is_empty()).map(str::to_owned),
        }
    }

    /// The list that was asked for, stored or made now; or why there is none. No reason at all where trending is what was
    /// asked for.
    fn own_list(&self, member: &str, query: &ListQuery) -> Result<Result<Found, NoList>, ServingError> {
        match self.nearline_list(member, query)? {
            Ok(Nearline::Whole(found)) => Ok(Ok(found)),
            Ok(Nearline::Short(found)) => {
                let Some(version) = self.making(member).model else { return Ok(Ok(found)) };
                let model = self.known.models.get(version)?;
                Ok(Ok(self.filled(member, query, &model)?.unwrap_or(found)))
            }
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// The list made now, longer than what is stored.
    pub fn filled(
        &self,
        member: &str,
        query: &ListQuery,
        model: &super::models::ServedModel,
    ) -> Result<Result<Found, NoList>, ServingError> {
        let ListQuery { offset, limit, wanted, .. } = query;
        let rank =
            RankQuery { offset: *offset, limit: *limit, wanted: wanted.clone(), ..RankQuery::default() };
        let made = self.rank(member, &rank, model)?;
        Ok(made.map(|entries| Found { because: None, entries, source: Rung::Online }))
    }

    /// The list as it is stored, or as it follows from what is stored; or why there is none.
    pub fn nearline_list(
        &self,
        member: &str,
        query: &ListQuery,
    ) -> Result<Result<Nearline, NoList>, ServingError> {
        match query.list {
            ListName::Trending => Ok(Err("".into())),
            ListName::TopPicks if !self.making(member).algorithm.is_kept() => self.made_now(member, query),
            ListName::BecauseYouWatched => self.similar_to_newest(member, query),
            ListName::TopPicks | ListName::ContinueWatching => self.stored(member, query),
        }
    }

    /// `top_picks` of an algorithm whose lists are not kept, or why there are none.
    fn made_now(&self, member: &str, query: &ListQuery) -> Result<Result<Nearline, NoList>, ServingError> {
        let ListQuery { offset, limit, wanted, .. } = query;
        let rank =
            RankQuery { offset: *offset, limit: *limit, wanted: wanted.clone(), ..RankQuery::default() };
        let made = self.popular_for(member, &rank)?;
        Ok(made.map(|entries| Nearline::Whole(Found { because: None, entries, source: Rung::Online })))
    }

    /// `because_you_watched`, or why there is none.
    fn similar_to_newest(
        &self,
        member: &str,
        query: &ListQuery,
    ) -> Result<Result<Nearline, NoList>, ServingError> {
        self.standing.made_with(self.config().meaning_hash())?;
        let past = self.past(member)?;
        if past.events.is_empty() {
            return Ok(Err("unknown member".into()));
        }
        Ok(match self.because(member, &past, query)? {
            Ok((item, entries)) => {
                let title = self.title(&item)?;
                let because = Some(Because { item, title });
                Ok(Nearline::Whole(Found { because, entries, source: Rung::Nearline }))
            }
            Err(reason) => Err(reason.into()),
        })
    }

    /// The stored list, or why there is none.
    fn stored(&self, member: &str, query: &ListQuery) -> Result<Result<Nearline, NoList>, ServingError> {
        let key = member.as_bytes();
        if self.standing.pending {
            return Ok(Err("the lists are being made anew".into()));
        }
        let top_picks = query.list == ListName::TopPicks;
        let table = if top_picks { Table::TopPicks } else { Table::ContinueWatching };
        let Some(value) = self.tables.get(table, key)? else {
            let past = self.past(member)?;
            let empty = || Found { because: None, entries: Vec::new(), source: Rung::Nearline };
            return Ok(match () {
                () if past.events.is_empty() => Err("unknown member".into()),
                () if !top_picks => Ok(Nearline::Whole(empty())),
                () if self.making(member).model.is_none() => Err("no model".into()),
                () if self.tables.get(Table::Factors, key)?.is_some() => {
                    Err("no item is left to list".into())
                }
                () => Err("no positive signal for an item of the model".into()),
            });
        };
        let ListQuery { offset, limit, wanted, .. } = query;
        let (entries, length) = if top_picks {
            let stored = formats::decode_scored(key, &value)?;
            let length = stored.len();
            let stored = stored.into_iter().map(|(item, score)| (item, f64::from(score)));
            (self.entries(stored, wanted, *offset, *limit)?, length)
        } else {
            let stored = formats::decode_begun(key, &value)?.into_iter();
            let stored = stored.map(|(item, _, value)| (item, value as f64 / 1e6));
            (self.entries(stored, wanted, *offset, *limit)?, 0)
        };
        let more = top_picks && entries.len() < *limit && length >= self.config().lists.length;
        let found = Found { because: None, entries, source: Rung::Nearline };
        Ok(Ok(if more { Nearline::Short(found) } else { Nearline::Whole(found) }))
    }

    /// Trending items without those that the member has seen, hides or dislikes.
    pub fn trending_list(&self, member: &str, query: &ListQuery) -> Result<Found, ServingError> {
        let past = self.past(member)?;
        let ListQuery { offset, limit, wanted, .. } = query;
        let entries = self.trending_for(&past, wanted, &|_| true, *offset, *limit)?;
        Ok(Found { because: None, entries, source: Rung::Trending })
    }

    /// The same of a past, and of items that may be taken.
    pub(super) fn trending_for(
        &self,
        past: &Past,
        wanted: &Wanted,
        takes: &dyn Fn(&str) -> bool,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Entry>, ServingError> {
        let left = |item: &str| {
            takes(item) && past.of_item(item).is_none_or(|state| !state.seen && !state.never_listed())
        };
        let (entries, more) = match self.tables.get(Table::Meta, formats::meta::TRENDING)? {
            Some(value) if !self.standing.pending => {
                let entries = formats::decode_trends(&value)?;
                let more = entries.len() >= self.config().lists.length;
                let left = entries.into_iter().filter(|(item, _)| left(item));
                (self.entries(left.map(scored), wanted, offset, limit)?, more)
            }
            Some(_) => (Vec::new(), true),
            None => (Vec::new(), self.standing.pending),
        };
        if entries.len() == limit || !more {
            return Ok(entries);
        }
        // What the member has seen left too little of the stored list: count further down.
        let Ranking { ranked, .. } = self.trending_counts()?;
        let left = ranked.into_iter().filter(|(item, _)| left(item));
        Ok(self.entries(left.map(scored), wanted, offset, limit)?)
    }

    /// Of scored items those that are wanted and not withdrawn, `limit` of them from `offset` on, with their titles.
    pub(super) fn entries<S: AsRef<str> + Into<String>>(
        &self,
        scored: impl IntoIterator<Item = (S, f64)>,
        wanted: &Wanted,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        let mut passed = 0;
        for (item, score) in scored {
            if entries.len() == limit {
                break;
            }
            let known = self.item(item.as_ref())?;
            if !wanted.takes(item.as_ref(), &known) {
                continue;
            }
            if passed < offset {
                passed += 1;
                continue;
            }
            entries.push(Entry { item: item.into(), score, title: known.title, genres: known.genres });
        }
        Ok(entries)
    }
}

/// What the nearline rung has.
#[derive(Debug, Clone, PartialEq)]
pub enum Nearline {
    /// As much as was asked for, or all there is.
    Whole(Found),
    /// Less than was asked for, and there may be more further down.
    Short(Found),
}

/// A place of the trending list: from units of 2⁻³² events to events.
fn scored<S>((item, score): (S, u128)) -> (S, f64) {
    (item, score as f64 / 4_294_967_296.0)
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
