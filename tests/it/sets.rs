//! The state is a set of records: any order, duplication, cut, batch and number of workers ends in the same digest,
//! and so does a copy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nearline::config::Config;
use nearline::digests::{DigestKey, hex, to_hex};
use nearline::engine::ingest::TombstoneBody;
use nearline::engine::verify::{digest, verify};
use nearline::engine::{Engine, EngineOptions, LineUpSource};
use nearline::sources::json::Decoder;
use nearline::sources::{Batch, Place, decode_lines};
use nearline::stores::Store;
use nearline::stores::memory::MemoryStore;
use nearline_dataflows::clusters::Centres;
use nearline_dataflows::graph::Meaning;
use nearline_factors::Factors;
use proptest::prelude::*;

use crate::support::{Chance, ForEngine, Home, model};

/// How the same records are taken in.
#[derive(Debug, Clone)]
pub struct Way {
    pub seed: u64,
    pub workers: usize,
    pub bulk: bool,
    pub epoch_records: usize,
    pub batch: usize,
    /// After how many batches the engine ends and another one goes on.
    pub stop_after: usize,
    pub again: usize,
}

pub fn any_way() -> impl Strategy<Value = Way> {
    let sizes = || prop::sample::select(vec![1_usize, 2, 7, 1000]);
    (any::<u64>(), 1..4_usize, any::<bool>(), sizes(), sizes(), sizes(), 0..20_usize).prop_map(
        |(seed, workers, bulk, epoch_records, batch, stop_after, again)| Way {
            seed,
            workers,
            bulk,
            epoch_records,
            batch,
            stop_after: stop_after.max(2),
            again,
        },
    )
}

/// A few names, so that records meet; one member's id begins with another's, and one is not ASCII.
const MEMBERS: [&str; 5] = ["m", "m1", "m10", "mé", "0"];
const ITEMS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "not-in-the-model"];
const KINDS: [&str; 8] = ["play", "buy", "rate", "like", "dislike", "hide", "browse", "of-my-own"];
const VALUES: [&str; 8] = ["1", "0.5", "0.01", "0", "-1", "3.5", "0.949999", "-2.000001"];
const IDS: [&str; 3] = ["", r#","id":"e1""#, r#","id":"e2""#];
const CONTEXTS: [&str; 8] = [
    "",
    r#","context":{"country":"US"}"#,
    r#","context":{"tv":1,"country":"DE"}"#,
    r#","context":{"tv":2}"#,
    r#","context":{"country":"US","list":"top_picks","position":1}"#,
    r#","context":{"country":"DE","list":"top_picks","position":1}"#,
    r#","context":{"list":"top_picks","position":12,"variant":"of \"mine\""}"#,
    r#","context":{"list":"top","variant":"a"}"#,
];
/// Milliseconds in hours of two days, of which one begins with another's end.
const TIMES: [i64; 6] = [
    1_709_287_200_000,
    1_709_287_200_001,
    1_709_290_799_999,
    1_709_290_800_000,
    1_709_300_000_000,
    1_709_337_600_000,
];

fn fields() -> impl Strategy<Value = String> {
    let pick = |list: &'static [&'static str]| prop::sample::select(list);
    (pick(&MEMBERS), pick(&ITEMS), pick(&KINDS), pick(&VALUES), pick(&IDS), pick(&CONTEXTS), 0..TIMES.len())
        .prop_map(|(member, item, kind, value, id, context, at)| {
            let at = TIMES[at];
            format!(r#""member":"{member}","item":"{item}","kind":"{kind}","value":{value},"at":{at}{id}{context}}}"#)
        })
}

fn any_record() -> impl Strategy<Value = String> {
    let member = || prop::sample::select(&MEMBERS[..]);
    let time = || prop::sample::select(&TIMES[..]);
    let item = (prop::sample::select(&ITEMS[..]), 1..4_i64, 0..3_u8, any::<bool>());
    prop_oneof![
        24 => fields().prop_map(|fields| format!("{{{fields}")),
        5 => fields().prop_map(|fields| format!(r#"{{"type":"retract",{fields}"#)),
        2 => (member(), 1..3_u8).prop_map(|(m, id)| format!(r#"{{"type":"retract","member":"{m}","id":"e{id}"}}"#)),
        1 => (member(), time()).prop_map(|(m, at)| format!(r#"{{"type":"forget","member":"{m}","at":{at}}}"#)),
        1 => Just(format!(r#"{{"type":"trim","at":{}}}"#, TIMES[0])),
        3 => item.prop_map(|(item, at, title, withdrawn)| {
            format!(r#"{{"type":"item","item":"{item}","at":{at},"title":"{title}","withdrawn":{withdrawn}}}"#)
        }),
    ]
}

/// Records, and as many retractions of those as there are.
pub fn any_records() -> impl Strategy<Value = Vec<String>> {
    (prop::collection::vec(any_record(), 1..60), prop::collection::vec(any::<prop::sample::Index>(), 0..6))
        .prop_map(|(mut records, retracted)| {
            for index in retracted {
                let record = index.get(&records);
                if record.starts_with(r#"{"member"#) {
                    records.push(format!(r#"{{"type":"retract",{}"#, &record[1..]));
                }
            }
            records
        })
}

/// A model of the first six items, two of them alike so that scores tie.
fn small_model() -> ForEngine {
    let rows = [("a", [1.0, 0.0]), ("b", [0.75, 0.25]), ("c", [0.75, 0.25]), ("d", [0.25, 0.75])];
    let more = [("e", [0.0, 1.0]), ("f", [-0.5, 0.5])];
    let rows: Vec<(&str, Vec<f32>)> = rows.iter().chain(&more).map(|(id, row)| (*id, row.to_vec())).collect();
    ForEngine::new(model(&rows))
}

/// Centres of three clusters of that model's members, two of them alike so that they tie.
fn small_centres(made: &ForEngine) -> Arc<Centres> {
    let rows = Factors::new(2, vec![1.0, 0.0, 0.6, 0.8, 0.6, 0.8]).unwrap();
    Arc::new(Centres::new("centres".into(), made.model.manifest.version.clone(), rows))
}

pub fn options(key: u8) -> EngineOptions {
    let config = Config::default();
    let live: Box<dyn LineUpSource + Send> = Box::new(small_model());
    EngineOptions {
        workers: 1,
        meaning: Meaning {
            kinds: config.kinds.kinds.clone(),
            length: 3,
            half_life_hours: 2,
            begun_from: config.lists.continue_watching.from,
            begun_below: config.lists.continue_watching.below,
            basket: 3,
        },
        meaning_hash: [7; 32],
        kind_names: config.kinds.names.clone(),
        live: Some(live),
        beside: None,
        keep_previous: Duration::from_secs(3_600),
        drop_model: None,
        epoch_interval: Duration::from_millis(1),
        epoch_records: 1000,
        memory_limit: None,
        bulk: false,
        key: DigestKey::new([key; 32]),
        key_file: None,
        rejected: None,
        observer: None,
        rebuild: false,
        archive: None,
        mirrors: None,
        peers: None,
        untold: false,
        centres: Some(small_centres(&small_model())),
    }
}

pub fn batch(lines: &[String]) -> Batch {
    let mut batch = Batch::new("test".into());
    let text = lines.join("\n") + "\n";
    decode_lines(text.as_bytes(), Place::default(), i64::MAX, &mut Decoder::default(), &mut batch);
    assert!(batch.rejected.is_empty(), "{:?}", batch.rejected);
    batch
}

/// Takes the records in, one way or another; the store they end in.
pub fn taken(records: &[String], way: &Way) -> Arc<dyn Store> {
    let mut records = records.to_vec();
    records.extend_from_within(..way.again.min(records.len()));
    Chance(way.seed).shuffle(&mut records);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let batches: Vec<&[String]> = records.chunks(way.batch).collect();
    for some in batches.chunks(way.stop_after) {
        let options = EngineOptions {
            workers: way.workers,
            bulk: way.bulk,
            epoch_records: way.epoch_records,
            // The folder's key is no part of the canonical form.
            ..options(way.seed as u8)
        };
        let engine = Engine::start(store.clone(), store.clone(), options).unwrap();
        for lines in some {
            engine.handle().send(batch(lines)).unwrap();
        }
        engine.finish().unwrap();
    }
    store
}

/// The digest of a store whose views must be what its records say.
pub fn verified(store: &Arc<dyn Store>, key: u8) -> String {
    let verdict = verify(store, &[], 0, &mut |remade| {
        let options = EngineOptions { rebuild: true, ..options(key) };
        Engine::start(store.clone(), remade, options)?.finish().map(drop)
    });
    let verdict = verdict.unwrap();
    assert!(verdict.equal, "{verdict:?}");
    assert_eq!(verdict.stored, digest(&**store).unwrap().0.to_string());
    verdict.stored
}

/// The plainest way: in order, at once.
pub const PLAIN: Way =
    Way { seed: 0, workers: 1, bulk: false, epoch_records: 1000, batch: 1000, stop_after: 1000, again: 0 };

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_duplication_cut_stop_and_number_of_workers_ends_in_the_same_digest(
        records in any_records(),
        ways in prop::collection::vec(any_way(), 3),
    ) {
        let plain = verified(&taken(&records, &PLAIN), 0);
        for way in ways {
            let key = way.seed as u8;
            prop_assert_eq!(&verified(&taken(&records, &way), key), &plain, "{:?}", way);
        }
    }

    #[test]
    fn what_is_retracted_or_forgotten_leaves_what_was_there_without_it(
        records in any_records(),
        leaving in 0..MEMBERS.len(),
        way in any_way(),
    ) {
        let leaving = format!(r#""member":"{}""#, MEMBERS[leaving]);
        let (gone, kept): (Vec<String>, Vec<String>) =
            records.iter().cloned().partition(|record| record.starts_with(&format!("{{{leaving}")));
        let without = verified(&taken(&kept, &PLAIN), 0);
        let retractions: Vec<String> =
            gone.iter().map(|event| format!(r#"{{"type":"retract",{}"#, &event[1..])).collect();
        let retracted = [records.clone(), retractions].concat();
        prop_assert_eq!(&verified(&taken(&retracted, &way), way.seed as u8), &without);
        let forget = format!(r#"{{"type":"forget",{leaving},"at":{}}}"#, TIMES[5]);
        let forgotten = [records, vec![forget]].concat();
        prop_assert_eq!(&verified(&taken(&forgotten, &way), way.seed as u8), &without);
    }
}

proptest! {
    // Each of these starts a dozen processes.
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_made_by_export_has_the_same_digest_and_keeps_old_events_out(
        records in any_records(),
        forgotten in prop::sample::select(&MEMBERS[..]),
        late in prop::collection::vec(any_record(), 1..20),
    ) {
        let home = Home::new();
        small_model().model.save(&home.path("model")).unwrap();
        let run = ["run", "--model", "model", "-"];
        let forget = format!(r#"{{"type":"forget","member":"{forgotten}","at":{}}}"#, TIMES[4]);
        home.ok_pipe(&run, &(records.join("\n") + "\n"));
        home.ok_pipe(&run, &(forget + "\n"));
        let original = home.verified("nearline-data");

        let exported = home.ok(&["export"]);
        let copying = [&["--data", "copy"], &run[..]].concat();
        home.ok_pipe(&copying, &exported);
        prop_assert_eq!(&home.verified("copy"), &original);
        prop_assert_eq!(said_by(&home.ok(&["--data", "copy", "export"])), said_by(&exported));

        // What comes late finds the same tombstones in the copy as in the original.
        let late = late.join("\n") + "\n" + &records.join("\n") + "\n";
        home.ok_pipe(&run, &late);
        home.ok_pipe(&copying, &late);
        prop_assert_eq!(home.verified("copy"), home.verified("nearline-data"));
        prop_assert_eq!(said_by(&home.ok(&["--data", "copy", "export"])), said_by(&home.ok(&["export"])));
    }
}

/// What an export says: its lines in one order, but for what may not come back, which is said for each member, by
/// digests. Whether a retraction is kept as it came or as a digest depends on whether it came before a forget or a trim
/// or after it, and so on where epochs were cut; what it keeps out does not.
fn said_by(export: &str) -> (Vec<String>, BTreeMap<String, KeptOut>) {
    let parsed = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let of_type = |name: &str| export.lines().map(parsed).find(|record| record["type"] == name);
    let key = of_type("key").map(|key| hex(key["key"].as_str().unwrap()).unwrap()).unwrap_or_default();
    let key = DigestKey::new(key);
    let trimmed = of_type("trim").map_or(-1, |trim| trim["at"].as_i64().unwrap());
    let (mut lines, mut kept_out) = (Vec::new(), BTreeMap::<String, KeptOut>::new());
    for line in export.lines() {
        let record = parsed(line);
        let text = |field: &str| record[field].as_str().unwrap();
        if record["type"] == "tombstone" {
            let own = kept_out.entry(text("member").to_owned()).or_default();
            let body: TombstoneBody = serde_json::from_value(record["body"].clone()).unwrap();
            own.forget = own.forget.max(body.forget);
            own.ids.extend(body.ids);
            own.events.extend(body.events);
        } else if record["type"] == "retract" {
            let own = kept_out.entry(to_hex(&key.member(text("member")))).or_default();
            if record["item"].is_null() {
                own.ids.insert(format!("{:016x}", key.id(text("member"), text("id"))));
            } else {
                let mut batch = Batch::new("export".into());
                decode_lines(
                    line.as_bytes(),
                    Place::default(),
                    i64::MAX,
                    &mut Decoder::default(),
                    &mut batch,
                );
                let [first, second] = key.event(batch.bytes(0));
                own.events.insert((format!("{first:016x}{second:016x}"), record["at"].as_i64().unwrap()));
            }
        } else {
            lines.push(line.to_owned());
        }
    }
    for own in kept_out.values_mut() {
        let forgotten = own.forget.max(trimmed);
        own.events.retain(|(_, at)| *at > forgotten);
    }
    kept_out.retain(|_, own| *own != KeptOut::default());
    lines.sort_unstable();
    (lines, kept_out)
}

/// What may not come back of a member.
#[derive(Debug, PartialEq)]
struct KeptOut {
    forget: i64,
    ids: BTreeSet<String>,
    events: BTreeSet<(String, i64)>,
}

impl Default for KeptOut {
    fn default() -> Self {
        KeptOut { forget: -1, ids: BTreeSet::new(), events: BTreeSet::new() }
    }
}

#[test]
fn importing_an_older_export_again_does_not_weaken_a_later_forget() {
    let home = Home::new();
    let event =
        |at| format!("{}\n", serde_json::json!({"member": "ann", "item": "a", "kind": "play", "at": at}));
    let forget = |at| format!("{}\n", serde_json::json!({"type": "forget", "member": "ann", "at": at}));
    home.ok_pipe(&["run", "-"], &(event(1000) + &forget(1000)));
    let older = home.ok(&["export"]);
    home.ok_pipe(&["run", "-"], &forget(9000));
    home.ok_pipe(&["run", "-"], &older);
    home.ok_pipe(&["run", "-"], &event(5000));
    home.say(&["history", "ann"]).ended(1);
}

#[test]
fn a_retraction_by_id_outlives_the_import_of_a_tombstone_that_does_not_know_it() {
    let home = Home::new();
    let forget = |at: i64| format!("{}\n", serde_json::json!({"type": "forget", "member": "ann", "at": at}));
    home.ok_pipe(&["run", "-"], &forget(1000));
    let older = home.ok(&["export"]);
    home.ok_pipe(&["run", "-"], "{\"type\":\"retract\",\"member\":\"ann\",\"id\":\"e1\"}\n");
    home.ok_pipe(&["run", "-"], &forget(2000));
    home.ok_pipe(&["run", "-"], &older);
    let event = r#"{"member":"ann","item":"a","kind":"play","at":5000,"id":"e1"}"#;
    home.ok_pipe(&["run", "-"], &format!("{event}\n"));
    home.say(&["history", "ann"]).ended(1);
}

/// A log that is replayed has the member's old retractions too: they are known by their digests, and the id stays out.
#[test]
fn retractions_that_are_sent_again_after_a_forget_bring_no_id_back() {
    let home = Home::new();
    let event = r#""member":"ann","item":"a","kind":"play","at":5000,"id":"e1"}"#;
    let log = format!(
        "{{{event}\n{{\"type\":\"retract\",{event}\n{}\n",
        r#"{"type":"retract","member":"ann","id":"e2"}"#
    );
    home.ok_pipe(&["run", "-"], &log);
    home.ok_pipe(&["run", "-"], "{\"type\":\"forget\",\"member\":\"ann\",\"at\":1000}\n");
    home.ok_pipe(&["run", "-"], &log);
    let exported = home.ok(&["export"]);
    assert!(exported.contains("tombstone") && !exported.contains("ann"), "{exported}");
}

#[test]
fn a_retraction_that_comes_with_a_trim_is_remembered() {
    let play = |at: i64| format!(r#""member":"m","item":"a","kind":"play","at":{at},"id":"e{at}"}}"#);
    let before = vec![r#"{"type":"retract","member":"m","id":"other"}"#.to_owned()];
    let with_trim = vec![
        r#"{"type":"trim","at":1000}"#.to_owned(),
        format!(r#"{{"type":"retract",{}"#, play(5000)),
        r#"{"type":"retract","member":"m","id":"e6000"}"#.to_owned(),
    ];
    let late = vec![format!("{{{}", play(5000)), format!("{{{}", play(6000)), format!("{{{}", play(7000))];
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    for lines in [before, with_trim, late] {
        let engine = Engine::start(store.clone(), store.clone(), options(1)).unwrap();
        engine.handle().send(batch(&lines)).unwrap();
        assert_eq!(engine.finish().unwrap().1.rejected, 0);
    }
    let (_, counts) = Engine::start(store.clone(), store.clone(), options(1)).unwrap().finish().unwrap();
    assert_eq!(counts.live_events, 1);
}
