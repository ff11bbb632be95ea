//! Lists: which there are, what can be asked of one, and what an answer says. [`super::rungs`] says where they come from.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use utoipa::ToSchema;

use super::filters::Wanted;
use super::rank::NoList;

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
    /// What others have seen who have seen what the member has.
    WatchedTogether,
    /// What most members like whose taste is nearest to the member's.
    PopularWithPeopleLikeYou,
    /// What is acted on most of late.
    Trending,
    /// What came into the catalogue last.
    New,
}

impl ListName {
    /// All of them.
    pub const ALL: [ListName; 7] = [
        ListName::TopPicks,
        ListName::ContinueWatching,
        ListName::BecauseYouWatched,
        ListName::WatchedTogether,
        ListName::PopularWithPeopleLikeYou,
        ListName::Trending,
        ListName::New,
    ];

    /// The list's name.
    pub fn as_str(self) -> &'static str {
        match self {
            ListName::TopPicks => "top_picks",
            ListName::ContinueWatching => "continue_watching",
            ListName::BecauseYouWatched => "because_you_watched",
            ListName::WatchedTogether => "watched_together",
            ListName::PopularWithPeopleLikeYou => "popular_with_people_like_you",
            ListName::Trending => "trending",
            ListName::New => "new",
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
    /// What it is ordered by: the model's score; the part watched; likeness, or a sum of it; members who like it; events, the
    /// newest counting most; when the item's record was made, in milliseconds since 1970.
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
    /// The model that they are made with.
    pub model: Option<String>,
    /// Why they are not what was asked for, where the rung has something else in its place.
    pub reason: Option<NoList>,
    /// Of which moment they are, where that is not the one that is read.
    pub of: Option<Moment>,
}

/// A moment that a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The epoch.
    pub epoch: u64,
    /// The newest event that it covers, in milliseconds since 1970.
    pub as_of: Option<i64>,
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
    /// The epoch that it is read from; of the offline rung, the one that the batch job read.
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
