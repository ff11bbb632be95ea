//! Records that are posted, on their way to the engine: those that wait share one commit.
//!
//! A post is acknowledged once its records are on disk, with their epoch. While one commit is under way the posts that
//! come in wait together for the next, so a thousand small posts a second need no thousand synced writes. Where more
//! wait than are taken in a moment, a post is turned away whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::metrics::Metrics;
use super::problem::Problem;
use crate::engine::Handle;
use crate::engine::socket::{Adopt, Commands, LatestAt};
use crate::sources::json::Decoder;
use crate::sources::{Batch, Place, decode_lines};
use crate::traces;

/// How many posts may wait.
const WAITING: usize = 4096;
/// How many bytes they may have.
const WAITING_BYTES: usize = 64 << 20;
/// How many bytes share a commit at most.
const TOGETHER: usize = 4 << 20;
/// How many groups may be under way: one is committed while another is gathered and decoded.
const GROUPS: usize = 2;

/// What a post is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Posted {
    /// The epoch that has the records: give it as `after` to read what was written.
    pub epoch: u64,
    /// How many records were taken.
    pub accepted: u64,
    /// The lines that were not, and why.
    pub rejected: Vec<RejectedLine>,
}

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct RejectedLine {
    /// Its number, from 1; in an array the place of the record. None where the engine turned a record away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Why.
    pub reason: String,
}

struct Post {
    lines: Vec<u8>,
    reply: oneshot::Sender<Result<Posted, Problem>>,
}

/// The ways to change something.
pub struct Pipeline {
    posts: Sender<Post>,
    waiting_bytes: Arc<AtomicUsize>,
    /// The engine.
    pub(super) handle: Handle,
    /// How models are taken in.
    pub(super) adopt: Adopt,
    /// How other commands are done.
    pub(super) commands: Commands,
}

impl Pipeline {
    /// Starts the threads that gather posts; they end with this.
    pub fn start(
        handle: Handle,
        latest_at: LatestAt,
        adopt: Adopt,
        commands: Commands,
    ) -> std::io::Result<Self> {
        let (posts, waiting) = bounded(WAITING);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        for _ in 0..GROUPS {
            let (waiting, bytes) = (waiting.clone(), waiting_bytes.clone());
            let (handle, latest_at) = (handle.clone(), latest_at.clone());
            std::thread::Builder::new()
                .name("posts".into())
                .spawn(move || gather(&waiting, &bytes, &handle, &latest_at))?;
        }
        Ok(Pipeline { posts, waiting_bytes, handle, adopt, commands })
    }

    /// Takes lines in, and says when they are on disk.
    pub(super) async fn post(&self, lines: Vec<u8>, metrics: &Metrics) -> Result<Posted, Problem> {
        let (bytes, began) = (lines.len(), Instant::now());
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > WAITING_BYTES {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Problem::behind());
        }
        let (reply, answer) = oneshot::channel();
        if let Err(refused) = self.posts.try_send(Post { lines, reply }) {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(match refused {
                TrySendError::Full(_) => Problem::behind(),
                TrySendError::Disconnected(_) => Problem::failed("the pipeline has ended"),
            });
        }
        let posted = answer.await.map_err(|_| Problem::failed("the pipeline ended before its answer"))??;
        traces::part("commit", began, "committed");
        metrics.posted(posted.accepted, posted.rejected.len() as u64);
        Ok(posted)
    }
}

/// Takes what waits, in one batch, and answers when it is on disk.
fn gather(waiting: &Receiver<Post>, waiting_bytes: &AtomicUsize, handle: &Handle, latest_at: &LatestAt) {
    let mut decoder = Decoder::default();
    while let Ok(first) = waiting.recv() {
        let mut batch = Batch::new("http".into());
        let mut group = Vec::new();
        let (mut next, mut bytes) = (Some(first), 0);
        while let Some(post) = next {
            bytes += post.lines.len();
            let before = (batch.len(), batch.rejected.len());
            decode_lines(&post.lines, Place::default(), latest_at(), &mut decoder, &mut batch);
            let rejected = batch.rejected[before.1..].iter();
            let rejected =
                rejected.map(|line| RejectedLine { line: Some(line.line), reason: line.detail.clone() });
            let accepted = (batch.len() - before.0) as u64;
            group.push((post.reply, Posted { epoch: 0, accepted, rejected: rejected.collect() }));
            next = if bytes < TOGETHER { waiting.try_recv().ok() } else { None };
        }
        waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let submitted = handle.submit(batch);
        for (reply, mut posted) in group {
            let answer = match &submitted {
                Ok(submitted) => {
                    posted.epoch = submitted.epoch;
                    // The engine says why and not which: it turns away what no ordinary producer sends.
                    let refused = submitted.refused.iter();
                    posted
                        .rejected
                        .extend(refused.map(|reason| RejectedLine { line: None, reason: reason.clone() }));
                    Ok(posted)
                }
                Err(error) => Err(Problem::failed(error.to_string())),
            };
            // Whoever asked has gone away; the records are kept all the same.
            let _ = reply.send(answer);
        }
    }
}
