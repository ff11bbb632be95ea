//! Exact retraction: what is taken out leaves every view as it would be had it never come, to the byte, from the epoch of
//! the retraction on; and it stays out. Random histories on a store on disk, and real logs (`real_data.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use nearline::engine::recover::Standing;
use nearline::engine::verify::digest;
use nearline::engine::{Engine, EngineOptions, socket};
use nearline::stores::formats::meta;
use nearline::stores::rocks::{RocksOptions, RocksStore};
use nearline::stores::{Store, Table};
use proptest::prelude::*;
use serde_json::Value;

use crate::sets::{Way, any_records, any_way, batch, options, verified};
use crate::support::{Chance, Home, arg};

/// All that is canonical in a store: table and key, value.
type Entries = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// The entries of all views, of the catalogue and of the live events.
fn entries(store: &dyn Store) -> Entries {
    let mut entries = Entries::new();
    for key in [meta::NOW, meta::TRENDING] {
        if let Some(value) = store.get(Table::Meta, key).unwrap() {
            entries.insert(("meta", key.to_vec()), value);
        }
    }
    for table in [Table::Records, Table::Items].into_iter().chain(Table::VIEWS) {
        let take = &mut |key: &[u8], value: &[u8]| {
            // A member's id, led by its length less one; then what the record is: `e` of a live event.
            if table != Table::Records || key[usize::from(key[0]) + 2] == b'e' {
                entries.insert((table.name(), key.to_vec()), value.to_vec());
            }
            ControlFlow::Continue(())
        };
        store.scan(table, &[], &[], take).unwrap();
    }
    entries
}

/// Says where two stores differ; nothing where they do not.
fn difference(one: &Entries, other: &Entries) -> Option<String> {
    let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let at = keys.into_iter().find(|key| one.get(*key) != other.get(*key))?;
    let key = String::from_utf8_lossy(&at.1);
    Some(format!("{} {key:?}: {:?} and {:?}", at.0, one.get(at), other.get(at)))
}

/// A folder on disk, and an engine over it that goes on.
struct OnDisk {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    engine: Engine,
}

impl OnDisk {
    fn with(records: &[String], way: &Way) -> OnDisk {
        let folder = tempfile::tempdir().unwrap();
        let disk = Self::open(folder, way);
        for lines in records.chunks(way.batch) {
            disk.engine.handle().send(batch(lines)).unwrap();
        }
        disk.again(way)
    }

    fn open(folder: tempfile::TempDir, way: &Way) -> OnDisk {
        let store: Arc<dyn Store> =
            Arc::new(RocksStore::open(folder.path(), RocksOptions::default()).unwrap());
        // Of one key, so that the entries of events can be compared as they are stored.
        let options = EngineOptions { workers: way.workers, epoch_records: way.epoch_records, ..options(1) };
        let engine = Engine::start(store.clone(), store.clone(), options).unwrap();
        OnDisk { folder, store, engine }
    }

    /// The same folder in another process, as it were.
    fn again(self, way: &Way) -> OnDisk {
        let OnDisk { folder, store, engine } = self;
        engine.finish().unwrap();
        drop(store);
        Self::open(folder, way)
    }

    /// What a reader beside it sees, and at which epoch.
    fn seen(&self) -> (u64, Entries) {
        let reader = RocksStore::open_reader(self.folder.path()).unwrap();
        (Standing::of(&reader).unwrap().epoch, entries(&reader))
    }

    /// Sends records in one request; the epoch in which they are.
    fn submit(&self, records: &[String]) -> u64 {
        self.engine.handle().submit(batch(records)).unwrap().epoch
    }
}

/// An event's member and id, where it is an event that has one.
fn named(record: &str) -> Option<(String, String)> {
    let record: Value = serde_json::from_str(record).unwrap();
    let text = |key: &str| record[key].as_str().map(str::to_owned);
    Some((text("member")?, text("id")?)).filter(|_| record["type"].is_null())
}

/// Retractions of some of these events, one in `by_id` of them by id where there is one; and what is left without what they
/// take out.
fn taken_out(records: &[String], chosen: &[usize], by_id: usize) -> (Vec<String>, Vec<String>) {
    let (mut retractions, mut events, mut ids) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (turn, place) in chosen.iter().enumerate() {
        let event = &records[*place];
        match named(event).filter(|_| turn % by_id == 0) {
            Some((member, id)) => {
                retractions
                    .push(serde_json::json!({"type": "retract", "member": member, "id": id}).to_string());
                ids.insert((member, id));
            }
            None => {
                retractions.push(format!(r#"{{"type":"retract",{}"#, &event[1..]));
                events.insert(event.clone());
            }
        }
    }
    let stays = |record: &&String| {
        !events.contains(*record) && !named(record).is_some_and(|named| ids.contains(&named))
    };
    (retractions, records.iter().filter(stays).cloned().collect())
}

proptest! {
    // Each of these makes two stores on disk.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_retractions_every_entry_is_that_of_a_world_without_from_their_epoch_on(
        records in any_records(),
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        way in any_way(),
    ) {
        let events: Vec<usize> =
            (0..records.len()).filter(|place| records[*place].starts_with(r#"{"member"#)).collect();
        prop_assume!(!events.is_empty());
        let chosen: Vec<usize> = chosen.iter().map(|index| *index.get(&events)).collect();
        let (retractions, without) = taken_out(&records, &chosen, 2);
        let without = entries(&*OnDisk::with(&without, &Way { seed: 7, workers: 1, ..way.clone() }).store);

        let disk = OnDisk::with(&records, &way);
        let (before, whole) = disk.seen();
        prop_assert_eq!(difference(&whole, &entries(&*disk.store)), None);
        let epoch = disk.submit(&retractions);
        // One epoch later, and nothing of it comes after that.
        let (after, seen) = disk.seen();
        prop_assert!((before < epoch) && after == epoch, "{before}, {epoch}, {after}");
        prop_assert_eq!(difference(&seen, &without), None);

        // Again and again, and in a process that knows it from the store alone.
        let gone: Vec<String> = chosen.iter().map(|place| records[*place].clone()).collect();
        disk.submit(&gone);
        prop_assert_eq!(difference(&disk.seen().1, &without), None);
        let disk = disk.again(&way);
        disk.submit(&gone);
        prop_assert_eq!(difference(&disk.seen().1, &without), None);
        let OnDisk { store, engine, folder } = disk;
        engine.finish().unwrap();
        verified(&store, 1);
        drop((store, folder));
    }
}

#[test]
fn a_retraction_by_id_outlives_a_forget_and_a_restart() {
    let event = |id: &str, at: i64| {
        format!(r#"{{"member":"ann","item":"a","kind":"play","value":1,"at":{at},"id":"{id}"}}"#)
    };
    let way = Way { seed: 0, workers: 2, bulk: false, epoch_records: 7, batch: 7, stop_after: 9, again: 0 };
    let empty = entries(&*OnDisk::with(&[], &way).store);
    let disk = OnDisk::with(&[event("e1", 1_000), event("e2", 2_000)], &way);
    disk.submit(&[r#"{"type":"retract","member":"ann","id":"e1"}"#.to_owned()]);
    disk.submit(&[r#"{"type":"forget","member":"ann","at":5000}"#.to_owned()]);
    let mut disk = disk;
    for _ in 0..2 {
        // Of before the forget and of after it.
        disk.submit(&[event("e1", 1_000), event("e1", 6_000)]);
        assert_eq!(difference(&disk.seen().1, &empty), None);
        disk = disk.again(&way);
    }
    disk.submit(&[event("e2", 7_000)]);
    assert!(difference(&disk.seen().1, &empty).is_some(), "an id that was not retracted is taken");
}

/// A tenth of a real log taken out again, by fields and one in `by_id` by id, with a model.
pub fn a_tenth_taken_out(log: &Path, map: &str, config: &str, by_id: usize) {
    let home = Home::new();
    home.write("nearline.toml", config);
    home.ok(&["--data", "raw", "replay", arg(log), "--map", map]);
    // Every event gets an id, unless it has one (of which several may have the same).
    let export = home.ok(&["--data", "raw", "export", "--without-key"]);
    let with_id = |(number, line): (usize, &str)| match line.contains(r#","id":""#) {
        true => line.to_owned(),
        false => format!(r#"{},"id":"e{number}"}}"#, &line[..line.len() - 1]),
    };
    let records: Vec<String> = export.lines().enumerate().map(with_id).collect();
    let mut places: Vec<usize> = (0..records.len()).collect();
    Chance(11).shuffle(&mut places);
    places.truncate(records.len() / 10);
    let (retractions, without) = taken_out(&records, &places, by_id);
    assert!(without.len() <= records.len() - places.len() && without.len() > records.len() / 2);
    let text = |lines: &[String]| lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
    home.write("log.jsonl", &text(&records));
    home.write("without.jsonl", &text(&without));
    home.ok(&["train", "log.jsonl", "--out", "model", "--rank", "8", "--iterations", "1"]);
    home.ok(&["--data", "without", "replay", "--model", "model", "without.jsonl"]);
    home.ok(&["replay", "--model", "model", "log.jsonl"]);

    let reader = |data: &str| RocksStore::open_reader(&home.path(data)).unwrap();
    let sum = |data: &str| digest(&reader(data)).unwrap();
    let wanted = sum("without");
    assert_ne!(sum("nearline-data"), wanted);
    let running = home.start(&["run", "-"]);
    let answer =
        socket::send(&home.path("nearline-data/nearline.sock"), &text(&retractions)).unwrap().unwrap();
    assert_eq!((answer.accepted, answer.error), (retractions.len() as u64, None));
    // The process goes on, and the epoch that it has answered is all there is.
    assert_eq!(Standing::of(&reader("nearline-data")).unwrap().epoch, answer.epoch);
    assert_eq!(sum("nearline-data"), wanted);
    let again: Vec<String> = places.iter().map(|place| records[*place].clone()).collect();
    socket::send(&home.path("nearline-data/nearline.sock"), &text(&again)).unwrap().unwrap();
    assert_eq!(sum("nearline-data"), wanted);
    running.finish().ok();
    assert_eq!(home.verified("nearline-data"), wanted.0.to_string());

    // Entry by entry as well: but for the events, which lie under each folder's own key.
    let [one, other] = ["nearline-data", "without"].map(|data| {
        let mut entries = entries(&reader(data));
        entries.retain(|(table, _), _| *table != Table::Records.name());
        entries
    });
    assert_eq!(difference(&one, &other), None);
}
