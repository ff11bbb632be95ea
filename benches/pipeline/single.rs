//! One event at a time through the socket, also while another model takes over; and a pipeline that has nothing to do.

use std::path::Path;
use std::time::{Duration, Instant};

use nearline::engine::socket;

use super::process::{Running, nearline};
use super::table::{Spread, Wanted};
use super::{Bench, percentile};

/// Events alone: sent, committed in a synced write with their member's list, acknowledged.
pub fn alone(bench: &mut Bench) {
    let data = bench.path("lists");
    let running = Running::start(&data, &[]);
    rows(
        bench,
        "an event alone to its member's list on disk",
        (0..2_000).map(|event| send(&data, event)).collect(),
    );
    running.end();
}

/// The same while another model takes over.
pub fn takeover(bench: &mut Bench) {
    let data = bench.path("lists");
    let other = bench.path("other-model");
    let _ = std::fs::remove_dir_all(&other);
    // Another model in each run, also where the folder is that of an earlier one.
    let seed = std::process::id().to_string();
    nearline(&["--data", &data, "train", "--out", &other, "--iterations", "1", "--seed", &seed]);
    let running = Running::start(&data, &[]);
    let started = Instant::now();
    let swap = std::thread::spawn({
        let words = ["--data", &data, "model", "use", &other].map(str::to_owned);
        move || nearline(&words.each_ref().map(String::as_str))
    });
    let meanwhile = (2_000..).take_while(|_| !swap.is_finished()).map(|event| send(&data, event)).collect();
    let seconds = Spread::of(vec![started.elapsed().as_secs_f64()]);
    swap.join().unwrap();
    rows(bench, "the same while another model takes over", meanwhile);
    bench.table.row("which takes, for all members", Wanted::Nothing, "s", seconds);
    running.end();
}

/// Milliseconds until an event is acknowledged; and a rest.
fn send(data: &str, number: u64) -> f64 {
    let mut line = Vec::new();
    super::write_event(&mut line, std::process::id(), number);
    let line = String::from_utf8(line).unwrap();
    let started = Instant::now();
    let answer = socket::send(&Path::new(data).join("nearline.sock"), &line);
    let took = started.elapsed().as_secs_f64() * 1e3;
    std::thread::sleep(Duration::from_millis(2));
    answer.unwrap().map(|_| took).expect("the pipeline runs")
}

fn rows(bench: &mut Bench, what: &str, mut took: Vec<f64>) {
    took.sort_by(f64::total_cmp);
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let found = Spread::of(vec![percentile(&took, share)]);
        bench.table.row(&format!("{what}, {name}"), Wanted::Nothing, "ms", found);
    }
}

/// A pipeline with a pipe that nothing comes through.
pub fn idle(bench: &mut Bench) {
    let running = Running::start(&bench.path("lists"), &[]);
    // What a restart leaves to be compacted is done first.
    std::thread::sleep(Duration::from_secs(5));
    let lists = || running.metric("nearline_refreshes_total");
    let (seconds, before) = (bench.options.seconds, lists());
    let shares = bench.each_run(|_| {
        let (started, before) = (Instant::now(), running.processor());
        std::thread::sleep(Duration::from_secs_f64(seconds));
        100.0 * (running.processor() - before) / started.elapsed().as_secs_f64()
    });
    let refreshed = lists() - before;
    running.end();
    bench.table.row("idle: processor time", Wanted::AtMost(1.0), "% of a core", Spread::of(shares));
    bench.table.row("idle: lists made anew", Wanted::AtMost(0.0), "", Spread::of(vec![refreshed]));
}
