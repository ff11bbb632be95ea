//! What can be counted and timed, in Prometheus' words.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::super::list::Rung;
use super::metrics_jobs::JobMetrics;
use super::metrics_mirrors::MirrorMetrics;
use super::metrics_publications::PublicationMetrics;
use crate::archive::Archive;
use crate::engine::observer::Commit;
use crate::serving::clusters::ClustersStatus;
use crate::sources::kafka::Lags;
use crate::stores::formats::OfflineBatch;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operator {
    operator: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    rung: &'static str,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVariant {
    variant: String,
    rung: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRung {
    rung: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Records {
    source: &'static str,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPartition {
    topic: String,
    partition: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Outcome {
    Accepted,
    Rejected,
}

/// All metrics, and what answers of `/v1/status` are made of.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    request_seconds: Family<Route, Histogram>,
    answers: Family<Answer, Counter>,
    variant_answers: Family<OfVariant, Counter>,
    faults: Family<OfRung, Counter>,
    posted: Family<Records, Counter>,
    records: Family<Records, Counter>,
    commits: Counter,
    refreshes: Counter,
    commit_seconds: Histogram,
    graph_seconds: Histogram,
    store_seconds: Histogram,
    operator_seconds: Family<Operator, Counter<f64, AtomicU64>>,
    epoch: Gauge,
    live_events: Gauge,
    committed_at: Gauge,
    batch_at: Gauge,
    batch_members: Gauge,
    clusters: Gauge,
    clustered_members: Gauge,
    partition_next: Family<OfPartition, Gauge>,
    partition_end: Family<OfPartition, Gauge>,
    partition_lag: Family<OfPartition, Gauge>,
    partition_resets: Family<OfPartition, Gauge>,
    pub(super) publications: PublicationMetrics,
    pub(super) jobs: JobMetrics,
    pub(super) mirrors: MirrorMetrics,
    pub(super) rates: Rates,
    /// How far topics are read, where there are any.
    pub(super) lags: OnceLock<Lags>,
    archive_epoch: Gauge,
    archive_files: Gauge,
    archive_waiting: Gauge,
    archive_failures: Gauge,
    /// The archive, where there is one.
    pub(super) archive: OnceLock<Arc<Archive>>,
}

/// From a tenth of a millisecond to half a minute.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 19))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("nearline"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            answers: Family::default(),
            variant_answers: Family::default(),
            faults: Family::default(),
            posted: Family::default(),
            records: Family::default(),
            commits: Counter::default(),
            refreshes: Counter::default(),
            commit_seconds: seconds(),
            graph_seconds: seconds(),
            store_seconds: seconds(),
            operator_seconds: Family::default(),
            epoch: Gauge::default(),
            live_events: Gauge::default(),
            committed_at: Gauge::default(),
            batch_at: Gauge::default(),
            batch_members: Gauge::default(),
            clusters: Gauge::default(),
            clustered_members: Gauge::default(),
            partition_next: Family::default(),
            partition_end: Family::default(),
            partition_lag: Family::default(),
            partition_resets: Family::default(),
            publications: PublicationMetrics::default(),
            jobs: JobMetrics::default(),
            mirrors: MirrorMetrics::default(),
            rates: Rates::default(),
            lags: OnceLock::new(),
            archive_epoch: Gauge::default(),
            archive_files: Gauge::default(),
            archive_waiting: Gauge::default(),
            archive_failures: Gauge::default(),
            archive: OnceLock::new(),
        };
        metrics.register();
        metrics.publications.register(&mut metrics.registry);
        metrics.jobs.register(&mut metrics.registry);
        metrics.mirrors.register(&mut metrics.registry);
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let seconds = |registry: &mut Registry, name, help, metric| {
            registry.register_with_unit(name, help, Unit::Seconds, metric);
        };
        registry.register("requests", "Requests answered, by route and HTTP status", self.requests.clone());
        registry.register_with_unit(
            "request",
            "Time from a request to its answer",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        registry.register(
            "answers",
            "Lists answered, by the rung they are from and why none above had it",
            self.answers.clone(),
        );
        registry.register(
            "variant_answers",
            "Lists answered, by the variant of their member and the rung they are from",
            self.variant_answers.clone(),
        );
        registry.register("rung_faults", "Rungs that failed or came too late", self.faults.clone());
        registry.register("posted", "Records posted, by outcome", self.posted.clone());
        registry.register("records", "Records committed, by outcome", self.records.clone());
        registry.register("commits", "Epochs committed", self.commits.clone());
        registry.register("refreshes", "Lists made anew", self.refreshes.clone());
        seconds(
            registry,
            "commit",
            "Time from an epoch's first record to its commit",
            self.commit_seconds.clone(),
        );
        seconds(
            registry,
            "graph",
            "Of that, until the graph had worked it out: histories, counts, solving and scoring",
            self.graph_seconds.clone(),
        );
        seconds(registry, "store", "Of that, writing and syncing", self.store_seconds.clone());
        registry.register_with_unit(
            "operator",
            "Time that each operator of the graph has worked, all workers together; top_picks solves and scores",
            Unit::Seconds,
            self.operator_seconds.clone(),
        );
        registry.register("epoch", "The epoch that was committed last", self.epoch.clone());
        registry.register("live_events", "Live events", self.live_events.clone());
        registry.register_with_unit(
            "committed_at",
            "When the last epoch was committed, since 1970",
            Unit::Seconds,
            self.committed_at.clone(),
        );
        registry.register_with_unit(
            "batch_at",
            "When the lists of the last batch job were made, since 1970; 0 where there are none",
            Unit::Seconds,
            self.batch_at.clone(),
        );
        registry.register(
            "batch_members",
            "Members who have a list of the last batch job",
            self.batch_members.clone(),
        );
        registry.register(
            "clusters",
            "Clusters that members are found in; 0 where there are none",
            self.clusters.clone(),
        );
        registry.register(
            "clustered_members",
            "Members who belong to one, as it was counted last",
            self.clustered_members.clone(),
        );
        for (name, help, metric) in [
            ("kafka_next", "The offset that is read next, by what is committed", &self.partition_next),
            ("kafka_end", "The offset behind the newest message", &self.partition_end),
            ("kafka_lag", "Messages that are not read and committed yet", &self.partition_lag),
            (
                "kafka_resets",
                "How often reading had to go on elsewhere, as messages to be read were not there",
                &self.partition_resets,
            ),
        ] {
            registry.register(name, help, metric.clone());
        }
        for (name, help, metric) in [
            ("archive_epoch", "The epoch up to which all is archived", &self.archive_epoch),
            ("archive_files", "Files of the archive", &self.archive_files),
            ("archive_waiting", "Records that wait to be archived", &self.archive_waiting),
            ("archive_failures", "How often the archive could not be worked on", &self.archive_failures),
        ] {
            registry.register(name, help, metric.clone());
        }
    }

    fn look_at_archive(&self) {
        let Some(archive) = self.archive.get() else { return };
        self.archive_waiting.set(archive.waiting().records() as i64);
        self.archive_failures.set(archive.failures() as i64);
        if let Ok(state) = archive.state() {
            self.archive_epoch.set(state.archived as i64);
            self.archive_files.set(state.files as i64);
        }
    }

    fn look_at_topics(&self) {
        for lag in self.lags.get().map(Lags::all).unwrap_or_default() {
            let of = OfPartition { topic: lag.topic.clone(), partition: lag.number };
            let set = |metric: &Family<OfPartition, Gauge>, value: Option<u64>| {
                if let Some(value) = value {
                    metric.get_or_create(&of).set(value as i64);
                }
            };
            set(&self.partition_next, lag.next);
            set(&self.partition_end, lag.end);
            set(&self.partition_lag, lag.behind());
            set(&self.partition_resets, Some(lag.resets));
        }
    }

    /// All of it as text.
    pub fn text(&self) -> String {
        self.look_at_topics();
        self.look_at_archive();
        self.publications.look();
        self.jobs.look();
        self.mirrors.look();
        let mut text = String::new();
        // A string takes whatever is written.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub fn committed(&self, commit: &Commit) {
        self.commits.inc();
        self.refreshes.inc_by(commit.lists);
        for (outcome, count) in [(Outcome::Accepted, commit.records), (Outcome::Rejected, commit.rejected)] {
            if count > 0 {
                self.records.get_or_create(&Records { source: "all", outcome }).inc_by(count);
            }
        }
        self.epoch.set(commit.epoch as i64);
        self.live_events.set(commit.counts.live_events as i64);
        self.committed_at.set(super::now_ms() / 1000);
        self.store_seconds.observe(commit.stored_in.as_secs_f64());
        let took = commit.opened.map(|opened| opened.elapsed());
        if let (Some(took), Some(opened), Some(worked_out)) = (took, commit.opened, commit.worked_out) {
            self.commit_seconds.observe(took.as_secs_f64());
            self.graph_seconds.observe(worked_out.saturating_duration_since(opened).as_secs_f64());
        }
        self.rates.committed(commit, took);
    }

    pub fn worked(&self, operator: &str, time: Duration) {
        let operator = Operator { operator: operator.to_owned() };
        self.operator_seconds.get_or_create(&operator).inc_by(time.as_secs_f64());
    }

    pub fn batch(&self, batch: Option<&OfflineBatch>) {
        self.batch_at.set(batch.map_or(0, |batch| batch.made_at / 1000));
        self.batch_members.set(batch.map_or(0, |batch| batch.members as i64));
    }

    pub fn clusters(&self, clusters: Option<&ClustersStatus>) {
        self.clusters.set(clusters.map_or(0, |clusters| clusters.clusters.into()));
        self.clustered_members.set(clusters.map_or(0, |clusters| clusters.members as i64));
    }

    pub fn posted(&self, accepted: u64, rejected: u64) {
        for (outcome, count) in [(Outcome::Accepted, accepted), (Outcome::Rejected, rejected)] {
            self.posted.get_or_create(&Records { source: "http", outcome }).inc_by(count);
        }
    }

    /// Variants are those of the config, so there are few.
    pub fn answered(&self, rung: Rung, reason: Option<&str>, variant: Option<&str>) {
        if let Some(variant) = variant {
            let of = OfVariant { variant: variant.to_owned(), rung: rung.as_str() };
            self.variant_answers.get_or_create(&of).inc();
        }
        // Of reasons with numbers in them the beginning: a label must not grow without end.
        let reason: String = reason.unwrap_or("").chars().take_while(|c| !c.is_ascii_digit()).collect();
        self.answers.get_or_create(&Answer { rung: rung.as_str(), reason }).inc();
    }

    pub fn faulted(&self, rung: Rung) {
        self.faults.get_or_create(&OfRung { rung: rung.as_str() }).inc();
    }

    pub fn requested(&self, route: &str, status: u16, took: Duration) {
        self.requests.get_or_create(&Request { route: route.to_owned(), status }).inc();
        let route = Route { route: route.to_owned() };
        self.request_seconds.get_or_create(&route).observe(took.as_secs_f64());
        self.rates.requested();
    }
}

/// How many seconds a rate is taken over.
const WINDOW: usize = 10;
/// How many commits are remembered for their times.
const TIMES: usize = 4096;

/// What happened in each of the last seconds.
#[derive(Default)]
pub(super) struct Rates(Mutex<Seconds>);

#[derive(Default)]
struct Seconds {
    began: Option<Instant>,
    seconds: [[u64; 4]; WINDOW + 1],
    /// Which second each place is of.
    of: [u64; WINDOW + 1],
    times: std::collections::VecDeque<(Instant, f64)>,
}

/// What is counted.
#[derive(Clone, Copy)]
enum Counted {
    Records,
    Commits,
    Requests,
    Refreshes,
}

/// Rates of the last ten seconds, and times of the last minute.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub(super) struct Lately {
    /// Records committed a second.
    pub records_per_s: f64,
    /// Epochs committed a second.
    pub commits_per_s: f64,
    /// Requests answered a second.
    pub requests_per_s: f64,
    /// Lists made anew a second.
    pub refreshes_per_s: f64,
    /// From a record's arrival to its commit, in milliseconds: half of the commits of the last minute were quicker.
    pub commit_ms_p50: Option<f64>,
    /// Ninety-nine in a hundred were quicker.
    pub commit_ms_p99: Option<f64>,
}

impl Rates {
    fn add(&self, what: &[(Counted, u64)], took: Option<Duration>) {
        let mut seconds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let second = now.duration_since(*seconds.began.get_or_insert(now)).as_secs();
        let place = second as usize % (WINDOW + 1);
        if seconds.of[place] != second {
            (seconds.of[place], seconds.seconds[place]) = (second, [0; 4]);
        }
        for (counted, count) in what {
            seconds.seconds[place][*counted as usize] += count;
        }
        if let Some(took) = took {
            if seconds.times.len() == TIMES {
                seconds.times.pop_front();
            }
            seconds.times.push_back((now, took.as_secs_f64() * 1e3));
        }
    }

    fn committed(&self, commit: &Commit, took: Option<Duration>) {
        let counts =
            [(Counted::Records, commit.records), (Counted::Commits, 1), (Counted::Refreshes, commit.lists)];
        self.add(&counts, took);
    }

    fn requested(&self) {
        self.add(&[(Counted::Requests, 1)], None);
    }

    /// The last ten whole seconds.
    pub fn lately(&self) -> Lately {
        let seconds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let second = seconds.began.map_or(0, |began| now.duration_since(began).as_secs());
        let window = second.min(WINDOW as u64).max(1);
        let rate = |what: Counted| {
            let whole = |of: &&u64| **of < second && **of + window >= second;
            let counted = seconds.of.iter().zip(&seconds.seconds).filter(|(of, _)| whole(of));
            counted.map(|(_, counts)| counts[what as usize]).sum::<u64>() as f64 / window as f64
        };
        let mut times: Vec<f64> = seconds
            .times
            .iter()
            .filter(|(at, _)| now.duration_since(*at) < Duration::from_secs(60))
            .map(|(_, took)| *took)
            .collect();
        times.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1)))
        };
        Lately {
            records_per_s: rate(Counted::Records),
            commits_per_s: rate(Counted::Commits),
            requests_per_s: rate(Counted::Requests),
            refreshes_per_s: rate(Counted::Refreshes),
            commit_ms_p50: at(0.5).copied(),
            commit_ms_p99: at(0.99).copied(),
        }
    }
}
