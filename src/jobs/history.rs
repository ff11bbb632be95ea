//! What is known of a job: its last runs, how many there were, and what was missed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many runs of a job are kept.
pub const KEPT: usize = 50;

/// A job, as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobState {
    /// Its name.
    pub job: String,
    /// When it is done: cron's fields and the zone.
    pub at: String,
    /// The command.
    pub command: String,
    /// Since when it is known, in milliseconds since 1970.
    pub since: i64,
    /// Up to which moment all its times were seen to.
    pub seen: i64,
    /// When it is done next.
    pub next: Option<i64>,
    /// How many runs there were.
    pub runs: u64,
    /// How many of them failed, also the last time that they were tried.
    pub failures: u64,
    /// How many times it was not run, as nothing ran then.
    pub missed: u64,
    /// How many times it was not run, as the run before was still under way.
    pub skipped: u64,
    /// When the last good run ended.
    pub last_good: Option<i64>,
    /// Which time was missed last, where no run was good since.
    pub missed_at: Option<i64>,
    /// How many times were missed when this process began to look.
    #[serde(skip)]
    pub missed_before: u64,
    /// The last runs, the newest last.
    pub history: Vec<Run>,
}

/// A run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its number, from 1.
    pub number: u64,
    /// For which time it is, in milliseconds since 1970.
    pub due: i64,
    /// Why it was begun.
    pub begun_by: BegunBy,
    /// When it began.
    pub began: i64,
    /// When it ended.
    pub ended: Option<i64>,
    /// How often it was tried.
    pub attempts: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// The exit code of the last attempt; none where a signal ended it.
    pub exit: Option<i32>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    /// What a failed attempt said last, on standard error.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub said: Vec<String>,
    /// The version that it published.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
}

/// Why a run was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BegunBy {
    /// It was time.
    Time,
    /// It was missed, and is made good.
    Missed,
    /// The run before was broken off, and is made good.
    BrokenOff,
    /// Somebody asked for it.
    Command,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is under way.
    UnderWay,
    /// An attempt failed, and it is tried again.
    Waiting,
    /// It did what it was to do.
    Good,
    /// It failed.
    Failed,
    /// The process that did it ended.
    BrokenOff,
    /// It was time for it while the run before was under way.
    Skipped,
    /// It was time for it when nothing ran.
    Missed,
}

impl Outcome {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::UnderWay => "under way",
            Outcome::Waiting => "failed, to be tried again",
            Outcome::Good => "good",
            Outcome::Failed => "failed",
            Outcome::BrokenOff => "broken off",
            Outcome::Skipped => "skipped: the run before was under way",
            Outcome::Missed => "missed: nothing ran then",
        }
    }
}

impl Run {
    /// Whether it has not come to its end.
    pub fn is_open(&self) -> bool {
        matches!(self.outcome, Outcome::UnderWay | Outcome::Waiting)
    }
}

impl JobState {
    /// The run that is under way, if one is.
    pub fn open(&self) -> Option<&Run> {
        self.history.iter().rev().find(|run| run.is_open())
    }

    /// The newest run that was tried at all.
    pub fn last(&self) -> Option<&Run> {
        self.history.iter().rev().find(|run| !matches!(run.outcome, Outcome::Skipped | Outcome::Missed))
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut Run> {
        self.history.iter_mut().rev().find(|run| run.is_open())
    }

    /// Begins a run.
    pub(super) fn begin(&mut self, due: i64, begun_by: BegunBy, attempts: u32, now: i64) {
        self.runs += 1;
        self.push(Run { attempts, ..Run::new(self.runs, due, begun_by, now, Outcome::UnderWay) });
    }

    /// Notes times at which there was no run, the last of them at `due`.
    pub(super) fn pass(&mut self, outcome: Outcome, due: i64, count: u64, now: i64) {
        if outcome == Outcome::Missed {
            (self.missed, self.missed_at) = (self.missed + count, Some(due));
        } else {
            self.skipped += count;
        }
        let why = (count > 1).then(|| format!("{count} times"));
        self.push(Run { ended: Some(now), why, ..Run::new(self.runs, due, BegunBy::Time, now, outcome) });
    }

    fn push(&mut self, run: Run) {
        self.history.push(run);
        // The newest that was tried is kept, however much is skipped.
        while self.history.len() > KEPT {
            let tried = |run: &Run| !matches!(run.outcome, Outcome::Skipped | Outcome::Missed);
            let newest = self.history.iter().rposition(tried);
            let oldest = usize::from(newest == Some(0));
            self.history.remove(oldest);
        }
    }
}

impl Run {
    fn new(number: u64, due: i64, begun_by: BegunBy, now: i64, outcome: Outcome) -> Run {
        Run {
            number,
            due,
            begun_by,
            began: now,
            ended: None,
            attempts: 0,
            outcome,
            exit: None,
            why: None,
            said: Vec::new(),
            version: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_bounded_and_keeps_the_newest_run() {
        let mut state = JobState::default();
        state.begin(0, BegunBy::Time, 1, 0);
        for due in 1..200 {
            state.pass(Outcome::Skipped, due, 1, due);
        }
        assert_eq!((state.history.len(), state.skipped, state.runs), (KEPT, 199, 1));
        assert!(state.open().is_some());
        assert_eq!(state.history.last().unwrap().due, 199);
    }

    #[test]
    fn what_was_missed_is_counted_and_said() {
        let mut state = JobState::default();
        state.pass(Outcome::Missed, 7, 3, 9);
        assert_eq!((state.missed, state.missed_at), (3, Some(7)));
        assert_eq!(state.history[0].why.as_deref(), Some("3 times"));
        assert!(state.last().is_none() && state.open().is_none());
    }
}
