//! Models: those that are there, and which one is to be live.

use std::path::PathBuf;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::{Shared, Whole, read};
use crate::engine::TakeoverError;
use crate::engine::socket::Wanted;
use crate::serving::models::ModelsAnswer;

/// Models of the folder, and which is live.
#[utoipa::path(get, path = "/v1/models", tag = "models",
    responses((status = 200, body = ModelsAnswer), (status = 503, body = Problem)))]
pub(super) async fn list(State(app): Shared) -> Result<Json<ModelsAnswer>, Problem> {
    read(&app, |serving| serving.models()).await.map(Json)
}

/// Which model is to be live: one of the three.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WantedModel {
    /// The model in this folder of the server's machine.
    #[serde(rename = "use")]
    #[schema(value_type = Option<String>)]
    used: Option<PathBuf>,
    /// The model of this version, which is in the data folder.
    promote: Option<String>,
    /// The model before.
    roll_back: Option<bool>,
}

/// Which model took over.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TookOver {
    /// The version of the model that is live now; empty where there are variants with models of their own alone.
    model: String,
    /// The variant that every member has, where one was promoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    /// The epoch from which on it is.
    epoch: u64,
}

/// Lets a model take over, or the one before again; answers when it has.
///
/// Its lists are built beside the live ones, which stay fresh meanwhile. The way back is taken at once.
#[utoipa::path(post, path = "/v1/models", tag = "models", request_body = WantedModel,
    responses((status = 200, body = TookOver), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn change(State(app): Shared, Whole(body): Whole) -> Result<Json<TookOver>, Problem> {
    let ready = app.get()?;
    let pipeline = ready.pipeline.as_ref().ok_or_else(Problem::read_only)?;
    let change: WantedModel = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("the body does not say which model: {error}")))?;
    let (handle, adopt) = (pipeline.handle.clone(), pipeline.adopt.clone());
    let folder = ready.reader.load().known.folder.clone();
    let path = match change {
        WantedModel { used: Some(path), promote: None, roll_back: None | Some(false) } => Some(path),
        WantedModel { used: None, promote: Some(version), roll_back: None | Some(false) } => {
            let plain = version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if !plain || version.is_empty() {
                return Err(Problem::bad_request(
                    "promote must be the version of a model, see GET /v1/models",
                ));
            }
            Some(folder.model(&version))
        }
        WantedModel { used: None, promote: None, roll_back: Some(true) } => None,
        _ => return Err(Problem::bad_request("give one of use, promote and roll_back")),
    };
    let done = tokio::task::spawn_blocking(move || match path {
        None => handle.roll_back().map_err(|error| refused(&error)),
        Some(path) => {
            let line_up = adopt(&Wanted::Use(path)).map_err(Problem::bad_request)?;
            handle.use_line_up(line_up).map_err(|error| refused(&error))
        }
    });
    let taken = done.await.map_err(|_| Problem::failed("the take-over ended before its time"))??;
    Ok(Json(TookOver { model: taken.model, variant: taken.variant, epoch: taken.epoch }))
}

pub(super) fn refused(error: &TakeoverError) -> Problem {
    match error {
        TakeoverError::Engine(error) => Problem::failed(error.to_string()),
        error => Problem::conflict(error.to_string()),
    }
}
