//! Who may do what: bearer tokens with scopes, and requests that another site makes a browser send.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::App;
use super::problem::Problem;
use crate::config::{Scope, Token};

/// The tokens, and where the server listens.
#[derive(Debug, Default)]
pub(super) struct Access {
    tokens: Vec<([u8; 32], Vec<Scope>)>,
    /// Whether it is reached by names of this machine alone.
    loopback: bool,
}

impl Access {
    pub fn new(tokens: &[(String, Token)], loopback: bool) -> Self {
        let hashed = |(_, token): &(String, Token)| (hash(token.token.as_bytes()), token.scopes.clone());
        Access { tokens: tokens.iter().map(hashed).collect(), loopback }
    }

    /// Refuses a request that may not be made.
    fn check(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        let Some(wanted) = scope(request.method(), request.uri().path()) else { return Ok(()) };
        if self.tokens.is_empty() {
            // Whoever can reach the server may do everything, so a page of another site must not.
            // HTTP/2 has the host in the address.
            let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
            let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
            return if self.loopback {
                own_site(host.unwrap_or("localhost"), headers, wanted)
            } else {
                Ok(())
            };
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(Problem::no_token)?;
        let given = hash(given.trim().as_bytes());
        // All are compared, each in the same time: how long it takes says nothing of any token.
        let mut scopes: Option<&[Scope]> = None;
        for (token, own) in &self.tokens {
            if token.ct_eq(&given).into() {
                scopes = Some(own);
            }
        }
        match scopes {
            None => Err(Problem::no_token()),
            Some(scopes) if scopes.contains(&wanted) => Ok(()),
            Some(_) => Err(Problem::other_scope(wanted)),
        }
    }
}

/// Of one length, so that comparing tells no token's.
fn hash(token: &[u8]) -> [u8; 32] {
    *blake3::hash(token).as_bytes()
}

/// What a request needs; nothing where everybody may make it.
fn scope(method: &Method, path: &str) -> Option<Scope> {
    let open = path == "/"
        || path == "/openapi.json"
        || path.starts_with("/health/")
        || path.starts_with("/assets/");
    let reads = method == Method::GET || method == Method::HEAD || path.ends_with("/rank");
    match () {
        () if open => None,
        () if reads => Some(Scope::Read),
        () if path == "/v1/events" => Some(Scope::Write),
        () => Some(Scope::Admin),
    }
}

/// Refuses what a page of another site makes a browser send, and names that another site made point here.
fn own_site(host: &str, headers: &HeaderMap, wanted: Scope) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    let local =
        matches!(name, "localhost" | "[::1]") || name.starts_with("127.") || name.ends_with(".localhost");
    if !local {
        return Err(Problem::other_site(
            "the name in the request is none of this machine: ask for localhost, or give the server tokens",
        ));
    }
    let site = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, site)| site);
    if wanted != Scope::Read
        && (site.is_some_and(|site| site != host) || text(header::ORIGIN) == Some("null"))
    {
        return Err(Problem::other_site("a page of another site may change nothing here"));
    }
    Ok(())
}

/// Lets requests through that may be made.
pub(super) async fn guarded(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match app.access.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn status(access: &Access, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        access.check(&request.body(Body::empty()).unwrap()).map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn a_token_lets_do_what_its_scopes_say() {
        let token = |token: &str, scopes: &[Scope]| Token { token: token.into(), scopes: scopes.to_vec() };
        let tokens = [
            ("reader".to_owned(), token("reader-reader-reader", &[Scope::Read])),
            ("shop".to_owned(), token("shop-shop-shop-shop", &[Scope::Read, Scope::Write])),
            ("admin".to_owned(), token("admin-admin-admin-admin", &[Scope::Admin])),
        ];
        let access = Access::new(&tokens, false);
        let with = |token: &str| format!("Bearer {token}");
        let list = ("GET", "/v1/members/m/lists/top_picks");
        for (token, (method, path), wanted) in [
            ("", list, 401),
            ("wrong-wrong-wrong-wrong", list, 401),
            ("reader-reader-reader", list, 200),
            ("reader-reader-reader", ("POST", "/v1/members/m/rank"), 200),
            ("reader-reader-reader", ("POST", "/v1/events"), 403),
            ("shop-shop-shop-shop", ("POST", "/v1/events"), 200),
            ("shop-shop-shop-shop", ("DELETE", "/v1/members/m"), 403),
            ("admin-admin-admin-admin", ("DELETE", "/v1/members/m"), 200),
            ("admin-admin-admin-admin", ("POST", "/v1/models"), 200),
            ("admin-admin-admin-admin", list, 403),
            ("", ("GET", "/health/ready"), 200),
            ("", ("GET", "/"), 200),
            ("", ("GET", "/metrics"), 401),
        ] {
            let given = status(&access, method, path, &[("authorization", &with(token))]);
            assert_eq!(given, wanted, "{method} {path} with {token:?}");
        }
        assert_eq!(status(&access, "GET", "/v1/status", &[]), 401);
    }

    #[test]
    fn without_tokens_a_page_of_another_site_changes_nothing() {
        let access = Access::new(&[], true);
        for (headers, wanted) in [
            (vec![], 200),
            (vec![("host", "127.0.0.1:7070"), ("origin", "http://127.0.0.1:7070")], 200),
            (vec![("host", "localhost:7070"), ("origin", "https://example.org")], 403),
            (vec![("host", "localhost:7070"), ("origin", "null")], 403),
            (vec![("host", "rebound.example.org:7070")], 403),
            (vec![("host", "[::1]:7070")], 200),
        ] {
            assert_eq!(status(&access, "POST", "/v1/events", &headers), wanted, "{headers:?}");
        }
        assert_eq!(status(&access, "GET", "/v1/status", &[("host", "rebound.example.org")]), 403);
    }
}
