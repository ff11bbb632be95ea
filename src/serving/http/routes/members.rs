//! Members: found by the beginning of an id, their history, the reasons behind a list, and their erasure.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::problem::Problem;
use super::super::query;
use super::{Path, Query, Shared};
use crate::serving::member::HistoryAnswer;
use crate::serving::why::WhyAnswer;

/// What to look for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// The beginning of an id; for items a part of a title or an id.
    pub query: String,
    /// How many at most.
    #[param(minimum = 0, maximum = 1000)]
    pub limit: Option<u32>,
}

/// A member that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundMember {
    /// The member's id.
    member: String,
}

/// Members that were found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundMembers {
    /// In the order of their ids.
    members: Vec<FoundMember>,
}

/// Members with live events whose ids begin with a text.
#[utoipa::path(get, path = "/v1/members", tag = "members", params(Search),
    responses((status = 200, body = FoundMembers), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn search(
    State(app): Shared,
    Query(search): Query<Search>,
) -> Result<Json<FoundMembers>, Problem> {
    let limit = query::within("limit", search.limit, 20, 1000)?;
    let members = super::read_all(&app, move |serving| {
        let members = serving.members(&search.query, limit)?;
        Ok(members.into_iter().map(|member| FoundMember { member }).collect())
    });
    Ok(Json(FoundMembers { members: members.await? }))
}

/// How many events there are where a request does not say.
const EVENTS: u32 = 100;

/// Parameters of a history.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryParams {
    /// How many events at most.
    #[param(minimum = 0, maximum = 100000)]
    limit: Option<u32>,
}

/// A member's live events, newest first.
#[utoipa::path(get, path = "/v1/members/{member}/history", tag = "members",
    params(("member" = String, Path, description = "The member's id"), HistoryParams),
    responses((status = 200, body = HistoryAnswer), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn history(
    State(app): Shared,
    Path(member): Path<String>,
    Query(params): Query<HistoryParams>,
) -> Result<Json<HistoryAnswer>, Problem> {
    query::id("a member", &member)?;
    let limit = query::within("limit", params.limit, EVENTS, 100_000)?;
    super::read(&app, move |serving| serving.history(&member, Some(limit))).await.map(Json)
}

/// What each past event adds to the score of an item, or which rule keeps it out of `top_picks`.
#[utoipa::path(get, path = "/v1/members/{member}/why/{item}", tag = "members",
    params(("member" = String, Path, description = "The member's id"), ("item" = String, Path, description = "The item's id")),
    responses((status = 200, body = WhyAnswer), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn why(
    State(app): Shared,
    Path((member, item)): Path<(String, String)>,
) -> Result<Json<WhyAnswer>, Problem> {
    query::id("a member", &member)?;
    query::id("an item", &item)?;
    super::read(&app, move |serving| serving.why(&member, &item)).await.map(Json)
}

/// Forgets a member, erases what is stored of it, and answers with the receipt.
///
/// Takes as long as writing the store anew.
#[utoipa::path(delete, path = "/v1/members/{member}", tag = "members",
    params(("member" = String, Path, description = "The member's id")),
    responses((status = 200, body = Object, description = "The receipt"), (status = 400, body = Problem),
        (status = 403, body = Problem), (status = 500, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn forget(
    State(app): Shared,
    Path(member): Path<String>,
) -> Result<Json<serde_json::Value>, Problem> {
    query::id("a member", &member)?;
    let pipeline = app.get()?.pipeline.as_ref().ok_or_else(Problem::read_only)?;
    let commands = pipeline.commands.clone();
    let asked = serde_json::json!({ "forget": [member] });
    let done = tokio::task::spawn_blocking(move || commands(asked)).await;
    let done = done.map_err(|_| Problem::failed("the erasure ended before its time"))?;
    done.map(|mut answer| Json(answer["receipt"].take())).map_err(Problem::failed)
}
