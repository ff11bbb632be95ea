//! The page at `/`: files that are part of the program.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::super::App;
use super::super::problem::Problem;

/// Nothing but this server's own files, and no frame around them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Names of files in `src/serving/page/`, with their text.
macro_rules! files {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../../page/", $name)))),*] };
}

/// The files, by name: all that there are.
const FILES: &[(&str, &str)] = files! {
    "api.js"
    "app.css"
    "app.js"
    "base.css"
    "changes.js"
    "connection.js"
    "diff.js"
    "dom.js"
    "entry.js"
    "format.js"
    "grid.js"
    "history.js"
    "icon.svg"
    "icons.js"
    "impressions.js"
    "index.html"
    "lists.js"
    "member.css"
    "member.js"
    "models.js"
    "outcome.js"
    "performance.js"
    "picture.js"
    "pipeline.js"
    "plot.js"
    "search.js"
    "theme.js"
    "token.js"
    "tools.js"
    "trending.js"
    "variants.js"
    "why.js"
};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(async || file("index.html")))
        .route("/assets/{name}", get(async |Path(name): Path<String>| file(&name)))
}

fn file(name: &str) -> Response {
    let Some((_, text)) = FILES.iter().find(|(own, _)| *own == name) else {
        return Problem::not_found("the page has no such file").into_response();
    };
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "image/svg+xml",
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    ];
    (headers, *text).into_response()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::FILES;

    #[test]
    fn every_file_of_the_page_is_served_and_named_in_its_head() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serving/page");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let served: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(served, names);
        let (_, index) = FILES.iter().find(|(name, _)| *name == "index.html").unwrap();
        for name in names.iter().filter(|name| *name != "index.html") {
            assert!(index.contains(&format!("/assets/{name}\"")), "index.html does not name {name}");
        }
    }

    #[test]
    fn nothing_in_the_page_needs_a_wider_policy() {
        for (name, text) in FILES {
            for forbidden in ["innerHTML", "insertAdjacentHTML", "eval(", "style=\"", "onclick=\""] {
                assert!(!text.contains(forbidden), "{name} has {forbidden}");
            }
        }
    }
}
