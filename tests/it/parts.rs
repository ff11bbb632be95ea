//! The folders of a pipeline of several processes: verified as one, and made of others.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Stdio;

use nearline::processes::{Part, Share, hash};
use nearline::stores::formats::meta;
use nearline::stores::rocks::{RocksOptions, RocksStore};
use nearline::stores::union::{Keeping, member_of};
use nearline::stores::{Store, Table, Tables};
use serde_json::Value;

use crate::support::{Home, said};

/// A folder of one process that has been through what a folder goes through: events, retractions, forgets, a trim, a
/// catalogue, lists, clusters.
pub fn lived() -> Home {
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
pub fn dealt(home: &Home, processes: usize) -> Vec<String> {
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

/// Makes folders of others.
fn reshard(home: &Home, from: &[&str], to: &[&str]) -> Value {
    let to: Vec<&str> = to.iter().flat_map(|to| ["--to", to]).collect();
    home.json(&[&["reshard"], from, &to].concat())
}

/// The entries of a table.
fn entries(home: &Home, data: &str, table: Table) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut entries = BTreeMap::new();
    let store = RocksStore::open_reader(&home.path(data)).unwrap();
    let mut take = |key: &[u8], value: &[u8]| {
        entries.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    store.scan(table, &[], &[], &mut take).unwrap();
    entries
}

#[test]
fn a_pipeline_is_made_of_another_number_of_processes_and_of_one_again() {
    let home = lived();
    // Members who are gone, and one of them who is active again.
    home.ok(&["forget", "m3", "m4"]);
    let back = r#"{"member":"m4","item":"i1","kind":"like","at":"2027-01-01T00:00:00Z"}"#;
    home.write("back.jsonl", &format!("{back}\n"));
    home.ok(&["run", "back.jsonl"]);
    let digest = home.verified("nearline-data");
    let before = home.json(&["status"]);

    let three = ["a-0", "a-1", "a-2"];
    let made = reshard(&home, &["nearline-data"], &three);
    assert_eq!(made["folders"].as_array().unwrap().len(), 3);
    let records = entries(&home, "nearline-data", Table::Records);
    let parts = three.map(|data| entries(&home, data, Table::Records));
    assert_eq!(parts.iter().map(BTreeMap::len).sum::<usize>(), records.len());
    for (process, part) in parts.iter().enumerate() {
        let share = Share { process, processes: 3 };
        assert!(!part.is_empty());
        for (key, value) in part {
            assert!(share.owns(member_of(Table::Records, key).unwrap()));
            assert_eq!(records.get(key), Some(value));
        }
    }
    for table in [Table::Items, Table::Offsets] {
        let all = entries(&home, "nearline-data", table);
        assert!(!all.is_empty());
        three.iter().for_each(|data| assert_eq!(entries(&home, data, table), all, "{data} {table:?}"));
    }
    // The tombstone of who is back is with the member; those of who is gone are everywhere.
    let tombstones = entries(&home, "nearline-data", Table::Tombstones);
    let held = three.map(|data| entries(&home, data, Table::Tombstones));
    let holders = |digest| held.iter().filter(|part| part.contains_key(digest)).count();
    let counts: Vec<usize> = tombstones.keys().map(holders).collect();
    assert!(counts.contains(&1) && counts.contains(&3) && !counts.contains(&2), "{counts:?}");

    let said = home.say(&["verify", "a-0", "a-1", "a-2"]).ended(1);
    assert!(said.contains("views lag behind"), "{said}");
    reshard(&home, &["a-2", "a-0", "a-1"], &["b-0", "b-1"]);
    let last = reshard(&home, &["b-0", "b-1"], &["again"]);
    assert_eq!(last["pipeline"], Value::Null);
    assert_eq!(entries(&home, "again", Table::Records), records);
    assert_eq!(entries(&home, "again", Table::Tombstones), tombstones);
    assert_eq!(entries(&home, "again", Table::Offsets), entries(&home, "nearline-data", Table::Offsets));

    // A start makes the views, with the model and the centres of before; what was read is not read again, and who was
    // forgotten stays so.
    home.ok(&["--data", "again", "run", "2-live.jsonl", "4-listed.jsonl", "back.jsonl"]);
    assert_eq!(home.verified("again"), digest);
    let after = home.json(&["--data", "again", "status"]);
    for name in ["model", "now", "clusters", "counts"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    home.write("copy.jsonl", &std::fs::read_to_string(home.path("1-loaded.jsonl")).unwrap());
    home.ok(&["--data", "again", "run", "copy.jsonl"]);
    assert_eq!(home.verified("again"), digest);
    assert_eq!(home.verified("nearline-data"), digest);
}

#[test]
fn sources_are_read_on_from_the_least_that_any_store_has_read() {
    let home = lived();
    let two = ["a-0", "a-1"];
    reshard(&home, &["nearline-data"], &two);
    for (data, next) in [("a-0", 30), ("a-1", 20)] {
        let offset = format!(r#"{{"next":{next},"last":"","resets":0,"brokers":"b:9092"}}"#);
        change(&home, data, Table::Offsets, b"kafka://C/T/0", Some(offset.as_bytes()));
    }
    change(&home, "a-1", Table::Offsets, b"kafka://C/T/1", Some(br#"{"next":7,"last":""}"#));
    reshard(&home, &two, &["again"]);
    let offsets = entries(&home, "again", Table::Offsets);
    let next =
        |source: &str| serde_json::from_slice::<Value>(&offsets[source.as_bytes()]).unwrap()["next"].clone();
    assert_eq!((next("kafka://C/T/0"), next("kafka://C/T/1")), (20.into(), 7.into()));
}

#[test]
fn folders_that_cannot_be_made_of_others_are_refused_and_it_is_said_what_to_do() {
    let home = lived();
    let refused = |args: &[&str], code: i32, what: &str| {
        let said = home.say(&[&["reshard"], args].concat()).ended(code);
        assert!(said.contains(what), "{said}");
    };
    let three = ["--to", "a-0", "--to", "a-1", "--to", "a-2"];
    home.ok(&[&["reshard", "nearline-data"], &three[..]].concat());
    refused(&["a-0", "a-1", "--to", "b"], 2, "that of process 2 is missing");
    refused(&["a-0", "a-1", "a-2", "nearline-data", "--to", "b"], 2, "name it alone");
    refused(&["a-0", "a-1", "a-2", "--to", "nearline-data"], 2, "nearline-data is not empty: it holds");
    refused(&["nearline-data", "--to", "b", "--to", "./b"], 2, "is named twice");
    refused(&["nowhere", "--to", "b"], 3, "there is no nearline data in nowhere");
    assert!(!home.path("b").exists());

    let running = home.start(&["run", "-"]);
    refused(&["nearline-data", "--to", "b"], 3, "is held by another nearline process");
    running.finish().ok();

    // What is still to be taken elsewhere.
    let mark = [meta::ERASING, &7_u64.to_be_bytes(), &[1; 16]].concat();
    let erasing = br#"{"member":"m1","at":1,"removed":{}}"#;
    let archive =
        br#"{"repository":"file:///a","version":1,"archived":1,"at":null,"files":1,"records":1,"bytes":1}"#;
    let mirror = br#"{"url":"memcached://h:1","views":["top_picks"],"acked":1,"anew":0,"filling":null,"at":null,"stamp":0}"#;
    let queued = [&9_u64.to_be_bytes()[..], b"tm1"].concat();
    let waiting: [(&[(Table, &[u8], &[u8])], &str); 3] = [
        (&[(Table::Meta, &mark, erasing)], "forget --pending"),
        (
            &[
                (Table::Meta, meta::ARCHIVE, archive),
                (Table::ArchiveQueue, &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0], b"\x01\0\0\0\x01x"),
            ],
            "archive ship",
        ),
        (&[(Table::Meta, b"mirror/cache", mirror), (Table::MirrorQueue, &queued, b"\x01")], "mirrors ship"),
    ];
    for (puts, what) in waiting {
        puts.iter().for_each(|(table, key, value)| change(&home, "nearline-data", *table, key, Some(value)));
        refused(&["nearline-data", "--to", "b"], 2, what);
        assert!(!home.path("b").exists());
        change(&home, "nearline-data", puts.last().unwrap().0, puts.last().unwrap().1, None);
    }
    let standby = br#"{"model":"m","ready":false,"built":1,"members":2,"since":0}"#;
    change(&home, "nearline-data", Table::Meta, meta::STANDBY, Some(standby));
    refused(&["nearline-data", "--to", "b"], 2, "model m is being built");
    change(&home, "nearline-data", Table::Meta, meta::STANDBY, None);
    // With nothing waiting the folders are made; that the member may be elsewhere is remembered.
    reshard(&home, &["nearline-data"], &["b"]);
    let left = &entries(&home, "b", Table::Meta);
    assert_eq!(left[meta::ARCHIVES_LEFT], br#"["file:///a"]"#);
    assert_eq!(left[meta::MIRRORS_LEFT], br#"["memcached://h:1"]"#);

    let epoch = 9_999_u64.to_be_bytes();
    change(&home, "a-1", Table::Meta, meta::TRIMMED, Some(&epoch));
    refused(&["a-0", "a-1", "a-2", "--to", "c"], 2, "the stores differ in `trimmed`");
    change(&home, "a-1", Table::Meta, meta::EPOCH, Some(&epoch));
    refused(&["a-0", "a-1", "a-2", "--to", "c"], 1, "process 1: 9999");
}

/// Runs a pipeline of as many processes as there are folders, to the end of its sources.
fn run(home: &Home, folders: &[&str], sources: &[&str]) {
    let listeners: Vec<TcpListener> =
        folders.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let hosts = listeners.iter().map(|listener| format!("{}\n", listener.local_addr().unwrap()));
    home.write("hosts", &hosts.collect::<String>());
    drop(listeners);
    let start = |(process, data): (usize, &&str)| {
        let (number, of) = (process.to_string(), folders.len().to_string());
        let args = ["--data", data, "run", "--process", &number, "--processes", &of, "--hosts", "hosts"];
        let mut command = home.command(&[&args, sources].concat());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = folders.iter().enumerate().map(start).collect();
    running.into_iter().for_each(|child| drop(said(child.wait_with_output().unwrap()).ok()));
}

#[test]
fn a_pipeline_that_runs_goes_on_with_another_number_of_processes() {
    let home = lived();
    let all = ["1-loaded.jsonl", "2-live.jsonl", "4-listed.jsonl"];
    home.ok(&[&["--data", "whole", "run", "--model", "model"], &all[..]].concat());
    let digest = home.verified("whole");
    let verified = |folders: &[&str]| {
        let (code, said, err) = verify(&home, folders);
        assert_eq!((code, &said["equal"]), (0, &true.into()), "{said} {err}");
        said["stored"].as_str().unwrap().to_owned()
    };
    let (two, three) = (["a-0", "a-1"], ["b-0", "b-1", "b-2"]);
    run(&home, &two, &["--model", "model", all[0]]);
    assert_ne!(verified(&two), digest);
    reshard(&home, &two, &three);
    run(&home, &three, &all);
    assert_eq!(verified(&three), digest);
    // And with one again, which has nothing more to read.
    reshard(&home, &three, &["c"]);
    home.ok(&[&["--data", "c", "run"], &all[..]].concat());
    assert_eq!(home.verified("c"), digest);
    // A folder of before is none of the new pipeline's.
    let said = home.say(&["verify", "a-0", "b-1", "b-2"]).ended(2);
    assert!(said.contains("of different pipelines"), "{said}");
}
