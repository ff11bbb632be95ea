//! What goes wrong, as RFC 9457 says it: one type for each rejection, which carries its status.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::ServingError;
use crate::config::Scope;
use crate::stores::StoreError;

/// A problem (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Which kind of problem, as a path of this server's documentation.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened, and what to do about it.
    pub detail: String,
    #[serde(skip)]
    retry_after: Option<Duration>,
    #[serde(skip)]
    wants_token: bool,
}

impl Problem {
    fn new(status: StatusCode, name: &str, title: &'static str, detail: impl Into<String>) -> Self {
        let kind = format!("/problems/{name}");
        Problem {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            retry_after: None,
            wants_token: false,
        }
    }

    fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// A request that does not say what it must, or says what cannot be.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "the request cannot be understood", detail)
    }

    /// There is nothing at this path.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is no such thing", detail)
    }

    /// The path takes other methods.
    pub fn other_method() -> Self {
        let detail = "this path takes other methods; see /openapi.json";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "other-method", "the path takes other methods", detail)
    }

    /// There is no token, or one that is not known.
    pub fn no_token() -> Self {
        let detail = "send `Authorization: Bearer …` with a token of this server";
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "no-token", "a token is needed", detail);
        problem.wants_token = true;
        problem
    }

    /// The token is for other things.
    pub fn other_scope(wanted: Scope) -> Self {
        let wanted = format!("{wanted:?}").to_lowercase();
        let detail = format!("this needs a token with the scope {wanted}");
        Self::new(StatusCode::FORBIDDEN, "other-scope", "the token is not for this", detail)
    }

    /// A browser was made to send it.
    pub fn other_site(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "other-site", "the request comes from elsewhere", detail)
    }

    /// This server takes no changes.
    pub fn read_only() -> Self {
        let detail = "this server reads a folder that another process writes; send changes to that one";
        Self::new(StatusCode::FORBIDDEN, "read-only", "this server takes no changes", detail)
    }

    /// The body is larger than is taken.
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("the body has more than {limit} bytes; send fewer records at a time");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large", detail)
    }

    /// The store is being opened.
    pub fn recovering() -> Self {
        let detail = "the records are being read back; see /health/ready";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "recovering", "the server is not ready yet", detail)
            .after(Duration::from_secs(1))
    }

    /// More requests are under way than the server answers in time.
    pub fn overloaded() -> Self {
        let detail = "more requests are under way than can be answered in time; ask again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "the server is busy", detail)
            .after(Duration::from_secs(1))
    }

    /// More records wait than the pipeline takes.
    pub fn behind() -> Self {
        let detail = "the pipeline is behind and nothing of this request was taken; send it again";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "behind", "the pipeline is behind", detail)
            .after(Duration::from_secs(1))
    }

    /// Another state than the request needs.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "this cannot be done now", detail)
    }

    /// The store, or something else below, failed.
    pub fn failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the server failed", detail)
    }

    /// What is asked for is with another process, which cannot be asked from here.
    pub fn elsewhere(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "elsewhere", "another process has it", detail)
            .after(Duration::from_secs(1))
    }

    /// The process that was asked for it did not answer.
    pub fn no_answer(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "no-answer", "another process did not answer", detail)
            .after(Duration::from_secs(1))
    }

    /// There was no answer in time.
    pub fn too_late(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too-late", "there is no answer in time", detail)
            .after(Duration::from_secs(1))
    }
}

impl From<ServingError> for Problem {
    fn from(error: ServingError) -> Self {
        match error {
            ServingError::OtherConfig(error) => Problem::conflict(error.to_string()),
            ServingError::Store(
                error @ (StoreError::Elsewhere { .. }
                | StoreError::Apart
                | StoreError::OfAnother { .. }
                | StoreError::InAll { .. }),
            ) => Problem::elsewhere(error.to_string()),
            error => {
                tracing::error!(%error, "a request failed");
                Problem::failed(error.to_string())
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.wants_token {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}
