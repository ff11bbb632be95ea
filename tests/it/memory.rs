//! Memory: what `plan` says beforehand is what it comes to, and a limit slows intake down and loses nothing.

use std::collections::HashSet;
use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nearline::engine::{Engine, EngineOptions};
use nearline::stores::Store;
use nearline::stores::memory::MemoryStore;

use crate::sets::{batch, options, verified};
use crate::support::{Home, Said, said};

/// Runs a command to its end; what it said, and its largest resident memory in bytes.
fn measured(home: &Home, args: &[&str]) -> (Said, u64) {
    let mut command = home.command(args);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // A process that has ended has no memory any more.
    while let Some(now) = fs::read_to_string(&status).ok().as_deref().and_then(high_water) {
        peak = peak.max(now);
        std::thread::sleep(Duration::from_millis(2));
    }
    (said(child.wait_with_output().unwrap()), peak)
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// The combinations of item, kind, country and hour that a log of `bench-log` has.
fn cells(log: &str) -> usize {
    let part = |line: &str, key: &str, length: Option<usize>| -> String {
        let from = line.find(key).unwrap() + key.len();
        let rest = &line[from..];
        rest[..length.unwrap_or_else(|| rest.find('"').unwrap())].to_owned()
    };
    let cell = |line: &str| {
        part(line, "\"item\":\"", None)
            + &part(line, "\"kind\":\"", None)
            + &part(line, "\"at\":\"", Some(13))
            + &part(line, "\"country\":\"", None)
    };
    log.lines().map(cell).collect::<HashSet<_>>().len()
}

#[test]
fn what_is_planned_is_within_a_quarter_of_what_is_measured() {
    let home = Home::new();
    // As many threads as the figures are for, however many processors there are: those that decode as well.
    home.write("nearline.toml", "[run]\nworkers = 2\n");
    for (events, members, items, rank) in [("150000", "20000", "3000", "16"), ("600000", "3000", "2000", "0")]
    {
        home.ok(&["bench-log", "log.jsonl", "--events", events, "--members", members, "--items", items]);
        let mut replay = vec!["--data", events, "replay", "--workers", "2", "log.jsonl"];
        if rank != "0" {
            home.ok(&["train", "log.jsonl", "--out", "model", "--rank", rank, "--iterations", "1"]);
            replay.extend(["--model", "model"]);
        }
        let (said, memory) = measured(&home, &replay);
        said.ok();
        let stored = fs::read_dir(home.path(events).join("store")).unwrap().flatten();
        let disk: u64 = stored.map(|entry| entry.metadata().unwrap().len()).sum();
        let cells = cells(&fs::read_to_string(home.path("log.jsonl")).unwrap()).to_string();
        let size = ["--members", members, "--items", items, "--events", events, "--rank", rank];
        let plan = home.json(&[&["plan"], &size[..], &["--cells", &cells]].concat());
        for (what, measured) in [("memory", memory), ("disk", disk)] {
            let planned = plan[what].as_u64().unwrap();
            let share = planned as f64 / measured as f64;
            println!("{events} events: {what} {measured} measured, {planned} planned, {share:.2}");
            assert!((0.8..=1.25).contains(&share), "{events} events: {what} {measured}, planned {plan}");
        }
    }
}

#[test]
fn a_limit_on_memory_slows_intake_down_and_loses_nothing() {
    let home = Home::new();
    home.ok(&["bench-log", "log.jsonl", "--events", "700000", "--members", "3000", "--items", "500"]);
    // What is live fits, what is on its way must be kept small: that is more of it live than in bulk.
    for (way, parts) in [("replay", 85), ("run", 60)] {
        home.write("nearline.toml", "");
        let (said, free) = measured(&home, &["--data", "free", way, "log.jsonl"]);
        said.ok();
        let digest = home.verified("free");
        let limit = free * parts / 100;
        home.write("nearline.toml", &format!("[run]\nmemory_limit = {limit}\n"));
        let (said, held) = measured(&home, &["--data", way, way, "log.jsonl"]);
        println!(
            "{way}: {} MB without a limit, {} MB under one of {} MB",
            free >> 20,
            held >> 20,
            limit >> 20
        );
        said.ok();
        // How much is taken without a limit differs from time to time by some parts in a hundred.
        assert!(held < (2 * free + limit) / 3, "{way}: {held} of {limit}, and {free} without a limit");
        assert_eq!(home.verified(way), digest);
        fs::remove_dir_all(home.path("free")).unwrap();
    }
}

#[test]
fn what_is_live_beyond_the_limit_is_taken_slowly_and_it_is_said_what_to_do() {
    let home = Home::new();
    home.ok(&["bench-log", "log.jsonl", "--events", "200000", "--members", "5000", "--items", "500"]);
    home.ok(&["--data", "free", "replay", "log.jsonl"]);
    home.write("nearline.toml", "[run]\nmemory_limit = \"64MB\"\n");
    let said = home.say(&["run", "log.jsonl"]).ended(0);
    for words in ["memory is near `memory_limit`", "`trim`", "raise the limit", "`nearline plan`"] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(home.verified("nearline-data"), home.verified("free"));
    let refused = home.write("nearline.toml", "[run]\nmemory_limit = \"2\"\n");
    let said = home.say(&["run", "log.jsonl"]).ended(2);
    assert!(said.contains("is not an amount of memory") && said.contains("line 2"), "{refused:?}: {said}");
}

#[test]
fn a_long_trim_goes_step_by_step_and_ends_where_a_single_one_would() {
    const EVENTS: i64 = 450_000;
    let line = |event: i64| {
        let (member, item, at) = (event % 500, event % 40, 1_709_251_200_000 + event * 7_000);
        format!(r#"{{"member":"m{member}","item":"i{item}","kind":"play","value":0.9,"at":{at}}}"#)
    };
    let trim = vec![format!(r#"{{"type":"trim","at":{}}}"#, 1_709_251_200_000 + 400_000 * 7_000_i64)];
    let taken = |bulk: bool| {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let options = EngineOptions { bulk, epoch_records: 65_536, ..options(3) };
        let engine = Engine::start(store.clone(), store.clone(), options).unwrap();
        for from in (0..EVENTS).step_by(50_000) {
            let lines: Vec<String> = (from..from + 50_000).map(line).collect();
            engine.handle().send(batch(&lines)).unwrap();
        }
        let before = engine.handle().committed().epoch();
        if bulk {
            engine.handle().send(batch(&trim)).unwrap();
        } else {
            engine.handle().submit(batch(&trim)).unwrap();
        }
        let (epoch, counts) = engine.finish().unwrap();
        assert_eq!((counts.accepted, counts.live_events), (EVENTS as u64 + 1, EVENTS as u64 - 400_001));
        (verified(&store, 3), epoch - before)
    };
    let (at_once, _) = taken(true);
    let (in_steps, epochs) = taken(false);
    assert_eq!(in_steps, at_once);
    assert!(epochs >= 4, "{epochs} epochs");
}
