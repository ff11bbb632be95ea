//! Lists: one by its name, the rows of a page, and items ranked for a moment.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::ladder::{Ask, Deadline, What};
use super::super::problem::Problem;
use super::super::query::{self, ListParams};
use super::super::{App, Ready};
use super::{Path, Query, Shared, Whole};
use crate::records::{END_AT, parse_micros};
use crate::serving::filters::Wanted;
use crate::serving::list::{ListAnswer, ListName};
use crate::serving::member::PastEvent;
use crate::serving::page::{PageAnswer, PageQuery};
use crate::serving::rank::RankQuery;

/// A member's list.
///
/// From the first rung that has it inside the deadline: the list that is kept fresh, refilled from further down where
/// filters leave too little of it, or what is trending. `source` says which, `reason` why not the one above. An unknown
/// member gets what is trending.
#[utoipa::path(get, path = "/v1/members/{member}/lists/{list}", tag = "lists",
    params(("member" = String, Path, description = "The member's id"),
        ("list" = String, Path, description = "top_picks, continue_watching, because_you_watched or trending"), ListParams),
    responses((status = 200, body = ListAnswer), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
pub(super) async fn list(
    State(app): Shared,
    Path((member, list)): Path<(String, String)>,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    if let Some(mirrored) = app.mirrored.get() {
        query::id("a member", &member)?;
        let asked = params.list(query::list(&list)?)?;
        let when = (params.after()?, params.deadline(&app.options)?);
        return Ok(Json(mirrored.list(member, &asked, when).await?).into_response());
    }
    let (ready, deadline) = (app.get()?, params.deadline(&app.options)?);
    query::id("a member", &member)?;
    let list = query::list(&list)?;
    let late = visible(&app, params.after()?, deadline).await;
    let asked = params.list(list)?;
    let ask = Ask { member, what: What::List(asked), deadline, max_age: params.max_age()? };
    if late.is_none()
        && let Some(json) = app.ladder.encoded(&ready.reader.load(), &ask)
    {
        return Ok(([(CONTENT_TYPE, "application/json")], json).into_response());
    }
    let mut answer = answer(&app, ready, ask).await;
    answer.reason = late.map(Into::into).or(answer.reason);
    Ok(Json(answer).into_response())
}

/// What is trending, for nobody in particular.
#[utoipa::path(get, path = "/v1/trending", tag = "lists", params(ListParams),
    responses((status = 200, body = ListAnswer), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn trending(
    State(app): Shared,
    Query(params): Query<ListParams>,
) -> Result<Json<ListAnswer>, Problem> {
    let (asked, deadline) = (params.list(ListName::Trending)?, params.deadline(&app.options)?);
    if let Some(mirrored) = app.mirrored.get() {
        let when = (params.after()?, deadline);
        return Ok(Json(mirrored.list(String::new(), &asked, when).await?));
    }
    let ready = app.get()?;
    let ask = Ask { member: String::new(), what: What::List(asked), deadline, max_age: None };
    Ok(Json(answer(&app, ready, ask).await))
}

async fn answer(app: &App, ready: &Ready, ask: Ask) -> ListAnswer {
    app.ladder.answer(&ready.reader.load_full(), &app.feed.floor(), ask).await
}

/// Waits until an epoch can be read; says so where it cannot be in time.
async fn visible(app: &App, after: Option<u64>, deadline: Deadline) -> Option<String> {
    let after = after?;
    let mut epochs = app.feed.epochs();
    if *epochs.borrow() >= after {
        return None;
    }
    // The answer itself needs some of the time.
    let until = tokio::time::Instant::now() + deadline.left() * 8 / 10;
    let waited = tokio::time::timeout_at(until, epochs.wait_for(|epoch| *epoch >= after)).await;
    match waited {
        Ok(Ok(_)) => None,
        _ => Some(format!("epoch {after} cannot be read yet")),
    }
}

/// What is to be ranked for a member, at this moment.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RankRequest {
    /// Only these items.
    pub candidates: Option<Vec<String>>,
    /// Only items of one of these genres.
    pub genres: Vec<String>,
    /// Only items of this genre.
    pub genre: Option<String>,
    /// Only items that may be shown in this country; that of the context where there is none.
    pub country: Option<String>,
    /// None of these items.
    pub exclude: Vec<String>,
    /// Where and how: what an event's context holds.
    #[schema(value_type = Object)]
    pub context: serde_json::Map<String, serde_json::Value>,
    /// What the member did a moment ago and no log has yet.
    pub session: Vec<SessionEvent>,
    /// How many items at most.
    pub limit: Option<u32>,
    /// How many items to leave out at the head.
    pub offset: Option<u32>,
    /// How long the answer may take, in milliseconds.
    pub deadline_ms: Option<u64>,
}

/// Something that a member did a moment ago.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionEvent {
    /// On what.
    pub item: String,
    /// What.
    pub kind: String,
    /// How much; 1 unless given.
    #[schema(value_type = Option<f64>)]
    pub value: Option<serde_json::Number>,
    /// When, in milliseconds since 1970; just now unless given.
    pub at: Option<i64>,
}

/// The most events of a session.
const SESSION: usize = 1000;

impl RankRequest {
    fn query(self) -> Result<RankQuery, Problem> {
        if self.session.len() > SESSION {
            return Err(Problem::bad_request(format!("a session has {SESSION} events at most")));
        }
        let session = self.session.into_iter().map(|event| event.meant(super::super::now_ms()));
        let of_context =
            || self.context.get("country").and_then(|country| country.as_str()).map(str::to_owned);
        Ok(RankQuery {
            session: session.collect::<Result<_, _>>()?,
            wanted: Wanted {
                genres: self.genres.into_iter().chain(self.genre).collect(),
                country: self.country.or_else(of_context),
                exclude: self.exclude,
                candidates: self.candidates.map(|candidates| candidates.into_iter().collect()),
            },
            offset: query::within("offset", self.offset, 0, crate::config::MAX_LIST)?,
            limit: query::within("limit", self.limit, 20, crate::config::MAX_LIST)?,
            kept: false,
        })
    }
}

impl SessionEvent {
    fn meant(self, now: i64) -> Result<PastEvent, Problem> {
        query::id("an item", &self.item)?;
        let value = self.value.map_or(Ok(1_000_000), |value| {
            parse_micros(&value.to_string()).map_err(|error| {
                Problem::bad_request(format!("the value {value} of a session event cannot be taken: {error}"))
            })
        })?;
        let at = self.at.unwrap_or(now);
        if !(0..END_AT).contains(&at) {
            return Err(Problem::bad_request("at must be in milliseconds since 1970, before the year 2200"));
        }
        let (item, kind, context) = (self.item, self.kind, String::new());
        Ok(PastEvent { item, kind, at, value, id: None, context, weight: 0 })
    }
}

/// Items ranked for a member now, with what was done a moment ago.
///
/// The member's factor is solved anew with the session's events, which are stored nowhere; seen, hidden and disliked items
/// are left out, the session's among them. Where that cannot be in time there is the kept list, filtered, or what is trending.
#[utoipa::path(post, path = "/v1/members/{member}/rank", tag = "lists",
    params(("member" = String, Path, description = "The member's id")), request_body = Option<RankRequest>,
    responses((status = 200, body = ListAnswer), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 503, body = Problem)))]
pub(super) async fn rank(
    State(app): Shared,
    Path(member): Path<String>,
    Whole(body): Whole,
) -> Result<Json<ListAnswer>, Problem> {
    let ready = app.get()?;
    query::id("a member", &member)?;
    let asked: RankRequest = serde_json::from_slice(if body.is_empty() { b"{}" } else { &body })
        .map_err(|error| Problem::bad_request(format!("the body is not what can be ranked: {error}")))?;
    let deadline = query::deadline(asked.deadline_ms, &app.options)?;
    let ask = Ask { member, what: What::Rank(asked.query()?), deadline, max_age: None };
    Ok(Json(answer(&app, ready, ask).await))
}

/// Parameters of a page.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// What it is shown on: tv, phone, …
    device: Option<String>,
    /// Only items that may be shown in this country.
    country: Option<String>,
    /// How many items a row has at most.
    limit: Option<u32>,
    /// Wait until this epoch can be read, as long as the deadline lets.
    after: Option<u64>,
    /// How long the answer may take, in milliseconds.
    deadline_ms: Option<u64>,
}

/// The rows of a member's page: several lists of one moment, no item twice.
///
/// Where they cannot be had in time there is one row, what is trending.
#[utoipa::path(get, path = "/v1/members/{member}/page", tag = "lists",
    params(("member" = String, Path, description = "The member's id"), PageParams),
    responses((status = 200, body = PageAnswer), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn page(
    State(app): Shared,
    Path(member): Path<String>,
    Query(params): Query<PageParams>,
) -> Result<Json<PageAnswer>, Problem> {
    let (ready, deadline) = (app.get()?, query::deadline(params.deadline_ms, &app.options)?);
    query::id("a member", &member)?;
    let asked = PageQuery {
        member,
        device: params.device,
        country: params.country,
        limit: query::within("limit", params.limit, 20, 1000)?,
    };
    visible(&app, query::natural("after", params.after)?, deadline).await;
    Ok(Json(app.ladder.page(&ready.reader.load_full(), &app.feed.floor(), asked, deadline).await))
}
