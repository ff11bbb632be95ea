//! What is committed, as it happens.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use serde::{Deserialize, Serialize};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};
use utoipa::{IntoParams, ToSchema};

use super::super::feed::Told;
use super::super::problem::Problem;
use super::{Query, Shared};

/// Of how many members at most a change names the ids.
const NAMED: usize = 100;

/// Whose changes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangesParams {
    /// Only commits in which this member's lists were made anew.
    member: Option<String>,
}

/// What a commit changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CommitChange {
    /// The epoch.
    epoch: u64,
    /// The newest event that it covers.
    as_of: Option<i64>,
    /// When it was committed.
    committed_at: i64,
    /// How many records it has.
    records: u64,
    /// Members whose lists were made anew, a hundred at most.
    members: Vec<String>,
    /// How many there are.
    members_changed: usize,
    /// The model that is live.
    model: Option<String>,
}

/// Commits as they happen, as server-sent events named `commit`.
///
/// Who listens too slowly misses some: an event named `missed` says how many.
#[utoipa::path(get, path = "/v1/changes", tag = "changes", params(ChangesParams),
    responses((status = 200, body = CommitChange, content_type = "text/event-stream"), (status = 400, body = Problem),
        (status = 503, body = Problem)))]
pub(super) async fn changes(
    State(app): Shared,
    Query(params): Query<ChangesParams>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    app.get()?;
    let member = params.member;
    let told = BroadcastStream::new(app.feed.commits()).filter_map(move |told| match told {
        Ok(told) => change(told, member.as_deref()),
        Err(missed) => Some(Event::default().event("missed").data(missed.to_string())),
    });
    Ok(Sse::new(told.map(Ok)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

fn change(told: Told, member: Option<&str>) -> Option<Event> {
    let Told { commit, as_of, model, committed_at } = told;
    let members: Vec<String> = match member {
        Some(member) => {
            let own = commit.members.iter().any(|changed| **changed == *member);
            // Another model makes everybody's lists anew.
            (own || commit.turned).then(|| vec![member.to_owned()])?
        }
        None => commit.members.iter().take(NAMED).map(|member| member.to_string()).collect(),
    };
    let change = CommitChange {
        epoch: commit.epoch,
        as_of,
        committed_at,
        records: commit.records,
        members,
        members_changed: commit.members.len(),
        model,
    };
    Event::default().event("commit").id(commit.epoch.to_string()).json_data(change).ok()
}
