//! Bytes of a data folder that are flipped or torn off: every answer after it is the right one or an error that
//! says what to do, and never a wrong one.

#![expect(clippy::print_stdout, reason = "what was skipped or tried is said")]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use nearline::digests::to_hex;
use nearline::engine::recover::{Standing, records as records_of};
use nearline::engine::{Engine, EngineOptions};
use nearline::stores::rocks::{RocksOptions, RocksStore};
use nearline::stores::{Store, StoreError, Table, formats};

use crate::sets::{PLAIN, options, taken, verified};
use crate::support::{Chance, Home, Said, until};

const MORE: &str =
    r#"{"member":"m1","item":"i1","kind":"play","value":0.4,"at":"2026-06-10T00:00:00Z","id":"more"}"#;

/// A folder with every kind of file: a bulk load with a model, then epochs that are in the log alone, then a kill.
struct Prepared {
    home: Home,
    /// Its digest, and what it is after one more event.
    digests: [String; 2],
}

fn prepared() -> Prepared {
    let home = Home::new();
    home.ok(&["bench-log", "events.jsonl", "--events", "4000", "--members", "200", "--items", "100"]);
    home.write("items.jsonl", "{\"type\":\"item\",\"item\":\"i1\",\"at\":1,\"title\":\"One\"}\n");
    home.ok(&["train", "events.jsonl", "--out", "model", "--rank", "4", "--iterations", "1"]);
    home.ok(&["replay", "--model", "model", "items.jsonl", "events.jsonl"]);
    home.ok(&["forget", "m7"]);
    home.write("more.jsonl", &format!("{MORE}\n"));
    // Nothing orderly comes after this: what these epochs brought is in the log of the store and nowhere else.
    let mut running = home.start(&["run", "--epoch-records", "3", "-"]);
    for number in 0..60 {
        let (member, item) = (number % 9 + 10, number % 7 + 1);
        running.send(&format!(
            "{{\"member\":\"m{member}\",\"item\":\"i{item}\",\"kind\":\"play\",\"at\":{number}}}\n"
        ));
        if number == 30 {
            running.send("{\"type\":\"retract\",\"member\":\"m12\",\"id\":\"gone\"}\nnonsense\n");
        }
    }
    until("all is there", || live_events(&home) == Some(60 + 4000 - forgotten(&home)));
    running.kill();
    let first = home.verified("nearline-data");
    copy(&home.path("nearline-data"), &home.path("other"));
    home.ok(&["--data", "other", "run", "more.jsonl"]);
    let second = home.verified("other");
    assert_ne!(first, second);
    Prepared { home, digests: [first, second] }
}

fn live_events(home: &Home) -> Option<u64> {
    let status: serde_json::Value = serde_json::from_str(&home.say(&["status", "--json"]).out).ok()?;
    status["counts"]["live_events"].as_u64()
}

/// How many events the forgotten member had.
fn forgotten(home: &Home) -> u64 {
    let log = fs::read_to_string(home.path("events.jsonl")).unwrap();
    log.lines().filter(|line| line.contains("\"m7\"")).count() as u64
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &target),
            kind if kind.is_file() => {
                fs::copy(entry.path(), target).unwrap();
            }
            _ => {}
        }
    }
}

/// The files of a folder, in order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => all.extend(files(&entry.path())),
            kind if kind.is_file() => all.push(entry.path()),
            _ => {}
        }
    }
    all.sort();
    all
}

/// What a file is called but for its number, by which files of a kind are told.
fn kind(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    match path.extension() {
        Some(ending) if name.starts_with(|letter: char| letter.is_ascii_digit()) => {
            format!("*.{}", ending.display())
        }
        _ => name.split('-').next().unwrap().to_owned(),
    }
}

/// A refusal that a person can act on: its code, and that it names what to do.
fn is_refusal(said: &Said) -> bool {
    const ADVICE: [&str; 6] =
        ["restore", "remove that file", "replay the logs", "start again", "publish it again", "train"];
    matches!(said.code, 2 | 3)
        && ADVICE.iter().any(|advice| said.err.contains(advice))
        && said.err.lines().count() <= 3
}

/// Asks a damaged folder for everything, by reading and by writing. Says which of the two answered.
fn ask(prepared: &Prepared, what: &str) -> [bool; 2] {
    let home = &prepared.home;
    let verify = home.say(&["--data", "damaged", "verify", "--json"]);
    let read = verify.code == 0;
    if read {
        let stored = format!("\"stored\":\"{}\"", prepared.digests[0]);
        assert!(verify.out.replace(": ", ":").contains(&stored), "{what}: a wrong answer: {verify:?}");
    } else {
        assert!(is_refusal(&verify), "{what}: {verify:?}");
    }
    let run = home.say(&["--data", "damaged", "run", "more.jsonl"]);
    if run.code != 0 {
        assert!(is_refusal(&run), "{what}: {run:?}");
        return [read, false];
    }
    let verify = home.say(&["--data", "damaged", "verify", "--json"]);
    if verify.code == 0 {
        let stored = format!("\"stored\":\"{}\"", prepared.digests[1]);
        assert!(verify.out.replace(": ", ":").contains(&stored), "{what}: written on wrongly: {verify:?}");
    } else {
        assert!(is_refusal(&verify), "{what}: {verify:?}");
    }
    [read, true]
}

/// How many places of each kind of file are damaged: a few, or as many as the environment asks for.
fn places() -> (usize, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    (number("NEARLINE_FLIPS").unwrap_or(5) as usize, number("NEARLINE_SEED").unwrap_or(1))
}

/// Damages each kind of file in many places. Damage that nobody notices would be no test: of these kinds some must be
/// noticed, and what can be is not all of a file. So of them as many more places are tried as it takes.
fn damaged(
    prepared: &Prepared,
    must_be_noticed: &[&str],
    damage: impl Fn(&mut Vec<u8>, usize, &mut Chance) -> String,
) {
    let folder = prepared.home.path("nearline-data");
    let (places, seed) = places();
    println!("NEARLINE_SEED={seed} NEARLINE_FLIPS={places}");
    let mut chance = Chance(seed);
    let all: Vec<PathBuf> =
        files(&folder).into_iter().filter(|path| fs::metadata(path).unwrap().len() > 0).collect();
    let mut kinds: Vec<String> = all.iter().map(|path| kind(path)).collect();
    kinds.sort();
    kinds.dedup();
    assert!(must_be_noticed.iter().all(|must| kinds.iter().any(|kind| kind == must)), "{kinds:?}");
    for of in &kinds {
        let of_kind: Vec<&PathBuf> = all.iter().filter(|path| kind(path) == *of).collect();
        let (mut noticed, mut tried) = (!must_be_noticed.contains(&of.as_str()), 0);
        while tried < places || !noticed {
            assert!(tried < places + 50, "no damage of {of} was noticed");
            tried += 1;
            let path = of_kind[chance.below(of_kind.len())];
            let inside = path.strip_prefix(&folder).unwrap();
            copy(&folder, &prepared.home.path("damaged"));
            let mut bytes = fs::read(path).unwrap();
            let at = chance.below(bytes.len());
            let what = damage(&mut bytes, at, &mut chance);
            fs::write(prepared.home.path("damaged").join(inside), bytes).unwrap();
            let answered = ask(prepared, &format!("{} {what}, seed {seed}", inside.display()));
            noticed |= answered != [true, true];
        }
    }
}

#[test]
fn a_flipped_bit_of_any_file_is_an_error_or_changes_no_answer() {
    let prepared = prepared();
    let must = ["*.sst", "*.log", "MANIFEST", "digest.key", "acknowledged", "manifest.json"];
    damaged(&prepared, &must, |bytes, at, chance| {
        let bit = chance.below(8);
        bytes[at] ^= 1 << bit;
        format!("with bit {bit} of byte {at} flipped")
    });
    // What was damaged is whole again: it goes on.
    copy(&prepared.home.path("nearline-data"), &prepared.home.path("damaged"));
    assert_eq!(ask(&prepared, "undamaged"), [true, true]);
}

#[test]
fn a_file_that_is_torn_off_is_an_error_or_changes_no_answer() {
    let prepared = prepared();
    damaged(&prepared, &["*.sst", "*.log", "MANIFEST", "CURRENT", "digest.key"], |bytes, at, _| {
        bytes.truncate(at);
        format!("cut off at {at}")
    });
}

/// RocksDB takes a record that seems to go on past the end of its log for one that a crash has cut off.
#[test]
fn damage_that_looks_like_a_torn_log_takes_no_acknowledged_epoch_away_in_silence() {
    let prepared = prepared();
    let home = &prepared.home;
    let is_log = |path: &PathBuf| kind(path) == "*.log" && fs::metadata(path).unwrap().len() > 0;
    let log = files(&home.path("nearline-data")).into_iter().rfind(is_log).unwrap();
    let whole = fs::read(&log).unwrap();
    let inside = log.strip_prefix(home.path("nearline-data")).unwrap();
    for cut in [whole.len() - 1, whole.len() / 2, 7] {
        copy(&home.path("nearline-data"), &home.path("damaged"));
        fs::write(home.path("damaged").join(inside), &whole[..cut]).unwrap();
        for command in [&["verify"][..], &["get", "m1"], &["status"], &["run", "more.jsonl"]] {
            let said = home.say(&[&["--data", "damaged"], command].concat()).ended(3);
            assert!(said.contains("has lost what was acknowledged"), "cut at {cut}: {said}");
        }
        // To go on without it is a person's decision.
        fs::remove_file(home.path("damaged/acknowledged")).unwrap();
        home.ok(&["--data", "damaged", "run", "more.jsonl"]);
        home.verified("damaged");
    }
}

#[test]
fn a_record_that_was_never_acknowledged_may_be_torn_off() {
    let prepared = prepared();
    let home = &prepared.home;
    let is_log = |path: &PathBuf| kind(path) == "*.log" && fs::metadata(path).unwrap().len() > 0;
    let log = files(&home.path("nearline-data")).into_iter().rfind(is_log).unwrap();
    let mut bytes = fs::read(&log).unwrap();
    // The first half of a record, as a power cut leaves it: a header, and less than it announces.
    let begun = bytes[..200].to_vec();
    bytes.extend_from_slice(&begun[..40]);
    fs::write(&log, bytes).unwrap();
    assert_eq!(home.verified("nearline-data"), prepared.digests[0]);
    home.ok(&["run", "more.jsonl"]);
    assert_eq!(home.verified("nearline-data"), prepared.digests[1]);
}

#[test]
fn a_store_without_its_first_file_is_not_begun_anew() {
    let prepared = prepared();
    let home = &prepared.home;
    fs::rename(home.path("nearline-data/store/CURRENT"), home.path("kept")).unwrap();
    for command in [&["run", "more.jsonl"][..], &["get", "m1"], &["verify"], &["forget", "m1"]] {
        let said = home.say(command).ended(3);
        assert!(said.contains("CURRENT is gone") && said.contains("restore the folder"), "{said}");
    }
    fs::rename(home.path("kept"), home.path("nearline-data/store/CURRENT")).unwrap();
    assert_eq!(home.verified("nearline-data"), prepared.digests[0]);
}

#[test]
fn a_folder_of_a_newer_format_is_refused_and_left_as_it_is() {
    let home = Home::new();
    home.write("more.jsonl", &format!("{MORE}\n"));
    home.ok(&["run", "more.jsonl"]);
    let digest = home.verified("nearline-data");
    let store = RocksStore::open(&home.path("nearline-data"), RocksOptions::default()).unwrap();
    let set = |format: u32| {
        let mut change = store.begin();
        change.put(Table::Meta, formats::meta::FORMAT, &format.to_be_bytes());
        change.commit(true).unwrap();
    };
    set(formats::FORMAT + 1);
    drop(store);
    for command in [&["run", "-"][..], &["replay", "more.jsonl"], &["get", "m1"], &["verify"], &["status"]] {
        let said = home.say(command).ended(3);
        let format = format!("has format {}", formats::FORMAT + 1);
        assert!(said.contains(&format) && said.contains("use a newer nearline"), "{said}");
    }
    let mut db = rocksdb::Options::default();
    db.create_missing_column_families(false);
    let names = rocksdb::DB::list_cf(&db, home.path("nearline-data/store")).unwrap();
    let mut raw = rocksdb::DB::open_cf(&db, home.path("nearline-data/store"), &names).unwrap();
    let meta = raw.cf_handle("meta").unwrap();
    raw.put_cf(meta, formats::meta::FORMAT, formats::FORMAT.to_be_bytes()).unwrap();
    assert_eq!(home.verified("nearline-data"), digest);
    // A newer one may have tables that are not known here.
    raw.create_cf("tables of tomorrow", &db).unwrap();
    drop(raw);
    let said = home.say(&["run", "more.jsonl"]).ended(3);
    assert!(said.contains("use a newer nearline"), "{said}");
}

/// What no checksum tells: bytes that were written as they are.
#[test]
fn a_record_that_is_none_is_named_when_it_is_read_back() {
    let event = |at: u32| format!(r#"{{"member":"m1","item":"i{at}","kind":"play","value":0.5,"at":{at}}}"#);
    let mut records: Vec<String> = (0..20).map(event).collect();
    records.push(r#"{"type":"retract","member":"m1","id":"e1"}"#.to_owned());
    let entries = |store: &dyn Store| {
        let mut entries = Vec::new();
        let mut show = |key: &[u8], value: &[u8]| {
            entries.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        store.scan(Table::Records, &[], &[], &mut show).unwrap();
        entries
    };
    let cut = |value: &[u8]| value[..value.len() - 1].to_vec();
    let nothing = |_: &[u8]| Vec::new();
    // The item's id begins behind the version and the length.
    let no_text = |value: &[u8]| [&value[..2], &[0xff], &value[3..]].concat();
    let damages: [(usize, &dyn Fn(&[u8]) -> Vec<u8>); 4] =
        [(7, &cut), (7, &nothing), (7, &no_text), (20, &nothing)];
    for (number, damage) in damages {
        for rebuild in [false, true] {
            let store = taken(&records, &PLAIN);
            let (key, value) = entries(&*store).swap_remove(number);
            let put = |value: &[u8]| {
                let mut change = store.begin();
                change.put(Table::Records, &key, value);
                change.commit(true).unwrap();
            };
            put(&damage(&value));
            let start = |rebuild| {
                let options = EngineOptions { rebuild, ..options(0) };
                Engine::start(store.clone(), store.clone(), options)?.finish().map(drop)
            };
            let said = start(rebuild).unwrap_err().to_string();
            assert!(said.contains(&to_hex(&key)) && said.contains("records"), "{number} {rebuild}: {said}");
            // Whoever reads records without an engine is told as well.
            let standing = Standing::of(&*store).unwrap();
            let read = records_of::<StoreError>(&*store, &standing, &mut |_| Ok(()));
            assert!(read.unwrap_err().to_string().contains(&to_hex(&key)), "{number}");
            put(&value);
            // What was begun anew is made good.
            start(false).unwrap();
            verified(&store, 0);
        }
    }
}
