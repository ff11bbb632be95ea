//! A model takes over while events flow: every list is of exactly one model, and a crash at any moment is made good.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nearline::config::Config;
use nearline::engine::{Beside, Engine, EngineOptions};
use nearline::folder::Folder;
use nearline::serving::Reader;
use nearline::serving::list::{ListName, ListQuery, Rung};
use nearline::stores::memory::MemoryStore;
use nearline::stores::rocks::{RocksOptions, RocksStore};
use nearline::stores::{Store, Table, Tables};

use crate::sets::{batch, options};
use crate::support::{Chance, ForEngine, Home, model, until};

const MEMBERS: usize = 1_500;
const ITEMS: usize = 60;

fn play(member: &str, item: usize, minute: usize) -> String {
    let (hour, minute) = (minute / 60 % 24, minute % 60);
    format!(
        r#"{{"member":"{member}","item":"i{item}","kind":"play","value":0.9,"at":"2024-03-01T{hour:02}:{minute:02}:00Z"}}"#
    ) + "\n"
}

/// What members did before; each a few items.
fn past() -> String {
    let mut chance = Chance(5);
    let event = |place: usize| play(&format!("m{}", place % MEMBERS), chance.below(ITEMS), place % 1_000);
    (0..6 * MEMBERS).map(event).collect()
}

/// Models in folders `a`, `b` and `c`, and the past of all members under the first of them in `nearline-data`.
fn with_models() -> Home {
    let home = Home::new();
    for (name, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        let mut chance = Chance(seed);
        let mut number = || chance.below(2_001) as f32 / 1_000.0 - 1.0;
        let rows: Vec<(String, Vec<f32>)> =
            (0..ITEMS).map(|item| (format!("i{item}"), (0..6).map(|_| number()).collect())).collect();
        let mut rows: Vec<(&str, Vec<f32>)> =
            rows.iter().map(|(id, row)| (id.as_str(), row.clone())).collect();
        rows.sort_by(|one, other| one.0.cmp(other.0));
        model(&rows).save(&home.path(name)).unwrap();
    }
    home.write("past.jsonl", &past());
    home.ok(&["replay", "--model", "a", "past.jsonl"]);
    home
}

fn version(home: &Home, model: &str) -> String {
    home.json(&["model", "show", model])["version"].as_str().unwrap().to_owned()
}

/// The digest of a folder that never knew another model.
fn digest_with(home: &Home, model: &str, logs: &[&str]) -> String {
    let data = format!("only-{model}-{}", logs.len());
    home.ok(&[&["--data", &data, "replay", "--model", model], logs].concat());
    home.verified(&data)
}

/// Every stored list of a folder, as a member sees it.
fn lists_of(home: &Home, data: &str) -> BTreeMap<String, Vec<String>> {
    let reader = Reader::open(&Folder::new(home.path(data)), Config::default()).unwrap();
    let query = ListQuery::first(ListName::TopPicks, 10);
    let list = |member: usize| {
        let member = format!("m{member}");
        let answer = reader.read(|serving| serving.list(&member, &query, 0)).unwrap();
        (member, answer.items.into_iter().map(|entry| entry.item).collect())
    };
    (0..MEMBERS).map(list).collect()
}

/// A batch that is cut between epochs leaves the open one in part filled, just when it is a slice's turn.
#[test]
fn records_that_come_in_while_lists_are_built_are_all_kept() {
    let home = with_models();
    let new: String =
        (0..5_037).map(|place| play(&format!("m{}", place % MEMBERS), place % ITEMS, 1_100)).collect();
    home.write("new.jsonl", &new);
    let wanted = digest_with(&home, "b", &["past.jsonl", "new.jsonl"]);
    for (records, workers) in [("5000", "1"), ("2000", "2"), ("100", "1"), ("7", "3")] {
        let data = format!("epochs-of-{records}");
        home.ok(&["--data", &data, "replay", "--model", "a", "past.jsonl"]);
        let run = ["run", "--model", "b", "--epoch-records", records, "--workers", workers, "new.jsonl"];
        home.ok(&[&["--data", &data], &run[..]].concat());
        assert_eq!(home.verified(&data), wanted, "epochs of {records}");
    }
}

/// The same without a clock: after every batch there are records in the open epoch, and lists to be built.
#[test]
fn records_of_the_open_epoch_are_kept_when_a_slice_is_built() {
    let records = |from: usize, to: usize| -> Vec<String> {
        (from..to).map(|place| play(&format!("m{place}"), 1, place % 1_000).trim_end().to_owned()).collect()
    };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let engine = Engine::start(store.clone(), store.clone(), EngineOptions { live: None, ..options(7) });
    let engine = engine.unwrap();
    engine.handle().send(batch(&records(0, 20_000))).unwrap();
    engine.finish().unwrap();
    let line_up = Box::new(ForEngine::new(model(&[("i1", vec![1.0, 0.0]), ("i2", vec![0.5, 0.5])])));
    let building = EngineOptions {
        live: None,
        beside: Some(Beside { line_up, ready: None }),
        epoch_records: 100,
        epoch_interval: Duration::from_secs(3_600),
        ..options(7)
    };
    let engine = Engine::start(store.clone(), store.clone(), building).unwrap();
    for lines in records(20_000, 23_000).chunks(150) {
        engine.handle().send(batch(lines)).unwrap();
    }
    engine.finish().unwrap();
    assert_eq!(entries(&*store, Table::Records), 23_000);
}

/// Tells a thread that goes round in a loop to end, also where a test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn through_a_swap_every_list_is_of_exactly_one_model_and_events_show_all_the_while() {
    let home = with_models();
    let lists = ["a", "b"].map(|model| {
        digest_with(&home, model, &["past.jsonl"]);
        (version(&home, model), lists_of(&home, &format!("only-{model}-1")))
    });
    let lists: BTreeMap<_, _> = lists.into_iter().collect();
    let mut running = home.start(&["run", "-"]);
    let over = AtomicBool::new(false);
    // How many lists of each of the two the reader has read.
    let seen = [AtomicU64::new(0), AtomicU64::new(0)];
    let [old, new] = ["a", "b"].map(|model| version(&home, model));
    let live = std::thread::scope(|scope| {
        let end = Ends(&over);
        let reading = scope.spawn(|| {
            let mut chance = Chance(9);
            while !over.load(Ordering::Relaxed) {
                let reader =
                    Reader::open(&Folder::new(home.path("nearline-data")), Config::default()).unwrap();
                let query = ListQuery::first(ListName::TopPicks, 10);
                for _ in 0..50 {
                    let member = format!("m{}", chance.below(MEMBERS));
                    let answer = reader.read(|serving| serving.list(&member, &query, 0)).unwrap();
                    assert_eq!(answer.source, Rung::Nearline, "{member}: {:?}", answer.reason);
                    let model = answer.model.unwrap();
                    let items: Vec<String> = answer.items.into_iter().map(|entry| entry.item).collect();
                    assert_eq!(lists[&model][&member], items, "{member} under {model}");
                    seen[usize::from(model == new)].fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        // Members of their own act all the while, before, during and after the swap.
        let mut live = String::new();
        let mut act = |from: usize, to: usize| {
            for place in from..to {
                let event = play(&format!("live{}", place % 7), place % ITEMS, place % 1_000);
                running.send(&event);
                live += &event;
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        act(0, 50);
        until("a list of the old model is read", || seen[0].load(Ordering::Relaxed) > 0);
        let swap = scope.spawn(|| home.json(&["model", "use", "b"]));
        act(50, 300);
        let taken = swap.join().unwrap();
        assert_eq!((&taken["model"], &taken["previous"]), (&new.as_str().into(), &old.as_str().into()));
        act(300, 320);
        until("a list of the new model is read", || {
            seen[1].load(Ordering::Relaxed) > 0 || reading.is_finished()
        });
        drop(end);
        reading.join().unwrap();
        live
    });
    home.write("live.jsonl", &live);
    assert_eq!(home.json(&["status"])["standby"]["ready"], true);
    until("all is there", || home.json(&["status"])["counts"]["accepted"].as_u64() >= Some(320 + 9_000));
    assert_eq!(home.verified("nearline-data"), digest_with(&home, "b", &["past.jsonl", "live.jsonl"]));
    // And back, at once, with what came meanwhile.
    let back = home.json(&["model", "rollback"]);
    assert_eq!(back["model"], version(&home, "a").as_str());
    assert_eq!(home.verified("nearline-data"), digest_with(&home, "a", &["past.jsonl", "live.jsonl"]));
    running.finish().ok();
    // Without a running pipeline too.
    home.ok(&["model", "rollback"]);
    assert_eq!(home.json(&["status"])["model"], version(&home, "b").as_str());
    assert_eq!(home.verified("nearline-data"), digest_with(&home, "b", &["past.jsonl", "live.jsonl"]));
}

#[test]
fn a_crash_at_any_moment_of_a_swap_is_made_good() {
    let home = with_models();
    let digests = ["a", "b"].map(|model| (version(&home, model), digest_with(&home, model, &["past.jsonl"])));
    let digests: BTreeMap<_, _> = digests.into_iter().collect();
    let mut chance = Chance(3);
    let mut swapped = 0;
    for round in 0..10 {
        let wanted = ["b", "a"][round % 2];
        let running = home.start(&["run", "-"]);
        let delay = Duration::from_micros(chance.below(400_000) as u64);
        let asked = std::thread::scope(|scope| {
            let swap = scope.spawn(|| home.say(&["model", "use", wanted, "--json"]));
            std::thread::sleep(delay);
            running.kill();
            swap.join().unwrap()
        });
        // What was begun is brought to its end by the next start, and what was answered stays.
        home.ok_pipe(&["run", "-"], "");
        let status = home.json(&["status"]);
        let live = status["model"].as_str().unwrap();
        if asked.code == 0 {
            assert_eq!(live, version(&home, wanted), "it was said to be live");
        }
        assert!(status["standby"].is_null() || status["standby"]["ready"] == true, "{status}");
        assert_eq!(home.verified("nearline-data"), digests[live], "after {delay:?} of round {round}");
        swapped += u32::from(live == version(&home, wanted));
    }
    assert!(swapped > 0, "some swap was begun");
}

#[test]
fn the_model_before_goes_in_its_time_and_with_it_all_of_its_lists() {
    let home = with_models();
    let running = home.start(&["run", "-"]);
    home.ok(&["model", "use", "b"]);
    // It is kept for long enough to be seen, and for less in a process that is told so.
    assert_eq!(home.json(&["status"])["standby"]["ready"], true);
    running.finish().ok();
    home.write("nearline.toml", "[run]\nkeep_previous = \"1s\"\n");
    let running = home.start(&["run", "-"]);
    until("the model before is gone", || home.json(&["status"])["standby"].is_null());
    // The same of one that took over in this process.
    home.ok(&["model", "use", "c"]);
    until("the model before is gone again", || home.json(&["status"])["standby"].is_null());
    let said = home.say(&["model", "rollback"]).ended(1);
    assert!(said.contains("no model to go back to") && said.contains("nearline model use"), "{said}");
    until("its files are gone", || {
        std::fs::read_dir(home.path("nearline-data/models")).unwrap().count() == 1
    });
    running.finish().ok();
    let store = RocksStore::open(&home.path("nearline-data"), RocksOptions::default()).unwrap();
    for table in Table::STANDBY {
        assert_eq!(entries(&store, table), 0, "{table:?}");
    }
}

#[test]
fn a_third_model_takes_the_place_of_the_one_that_stood_by() {
    let home = with_models();
    let running = home.start(&["run", "-"]);
    for (model, before) in [("b", "a"), ("c", "b"), ("a", "c")] {
        let taken = home.json(&["model", "use", model]);
        assert_eq!(taken["previous"], version(&home, before).as_str());
        assert_eq!(home.verified("nearline-data"), digest_with(&home, model, &["past.jsonl"]), "{model}");
    }
    running.kill();
    home.ok_pipe(&["run", "-"], "");
    assert_eq!(home.json(&["status"])["standby"]["model"], version(&home, "c").as_str());
    home.ok(&["model", "rollback"]);
    assert_eq!(home.verified("nearline-data"), digest_with(&home, "c", &["past.jsonl"]));
}

fn entries(store: &dyn Store, table: Table) -> usize {
    let mut entries = 0;
    let count = &mut |_: &[u8], _: &[u8]| {
        entries += 1;
        std::ops::ControlFlow::Continue(())
    };
    store.scan(table, &[], &[], count).unwrap();
    entries
}

#[test]
fn what_is_forgotten_is_gone_from_the_lists_that_stand_by() {
    let home = with_models();
    home.ok(&["cluster", "--clusters", "4", "--use"]);
    let running = home.start(&["run", "-"]);
    home.ok(&["model", "use", "b"]);
    home.ok(&["forget", "m7"]);
    home.ok(&["model", "rollback"]);
    assert_eq!(home.json(&["get", "m7"])["reason"], "unknown member");
    running.finish().ok();
    let store = RocksStore::open(&home.path("nearline-data"), RocksOptions::default()).unwrap();
    for table in Table::STANDBY.into_iter().chain(Table::TURNING) {
        assert_eq!(store.get(table, b"m7").unwrap(), None, "{table:?}");
        // Everything was finished, and the centres are of the other model.
        let empty = [Table::StandbyContinueWatching, Table::StandbyClusters, Table::StandbyClusterPopularity];
        assert!(empty.contains(&table) || entries(&store, table) > 0, "{table:?}");
    }
}

#[test]
fn the_live_model_again_gives_up_what_is_being_built_and_nothing_can_be_used_that_is_no_model() {
    let home = with_models();
    let running = home.start(&["run", "-"]);
    let said = home.say(&["model", "use", "past.jsonl"]).ended(1);
    assert!(said.contains("past.jsonl"), "{said}");
    home.say(&["model", "use", "nowhere"]).ended(2);
    let before = home.json(&["model", "use", "a"]);
    assert_eq!((&before["model"], before["previous"].is_null()), (&version(&home, "a").into(), true));
    let first = std::thread::scope(|scope| {
        let first = scope.spawn(|| home.say(&["model", "use", "b"]));
        // It is being built, or has taken over already and the one before stands by.
        until("it is begun", || !home.json(&["status"])["standby"].is_null());
        home.ok(&["model", "use", "a"]);
        first.join().unwrap()
    });
    // Either it was given up, or it had taken over and was rolled back.
    let status = home.json(&["status"]);
    assert_eq!(status["model"], version(&home, "a").as_str());
    assert!(first.code == 0 || first.err.contains("given up"), "{first:?}");
    assert_eq!(status["standby"].is_null(), first.code != 0, "{status}");
    running.finish().ok();
    home.verified("nearline-data");
}
