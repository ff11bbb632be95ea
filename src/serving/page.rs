//! A member's page: rows of lists, each an algorithm's, of one moment, no item twice.

use schemars::JsonSchema;
use serde::Serialize;
use utoipa::ToSchema;

use super::filters::Wanted;
use super::list::{Because, Entry, Found, ListName, ListQuery, Rung};
use super::{Serving, ServingError};

/// Whose page, and where it is shown.
#[derive(Debug, Clone, Default)]
pub struct PageQuery {
    /// Whose.
    pub member: String,
    /// What it is shown on: tv, phone, …
    pub device: Option<String>,
    /// Only items that may be shown in this country.
    pub country: Option<String>,
    /// How many items a row has at most.
    pub limit: usize,
}

/// A row of a page.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, ToSchema)]
pub struct Row {
    /// Which list.
    pub list: &'static str,
    /// The row's title.
    pub title: String,
    /// The item that the others are like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Because>,
    /// Its items.
    pub items: Vec<Entry>,
    /// Where they are from.
    pub source: Rung,
    /// Why from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A member's page.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, ToSchema)]
pub struct PageAnswer {
    /// Whose.
    pub member: String,
    /// Its rows, no item twice.
    pub rows: Vec<Row>,
    /// The epoch that it is read from.
    pub epoch: u64,
    /// The newest event that it covers.
    pub as_of: Option<i64>,
    /// How long ago that was.
    pub age_ms: Option<i64>,
    /// The model that it is made with.
    pub model: Option<String>,
    /// The variant that the member belongs to, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Serving<'_> {
    /// The rows of a page. `now_ms` is the wall clock, for the age.
    pub fn page(&self, query: &PageQuery, now_ms: i64) -> Result<PageAnswer, ServingError> {
        let mut rows = Vec::new();
        let mut wanted = Wanted { country: query.country.clone(), ..Wanted::default() };
        for list in order(query.device.as_deref()) {
            let asked = ListQuery { list, offset: 0, limit: query.limit, wanted: wanted.clone() };
            let row = match self.row(&query.member, &asked, now_ms) {
                // A row that needs a model which cannot be read takes no other row with it.
                Err(ServingError::Model(error)) => {
                    tracing::warn!(%error, list = list.as_str(), "a row of a page is left out");
                    None
                }
                row => row?,
            };
            let Some(found) = row.filter(|found| !found.entries.is_empty()) else { continue };
            wanted.exclude.extend(found.entries.iter().map(|entry| entry.item.clone()));
            rows.push(Row::new(list, found));
        }
        let making = self.making(&query.member);
        Ok(PageAnswer {
            member: query.member.clone(),
            rows,
            epoch: self.standing.epoch,
            as_of: self.standing.now,
            age_ms: self.standing.now.map(|now| now_ms - now),
            model: making.model.map(str::to_owned),
            variant: making.variant.map(str::to_owned),
        })
    }

    /// What a row holds. Only `top_picks` has something else in its place where there is none: a page is never empty.
    fn row(&self, member: &str, asked: &ListQuery, now_ms: i64) -> Result<Option<Found>, ServingError> {
        let rungs = asked.list.rungs();
        let rungs = if asked.list == ListName::TopPicks { rungs } else { &rungs[..1] };
        Ok(self.first_of(rungs, member, asked, now_ms)?.ok())
    }
}

impl Row {
    /// A row of what was found.
    pub fn new(list: ListName, found: Found) -> Self {
        let title = title(list, &found);
        let Found { because, entries, source, reason, .. } = found;
        Row { list: list.as_str(), title, because, items: entries, source, reason: reason.map(Into::into) }
    }
}

/// In which order rows come: what was begun is gone on with where one sits down to watch, and looked for later on the way.
fn order(device: Option<&str>) -> [ListName; 7] {
    use ListName::{
        BecauseYouWatched, ContinueWatching, New, PopularWithPeopleLikeYou, TopPicks, Trending,
        WatchedTogether,
    };
    let like_you = PopularWithPeopleLikeYou;
    match device {
        Some("phone" | "mobile") => {
            [TopPicks, BecauseYouWatched, WatchedTogether, like_you, ContinueWatching, Trending, New]
        }
        _ => [ContinueWatching, TopPicks, BecauseYouWatched, WatchedTogether, like_you, Trending, New],
    }
}

fn title(list: ListName, found: &Found) -> String {
    match (list, &found.because) {
        (ListName::TopPicks, _) => "Top picks".into(),
        (ListName::ContinueWatching, _) => "Continue watching".into(),
        (ListName::BecauseYouWatched, Some(because)) => {
            format!("Because of {}", because.title.as_deref().unwrap_or(&because.item))
        }
        (ListName::BecauseYouWatched, None) => "Because you watched".into(),
        (ListName::WatchedTogether, _) => "Watched with what you watched".into(),
        (ListName::PopularWithPeopleLikeYou, _) => "Popular with people like you".into(),
        (ListName::Trending, _) => "Trending".into(),
        (ListName::New, _) => "New".into(),
    }
}
