//! Whole loads and restarts, timed from outside with start and end of the process, and the memory that they take.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::process::{Run, Running, binary, nearline};
use super::table::{Spread, Wanted};
use super::{Bench, MEMBERS};

/// The cache of a process whose resident memory is looked at, and how long after its start that is: it has read ahead by then.
const CACHE_MB: usize = 16;
const SETTLED: Duration = Duration::from_secs(5);

/// What is measured of one log.
struct Loads {
    events: f64,
    aggregates: Spread,
    /// Processor seconds of the same.
    processor: Spread,
    lists: Spread,
    restart: Spread,
    /// All members' lists made by a process that starts, its start taken off.
    refresh: Spread,
    /// The largest resident memory, without lists and with them, in bytes.
    peaks: [Spread; 2],
    /// Resident memory of a process that was started anew on either folder.
    resident: [Spread; 2],
}

/// The log, and where `--large` asks for it a larger one.
pub fn replay(bench: &mut Bench) {
    let plain = loads(bench, "", bench.options.events);
    let large = bench.options.large.filter(|large| *large != bench.options.events);
    // What is wanted is asked of the largest log.
    rows(bench, &plain, large.is_none());
    let large = large.map(|events| {
        nearline(&["bench-log", &bench.path("large-log.jsonl"), "--events", &events.to_string()]);
        let loads = loads(bench, "large-", events);
        rows(bench, &loads, true);
        loads
    });
    let largest = large.as_ref().unwrap_or(&plain);
    largest_rows(bench, largest);
}

/// Loads a log without lists and with them, and starts anew on what was made.
fn loads(bench: &mut Bench, prefix: &str, events: usize) -> Loads {
    let [log, data, lists, copy] =
        ["log.jsonl", "aggregates", "lists", "copy"].map(|name| bench.path(&format!("{prefix}{name}")));
    let [model, nothing] = ["model", "nothing.jsonl"].map(|name| bench.path(name));
    let fresh = |words: &[&str], data: &str| {
        // A folder of an earlier run goes first.
        let _ = fs::remove_dir_all(data);
        nearline(&[&["--data", data, "replay", &log], words].concat())
    };
    let without: Vec<Run> = bench.each_run(|_| fresh(&[], &data));
    if prefix.is_empty() {
        let _ = fs::remove_dir_all(&model);
        nearline(&["--data", &data, "train", "--out", &model, "--iterations", "2"]);
    }
    let with: Vec<Run> = bench.each_run(|_| fresh(&["--model", &model], &lists));
    fs::write(&nothing, "").unwrap();
    let restarts = bench.each_run(|_| nearline(&["--data", &data, "run", &nothing]).seconds);
    let refreshes = bench.each_run(|_| {
        // Without the model's mark every list is made anew.
        let _ = fs::remove_dir_all(&copy);
        assert!(Command::new("cp").args(["-r", &data, &copy]).status().unwrap().success());
        nearline(&["--data", &copy, "run", "--model", &model, &nothing]).seconds
    });
    // A cache is as large as it is set: what is asked is what there is besides.
    let small = bench.path("small-cache.toml");
    fs::write(&small, format!("[serve]\ncache_mb = {CACHE_MB}\n")).unwrap();
    let resident = [&data, &lists].map(|data| {
        Spread::of(bench.each_run(|_| {
            let running = Running::start(data, &["--config", &small]);
            std::thread::sleep(SETTLED);
            let resident = running.resident();
            running.end();
            resident
        }))
    });
    let _ = fs::remove_dir_all(&copy);
    let restart = Spread::of(restarts);
    let of = |runs: &[Run], what: fn(&Run) -> f64| Spread::of(runs.iter().map(what).collect());
    Loads {
        events: events as f64,
        aggregates: of(&without, |run| run.seconds),
        processor: of(&without, |run| run.processor),
        lists: of(&with, |run| run.seconds),
        restart,
        refresh: Spread::of(refreshes).map(|seconds| (seconds - restart.median).max(0.001)),
        peaks: [of(&without, |run| run.peak), of(&with, |run| run.peak)],
        resident,
    }
}

fn rows(bench: &mut Bench, loads: &Loads, wanted: bool) {
    let events = loads.events;
    let of = |what: &str| format!("{} million events: {what}", events / 1e6);
    let at_least = |least| if wanted { Wanted::AtLeast(least) } else { Wanted::Nothing };
    let rate = |seconds: Spread| seconds.map(|seconds| events / seconds);
    let table = &mut bench.table;
    table.row(
        &of("file to committed store, aggregates only"),
        at_least(1e6),
        "events/s",
        rate(loads.aggregates),
    );
    table.row(
        &of("processor time of that"),
        Wanted::Nothing,
        "s a million events",
        loads.processor.map(|seconds| seconds / events * 1e6),
    );
    table.row(
        &of("file to committed store, with factors and lists"),
        Wanted::Nothing,
        "events/s",
        rate(loads.lists),
    );
    table.row(
        &of("restart, live events into the graph, start of the process included"),
        at_least(2e6),
        "events/s",
        rate(loads.restart),
    );
    table.row(
        &of("members solved, scored and stored"),
        Wanted::Nothing,
        "members/s",
        loads.refresh.map(|seconds| MEMBERS as f64 / seconds),
    );
}

/// What is asked of twenty million events, of as many as there are.
fn largest_rows(bench: &mut Bench, loads: &Loads) {
    let (events, millions) = (loads.events, loads.events / 1e6);
    let table = &mut bench.table;
    let limit = 1.5 * loads.aggregates.median + loads.refresh.median;
    table.row(&format!("{millions} million events, aggregates only"), Wanted::Nothing, "s", loads.aggregates);
    table.row(&format!("a refresh of all {MEMBERS} members of them"), Wanted::Nothing, "s", loads.refresh);
    table.row(
        &format!("{millions} million events with factors and lists: 1.5 × these aggregates and a refresh"),
        Wanted::AtMost(limit),
        "s",
        loads.lists,
    );
    table.row(
        &format!("largest resident memory while {millions} million events are loaded, by all of them"),
        Wanted::AtMost(64.0),
        "bytes a live event",
        loads.peaks[0].map(|bytes| bytes / events),
    );
    table.row(
        "resident memory of a process started on them",
        Wanted::Nothing,
        "bytes a live event",
        loads.resident[0].map(|bytes| bytes / events),
    );
    let [without, with] = loads.resident;
    table.row(
        &format!("what 100 list entries add to that with a cache of {CACHE_MB} MB, the model included"),
        Wanted::AtMost(1_000.0),
        "bytes a member",
        with.map(|bytes| (bytes - without.median) / MEMBERS as f64),
    );
    for (what, peak) in ["aggregates only", "with lists"].into_iter().zip(loads.peaks) {
        let what = format!("largest resident memory, {what}");
        table.row(&what, Wanted::Nothing, "MB", peak.map(|bytes| bytes / 1e6));
    }
}

/// `scripts/bench_pathway.sh`, where it is asked for: it brings Pathway from PyPI.
pub fn pathway(bench: &mut Bench) {
    let what = "beside Pathway, counting by item and kind";
    if !bench.options.pathway {
        return bench.table.none(what, "at least 3 ×", "`--pathway` was not given");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/bench_pathway.sh");
    let said = Command::new(script)
        .args([bench.options.events.to_string(), bench.options.runs.to_string(), bench.path("pathway")])
        .env("NEARLINE_BIN", binary())
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let ratios: Vec<f64> = said
        .lines()
        .filter_map(|line| line.strip_suffix(" × |")?.rsplit("| ").next()?.parse().ok())
        .collect();
    let [all, counts] = ratios[..] else { panic!("bench_pathway.sh said: {said}") };
    // The script tells medians of ratios.
    bench.table.row(what, Wanted::AtLeast(3.0), "×", Spread::of(vec![all]));
    bench.table.row("the same without baskets", Wanted::Nothing, "×", Spread::of(vec![counts]));
}
