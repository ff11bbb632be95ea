//! How lists did.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::problem::Problem;
use super::super::query;
use super::{Query, Shared};
use crate::serving::performance::{By, MAX_DAYS, PerformanceAnswer, PerformanceQuery};

/// Parameters of how lists did.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PerformanceParams {
    /// How many UTC days back from now, the newest event's time, the present one included; 7 unless given.
    #[param(minimum = 0, maximum = 100000)]
    days: Option<u32>,
    /// Only of this list.
    list: Option<String>,
    /// Summed up by list, or by list and one more; unless given, a row for each day, list, variant and position.
    #[param(inline)]
    by: Option<By>,
}

/// Events whose context names a list: impressions, clicks and plays by day, list, variant and position.
#[utoipa::path(get, path = "/v1/performance", tag = "lists", params(PerformanceParams),
    responses((status = 200, body = PerformanceAnswer), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn performance(
    State(app): Shared,
    Query(params): Query<PerformanceParams>,
) -> Result<Json<PerformanceAnswer>, Problem> {
    let days = query::within("days", params.days, 7, MAX_DAYS)? as u32;
    let asked = PerformanceQuery { days, list: params.list, by: params.by };
    super::read_all(&app, move |serving| serving.performance(&asked)).await.map(Json)
}
