//! A run of a job, with its retries: noted before each attempt and after it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::JobsError;
use super::board::Board;
use super::child::{End, attempt};
use super::history::{Outcome, Run};
use crate::config::Access;
use crate::config::jobs::Job;
use crate::failpoints::reach;
use crate::publications::{Latest, Publications, now_ms};

/// How often it is looked whether the process is to end, while an attempt is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// How jobs are begun.
#[derive(Debug, Clone)]
pub struct Way {
    /// The program: this one.
    pub program: PathBuf,
    /// What is said to it before the command: the data folder and the config.
    pub before: Vec<String>,
    /// Where publications are looked for.
    pub publisher: Publisher,
}

/// Where it is looked whether a job published something.
#[derive(Debug, Clone, Default)]
pub struct Publisher {
    /// The repository of the config.
    pub repository: Option<String>,
    /// How repositories on servers are reached.
    pub access: Access,
}

impl Publisher {
    /// The newest version of what a job publishes; none where it publishes nothing, or nothing was ever published.
    fn latest(&self, job: &Job) -> Result<Option<Latest>, String> {
        let Some(name) = &job.publication else { return Ok(None) };
        let Some(url) = job.repository().or(self.repository.as_deref()) else { return Ok(None) };
        let publications = Publications::open(url, &self.access).map_err(|error| error.to_string())?;
        publications.latest(name).map_err(|error| error.to_string())
    }
}

/// Sees a run through that was begun on the board. What ends it without an outcome of its own is that the process ends.
pub(super) fn see_through(job: &Job, board: &Board, way: &Way, stop: &AtomicBool) -> Result<(), JobsError> {
    let tried = |run: &Run| run.attempts > job.retries;
    loop {
        reach("job-begun");
        let ended = published(job, way, stop);
        reach("job-ended");
        let now = now_ms();
        let mut again = false;
        board.change(&job.name, |state| {
            let Some(run) = state.open_mut() else { return };
            run.ended = Some(now);
            match ended {
                Ended::Good(version) => {
                    (run.outcome, run.exit, run.version) = (Outcome::Good, Some(0), version);
                    (run.why, run.said) = (None, Vec::new());
                    (state.last_good, state.missed_at) = (Some(now), None);
                }
                Ended::Failed { exit, why, said } => {
                    again = !tried(run);
                    run.outcome = if again { Outcome::Waiting } else { Outcome::Failed };
                    (run.exit, run.why, run.said) = (exit, Some(why), said);
                    if again {
                        run.ended = None;
                    } else {
                        state.failures += 1;
                    }
                }
                Ended::Stopped => broken_off(run, now),
            }
        })?;
        if !again {
            return Ok(());
        }
        if !waited(job.retry_after.duration(), stop) {
            return board.change(&job.name, |state| {
                state.open_mut().into_iter().for_each(|run| broken_off(run, now_ms()));
            });
        }
        board.change(&job.name, |state| {
            let Some(run) = state.open_mut() else { return };
            (run.outcome, run.attempts) = (Outcome::UnderWay, run.attempts + 1);
        })?;
    }
}

/// An end that was asked for is none of the job's failures.
fn broken_off(run: &mut Run, now: i64) {
    (run.outcome, run.ended) = (Outcome::BrokenOff, Some(now));
    run.attempts = run.attempts.saturating_sub(1);
    run.why = Some("the process that did it was ended".to_owned());
}

enum Ended {
    Good(Option<String>),
    Failed { exit: Option<i32>, why: String, said: Vec<String> },
    Stopped,
}

/// Does it once, and looks whether what it publishes is there.
fn published(job: &Job, way: &Way, stop: &AtomicBool) -> Ended {
    let failed = |why: String| Ended::Failed { exit: Some(0), why, said: Vec::new() };
    let before = match way.publisher.latest(job) {
        Ok(before) => before,
        Err(why) => return Ended::Failed { exit: None, why, said: Vec::new() },
    };
    match attempt(job, way, stop) {
        End::Stopped => return Ended::Stopped,
        End::Failed { exit, why, said } => return Ended::Failed { exit, why, said },
        End::Good => {}
    }
    let Some(name) = &job.publication else { return Ended::Good(None) };
    match way.publisher.latest(job) {
        Err(why) => failed(why),
        Ok(Some(after)) if before.as_ref() != Some(&after) => Ended::Good(Some(after.version)),
        Ok(_) => failed(format!("it ended well, and the publication {name} has no newer version")),
    }
}

/// Waits; says whether the time came, and not the end.
fn waited(time: Duration, stop: &AtomicBool) -> bool {
    let began = Instant::now();
    while began.elapsed() < time {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        std::thread::sleep(LOOK.min(time));
    }
    !stop.load(Ordering::Relaxed)
}
