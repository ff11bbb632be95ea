//! The pipeline's benchmarks: one table, on a seeded log of 2 million events, 138,000 members and 26,000 items.
//!
//! `scripts/bench.sh` runs it. Arguments: how many events, how many runs of each (medians are printed), a folder to
//! work in, and the one part to run (decode, graph, replay, latency). Whole processes are timed from outside, start included; nothing is asserted.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to say")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nearline::cli::{count, pipe_options};
use nearline::config::Config;
use nearline::digests::DigestKey;
use nearline::engine::ingest::{Ingest, WorkerFeed};
use nearline::engine::socket;
use nearline::sources::json::Decoder;
use nearline::sources::{Batch, Place, decode_lines};
use nearline_dataflows::graph::{self, Delta, Sink};
use nearline_dataflows::members::Control;
use nearline_dataflows::types::Epoch;

const BINARY: &str = env!("CARGO_BIN_EXE_nearline");
const MEMBERS: usize = 138_000;

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let number =
        |place: usize, default: usize| given.get(place).and_then(|word| word.parse().ok()).unwrap_or(default);
    let (events, runs) = (number(0, 2_000_000), number(1, 3));
    let folder = given.get(2).map_or_else(|| std::env::temp_dir().join("nearline-bench"), PathBuf::from);
    let bench = Bench { events, runs, folder };
    std::fs::create_dir_all(&bench.folder).unwrap();
    nearline(&["bench-log", &bench.path("log.jsonl"), "--events", &events.to_string()]);
    println!("{events} events, {MEMBERS} members, 26,000 items, rank 64; median of {runs} runs\n");
    // All parts, or the one that is named; the last needs the folder of the one before.
    let parts: [(&str, fn(&Bench)); 4] = [
        ("decode", Bench::decode),
        ("graph", Bench::graph),
        ("replay", Bench::replay),
        ("latency", Bench::latency),
    ];
    let named = |part: &str| given.get(3).is_none_or(|name| name == part);
    parts.into_iter().filter(|(name, _)| named(name)).for_each(|(_, run)| run(&bench));
}

struct Bench {
    events: usize,
    runs: usize,
    folder: PathBuf,
}

/// What one run of the binary took.
struct Run {
    seconds: f64,
    /// The largest resident memory, in bytes.
    peak: f64,
}

impl Bench {
    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The median of some runs, and how far they lie apart.
    fn median(&self, mut run: impl FnMut() -> f64) -> (f64, f64, f64) {
        let mut all: Vec<f64> = (0..self.runs).map(|_| run()).collect();
        all.sort_by(f64::total_cmp);
        (all[all.len() / 2], all[0], all[all.len() - 1])
    }

    fn rate(&self, what: &str, unit: &str, count: usize, seconds: impl FnMut() -> f64) {
        let (median, least, most) = self.median(seconds);
        let of = |seconds: f64| thousands(count as f64 / seconds);
        println!("{what:<58}{:>14} {unit:<10} ({} to {})", of(median), of(most), of(least));
    }

    fn decode(&self) {
        let log = std::fs::read(self.path("log.jsonl")).unwrap();
        let mut times = Vec::new();
        self.rate("JSON Lines decoded, one thread", "records/s", self.events, || {
            let started = Instant::now();
            let mut taken = 0;
            for block in blocks(&log) {
                let mut batch = Batch::new("bench".into());
                decode_lines(block, Place::default(), i64::MAX, &mut Decoder::default(), &mut batch);
                taken += batch.len();
            }
            assert_eq!(taken, self.events);
            times.push(started.elapsed().as_secs_f64());
            times[times.len() - 1]
        });
        let megabytes = log.len() as f64 / 1e6;
        let speeds = |seconds: [f64; 3]| seconds.map(|seconds| format!("{:.0}", megabytes / seconds));
        let row = |what: &str, seconds: [f64; 3]| {
            let [median, fastest, slowest] = speeds(seconds);
            println!("{what:<58}{median:>14} {:<10} ({slowest} to {fastest})", "MB/s");
        };
        times.sort_by(f64::total_cmp);
        row("the same", [times[times.len() / 2], times[0], times[times.len() - 1]]);
        // It is a program of its own, which `scripts/bench.sh` builds.
        let Some(bare_parse) = std::env::var_os("NEARLINE_BARE_PARSE") else { return };
        let said =
            Command::new(bare_parse).args([self.path("log.jsonl"), self.runs.to_string()]).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let bare: Vec<f64> = said.split_whitespace().map(|seconds| seconds.parse().unwrap()).collect();
        row("the same lines to simd-json's tape, and no further", [bare[0], bare[1], bare[2]]);
    }

    fn graph(&self) {
        for size in [100_000, 1_000] {
            let what = format!("through the graph alone, 2 workers, epochs of {size}");
            self.rate(&what, "events/s", self.events, || self.graph_once(size));
        }
    }

    /// Feeds the graph, without lists, from memory to nowhere.
    fn graph_once(&self, size: usize) -> f64 {
        let config = Config::default();
        let options = pipe_options(&config);
        let mut ingest = Ingest::new(DigestKey::new([1; 32]), &options.kind_names, 2, true);
        let log = std::fs::read(self.path("log.jsonl")).unwrap();
        let mut epochs: Vec<Vec<WorkerFeed>> = Vec::new();
        let mut batch = Batch::new("bench".into());
        decode_lines(&log, Place::default(), i64::MAX, &mut Decoder::default(), &mut batch);
        let batch = Arc::new(batch);
        let mut from = 0;
        while from < batch.len() {
            from = ingest.take(&batch, from, size);
            ingest.records = Default::default();
            epochs.push(ingest.feeds.iter_mut().map(std::mem::take).collect());
        }
        let look_ups = ingest.look_ups(None);
        let epochs = Arc::new(epochs);
        let started = Instant::now();
        timely::execute(timely::Config::process(2), move |worker| {
            let sink = Rc::new(Nowhere);
            let (mut inputs, probe) = worker.dataflow::<Epoch, _, _>(|scope| {
                graph::build(scope, 1, &options.meaning, look_ups.clone(), sink)
            });
            for (epoch, feeds) in epochs.iter().enumerate() {
                inputs.ops.send_batch(&mut feeds[worker.index()].ops.clone());
                inputs.controls.send(Control::Clean);
                inputs.advance_to(epoch as Epoch + 1);
                while probe.less_than(&(epoch as Epoch)) {
                    worker.step();
                }
            }
        })
        .unwrap();
        started.elapsed().as_secs_f64()
    }

    fn replay(&self) {
        let log = self.path("log.jsonl");
        let data = self.path("aggregates");
        let mut peaks = Vec::new();
        let mut fresh = |model: Option<&str>, data: &str| {
            // A folder of an earlier run goes first.
            let _ = std::fs::remove_dir_all(data);
            let mut words = vec!["--data", data, "replay", &log];
            words.extend(model.iter().flat_map(|model| ["--model", model]));
            let run = nearline(&words);
            peaks.push(run.peak);
            run.seconds
        };
        self.rate("file to committed store, aggregates only", "events/s", self.events, || fresh(None, &data));
        let model = self.path("model");
        let _ = std::fs::remove_dir_all(&model);
        nearline(&["--data", &data, "train", "--out", &model, "--iterations", "2"]);
        let lists = self.path("lists");
        self.rate("file to committed store, with factors and lists", "events/s", self.events, || {
            fresh(Some(&model), &lists)
        });
        let nothing = self.path("nothing.jsonl");
        std::fs::write(&nothing, "").unwrap();
        let (restart, least, most) = self.median(|| nearline(&["--data", &data, "run", &nothing]).seconds);
        let million = self.events as f64 / 1e6;
        println!(
            "{:<58}{:>14.2} s          ({:.2} to {:.2})",
            "restart, for each million live events",
            restart / million,
            least / million,
            most / million
        );
        let (with_lists, ..) = self.median(|| {
            // Without the model's mark every list is made anew.
            let copy = self.path("copy");
            let _ = std::fs::remove_dir_all(&copy);
            nearline_copy(&data, &copy);
            nearline(&["--data", &copy, "run", "--model", &model, &nothing]).seconds
        });
        let refreshed = MEMBERS as f64 / (with_lists - restart);
        println!("{:<58}{:>14} members/s", "members solved, scored and stored", thousands(refreshed));
        peaks.sort_by(f64::total_cmp);
        let limit = 150.0 * self.events as f64 + 1_500.0 * MEMBERS as f64;
        let of_limit = |peak: f64| {
            format!(
                "{:.0} MB, {:.0} % of 150 B an event and 1.5 kB a member",
                peak / 1e6,
                100.0 * peak / limit
            )
        };
        println!("{:<58}{}", "largest resident memory, aggregates only", of_limit(peaks[self.runs / 2]));
        println!("{:<58}{}", "largest resident memory, of all runs", of_limit(peaks[peaks.len() - 1]));
        println!(
            "{:<58}{:>14.0} bytes",
            "  less 1.5 kB a member, for each live event",
            (peaks[self.runs / 2] - 1_500.0 * MEMBERS as f64) / self.events as f64
        );
    }

    /// One event after the other through the socket: sent, committed in a synced write with its member's list,
    /// acknowledged. Then the same while another model takes over.
    fn latency(&self) {
        let data = self.path("lists");
        let other = self.path("other-model");
        let _ = std::fs::remove_dir_all(&other);
        // Another model and other events in each run, also where the folder is that of an earlier one.
        let run = std::process::id();
        let seed = run.to_string();
        nearline(&["--data", &data, "train", "--out", &other, "--iterations", "1", "--seed", &seed]);
        let mut child = Command::new(BINARY)
            .args(["--data", &data, "run", "--follow", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let path = Path::new(&data).join("nearline.sock");
        let event = |number: usize| {
            let line = format!(
                "{{\"member\":\"m{}\",\"item\":\"i{}\",\"kind\":\"play\",\"value\":0.9,\"at\":\"2026-06-02T00:00:00Z\",\"id\":\"l{run}-{number}\"}}\n",
                number * 7_919 % MEMBERS,
                number * 31 % 26_000
            );
            let started = Instant::now();
            let answer = socket::send(&path, &line);
            let took = started.elapsed().as_secs_f64() * 1e3;
            std::thread::sleep(Duration::from_millis(2));
            answer.ok().flatten().map(|_| took)
        };
        while event(0).is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
        latencies("an event sent to its member's list on disk", (1..2_000).filter_map(event).collect());
        let started = Instant::now();
        let swap = std::thread::spawn({
            let words = ["--data", &data, "model", "use", &other].map(str::to_owned);
            move || nearline(&words.each_ref().map(String::as_str))
        });
        let meanwhile = (2_000..).take_while(|_| !swap.is_finished()).filter_map(event).collect();
        latencies("  the same while another model takes over", meanwhile);
        let seconds = started.elapsed().as_secs_f64();
        println!("{:<58}{seconds:>14.1} s", "  which takes, for all members");
        child.stdin.take().unwrap().flush().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn latencies(what: &str, mut took: Vec<f64>) {
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!("{what:<58}p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms", at(0.5), at(0.99), at(0.999));
}

struct Nowhere;

impl Sink for Nowhere {
    fn take(&self, _epoch: Epoch, _delta: Delta) {}
}

/// A log in blocks of about a megabyte that end with lines.
fn blocks(mut log: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let least = log.len().min(1 << 20);
        let end =
            log[least..].iter().position(|byte| *byte == b'\n').map_or(log.len(), |more| least + more + 1);
        let (block, rest) = log.split_at(end);
        log = rest;
        (!block.is_empty()).then_some(block)
    })
}

/// Runs the binary, and watches how long it takes and how much memory.
fn nearline(words: &[&str]) -> Run {
    let started = Instant::now();
    let mut child =
        Command::new(BINARY).args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0_f64;
    loop {
        let known = std::fs::read_to_string(&status).unwrap_or_default();
        let line = known.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes: Option<f64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kilobytes.unwrap_or(0.0) * 1024.0);
        if let Some(code) = child.try_wait().unwrap() {
            assert!(code.success(), "nearline {words:?} ended with {code}");
            return Run { seconds: started.elapsed().as_secs_f64(), peak };
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn nearline_copy(from: &str, to: &str) {
    assert!(Command::new("cp").args(["-r", from, to]).status().unwrap().success());
}

fn thousands(number: f64) -> String {
    count(number.round() as u64)
}
