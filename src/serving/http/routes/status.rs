//! How the server is: its folder, its health, its metrics and its description of itself.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::metrics::Lately;
use super::super::now_ms;
use super::super::problem::Problem;
use super::{Shared, read};
use crate::mirrors::entries::About;
use crate::serving::status::StatusAnswer;
use crate::sources::kafka::Lags;

/// What the folder holds, and how the server does.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServerStatus {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    folder: StatusAnswer,
    /// Rates of the last ten seconds.
    rates: Lately,
    /// How long the server has run.
    uptime_ms: u64,
    /// The version of Nearline.
    version: &'static str,
    /// Whether it takes no changes.
    read_only: bool,
    /// In a pipeline of several processes, whether counts, sources and clusters are those of all; else of this one alone, as
    /// another cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    of_all: Option<bool>,
}

/// The mirror that answers come from, and how the server does.
#[derive(Debug, Serialize)]
struct MirrorServerStatus {
    mirror: String,
    #[serde(flatten)]
    about: About,
    rates: Lately,
    uptime_ms: u64,
    version: &'static str,
    read_only: bool,
}

/// What the folder holds and how fresh it is, and how the server does.
#[utoipa::path(get, path = "/v1/status", tag = "status",
    responses((status = 200, body = ServerStatus), (status = 503, body = Problem)))]
pub(super) async fn status(State(app): Shared) -> Result<Response, Problem> {
    if let Some(mirrored) = app.mirrored.get() {
        let about = mirrored.about(app.options.deadline).await?;
        return Ok(Json(MirrorServerStatus {
            mirror: mirrored.url().to_owned(),
            about,
            rates: app.metrics.rates.lately(),
            uptime_ms: app.started.elapsed().as_millis() as u64,
            version: env!("CARGO_PKG_VERSION"),
            read_only: true,
        })
        .into_response());
    }
    let mut folder = read(&app, |serving| serving.status(now_ms())).await?;
    let mut of_all = app.share().map(|_| false);
    if let Some(passing) = app.passing.get() {
        let centres = folder.clusters.as_ref().map(|clusters| clusters.centres.clone());
        let known = passing.counted(centres.as_deref());
        let count = known.is_none() && centres.is_some();
        let all = super::read_all(&app, move |serving| {
            let clusters = if count { serving.clusters()? } else { None };
            Ok((serving.counts()?, serving.sources()?, clusters))
        });
        if let Ok((counts, sources, counted)) = all.await {
            passing.keep_counted(counted.as_ref());
            (folder.counts, folder.sources, folder.clusters) = (counts, sources, counted.or(known));
            of_all = Some(true);
        }
    }
    let lags = app.metrics.lags.get().map(Lags::all).unwrap_or_default();
    folder.reach(|at| lags.iter().find(|lag| lag.topic == at.topic && lag.number == at.partition)?.end);
    Ok(Json(ServerStatus {
        folder,
        rates: app.metrics.rates.lately(),
        uptime_ms: app.started.elapsed().as_millis() as u64,
        version: env!("CARGO_PKG_VERSION"),
        read_only: app.get()?.pipeline.is_none(),
        of_all,
    })
    .into_response())
}

/// Whether the server does.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, or what it is doing.
    status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/health/live", tag = "status", responses((status = 200, body = Health)))]
pub(super) async fn live() -> Json<Health> {
    Json(Health { status: "ok", reason: None })
}

/// Whether lists can be had and records are taken; else why not.
#[utoipa::path(get, path = "/health/ready", tag = "status",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(super) async fn ready(State(app): Shared) -> Response {
    let unavailable = |status, reason: String| {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status, reason: Some(reason) })).into_response()
    };
    if let Some(mirrored) = app.mirrored.get() {
        return match mirrored.about(app.options.deadline).await {
            Ok(about) if about.whole => Json(Health { status: "ok", reason: None }).into_response(),
            Ok(_) => unavailable("filling", "the mirror is being filled".into()),
            Err(problem) => unavailable("failed", problem.detail),
        };
    }
    let Some(ready) = app.ready.get() else {
        return unavailable("recovering", "the records of the folder are being read back".into());
    };
    let failure = ready.pipeline.as_ref().and_then(|pipeline| pipeline.handle.committed().failure());
    match failure {
        Some(failure) => unavailable("failed", failure.to_string()),
        None => Json(Health { status: "ok", reason: None }).into_response(),
    }
}

/// What is counted and timed, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "status",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(app): Shared) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text())
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "status",
    responses((status = 200, body = Object, description = "OpenAPI")))]
pub(super) async fn description() -> impl IntoResponse {
    Json(super::openapi())
}
