//! Parts of the pipeline alone, in this process: decoding, and the graph from memory to nowhere.

use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use nearline::cli::pipe_options;
use nearline::config::Config;
use nearline::digests::DigestKey;
use nearline::engine::ingest::{Ingest, WorkerFeed};
use nearline::sources::json::Decoder;
use nearline::sources::{Batch, Place, decode_lines};
use nearline_dataflows::graph::{self, Delta, Sink};
use nearline_dataflows::members::Control;
use nearline_dataflows::types::Epoch;

use super::Bench;
use super::table::{Spread, Wanted};

/// JSON Lines to batches, on one thread, beside simd-json's bare parse of the same lines.
pub fn decode(bench: &mut Bench) {
    let log = std::fs::read(bench.path("log.jsonl")).unwrap();
    let ours = bench.runs_of(|bench| {
        let started = Instant::now();
        let mut taken = 0;
        for block in blocks(&log) {
            let mut batch = Batch::new("bench".into());
            decode_lines(block, Place::default(), i64::MAX, &mut Decoder::default(), &mut batch);
            taken += batch.len();
        }
        assert_eq!(taken, bench.options.events);
        started.elapsed().as_secs_f64()
    });
    let (events, megabytes) = (bench.options.events as f64, log.len() as f64 / 1e6);
    let table = &mut bench.table;
    table.row("JSON Lines decoded, one thread", Wanted::Nothing, "records/s", ours.map(|s| events / s));
    let speed = ours.map(|seconds| megabytes / seconds);
    table.row(
        "the same in bytes: this, or 80 % of what simd-json takes alone",
        Wanted::AtLeast(1_000.0),
        "MB/s",
        speed,
    );
    // It is a program of its own, which `scripts/bench.sh` builds.
    let Some(bare_parse) = std::env::var_os("NEARLINE_BARE_PARSE") else {
        return table.none(
            "decoding beside simd-json alone",
            "at least 80 %",
            "`NEARLINE_BARE_PARSE` is not set",
        );
    };
    let runs = bench.options.runs.to_string();
    let said = Command::new(bare_parse).args([bench.path("log.jsonl"), runs]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let bare = Spread::of(said.split_whitespace().map(|seconds| seconds.parse().unwrap()).collect());
    let table = &mut bench.table;
    table.row(
        "the same lines to simd-json's tape, and no further",
        Wanted::Nothing,
        "MB/s",
        bare.map(|seconds| megabytes / seconds),
    );
    let share = ours.map(|seconds| 100.0 * bare.median / seconds);
    table.row("decoding beside simd-json alone", Wanted::AtLeast(80.0), "%", share);
}

/// Through the graph alone, in large and small epochs.
pub fn graph(bench: &mut Bench) {
    for size in [100_000, 1_000] {
        let seconds = bench.runs_of(|bench| graph_once(&bench.path("log.jsonl"), size));
        let events = bench.options.events as f64;
        let what = format!("through the graph alone, 2 workers, epochs of {size}");
        bench.table.row(&what, Wanted::Nothing, "events/s", seconds.map(|seconds| events / seconds));
    }
}

/// Feeds the graph, without lists, from memory to nowhere.
fn graph_once(log: &str, size: usize) -> f64 {
    let config = Config::default();
    let options = pipe_options(&config);
    let mut ingest = Ingest::new(DigestKey::new([1; 32]), &options.kind_names, 2, true);
    let log = std::fs::read(log).unwrap();
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
