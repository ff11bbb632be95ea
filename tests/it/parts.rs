//! The folders of a pipeline of several processes: verified as one.

use std::ops::ControlFlow;
use std::path::Path;

use nearline::processes::{Part, Share, hash};
use nearline::stores::formats::meta;
use nearline::stores::rocks::{RocksOptions, RocksStore};
use nearline::stores::union::{Keeping, member_of};
use nearline::stores::{Store, Table, Tables};
use serde_json::Value;

use crate::support::Home;

/// A folder of one process that has been through what a folder goes through: events, retractions, forgets, a trim, a
/// catalogue, lists, clusters.
fn lived() -> Home {
    let home = Home::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for log in ["1-loaded.jsonl", "2-live.jsonl", "4-listed.jsonl"] {
        std::fs::copy(fixtures.join(log), home.path(log)).unwrap();
    }
    home.ok(&[
        "train",
        "1-loaded.jsonl",
        "--out",
        "model",
        "--rank",
        "4",
        "--iterations",
        "2",
        "--seed",
        "1",
    ]);
    home.ok(&["replay", "--model", "model", "1-loaded.jsonl"]);
    home.ok(&["run", "2-live.jsonl", "4-listed.jsonl"]);
    home.ok(&["cluster", "--clusters", "2", "--use"]);
    home
}

fn open(home: &Home, data: &str) -> RocksStore {
    RocksStore::open(&home.path(data), RocksOptions::default()).unwrap()
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Deals a folder out to the processes of a pipeline, with all its views.
fn dealt(home: &Home, processes: usize) -> Vec<String> {
    let whole = RocksStore::open_reader(&home.path("nearline-data")).unwrap();
    let names: Vec<String> = (0..processes).map(|process| format!("part-{process}")).collect();
    for (process, name) in names.iter().enumerate() {
        let share = Share { process, processes };
        let store = open(home, name);
        let mut change = store.begin();
        for table in Table::ALL {
            let mut deal = |key: &[u8], value: &[u8]| {
                let has = match Keeping::of(table) {
                    Keeping::Owner => share.owns(member_of(table, key).unwrap()),
                    Keeping::One => hash(&String::from_utf8_lossy(key)) as usize % processes == process,
                    Keeping::Own => false,
                    Keeping::All | Keeping::Some => true,
                };
                if has && key != meta::TURNED {
                    change.put(table, key, value);
                }
                ControlFlow::Continue(())
            };
            whole.scan(table, &[], &[], &mut deal).unwrap();
        }
        let part = Part { pipeline: "0123456789abcdef".repeat(2), share };
        change.put(Table::Meta, meta::PART, &serde_json::to_vec(&part).unwrap());
        change.commit(true).unwrap();
        for folder in ["models", "centres"] {
            copied(&home.path("nearline-data").join(folder), &home.path(name).join(folder));
        }
        std::fs::copy(home.path("nearline-data/digest.key"), home.path(name).join("digest.key")).unwrap();
    }
    names
}

fn verify(home: &Home, folders: &[&str]) -> (i32, Value, String) {
    let said = home.say(&[&["verify", "--json"], folders].concat());
    (said.code, serde_json::from_str(&said.out).unwrap_or_default(), said.err)
}

fn change(home: &Home, data: &str, table: Table, key: &[u8], value: Option<&[u8]>) {
    let store = open(home, data);
    let mut change = store.begin();
    match value {
        Some(value) => change.put(table, key, value),
        None => change.delete(table, key),
    }
    change.commit(true).unwrap();
}

#[test]
fn the_stores_of_several_processes_are_verified_as_one() {
    let home = lived();
    let digest = home.verified("nearline-data");
    let names = dealt(&home, 3);
    let [first, second, third] = [0, 1, 2].map(|part: usize| names[part].as_str());

    // In any order; the digest is that of one process.
    let (code, said, err) = verify(&home, &[third, first, second]);
    assert_eq!(code, 0, "{said} {err}");
    assert_eq!((&said["stored"], &said["recomputed"]), (&digest.clone().into(), &digest.clone().into()));
    assert_eq!((&said["processes"], &said["misplaced"]), (&3.into(), &0.into()));
    let text = home.ok(&["verify", first, second, third]);
    assert!(text.starts_with(&digest) && text.contains("in the stores of 3 processes"), "{text}");
    // The folder of one process is verified as it was, named or not.
    let (code, said, _) = verify(&home, &["nearline-data"]);
    assert_eq!((code, &said["stored"], said.get("processes")), (0, &digest.clone().into(), None));

    // An entry that is lost, one that is changed, one that is twice there, one that is another process's, and copies
    // that differ: each is found, and named.
    let (_, list, key) = member_entry(&home, &names, Table::TopPicks);
    let owner = names.iter().position(|name| has(&home, name, Table::TopPicks, &key)).unwrap();
    let other = &*names[(owner + 1) % 3];
    let count = first_key(&home, first, Table::Popularity);
    let item = first_key(&home, first, Table::Items);
    let named = |said: &Value, what: &str| {
        let examples =
            [&said["examples"], &said["misplacements"]].map(|list| list.as_array().unwrap().clone());
        assert!(examples.concat().iter().any(|line| line.as_str().unwrap().starts_with(what)), "{said}");
    };
    let harms: [(&str, Table, &[u8], Option<&[u8]>, &str); 5] = [
        (&names[owner], Table::TopPicks, &key, None, "top_picks"),
        (&names[owner], Table::TopPicks, &key, Some(b"\x01"), "top_picks"),
        (other, Table::TopPicks, &key, Some(&list), "top_picks"),
        (second, Table::Popularity, &count, Some(b"\x01\x01"), "popularity"),
        (third, Table::Items, &item, Some(b"\x01\0\0\0\0\0\0\0\x01\0{}"), "items"),
    ];
    for (data, table, key, value, what) in harms {
        let before = RocksStore::open_reader(&home.path(data)).unwrap().get(table, key).unwrap();
        change(&home, data, table, key, value);
        let (code, said, err) = verify(&home, &[first, second, third]);
        assert_eq!((code, &said["equal"]), (1, &false.into()), "{what}: {said} {err}");
        named(&said, what);
        change(&home, data, table, key, before.as_deref());
    }
    assert_eq!(verify(&home, &[first, second, third]).0, 0);
}

fn has(home: &Home, data: &str, table: Table, key: &[u8]) -> bool {
    RocksStore::open_reader(&home.path(data)).unwrap().get(table, key).unwrap().is_some()
}

fn first_key(home: &Home, data: &str, table: Table) -> Vec<u8> {
    let mut first = None;
    let store = RocksStore::open_reader(&home.path(data)).unwrap();
    let mut take = |key: &[u8], _: &[u8]| {
        first = Some(key.to_vec());
        ControlFlow::Break(())
    };
    store.scan(table, &[], &[], &mut take).unwrap();
    first.unwrap()
}

/// An entry of some member, and in which folder it is.
fn member_entry(home: &Home, names: &[String], table: Table) -> (String, Vec<u8>, Vec<u8>) {
    let name = &names[0];
    let key = first_key(home, name, table);
    let value = RocksStore::open_reader(&home.path(name)).unwrap().get(table, &key).unwrap().unwrap();
    (name.clone(), value, key)
}

#[test]
fn what_is_not_all_of_one_pipeline_is_not_verified_and_it_is_said_what_is_missing() {
    let home = lived();
    let names = dealt(&home, 3);
    let [first, second, third] = [0, 1, 2].map(|part: usize| names[part].as_str());
    let refused = |folders: &[&str], what: &[&str]| {
        let (code, _, err) = verify(&home, folders);
        assert_eq!(code, 2, "{err}");
        what.iter().for_each(|what| assert!(err.contains(what), "{err}"));
    };
    refused(
        &[second],
        &["part-1 of process 1", "of a pipeline of 3 processes", "processes 0 and 2 is missing"],
    );
    refused(&[second, third], &["that of process 0 is missing"]);
    refused(&[first, second, second, third], &["both of process 1"]);
    refused(&[first, second, "nearline-data"], &["nearline-data has all of a pipeline of one process"]);
    let said = home.say(&["--data", first, "verify"]).ended(2);
    assert!(said.contains("name all its data folders"), "{said}");

    let part = |pipeline: &str| {
        let share = Share { process: 2, processes: 3 };
        serde_json::to_vec(&Part { pipeline: pipeline.repeat(2), share }).unwrap()
    };
    change(&home, third, Table::Meta, meta::PART, Some(&part("fedcba9876543210")));
    refused(&[first, second, third], &["of different pipelines"]);
    change(&home, third, Table::Meta, meta::PART, Some(&part("0123456789abcdef")));
    let epoch = RocksStore::open_reader(&home.path(third)).unwrap().get(Table::Meta, meta::EPOCH).unwrap();
    change(&home, third, Table::Meta, meta::EPOCH, Some(&9_999_u64.to_be_bytes()));
    let (code, _, err) = verify(&home, &[first, second, third]);
    assert!(code == 1 && err.contains("process 2: 9999"), "{err}");
    change(&home, third, Table::Meta, meta::EPOCH, epoch.as_deref());
    change(&home, third, Table::Meta, meta::PENDING, Some(b"\x01"));
    let (code, _, err) = verify(&home, &[first, second, third]);
    assert!(code == 1 && err.contains("part-2: the views lag"), "{err}");
}
