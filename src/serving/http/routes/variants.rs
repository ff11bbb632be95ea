//! Variants: how they do side by side, and which one every member is to have.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::problem::Problem;
use super::super::query;
use super::models::refused;
use super::{Path, Query, Shared, read};
use crate::engine::socket::Wanted;
use crate::serving::performance::MAX_DAYS;
use crate::serving::variants::{VariantsAnswer, VariantsQuery};

/// Parameters of how variants do.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct VariantsParams {
    /// Events of how many UTC days back from now, the newest event's time, the present one included; 7 unless given.
    #[param(minimum = 0, maximum = 100000)]
    days: Option<u32>,
    /// Only events in this list.
    list: Option<String>,
    /// The variant that the others are compared with; the one with the greatest share unless given.
    against: Option<String>,
}

/// The variants side by side: members, impressions, clicks and plays, and rates with 95 % intervals.
#[utoipa::path(get, path = "/v1/variants", tag = "variants", params(VariantsParams),
    responses((status = 200, body = VariantsAnswer), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn compare(
    State(app): Shared,
    Query(params): Query<VariantsParams>,
) -> Result<Json<VariantsAnswer>, Problem> {
    let days = query::within("days", params.days, 7, MAX_DAYS)? as u32;
    let VariantsParams { list, against, .. } = params;
    let asked = VariantsQuery { days, list, against: against.clone() };
    let answer = super::read_all(&app, move |serving| serving.variants(&asked)).await?;
    match against {
        Some(name) if answer.against.is_none() && answer.experiment.is_some() => {
            Err(Problem::bad_request(format!("there is no variant {name} to compare with")))
        }
        _ => Ok(Json(answer)),
    }
}

/// The variant that every member has.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Promoted {
    /// Its name.
    variant: String,
    /// The version of the model that is live now.
    model: Option<String>,
    /// The epoch from which on that is so.
    epoch: u64,
}

/// Gives every member one variant; answers when it has taken over.
///
/// Its model becomes the live one, and lists of the other members are built beside the live ones, which stay fresh
/// meanwhile. `POST /v1/models` with `roll_back` goes back at once, for as long as `run.keep_previous` says. It holds
/// until the config says something else of its variants.
#[utoipa::path(post, path = "/v1/variants/{variant}/promote", tag = "variants",
    params(("variant" = String, Path, description = "The variant's name")),
    responses((status = 200, body = Promoted), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn promote(
    State(app): Shared,
    Path(variant): Path<String>,
) -> Result<Json<Promoted>, Problem> {
    let ready = app.get()?;
    let pipeline = ready.pipeline.as_ref().ok_or_else(Problem::read_only)?;
    let name = variant.clone();
    let known = read(&app, move |serving| {
        let variants = serving.standing.lists.variants.as_ref();
        Ok(variants.is_some_and(|variants| variants.get(&name).is_some()))
    });
    if !known.await? {
        return Err(Problem::not_found(format!("there is no variant {variant}; see GET /v1/variants")));
    }
    let (handle, adopt) = (pipeline.handle.clone(), pipeline.adopt.clone());
    let done = tokio::task::spawn_blocking(move || {
        let line_up = adopt(&Wanted::Promote(variant)).map_err(Problem::conflict)?;
        handle.use_line_up(line_up).map_err(|error| refused(&error))
    });
    let taken = done.await.map_err(|_| Problem::failed("the take-over ended before its time"))??;
    Ok(Json(Promoted {
        variant: taken.variant.unwrap_or_default(),
        model: Some(taken.model).filter(|model| !model.is_empty()),
        epoch: taken.epoch,
    }))
}
