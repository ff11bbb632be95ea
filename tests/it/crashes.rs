//! Killed in the middle and started again: nothing that was acknowledged is lost, and nothing counts twice.

use std::path::PathBuf;

use nearline::engine::recover::Standing;
use nearline::engine::socket;
use nearline::folder::Folder;
use nearline::stores::rocks::RocksStore;

use crate::support::{Home, until};

const EVENTS: usize = 300_000;
const ITEMS: usize = 2_000;

/// A home with a large log, a model of it, and the digest that the two end in.
fn prepared() -> (Home, String) {
    let home = Home::new();
    let size = ["--events", "300000", "--members", "5000", "--items", "2000"];
    home.ok(&[&["bench-log", "events.jsonl"], &size[..]].concat());
    // The catalogue comes first: items are kept nowhere but in it.
    let item = |item| {
        format!("{{\"type\":\"item\",\"item\":\"i{item}\",\"at\":1,\"withdrawn\":{}}}\n", item % 9 == 0)
    };
    let items: String = (1..=ITEMS).map(item).collect();
    home.write("log.jsonl", &(items + &std::fs::read_to_string(home.path("events.jsonl")).unwrap()));
    home.ok(&["train", "log.jsonl", "--out", "model", "--rank", "8", "--iterations", "1"]);
    home.ok(&["--data", "whole", "replay", "--model", "model", "log.jsonl"]);
    let whole = home.verified("whole");
    (home, whole)
}

/// The epoch that is on disk; 0 where there is nothing yet.
fn epoch(home: &Home) -> u64 {
    let folder = Folder::new(home.path("nearline-data"));
    let standing = RocksStore::open_reader(folder.path()).and_then(|store| Standing::of(&store));
    standing.map_or(0, |standing| standing.epoch)
}

/// Kills a command a while after so many more epochs are on disk; whether it had not ended by itself before.
fn killed(home: &Home, args: &[&str], epochs: u64, then_ms: u64) -> bool {
    let begun = epoch(home);
    let mut child = home.command(args).stdin(std::process::Stdio::null()).spawn().unwrap();
    let mut ended = false;
    until("an epoch is on disk", || {
        ended = child.try_wait().unwrap().is_some();
        ended || epoch(home) >= begun + epochs
    });
    std::thread::sleep(std::time::Duration::from_millis(then_ms));
    ended |= child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    !ended
}

fn whole_again(home: &Home, args: &[&str], digest: &str) {
    home.ok(args);
    assert_eq!(home.verified("nearline-data"), digest);
    let status = home.json(&["status"]);
    let whole = home.json(&["--data", "whole", "status"]);
    assert_eq!(status["counts"]["live_events"], whole["counts"]["live_events"]);
    assert_eq!(status["counts"]["members"], whole["counts"]["members"]);
    assert_eq!(
        (&status["sources"][0]["lines"], &status["sources"][0]["at_end"]),
        (&(EVENTS + ITEMS).into(), &true.into())
    );
}

/// Kills a command at several moments, in the same folder; again from the start where most of the kills came only after
/// the end, as they may on a machine that has other things to do. `looks` at what each kill has left.
fn killed_at(home: &Home, args: &[&str], moments: &[(u64, u64)], looks: impl Fn()) {
    for _ in 0..10 {
        let mut in_the_middle = 0;
        for (epochs, then_ms) in moments {
            if killed(home, args, *epochs, *then_ms) {
                in_the_middle += 1;
                looks();
            }
        }
        if in_the_middle >= 2 {
            return;
        }
        std::fs::remove_dir_all(home.path("nearline-data")).unwrap();
    }
    panic!("the kills came too late to show anything");
}

#[test]
fn a_replay_killed_in_the_middle_goes_on_and_loses_nothing() {
    let (home, digest) = prepared();
    let replay = ["replay", "--model", "model", "log.jsonl"];
    // Before the first epoch, after it, and while lists are made at the end.
    killed_at(&home, &replay, &[(0, 60), (1, 0), (1, 150), (2, 30)], || {});
    whole_again(&home, &["run", "--model", "model", "log.jsonl"], &digest);
}

/// Killed between taking a file in and forgetting its first name, a load leaves a second name of a file of the store.
#[test]
fn what_a_load_leaves_in_a_crash_is_never_written_into() {
    let (home, digest) = prepared();
    home.ok(&["replay", "--model", "model", "log.jsonl"]);
    let store = home.path("nearline-data/store");
    let is_table = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sst");
    for number in 0..3 {
        let tables = std::fs::read_dir(&store).unwrap().flatten().map(|entry| entry.path()).filter(is_table);
        let largest = tables.max_by_key(|path| (path.metadata().unwrap().len(), path.clone())).unwrap();
        for table in ["records", "popularity", "top_picks", "continue_watching"] {
            std::fs::hard_link(&largest, home.path(&format!("nearline-data/load-{table}.sst"))).unwrap();
        }
        let event = format!(r#"{{"member":"late","item":"i{number}","kind":"play","at":10}}"#);
        home.write("more.jsonl", &(event + "\n"));
        home.ok(&["replay", "more.jsonl"]);
        home.verified("nearline-data");
        assert!(!home.path("nearline-data/load-records.sst").exists());
    }
    home.ok(&["forget", "late"]);
    assert_eq!(home.verified("nearline-data"), digest);
}

#[test]
fn a_replay_that_was_broken_off_says_so_until_it_is_made_good() {
    let (home, digest) = prepared();
    // Standard input stays open, so that it cannot have come to its end before it is killed.
    let replay = ["replay", "--model", "model", "log.jsonl", "-"];
    let mut child = home.command(&replay).stdin(std::process::Stdio::piped()).spawn().unwrap();
    until("an epoch is on disk", || epoch(&home) > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(home.json(&["status"])["views_pending"], true);
    assert!(home.say(&["verify"]).ended(1).contains("broken off"));
    assert_eq!(home.json(&["get", "m1"])["reason"], "the lists are being made anew");
    assert!(home.say(&["popular"]).out.contains("lag behind"), "the counts say so too");
    whole_again(&home, &["replay", "--model", "model", "log.jsonl"], &digest);
}

#[test]
fn a_run_killed_in_the_middle_goes_on_and_loses_nothing() {
    let (home, digest) = prepared();
    let run = ["run", "--model", "model", "--epoch-records", "3000", "log.jsonl"];
    // What is on disk is a whole epoch, and its views are what its records say.
    killed_at(&home, &run, &[(2, 0), (5, 7), (9, 3)], || {
        home.verified("nearline-data");
    });
    whole_again(&home, &run, &digest);
}

#[test]
fn what_the_socket_acknowledged_outlives_a_kill() {
    let home = Home::new();
    for round in 0..4 {
        let running = home.start(&["run", "-"]);
        let event =
            format!("{{\"member\":\"ann\",\"item\":\"i{round}\",\"kind\":\"play\",\"at\":{round}}}\n");
        let answer = socket::send(&home.path("nearline-data/nearline.sock"), &event).unwrap().unwrap();
        assert_eq!((answer.accepted, answer.error), (1, None));
        running.kill();
        let history = home.json(&["history", "ann"]);
        assert_eq!(history["events"].as_array().unwrap().len(), round + 1);
    }
    home.verified("nearline-data");
}
