//! Records, posted.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde_json::value::RawValue;

use super::super::posts::Posted;
use super::super::problem::Problem;
use super::{Shared, Whole};

/// The most records of one post.
const RECORDS: usize = 100_000;

/// A body of so many bytes is gone through in some tenths of a millisecond.
const AT_ONCE: usize = 64 << 10;

/// Takes records in, as JSON Lines or as a JSON array, plain or gzip; answers once they are on disk.
///
/// The answer's epoch, given as `after` to a list, waits for what was written. What cannot be taken is told line by line,
/// and stops nothing. Where the pipeline is behind, nothing of the post is taken (429); send it again: records that come
/// twice change nothing.
#[utoipa::path(post, path = "/v1/events", tag = "events",
    request_body(content((String = "application/x-ndjson"), (Vec<Object> = "application/json"))),
    responses((status = 200, body = Posted), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 413, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn post(
    State(app): Shared,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Json<Posted>, Problem> {
    let pipeline = app.get()?.pipeline.as_ref().ok_or_else(Problem::read_only)?;
    let limit = app.options.body_limit;
    if body.is_empty() {
        return Err(Problem::bad_request("the body is empty: send records, a line or an element each"));
    }
    let packed = match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => false,
        Some(b"gzip") => true,
        Some(_) => return Err(Problem::bad_request("content-encoding must be gzip, or none")),
    };
    let long = packed || body.len() > AT_ONCE;
    let read = move || lines(if packed { unzip(&body, limit)? } else { body.to_vec() });
    // What takes longer than others should wait goes to a thread of its own.
    let lines = if long {
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|_| Problem::failed("the body could not be read"))??
    } else {
        read()?
    };
    pipeline.post(lines, &app.metrics).await.map(Json)
}

/// Unpacks a body, to a limit: a few bytes may become gigabytes.
fn unzip(body: &[u8], limit: usize) -> Result<Vec<u8>, Problem> {
    use std::io::Read;
    let mut unzipped = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(body).take(limit as u64 + 1);
    reader
        .read_to_end(&mut unzipped)
        .map_err(|error| Problem::bad_request(format!("the body is not gzip: {error}")))?;
    if unzipped.len() > limit {
        return Err(Problem::too_large(limit));
    }
    Ok(unzipped)
}

/// Lines, of an array one a record.
fn lines(body: Vec<u8>) -> Result<Vec<u8>, Problem> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let lines = if first == Some(&b'[') {
        let records: Vec<&RawValue> = serde_json::from_slice(&body)
            .map_err(|error| Problem::bad_request(format!("the body is not an array of records: {error}")))?;
        let mut lines = Vec::with_capacity(body.len());
        for record in records {
            // Between tokens a line end is white space, and inside of texts there is none.
            lines.extend(
                record.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }),
            );
            lines.push(b'\n');
        }
        lines
    } else {
        body
    };
    if memchr::memchr_iter(b'\n', &lines).count() > RECORDS {
        return Err(Problem::bad_request(format!(
            "a post has {RECORDS} records at most; send fewer at a time"
        )));
    }
    Ok(lines)
}
