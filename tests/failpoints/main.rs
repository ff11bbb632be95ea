//! Processes that end at the narrow places of the code (`src/failpoints.rs`), where a kill by the clock seldom comes:
//! between a write and its acknowledgement, between a bulk load and its last epoch, between a model's lists and their
//! take-over, inside a forget. Started again, each must go on as if nothing had been.
//!
//! Its own binary, since the program is built for it with the feature `failpoints`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../torture/process.rs"]
#[allow(dead_code, reason = "torture uses the rest of it")]
mod process;
#[path = "../torture/world.rs"]
#[allow(dead_code, reason = "torture uses the rest of it")]
mod world;

mod archive;
mod jobs;
mod mirrors;
mod processes;
mod publications;
mod reshard;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};

use nearline::stores::formats::meta;
use nearline::stores::rocks::{RocksOptions, RocksStore};
use nearline::stores::{Store, Table, Tables};
use process::Home;
use tempfile::TempDir;
use world::World;

/// A folder of commands with a log, two models, and the digests that they end in where nothing disturbs them.
struct Fire {
    home: Home,
    world: World,
    _folder: TempDir,
}

/// A process that does not outlive its test.
struct Goes(Child);

impl Drop for Goes {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const LOG: &str = "log.jsonl";
const ABORTED: i32 = 6;

impl Fire {
    fn new() -> Fire {
        let folder = tempfile::tempdir().unwrap();
        let home = Home { folder: folder.path().to_owned(), program: None };
        let world = World::new(5, 3_000);
        let lines: String = world.records.iter().flat_map(|record| [&*record.line, "\n"]).collect();
        std::fs::write(home.path(LOG), lines).unwrap();
        for model in ["1", "2"] {
            let out = format!("model-{model}");
            let fit = ["--rank", "4", "--iterations", "1", "--seed", model];
            home.ok(&[&["train", LOG, "--out", &out], &fit[..]].concat()).unwrap();
        }
        Fire { home, world, _folder: folder }
    }

    fn ok(&self, args: &[&str]) -> String {
        self.home.ok(args).unwrap()
    }

    /// Runs a command that must come to a place and end there.
    fn dies(&self, place: &str, args: &[&str]) {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut command = self.home.command(&args, None);
        let output = command.env("NEARLINE_FAILPOINT", place).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(ABORTED), "{args:?} never came to {place}: {said}");
    }

    /// Starts a process that goes on until it comes to a place, and waits until it serves its socket.
    fn runs_until(&self, place: &str) -> Goes {
        let args = ["run", "--follow", "--workers", "2"].map(str::to_owned);
        let mut command = self.home.command(&args, None);
        command.env("NEARLINE_FAILPOINT", place).stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = Goes(command.spawn().unwrap());
        assert!(self.home.serves(&mut child.0));
        child
    }

    /// The digest of a folder whose views are what its records say.
    fn digest(&self, data: &str) -> String {
        let verdict = self.home.json(&["--data", data, "verify"]).unwrap();
        verdict["stored"].as_str().unwrap().to_owned()
    }

    fn status(&self) -> serde_json::Value {
        self.home.json(&["status"]).unwrap()
    }

    fn live(&self, data: &str) -> BTreeSet<String> {
        let export = self.ok(&["--data", data, "export", "--without-key"]);
        export.lines().filter(|line| line.starts_with("{\"member\"")).map(str::to_owned).collect()
    }

    /// What `status` says was read is there, but for what other records take out.
    fn holds_what_it_says(&self) {
        let far = self.home.far().unwrap();
        if far.epoch == 0 {
            return;
        }
        let lines = far.lines.get(self.home.path(LOG).to_str().unwrap()).copied().unwrap_or(0) as usize;
        let all: Vec<usize> = (0..self.world.records.len()).collect();
        let ever = self.world.gone(&all, &BTreeMap::new());
        let live = self.live("nearline-data");
        let missing = self.world.records[..lines]
            .iter()
            .find(|record| ever.leaves(record) && !live.contains(&record.line));
        assert!(missing.is_none(), "{:?} was read and is gone", missing.map(|record| &record.line));
    }

    /// A folder like another, at the place where commands look for it.
    fn copy(&self, from: &str) {
        fn copy(from: &Path, to: &Path) {
            std::fs::create_dir_all(to).unwrap();
            for entry in std::fs::read_dir(from).unwrap().flatten() {
                let to = to.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    copy(&entry.path(), &to);
                } else if entry.file_type().unwrap().is_file() {
                    std::fs::copy(entry.path(), to).unwrap();
                }
            }
        }
        self.away();
        copy(&self.home.path(from), &self.home.path("nearline-data"));
    }

    fn away(&self) {
        let _ = std::fs::remove_dir_all(self.home.path("nearline-data"));
    }
}

#[test]
fn a_run_that_ends_at_any_narrow_place_goes_on_and_loses_nothing() {
    let fire = Fire::new();
    let run = ["run", "--epoch-records", "40", "--workers", "2", "--model", "model-1", LOG];
    fire.ok(&[&["--data", "plain"], &run[..]].concat());
    let plain = fire.digest("plain");
    let places = [
        "key-written",
        "key-kept",
        "model-kept",
        "rejected",
        "rejected=9",
        "commit",
        "commit=2",
        "commit=40",
        "committed",
        "committed=2",
        "committed=40",
    ];
    for place in places {
        fire.away();
        fire.dies(place, &run);
        fire.holds_what_it_says();
        fire.ok(&run);
        assert_eq!(fire.digest("nearline-data"), plain, "{place}");
        assert_eq!(fire.live("nearline-data"), fire.live("plain"), "{place}");
    }
}

#[test]
fn a_load_that_ends_at_any_narrow_place_goes_on_and_loses_nothing() {
    let fire = Fire::new();
    let with = ["--workers", "2", "--model", "model-1", LOG];
    fire.ok(&[&["--data", "plain", "run"], &with[..]].concat());
    let plain = fire.digest("plain");
    let places = [
        "rejected",
        "marked",
        "load-written",
        "load-written=2",
        "load-taken",
        "load-taken=2",
        "load-taken=3",
        "loaded",
        "loaded=2",
        "loaded=3",
        "before-last-epoch",
        "end-of-load",
        "commit",
        "commit=2",
        "committed",
        "committed=2",
    ];
    for (number, place) in places.into_iter().enumerate() {
        fire.away();
        fire.dies(place, &[&["replay"], &with[..]].concat());
        fire.holds_what_it_says();
        let again = if number % 2 == 0 { "run" } else { "replay" };
        fire.ok(&[&[again], &with[..]].concat());
        assert_eq!(fire.digest("nearline-data"), plain, "{place}");
        assert_eq!(fire.live("nearline-data"), fire.live("plain"), "{place}");
        assert!(!fire.home.path("nearline-data/load-records.sst").exists(), "{place}");
    }
}

#[test]
fn views_that_are_being_made_anew_are_made_anew_again() {
    let fire = Fire::new();
    std::fs::write(fire.home.path("other.toml"), "[lists]\nlength = 3\n").unwrap();
    let other = ["--config", "other.toml", "run", LOG];
    fire.ok(&["--data", "before", "replay", "--model", "model-1", LOG]);
    fire.ok(&["--data", "plain", "--config", "other.toml", "replay", "--model", "model-1", LOG]);
    let digest = |data: &str| {
        fire.home.json(&["--data", data, "--config", "other.toml", "verify"]).unwrap()["stored"].clone()
    };
    let plain = digest("plain");
    for place in
        ["rebuild-marked", "rebuild-cleared", "loaded", "loaded=2", "end-of-load", "commit", "committed"]
    {
        fire.copy("before");
        fire.dies(place, &other);
        // With the config of before, it is that config's views which are made good.
        fire.ok(&["run", LOG]);
        assert_eq!(fire.digest("nearline-data"), fire.digest("before"), "{place}");
        fire.ok(&other);
        assert_eq!(digest("nearline-data"), plain, "{place}");
    }
}

/// Makes a folder as one of format 2 is, which had no counts of lists, nor of what is watched together.
fn as_of_format_2(folder: &Path) {
    let store = RocksStore::open(folder, RocksOptions::default()).unwrap();
    for view in [Table::Performance, Table::Together] {
        store.clear(view).unwrap();
    }
    let mut change = store.begin();
    change.put(Table::Meta, meta::FORMAT, &2_u32.to_be_bytes());
    change.commit(true).unwrap();
}

#[test]
fn a_folder_of_an_earlier_format_that_is_broken_off_at_any_narrow_place_has_its_views_made_anew_again() {
    let fire = Fire::new();
    fire.ok(&["--data", "before", "replay", "--model", "model-1", LOG]);
    let digest = fire.digest("before");
    for place in ["rebuild-marked", "rebuild-cleared", "loaded", "end-of-load", "commit", "committed"] {
        fire.copy("before");
        as_of_format_2(&fire.home.path("nearline-data"));
        assert_ne!(fire.digest("nearline-data"), digest);
        fire.dies(place, &["run", LOG]);
        fire.ok(&["run", LOG]);
        assert_eq!(fire.digest("nearline-data"), digest, "{place}");
    }
}

#[test]
fn a_take_over_that_ends_at_any_narrow_place_leaves_the_lists_of_one_model() {
    let fire = Fire::new();
    let (mut digests, mut versions) = (BTreeMap::new(), Vec::new());
    for model in ["model-1", "model-2"] {
        let data = format!("with-{model}");
        fire.ok(&["--data", &data, "replay", "--model", model, LOG]);
        let status = fire.home.json(&["--data", &data, "status"]).unwrap();
        let version = status["model"].as_str().unwrap().to_owned();
        digests.insert(version.clone(), fire.digest(&data));
        versions.push(version);
    }
    let places = [
        "model-kept",
        "standing-by",
        "slice",
        "built",
        "turn",
        "turned",
        "taken-over",
        "commit",
        "committed",
    ];
    for (number, place) in places.into_iter().chain(["slice=2", "built", "turn"]).enumerate() {
        fire.copy("with-model-1");
        if number < places.len() {
            fire.dies(place, &["model", "use", "model-2"]);
        } else {
            // In small slices, as beside records.
            let mut child = fire.runs_until(place);
            assert!(fire.home.ok(&["model", "use", "model-2"]).is_err(), "{place}");
            assert_eq!(child.0.wait().unwrap().signal(), Some(ABORTED), "{place}");
        }
        // Lists of one model, and of the one that is named.
        let is_whole = || {
            let model = fire.status()["model"].as_str().unwrap().to_owned();
            assert_eq!(fire.digest("nearline-data"), digests[&model], "{place}");
            model
        };
        is_whole();
        fire.ok(&["run", LOG]);
        is_whole();
        fire.ok(&["model", "use", "model-2"]);
        assert_eq!(is_whole(), versions[1], "{place}");
        assert_eq!(
            fire.status()["standby"]["model"].as_str().unwrap_or(&versions[0]),
            versions[0],
            "{place}"
        );
    }
}

#[test]
fn a_batch_that_ends_at_any_narrow_place_leaves_the_last_one_or_is_whole() {
    let fire = Fire::new();
    fire.ok(&["--data", "before", "replay", "--model", "model-1", LOG]);
    fire.ok(&["--data", "before", "batch", "--algorithm", "popular"]);
    let digest = fire.digest("before");
    let batch = |data: &str| fire.home.json(&["--data", data, "status"]).unwrap()["batch"].clone();
    let generations = || {
        let store = RocksStore::open_reader(&fire.home.path("nearline-data")).unwrap();
        let mut generations = BTreeSet::new();
        let mut show = |key: &[u8], _: &[u8]| {
            generations.insert(key[7]);
            std::ops::ControlFlow::Continue(())
        };
        store.scan(Table::BatchLists, &[], &[], &mut show).unwrap();
        generations.into_iter().collect::<Vec<u8>>()
    };
    for (place, whole) in [("batch-slice", false), ("commit", false), ("committed", true)] {
        fire.copy("before");
        fire.dies(place, &["batch"]);
        let after = batch("nearline-data");
        if whole {
            assert_eq!(
                (&after["generation"], &after["algorithm"]),
                (&2.into(), &"factors".into()),
                "{place}"
            );
        } else {
            assert_eq!(after, batch("before"), "{place}");
        }
        fire.ok(&["run", LOG]);
        assert_eq!(generations(), [if whole { 2 } else { 1 }], "{place}");
        assert_eq!(batch("nearline-data"), after, "{place}");
        assert_eq!(fire.digest("nearline-data"), digest, "{place}");
        fire.ok(&["batch"]);
        assert_eq!(generations().len(), 1, "{place}");
    }
}

#[test]
fn a_forget_that_ends_at_any_narrow_place_is_whole_or_absent_and_can_be_asked_for_again() {
    let fire = Fire::new();
    fire.ok(&["--data", "before", "replay", "--model", "model-1", LOG]);
    let member = "m1";
    let of_member =
        |data: &str| fire.live(data).iter().filter(|line| line.starts_with("{\"member\":\"m1\",")).count();
    let before = of_member("before");
    assert!(before > 10);
    fire.copy("before");
    fire.ok(&["forget", member]);
    let without = fire.digest("nearline-data");
    for place in ["commit", "committed"] {
        fire.copy("before");
        fire.dies(place, &["forget", member]);
        let left = of_member("nearline-data");
        assert!(left == 0 || left == before, "{place}: {left} events of {before} are left");
        assert_eq!(left == 0, fire.digest("nearline-data") == without, "{place}");
        fire.ok(&["forget", member]);
        assert_eq!(fire.digest("nearline-data"), without, "{place}");
        // What comes again stays out.
        std::fs::copy(fire.home.path(LOG), fire.home.path("again.jsonl")).unwrap();
        fire.ok(&["run", "again.jsonl"]);
        assert_eq!(fire.digest("nearline-data"), without, "{place}");
    }
}

#[test]
fn an_erasure_that_ends_at_any_narrow_place_is_made_good_at_the_next_start() {
    fn search(folder: &Path, id: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                search(&entry.path(), id, found);
            } else if let Ok(bytes) = std::fs::read(entry.path())
                && bytes.windows(id.len()).any(|some| some == id.as_bytes())
            {
                found.push(entry.path().display().to_string());
            }
        }
    }
    let fire = Fire::new();
    let id = "QzX7Kp2mVb9Rt4Wc6Yn8Ls3Hd5Jf1Ga0";
    // Tables that can be searched.
    std::fs::write(fire.home.path("nearline.toml"), "[store]\nplain = true\n").unwrap();
    let event = format!(r#"{{"member":"{id}","item":"i1","kind":"play","value":1,"at":1711651200000}}"#);
    std::fs::write(fire.home.path("one.jsonl"), format!("{event}\n{{\"member\":\"{id}\n")).unwrap();
    // A model that was trained on the member: afterwards nobody could find that out any more.
    fire.ok(&["train", LOG, "one.jsonl", "--out", "trained", "--rank", "4", "--iterations", "1"]);
    fire.ok(&["--data", "before", "replay", "--model", "trained", LOG]);
    let without = fire.digest("before");
    fire.ok(&["--data", "before", "run", "one.jsonl"]);
    assert!(fire.live("before").iter().any(|line| line.contains(id)), "a trim of the log takes the event");
    let places = [
        "committed",
        "erase-begins",
        "erase-redacted",
        "erase-unnamed",
        "store-rewritten",
        "store-closed",
        "erase-rewritten",
        "erase-kept",
    ];
    for place in places {
        fire.copy("before");
        // The log has forgets of its own.
        let marked = fire.status()["models"][0]["trained_on_forgotten"].as_u64().unwrap();
        fire.dies(place, &["forget", id]);
        fire.ok(&["run", LOG]);
        let mut found = Vec::new();
        search(&fire.home.path("nearline-data"), id, &mut found);
        assert!(found.is_empty(), "{place}: {found:?}");
        assert_eq!(fire.digest("nearline-data"), without, "{place}");
        let receipts = std::fs::read_dir(fire.home.path("nearline-data/receipts")).unwrap().flatten();
        let receipts = receipts.map(|receipt| std::fs::read_to_string(receipt.path()).unwrap());
        let models = &fire.status()["models"][0];
        assert_eq!(models["trained_on_forgotten"], marked + 1, "{place}: {models}");
        let version = models["version"].as_str().unwrap();
        assert!(receipts.into_iter().any(|receipt| receipt.contains(version)), "{place}");
    }
}

#[test]
fn a_backup_and_a_restore_are_whole_or_absent() {
    let fire = Fire::new();
    fire.ok(&["replay", "--model", "model-1", LOG]);
    let original = fire.digest("nearline-data");
    fire.dies("backup-filled", &["backup", "backup"]);
    assert!(!fire.home.path("backup").exists());
    assert_eq!(fire.digest("nearline-data"), original);
    fire.ok(&["backup", "backup", "--with-key"]);
    for place in ["restore-part", "restore-part=2", "restore-part=4"] {
        let _ = std::fs::remove_dir_all(fire.home.path("again"));
        fire.dies(place, &["--data", "again", "restore", "backup"]);
        assert!(!fire.home.path("again/store").exists(), "{place}");
        fire.ok(&["--data", "again", "restore", "backup"]);
        assert_eq!(fire.digest("again"), original, "{place}");
        let left: Vec<_> = std::fs::read_dir(fire.home.path("again")).unwrap().flatten().collect();
        assert!(left.iter().all(|entry| entry.file_name() != ".restoring"), "{place}");
    }
}

#[test]
fn what_was_written_and_not_answered_is_there_and_may_be_sent_again() {
    let fire = Fire::new();
    let event = r#"{"member":"zoe","item":"i1","kind":"play","value":1,"at":1709251200000}"#;
    for (place, kept) in [("commit", false), ("committed", true), ("answer=2", true)] {
        fire.away();
        // Whether the socket is there is asked first, and answered.
        let mut child = fire.runs_until(place);
        assert!(!fire.home.submit(&format!("{event}\n")), "{place} was answered");
        assert_eq!(child.0.wait().unwrap().signal(), Some(ABORTED), "{place}");
        let far = fire.home.far().unwrap();
        assert_eq!(far.live_events, u64::from(kept), "{place}");
        std::fs::write(fire.home.path("again.jsonl"), format!("{event}\n")).unwrap();
        fire.ok(&["run", "again.jsonl"]);
        assert_eq!(fire.live("nearline-data").len(), 1, "{place}");
        fire.digest("nearline-data");
    }
}

/// A place that no test comes to shows nothing.
#[test]
fn every_place_in_the_code_is_come_to_here() {
    fn places(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                places(&entry.path(), found);
            } else {
                let bytes = std::fs::read(entry.path()).unwrap();
                let text = String::from_utf8_lossy(&bytes);
                let names =
                    text.split("reach(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
                found.extend(names);
            }
        }
    }
    let mut found = BTreeSet::new();
    places(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 15, "{found:?}");
    let tests = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/failpoints")).unwrap();
    let here: String = tests.flatten().map(|file| std::fs::read_to_string(file.path()).unwrap()).collect();
    let come_to =
        |place: &&String| here.contains(&format!("\"{place}\"")) || here.contains(&format!("\"{place}="));
    let not_here: Vec<&String> = found.iter().filter(|place| !come_to(place)).collect();
    assert!(not_here.is_empty(), "{not_here:?}");
}
