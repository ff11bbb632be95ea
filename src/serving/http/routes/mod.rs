//! The routes, and what holds for all of them.

#![expect(unused_qualifications, reason = "what `utoipa::path` makes names types in full")]

mod changes;
mod events;
mod items;
mod lists;
mod members;
mod models;
mod page;
mod performance;
mod publications;
mod status;
mod variants;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use opentelemetry::context::FutureExt;
use serde::de::DeserializeOwned;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use self::publications::PublicationChange;
use super::App;
use super::access::guarded;
use super::peers::passed_on;
use super::problem::Problem;
use crate::serving::{Serving, ServingError};

/// How long an answer may take that has no deadline of its own.
const PATIENCE: Duration = Duration::from_secs(10);

/// What requests share.
type Shared = State<Arc<App>>;

#[derive(OpenApi)]
#[openapi(info(
    title = "Nearline",
    description = "Fresh recommendation lists from a log of member events. Times are in milliseconds since 1970, UTC. What goes wrong is told as RFC 9457 says it, as `application/problem+json`."
))]
struct Api;

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(lists::list))
        .routes(routes!(lists::page))
        .routes(routes!(lists::rank))
        .routes(routes!(lists::trending))
        .routes(routes!(members::search))
        .routes(routes!(members::forget))
        .routes(routes!(members::history))
        .routes(routes!(members::why))
        .routes(routes!(items::search))
        .routes(routes!(items::similar))
        .routes(routes!(items::counts))
        .routes(routes!(items::popular))
        .routes(routes!(performance::performance))
        .routes(routes!(events::post))
        .routes(routes!(models::list))
        .routes(routes!(models::change))
        .routes(routes!(publications::list))
        .routes(routes!(publications::changes))
        .routes(routes!(variants::compare))
        .routes(routes!(variants::promote))
        .routes(routes!(changes::changes))
        .routes(routes!(status::status))
        .routes(routes!(status::live))
        .routes(routes!(status::ready))
        .routes(routes!(status::metrics))
        .routes(routes!(status::description))
}

/// The server's description of itself (OpenAPI).
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut api = routes().split_for_parts().1;
    api.info.version = env!("CARGO_PKG_VERSION").to_owned();
    for item in api.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.delete];
        operations.into_iter().flatten().for_each(with_problems);
    }
    api
}

/// What every route may answer besides, and problems as what they are sent as.
fn with_problems(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    for (status, what) in [
        ("401", "There is no token, or one that is not known"),
        ("403", "The token is not for this, or the request comes from another site"),
        ("503", "The server is not ready, is busy, or had no answer in time"),
    ] {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new().description(what).content("application/json", problem);
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(response.build()));
    }
    for response in responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        let of_problem = |content: &RefOr<Content>| match content {
            RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) => {
                schema.ref_location.ends_with("/Problem")
            }
            _ => false,
        };
        let name = "application/json";
        if response.content.get(name).is_some_and(of_problem)
            && let Some(content) = response.content.swap_remove(name)
        {
            response.content.insert("application/problem+json".to_owned(), content);
        }
    }
}

/// The server as a value: what answers requests, wherever they come from.
pub fn app(app: &Arc<App>) -> Router {
    let (router, _) = routes().split_for_parts();
    let id = HeaderName::from_static("x-request-id");
    let under_way = Arc::new(AtomicUsize::new(0));
    router
        .merge(page::routes())
        .fallback(async || Problem::not_found("there is nothing at this path; see /openapi.json"))
        .method_not_allowed_fallback(async || Problem::other_method())
        .layer(from_fn_with_state(app.clone(), passed_on))
        .layer(from_fn_with_state(app.clone(), guarded))
        .layer(from_fn_with_state((app.clone(), under_way), measured))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::failed("this request met an error of ours").into_response()
        }))
        .layer(PropagateRequestIdLayer::new(id.clone()))
        .layer(SetRequestIdLayer::new(id, Numbered::new()))
        .with_state(app.clone())
}

/// Names requests that come without an id: by the process, and a number. Asking the system for chance each time would take
/// as long as reading a list.
#[derive(Clone)]
struct Numbered {
    process: u64,
    next: Arc<AtomicU64>,
}

impl Numbered {
    fn new() -> Self {
        let process = RandomState::new().hash_one(std::process::id());
        Numbered { process, next: Arc::default() }
    }
}

impl MakeRequestId for Numbered {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        let id = format!("{:016x}-{}", self.process, self.next.fetch_add(1, Ordering::Relaxed));
        id.parse().ok().map(RequestId::new)
    }
}

/// Counts and times a request; turns it away where too many are under way.
async fn measured(
    State((app, under_way)): State<(Arc<App>, Arc<AtomicUsize>)>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let _one = UnderWay(&under_way);
    let route = path.as_ref().map_or("none", MatchedPath::as_str);
    let mut response = if under_way.fetch_add(1, Ordering::Relaxed) >= app.options.requests {
        Problem::overloaded().into_response()
    } else if let Some(traces) = &app.options.traces {
        let context = traces.request(request.method().as_str(), route, request.headers());
        let response = next.run(request).with_context(context.clone()).await;
        traces.answered(&context, response.status().as_u16());
        response
    } else {
        next.run(request).await
    };
    app.metrics.requested(route, response.status().as_u16(), began.elapsed());
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.entry("cache-control").or_insert(HeaderValue::from_static("no-store"));
    response
}

struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Parameters of a query; what cannot be understood is a problem like any other.
struct Query<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|query| Query(query.0)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// Parts of a path; what cannot be understood is a problem like any other.
struct Path<T>(T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|path| Path(path.0)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// A body that is no larger than is taken; one that is, is a problem like any other.
struct Whole(Bytes);

impl FromRequest<Arc<App>> for Whole {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let limit = app.options.body_limit;
        let body = to_bytes(request.into_body(), limit).await;
        body.map(Whole).map_err(|_| Problem::too_large(limit))
    }
}

/// Reads one moment of the store for an answer that has no other to stand in.
async fn read<T: Send + 'static>(
    app: &Arc<App>,
    ask: impl FnOnce(&Serving<'_>) -> Result<T, ServingError> + Send + 'static,
) -> Result<T, Problem> {
    let reader = app.get()?.reader.load_full();
    let read = app.ladder.read(PATIENCE, move || reader.read(ask)).await;
    let answer = read.map_err(|_| Problem::too_late("the store did not answer in time; ask again"))?;
    Ok(answer?)
}

/// Reads one moment of the stores of all processes, for an answer that is about no one member.
async fn read_all<T: Send + 'static>(
    app: &Arc<App>,
    ask: impl FnOnce(&Serving<'_>) -> Result<T, ServingError> + Send + 'static,
) -> Result<T, Problem> {
    let reader = app.get()?.reader.load_full();
    let read = app.ladder.read(PATIENCE, move || reader.read_all(ask)).await;
    let answer = read.map_err(|_| Problem::too_late("the stores did not answer in time; ask again"))?;
    Ok(answer?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_description_in_the_repository_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/openapi.json");
        let text = super::openapi().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("NEARLINE_REWRITE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text, "NEARLINE_REWRITE=1 writes it anew");
    }
}
