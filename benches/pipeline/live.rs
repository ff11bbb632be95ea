//! A live pipe: events written into the standard input of `nearline run` at a given rate, whatever becomes of them, and a
//! reader beside it (`watch.rs`) who sees them committed. Latencies are from the moment at which an event was due.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::process::{Running, processor_seconds};
use super::table::{Spread, Wanted};
use super::watch::Watch;
use super::{Bench, percentile};

/// What the rate of the table's row is.
const RATE: f64 = 2_000.0;
/// What the 99th percentile must stay under at the highest rate, in milliseconds.
const LATE: f64 = 100.0;
/// So far behind its time the writer gives a rate up.
const HOPELESS: Duration = Duration::from_secs(2);
/// Between the rate that is kept and one that is not.
const CLOSE: f64 = 1.1;

/// The latencies at 2,000 events/s, and the highest rate.
pub fn live(bench: &mut Bench) {
    let mut pipe = Pipe::open(&bench.path("lists"));
    // The first events meet cold caches and files that are still open.
    pipe.at_rate(RATE, 1.0);
    let seconds = bench.options.seconds;
    let mut found: [Vec<f64>; 3] = Default::default();
    for _ in 0..bench.options.runs {
        let trial = pipe.at_rate(RATE, seconds);
        for (found, share) in found.iter_mut().zip([0.5, 0.99, 0.999]) {
            found.push(percentile(&trial.latencies, share));
        }
    }
    for ((found, name), most) in found.into_iter().zip(["p50", "p99", "p99.9"]).zip([3.0, 10.0, 25.0]) {
        let what = format!("a pipe at 2,000 events/s: event to committed and readable, {name}");
        bench.table.row(&what, Wanted::AtMost(most), "ms", Spread::of(found));
    }
    let (mut rates, mut bounds) = (Vec::new(), String::new());
    for _ in 0..bench.options.runs {
        let highest = pipe.highest(seconds);
        rates.push(highest.rate);
        bounds = highest.bounds();
    }
    let what = "highest rate of a pipe with the 99th percentile under 100 ms";
    bench.table.row(what, Wanted::Nothing, "events/s", Spread::of(rates));
    bench.table.note(bounds);
    bench.table.note(pipe.close());
}

/// A running pipeline with its pipe and whoever watches it.
struct Pipe {
    running: Running,
    input: Box<dyn Write>,
    watch: Watch,
    /// Of this run, so that no event is one of an earlier run on the same folder.
    run: u32,
    /// How many events went in so far.
    sent: u64,
}

/// What became of the events of one rate.
struct Trial {
    rate: f64,
    /// Of each event, in milliseconds, sorted.
    latencies: Vec<f64>,
    /// Processor time meanwhile by thread, as a share of one core, largest first.
    threads: Vec<(String, f64)>,
    /// Seconds that operators of the graph took meanwhile, largest first, as a share of one core.
    operators: Vec<(String, f64)>,
    /// Of whoever writes and watches.
    bench: f64,
    /// How many events an epoch had.
    epoch: f64,
}

impl Pipe {
    fn open(data: &str) -> Pipe {
        let mut running = Running::start(data, &[]);
        let watch = Watch::begin(&running.host, super::event_of);
        let input = Box::new(running.pipe());
        Pipe { running, input, watch, run: std::process::id(), sent: 0 }
    }

    /// Writes each event when it is due, for so many seconds, and waits until all are committed.
    fn at_rate(&mut self, rate: f64, seconds: f64) -> Trial {
        let (first, total) = (self.sent, (rate * seconds) as u64);
        let before =
            (self.running.threads(), self.running.operators(), processor_seconds(std::process::id()));
        let commits = self.watch.commits();
        let started = Instant::now();
        let due = |number: u64| started + Duration::from_secs_f64(number as f64 / rate);
        let (mut sent, mut lines) = (0, Vec::new());
        while sent < total {
            let now = Instant::now();
            if now < due(sent) {
                std::thread::sleep(due(sent) - now);
                continue;
            }
            if now - due(sent) > HOPELESS {
                break;
            }
            lines.clear();
            let until = sent + 256;
            while sent < total.min(until) && due(sent) <= now {
                super::write_event(&mut lines, self.run, first + sent);
                sent += 1;
            }
            self.input.write_all(&lines).unwrap();
        }
        self.sent += sent;
        let seen = self.watch.wait_for(self.sent, commits);
        let took = started.elapsed().as_secs_f64();
        let mut latencies = Vec::with_capacity(sent as usize);
        let mut number = 0;
        for (at, covered) in &seen {
            while first + number < *covered && number < sent {
                latencies.push(at.saturating_duration_since(due(number)).as_secs_f64() * 1e3);
                number += 1;
            }
        }
        latencies.sort_by(f64::total_cmp);
        let (threads, operators, bench) = before;
        let more = |now: f64, before: f64| (now - before) / took;
        let mut of = [(self.running.threads(), threads), (self.running.operators(), operators)].map(
            |(now, before)| {
                let each = now.into_iter().map(|(name, now)| {
                    let before = before.get(&name).copied().unwrap_or(0.0);
                    (name, more(now, before))
                });
                let mut all: Vec<(String, f64)> = each.collect();
                all.sort_by(|one, other| other.1.total_cmp(&one.1));
                all
            },
        );
        Trial {
            rate,
            latencies,
            threads: std::mem::take(&mut of[0]),
            operators: std::mem::take(&mut of[1]),
            bench: more(processor_seconds(std::process::id()), bench),
            epoch: sent as f64 / seen.len().max(1) as f64,
        }
    }

    /// The highest rate that is kept: by doubling, and then between the last that was and the first that was not.
    fn highest(&mut self, seconds: f64) -> Trial {
        let mut kept = self.at_rate(RATE, seconds);
        // A machine that is busy with other things may not keep even that.
        while !kept.is_kept() && kept.rate > 100.0 {
            kept = self.at_rate(kept.rate / 2.0, seconds);
        }
        let mut lost = loop {
            let trial = self.at_rate(kept.rate * 2.0, seconds);
            if !trial.is_kept() {
                break trial.rate;
            }
            kept = trial;
        };
        while lost / kept.rate > CLOSE {
            let trial = self.at_rate((lost * kept.rate).sqrt().round(), seconds);
            if trial.is_kept() {
                kept = trial;
            } else {
                lost = trial.rate;
            }
        }
        kept
    }

    /// Ends it; what was found of readability.
    fn close(self) -> String {
        let Pipe { running, input, watch, sent, .. } = self;
        let lists = running.metric("nearline_refreshes_total");
        // The last list that is asked for is given out.
        std::thread::sleep(Duration::from_secs(2));
        drop(input);
        running.end();
        let shown = watch.end();
        let [own, late] = [&shown.own, &shown.late].map(|count| count.load(Ordering::Relaxed));
        assert!(lists >= sent as f64, "{lists} lists were made anew for {sent} events of as many members");
        format!(
            "The reader of the pipe is a client of `/v1/changes`, which tells of a commit once it is on disk and readers see it. {own} \
             times it also fetched the list of the commit's last member over HTTP, and each was of that commit or a later one, without \
             the item that was played; {late} times the server had no time for it. {lists} lists were made anew for {sent} events."
        )
    }
}

impl Trial {
    fn is_kept(&self) -> bool {
        percentile(&self.latencies, 0.99) < LATE
    }

    /// What took the processors' time.
    fn bounds(&self) -> String {
        let list = |all: &[(String, f64)], how_many: usize| {
            let each =
                all.iter().take(how_many).map(|(name, share)| format!("`{name}` {:.0} %", share * 100.0));
            each.collect::<Vec<String>>().join(", ")
        };
        let all: f64 = self.threads.iter().map(|(_, share)| share).sum();
        format!(
            "At {:.0} events/s, in epochs of {:.0}, with a 99th percentile of {:.0} ms, the process takes {:.0} % of one core of {}: {}. \
             In its graph: {}. Whoever writes and watches takes {:.0} %.",
            self.rate,
            self.epoch,
            percentile(&self.latencies, 0.99),
            all * 100.0,
            std::thread::available_parallelism().map_or(0, usize::from),
            list(&self.threads, 6),
            list(&self.operators, 4),
            self.bench * 100.0,
        )
    }
}
