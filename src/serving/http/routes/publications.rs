//! Publications that are followed: what is known of each, and what happens to it.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use serde::{Deserialize, Serialize};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};
use utoipa::{IntoParams, ToSchema};

use super::super::problem::Problem;
use super::{Query, Shared, read};
use crate::publications::alerts::{self, Raised};
use crate::publications::board::{self, Followed, Happened};

/// What is followed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PublicationsAnswer {
    /// Publications, by name.
    publications: Vec<Followed>,
    /// Alerts that are raised.
    alerts: Vec<Raised>,
}

/// Publications that the pipeline follows: the newest version of each, the one in use, and what failed.
#[utoipa::path(get, path = "/v1/publications", tag = "publications",
    responses((status = 200, body = PublicationsAnswer), (status = 503, body = Problem)))]
pub(super) async fn list(State(app): Shared) -> Result<Json<PublicationsAnswer>, Problem> {
    if let Some((board, raised)) = app.metrics.publications.followed.get() {
        return Ok(Json(PublicationsAnswer { publications: board.all(), alerts: raised.all() }));
    }
    let kept = read(&app, |serving| {
        let folder = &serving.known.folder;
        let (publications, alerts) = (board::kept(&folder.subscriptions()), alerts::kept(&folder.alerts()));
        Ok(PublicationsAnswer { publications, alerts })
    });
    kept.await.map(Json)
}

/// Which publication.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangesParams {
    /// Only what happens to this publication.
    publication: Option<String>,
}

/// Something that happened to a publication.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in super::super) struct PublicationChange {
    /// What happened.
    pub happened: Happened,
    /// What is known of it now.
    #[serde(flatten)]
    pub followed: Followed,
}

/// What happens to publications, as server-sent events named `publication`: a version was published, is in use, or failed.
///
/// Who listens too slowly misses some: an event named `missed` says how many. A replica has none.
#[utoipa::path(get, path = "/v1/publications/changes", tag = "publications", params(ChangesParams),
    responses((status = 200, body = PublicationChange, content_type = "text/event-stream"),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn changes(
    State(app): Shared,
    Query(params): Query<ChangesParams>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    if app.get()?.pipeline.is_none() {
        return Err(Problem::not_found("a replica follows no publications: ask the process that writes"));
    }
    let wanted = params.publication;
    let told = BroadcastStream::new(app.publications.subscribe()).filter_map(move |told| match told {
        Ok(change) => {
            let other = wanted.as_ref().is_some_and(|wanted| *wanted != change.followed.publication);
            if other { None } else { Event::default().event("publication").json_data(change).ok() }
        }
        Err(missed) => Some(Event::default().event("missed").data(missed.to_string())),
    });
    Ok(Sse::new(told.map(Ok)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}
