//! A server of one process of several: what is about a member of another process is asked of that one.
//!
//! Any server answers for any member. A request whose path names a member that another process has is passed on as it is,
//! and its answer is passed back as it is: what is kept in memory for a member is kept at one place.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::App;
use super::problem::Problem;
use crate::processes::Share;
use crate::serving::clusters::ClustersStatus;
use crate::stores::Store;

/// Marks a request that was passed on: whoever gets it answers, or says why not.
const PASSED_ON: HeaderName = HeaderName::from_static("x-nearline-passed-on");
/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// How often the members of clusters are counted at most.
const COUNT_EVERY: Duration = Duration::from_secs(60);
/// How long an answer may take to begin. A route's own deadline comes before; an erasure takes as long as it takes.
const BEGIN: Duration = Duration::from_secs(15);

/// What is between two servers and no part of what is passed on, and what a browser says of this one.
const OWN: [HeaderName; 8] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::ORIGIN,
];

/// The other processes of a pipeline, as a server knows them.
pub struct Peers {
    /// Which process this one is.
    pub share: Share,
    /// Where each answers over HTTP, by process: `HOST:PORT` or a URL; none where one does not.
    pub http: Vec<Option<String>>,
    /// The stores of all, to be read as one.
    pub whole: Arc<dyn Store>,
}

/// The way to the other servers.
pub(super) struct Passing {
    pub peers: Peers,
    client: reqwest::Client,
    /// The clusters with the members of all processes, and when these were counted.
    counted: Mutex<Option<(Instant, ClustersStatus)>>,
}

impl Passing {
    pub fn new(peers: Peers) -> Result<Self, String> {
        // One that was chosen before stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| format!("no client of HTTP can be made: {error}"))?;
        Ok(Passing { peers, client, counted: Mutex::default() })
    }

    /// The clusters of these centres, as the members of all processes were counted last, unless that is long ago: it takes
    /// a look at each.
    pub fn counted(&self, centres: Option<&str>) -> Option<ClustersStatus> {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(at, known): &&(Instant, ClustersStatus)| {
            at.elapsed() < COUNT_EVERY && Some(&*known.centres) == centres
        };
        counted.as_ref().filter(fresh).map(|(_, known)| known.clone())
    }

    /// Keeps them as they were counted just now, if they were.
    pub fn keep_counted(&self, clusters: Option<&ClustersStatus>) {
        if let Some(clusters) = clusters {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            *counted = Some((Instant::now(), clusters.clone()));
        }
    }

    async fn pass_on(&self, owner: usize, request: Request, limit: usize) -> Result<Response, Problem> {
        let Some(address) = self.peers.http.get(owner).and_then(Option::as_deref) else {
            return Err(Problem::elsewhere(format!(
                "the member belongs to process {owner}, which does not answer over HTTP: start it with --listen"
            )));
        };
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, limit).await.map_err(|_| Problem::too_large(limit))?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let base = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let mut asked = self.client.request(parts.method.clone(), base + path).body(body);
        for (name, value) in parts.headers.iter().filter(|(name, _)| !OWN.contains(name)) {
            asked = asked.header(name, value);
        }
        asked = asked.header(PASSED_ON, HeaderValue::from(self.peers.share.process));
        let why = |what: String| {
            Problem::no_answer(format!("process {owner} at {address} has the member, and {what}"))
        };
        let answer = if parts.method == Method::DELETE {
            asked.send().await
        } else {
            let begun = tokio::time::timeout(BEGIN, asked.send()).await;
            begun.map_err(|_| why(format!("did not answer within {} s", BEGIN.as_secs())))?
        };
        answer.map(passed_back).map_err(|error| why(format!("could not be asked: {}", root(&error))))
    }
}

/// The innermost of what was said.
fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// An answer as it comes, piece by piece.
fn passed_back(answer: reqwest::Response) -> Response {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let pieces = stream::unfold(Some(answer), async |answer| {
        let mut answer = answer?;
        match answer.chunk().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(answer))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    let mut response = (status, Body::from_stream(pieces)).into_response();
    // What it says of its form is what it is.
    response.headers_mut().clear();
    for (name, value) in headers.iter().filter(|(name, _)| !OWN.contains(name)) {
        response.headers_mut().append(name, value.clone());
    }
    response
}

/// The member that a path names, as it is meant.
fn member_of(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/v1/members/")?;
    let segment = rest.split('/').next().filter(|segment| !segment.is_empty())?;
    let (mut bytes, mut left) = (Vec::with_capacity(segment.len()), segment.bytes());
    while let Some(byte) = left.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(left.next()?).to_digit(16);
        bytes.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).ok()
}

/// Passes requests on that are about members of other processes.
pub(super) async fn passed_on(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(share) = app.share() else { return next.run(request).await };
    // What is no member's id, its route says.
    let owner = member_of(request.uri().path()).map(|member| share.owner(&member));
    let Some(owner) = owner.filter(|owner| *owner != share.process) else { return next.run(request).await };
    let Some(passing) = app.passing.get() else {
        return Problem::elsewhere(format!(
            "the member belongs to process {owner} of {}, and this server reads the folder of process {} alone",
            share.processes, share.process
        ))
        .into_response();
    };
    if request.headers().contains_key(&PASSED_ON) {
        return Problem::no_answer(format!(
            "the member belongs to process {owner}, and this is process {}: the processes do not agree on where they are",
            share.process
        ))
        .into_response();
    }
    match passing.pass_on(owner, request, app.options.body_limit).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::member_of;

    #[test]
    fn the_member_of_a_path_is_what_is_meant_by_it() {
        for (path, member) in [
            ("/v1/members/m1/lists/top_picks", Some("m1")),
            ("/v1/members/m1", Some("m1")),
            ("/v1/members/a%2Fb%20%c3%a9/page", Some("a/b é")),
            ("/v1/members/a+b", Some("a+b")),
            ("/v1/members", None),
            ("/v1/members/", None),
            ("/v1/members/%zz", None),
            ("/v1/members/%c3", None),
            ("/v1/members/%c", None),
            ("/v1/popular", None),
        ] {
            assert_eq!(member_of(path).as_deref(), member, "{path}");
        }
    }
}
