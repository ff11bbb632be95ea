//! What is counted of jobs.

use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::jobs::board::Board;
use crate::jobs::history::{JobState, Outcome};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfJob {
    job: String,
}

/// A number of a job.
type Number = Family<OfJob, Gauge>;

/// All of it, looked up when it is asked for.
#[derive(Default)]
pub(super) struct JobMetrics {
    runs: Number,
    failures: Number,
    missed: Number,
    skipped: Number,
    under_way: Number,
    failed: Number,
    last_good: Number,
    next: Number,
    /// The jobs, where there are some.
    pub board: OnceLock<Arc<Board>>,
}

impl JobMetrics {
    pub fn register(&self, registry: &mut Registry) {
        for (name, help, metric) in [
            ("job_runs", "How many runs of a job were begun", &self.runs),
            ("job_failures", "How many runs failed, also the last time that they were tried", &self.failures),
            ("job_missed", "How many times there was no run, as nothing ran then", &self.missed),
            ("job_skipped", "How many times there was none, as the run before was under way", &self.skipped),
            ("job_under_way", "1 where a run is under way", &self.under_way),
            ("job_failed", "1 where the last run failed", &self.failed),
        ] {
            registry.register(name, help, metric.clone());
        }
        for (name, help, metric) in [
            (
                "job_last_good",
                "When the last good run ended, since 1970; 0 where there was none",
                &self.last_good,
            ),
            ("job_next", "When it is done next, since 1970", &self.next),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
        }
    }

    pub fn look(&self) {
        let Some(board) = self.board.get() else { return };
        for JobState { job, runs, failures, missed, skipped, last_good, next, history, .. } in board.all() {
            let of = OfJob { job };
            let set = |metric: &Number, value: i64| {
                metric.get_or_create(&of).set(value);
            };
            set(&self.runs, runs as i64);
            set(&self.failures, failures as i64);
            set(&self.missed, missed as i64);
            set(&self.skipped, skipped as i64);
            set(&self.under_way, history.iter().any(|run| run.is_open()).into());
            let passed = |outcome| matches!(outcome, Outcome::Skipped | Outcome::Missed);
            let last = history.iter().rev().find(|run| !run.is_open() && !passed(run.outcome));
            set(&self.failed, last.is_some_and(|run| run.outcome == Outcome::Failed).into());
            set(&self.last_good, last_good.unwrap_or(0) / 1000);
            set(&self.next, next.unwrap_or(0) / 1000);
        }
    }
}
