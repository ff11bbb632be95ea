//! Items: found by their title, what is like one, how often one was acted on, and what is popular.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

use super::super::problem::Problem;
use super::super::query;
use super::members::Search;
use super::{Path, Query, Shared};
use crate::config::Span;
use crate::serving::Serving;
use crate::serving::catalogue::each_item;
use crate::serving::popular::{CountsAnswer, PopularAnswer, PopularQuery};
use crate::serving::similar::{Likeness, SimilarAnswer};

/// An item of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundItem {
    /// The item's id.
    item: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    title: Option<Arc<str>>,
    /// Its genres.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<String>)]
    genres: Arc<[Arc<str>]>,
    /// Whether it may no longer be listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    withdrawn: bool,
}

/// Items that were found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundItems {
    /// In the order of their titles, then their ids.
    items: Vec<FoundItem>,
}

/// Items of the catalogue whose title or id holds a text.
#[utoipa::path(get, path = "/v1/items", tag = "items", params(Search),
    responses((status = 200, body = FoundItems), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn search(
    State(app): Shared,
    Query(search): Query<Search>,
) -> Result<Json<FoundItems>, Problem> {
    let limit = query::within("limit", search.limit, 20, 1000)?;
    let items = super::read(&app, move |serving| {
        let text = search.query.to_lowercase();
        let mut found = Vec::new();
        each_item(serving.tables, &mut |item, known| {
            let title = known.title.as_deref().unwrap_or_default();
            if title.to_lowercase().contains(&text) || item.to_lowercase().contains(&text) {
                let item = item.to_owned();
                found.push(FoundItem {
                    item,
                    title: known.title,
                    genres: known.genres,
                    withdrawn: known.withdrawn,
                });
            }
        })?;
        found.sort_unstable_by(|a, b| (&a.title, &a.item).cmp(&(&b.title, &b.item)));
        found.truncate(limit);
        Ok(found)
    });
    Ok(Json(FoundItems { items: items.await? }))
}

/// Parameters of similar items.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SimilarParams {
    /// By the model of this member's variant; by the live model unless given.
    member: Option<String>,
    /// By what they are alike; `factors`, the model's, unless given.
    #[param(inline)]
    by: Likeness,
    /// How many items at most.
    #[param(minimum = 0, maximum = 10000)]
    limit: Option<u32>,
}

/// The items most like one, by the model or by who has seen both.
#[utoipa::path(get, path = "/v1/items/{item}/similar", tag = "items",
    params(("item" = String, Path, description = "The item's id"), SimilarParams),
    responses((status = 200, body = SimilarAnswer), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn similar(
    State(app): Shared,
    Path(item): Path<String>,
    Query(params): Query<SimilarParams>,
) -> Result<Json<SimilarAnswer>, Problem> {
    query::id("an item", &item)?;
    if let Some(member) = &params.member {
        query::id("a member", member)?;
    }
    let limit = query::within("limit", params.limit, 20, crate::config::MAX_LIST)?;
    let SimilarParams { member, by, .. } = params;
    let ask = move |serving: &Serving<'_>| serving.similar(&item, by, member.as_deref(), limit);
    match by {
        Likeness::Factors => super::read(&app, ask).await.map(Json),
        Likeness::Together => super::read_all(&app, ask).await.map(Json),
    }
}

/// Parameters of an item's counts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CountsParams {
    /// Only events of this kind.
    kind: Option<String>,
    /// How many hours back from now, the present one included.
    #[param(minimum = 1, maximum = 8760)]
    hours: Option<u32>,
}

/// How often an item was acted on, hour by hour.
#[utoipa::path(get, path = "/v1/items/{item}/counts", tag = "items",
    params(("item" = String, Path, description = "The item's id"), CountsParams),
    responses((status = 200, body = CountsAnswer), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn counts(
    State(app): Shared,
    Path(item): Path<String>,
    Query(params): Query<CountsParams>,
) -> Result<Json<CountsAnswer>, Problem> {
    query::id("an item", &item)?;
    if params.hours == Some(0) {
        return Err(Problem::bad_request("hours must be from 1 to 8760"));
    }
    let hours = query::within("hours", params.hours, 168, 8760)? as u32;
    super::read_all(&app, move |serving| serving.counts_of(&item, params.kind.as_deref(), hours))
        .await
        .map(Json)
}

/// Parameters of a ranking.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PopularParams {
    /// Events of this kind; plays unless given.
    kind: Option<String>,
    /// How far back, in whole hours or days: 24h, 7d; or `all`. 7d unless given.
    window: Option<String>,
    /// Only events of this country.
    country: Option<String>,
    /// How many items at most.
    #[param(minimum = 0, maximum = 10000)]
    limit: Option<u32>,
}

/// The items with the most events in a window back from now, the newest event's time.
#[utoipa::path(get, path = "/v1/popular", tag = "items", params(PopularParams),
    responses((status = 200, body = PopularAnswer), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn popular(
    State(app): Shared,
    Query(params): Query<PopularParams>,
) -> Result<Json<PopularAnswer>, Problem> {
    let window = params.window.as_deref().unwrap_or("7d");
    let asked = PopularQuery {
        kind: params.kind.unwrap_or_else(|| "play".to_owned()),
        hours: Span::window_hours(window).map_err(Problem::bad_request)?,
        country: params.country,
        limit: query::within("limit", params.limit, 20, crate::config::MAX_LIST)?,
    };
    super::read_all(&app, move |serving| serving.popular(&asked)).await.map(Json)
}
