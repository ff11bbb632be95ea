//! After a forget no file of the folder holds the member's id, as text or as a key; a receipt says what was erased.

use std::path::Path;

use nearline::digests::to_hex;
use nearline::erasure::Receipt;
use nearline::folder::Folder;
use nearline::stores::Table;
use nearline::stores::rocks::RocksStore;
use nearline::stores::{Tables, formats};

use crate::support::{Chance, Home, Running, model, until};

/// A home whose tables can be searched with nothing but one's eyes, and an id that no accident holds.
fn prepared() -> (Home, String) {
    let home = Home::new();
    home.write("nearline.toml", "[store]\nplain = true\n");
    model(&[("a", vec![1.0, 0.0]), ("b", vec![0.5, 0.5]), ("c", vec![0.0, 1.0])])
        .save(&home.path("model"))
        .unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut chance = Chance(now.as_nanos() as u64);
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let id = (0..32).map(|_| char::from(letters[chance.below(letters.len())])).collect();
    (home, id)
}

fn play(member: &str, item: &str, hour: u8) -> String {
    format!(
        r#"{{"member":"{member}","item":"{item}","kind":"play","value":0.5,"at":"2024-03-01T{hour:02}:00:00Z","id":"e{hour}"}}"#
    ) + "\n"
}

/// What a member does who leaves every trace there is: events, the newest of all among them, retractions by fields and by id,
/// and lines that cannot be taken.
fn traces(id: &str) -> String {
    let escaped: String = id.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let mut lines: String =
        ["a", "b", "c"].iter().zip(10..).map(|(item, hour)| play(id, item, hour)).collect();
    lines += &play(id, "a", 23);
    lines += &play(id, "c", 12).replacen('{', r#"{"type":"retract","#, 1);
    lines += &format!("{{\"type\":\"retract\",\"member\":\"{id}\",\"id\":\"never\"}}\n");
    lines += &format!("{{\"member\":\"{id}\",\"item\":\n");
    lines += &format!("{{\"member\":\"{escaped}\",\"item\":\"a\"}}\n");
    lines += &format!("no json of {id}\n");
    lines + "no json of anybody\n"
}

fn others() -> String {
    (0..400)
        .map(|number| play(&format!("m{number}"), ["a", "b", "c"][number % 3], (number % 20) as u8))
        .collect()
}

/// The files below a folder that hold an id, and the tables that hold it in a key or a value.
fn found(home: &Home, data: &str, id: &str) -> Vec<String> {
    let mut found = Vec::new();
    search(&home.path(data), id.as_bytes(), &mut found);
    let store = RocksStore::open_reader(&home.path(data)).unwrap();
    for table in Table::ALL {
        store
            .scan(table, &[], &[], &mut |key, value| {
                if holds(key, id.as_bytes()) || holds(value, id.as_bytes()) {
                    found.push(format!("the table {}", table.name()));
                }
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
    }
    found
}

fn search(folder: &Path, id: &[u8], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if holds(path.as_os_str().as_encoded_bytes(), id) {
            found.push(format!("the name {}", path.display()));
        }
        if path.is_dir() {
            search(&path, id, found);
        } else if std::fs::read(&path).is_ok_and(|bytes| holds(&bytes, id)) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
}

fn holds(bytes: &[u8], id: &[u8]) -> bool {
    // The key of a table is a length and then the id: whoever finds the id finds it too.
    memchr::memmem::find(bytes, id).is_some()
}

fn receipts(home: &Home) -> Vec<Receipt> {
    let files = std::fs::read_dir(home.path("nearline-data/receipts")).into_iter().flatten();
    files.map(|file| serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap()).collect()
}

fn events(home: &Home) -> u64 {
    counted(home, "live_events")
}

/// One of the counts of `status`; 0 where there is nothing yet.
fn counted(home: &Home, what: &str) -> u64 {
    let said = home.say(&["status", "--json"]);
    let status: Option<serde_json::Value> = serde_json::from_str(&said.out).ok();
    status.map_or(0, |status| status["counts"][what].as_u64().unwrap())
}

/// Whether all that `others` and `traces` bring is there. The lines that cannot be taken come last, and may be in an
/// epoch of their own.
fn all_is_there(home: &Home) -> bool {
    events(home) == 403 && counted(home, "rejected") == 4
}

const LIVE: [&str; 4] = ["run", "--model", "model", "-"];

/// A running pipeline with all that `traces` leaves.
fn running(home: &Home, id: &str) -> Running {
    let mut running = home.start(&LIVE);
    running.send(&(others() + &traces(id)));
    until("all is there", || all_is_there(home));
    running
}

#[test]
fn no_file_of_a_running_folder_holds_a_forgotten_member() {
    let (home, id) = prepared();
    let mut running = running(&home, &id);
    home.ok(&["batch"]);
    let before = found(&home, "nearline-data", &id);
    let tables = ["the table records", "the table factors", "the table meta", "the table batch_lists"];
    for place in [".log", "rejected.jsonl"].into_iter().chain(tables) {
        assert!(before.iter().any(|found| found.contains(place)), "{place} of {before:?}");
    }
    let receipt = home.json(&["forget", &id]);
    assert_eq!(found(&home, "nearline-data", &id), [""; 0]);
    let member = &receipt["members"][0];
    assert_eq!(member["removed"]["events"], 3);
    assert_eq!(member["removed"]["retractions"], 2);
    assert_eq!(member["removed"]["popularity"], 3);
    assert_eq!((&member["removed"]["factors"], &member["removed"]["lists"]), (&1.into(), &2.into()));
    assert_eq!(member["removed"]["batch_lists"], 1);
    assert_eq!(receipt["rejected_redacted"], 3);
    let key = Folder::new(home.path("nearline-data")).key(None).unwrap();
    assert_eq!(member["member_digest"], to_hex(&key.member(&id)));
    assert_eq!(serde_json::to_value(&receipts(&home)[0]).unwrap(), receipt);
    // Lines that were redacted still say where they were and why; others are as they were.
    let rejected = std::fs::read_to_string(home.path("nearline-data/rejected.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        rejected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!((&lines[0]["line"], &lines[0]["reason"]), (&407.into(), &"not-json".into()));
    assert_eq!((&lines[0]["redacted"], lines[0].get("raw")), (&true.into(), None));
    assert_eq!(lines[3]["raw"], "no json of anybody");
    // What comes late changes nothing, and brings nothing to the disk.
    running.send(&(play(&id, "a", 10) + &play(&id, "late", 15) + &play("m0", "a", 22)));
    until("what comes after is there", || events(&home) == 401);
    assert_eq!(found(&home, "nearline-data", &id), [""; 0]);
    running.finish().ok();
    assert_eq!(found(&home, "nearline-data", &id), [""; 0]);
    // Nor does what comes late to a process that has not known the member.
    home.ok_pipe(&LIVE, &(play(&id, "a", 10) + &play("m1", "a", 22)));
    assert_eq!(found(&home, "nearline-data", &id), [""; 0]);
    home.say(&["history", &id]).ended(1);
    home.verified("nearline-data");
}

#[test]
fn no_file_of_a_loaded_folder_that_nobody_holds_does_so_either() {
    let (home, id) = prepared();
    home.write("log.jsonl", &(others() + &traces(&id)));
    home.ok(&["replay", "--model", "model", "log.jsonl"]);
    home.ok_pipe(&["--data", "without", "replay", "--model", "model", "-"], &others());
    let before = found(&home, "nearline-data", &id);
    for place in [".sst", "MANIFEST", "the table top_picks"] {
        assert!(before.iter().any(|found| found.contains(place)), "{place} of {before:?}");
    }
    home.write("leaving.txt", &format!("{id}\nnobody\n"));
    home.ok(&["forget", "m399", "--members", "leaving.txt", "--receipt", "receipt.json"]);
    assert_eq!(found(&home, "nearline-data", &id), [""; 0]);
    // All of them in one go.
    let kept = receipts(&home);
    let given: Receipt = serde_json::from_slice(&std::fs::read(home.path("receipt.json")).unwrap()).unwrap();
    assert_eq!(kept, [given]);
    let mut events: Vec<u64> = kept[0].members.iter().map(|member| member.removed.events).collect();
    events.sort_unstable();
    assert_eq!(events, [0, 1, 3]);
    // The same log under another name is read anew, and brings nobody back.
    home.write("again.jsonl", &(others() + &play(&id, "a", 10)));
    home.ok(&["replay", "again.jsonl"]);
    assert_eq!(found(&home, "nearline-data", &id), [""; 0]);
    home.ok(&["--data", "without", "forget", "m399"]);
    assert_eq!(home.verified("nearline-data"), home.verified("without"));
}

#[test]
fn a_forget_inside_of_a_bulk_load_is_for_good() {
    let (home, id) = prepared();
    let mut running = home.start(&["replay", "--model", "model", "-"]);
    running.send(&(others() + &traces(&id)));
    until("all is there", || all_is_there(&home));
    home.ok(&["forget", &id]);
    assert_eq!(found(&home, "nearline-data", &id), [""; 0]);
    // The lists are made now, for all who changed.
    running.finish().ok();
    assert_eq!(found(&home, "nearline-data", &id), [""; 0]);
    home.verified("nearline-data");
}

#[test]
fn a_forget_that_was_piped_in_is_erased_at_the_end_and_after_a_crash_at_the_next_start() {
    let (home, id) = prepared();
    let forget = format!("{{\"type\":\"forget\",\"member\":\"{id}\",\"at\":\"2024-03-02T00:00:00Z\"}}\n");
    let mut running = running(&home, &id);
    running.send(&forget);
    until("it is forgotten", || events(&home) == 400);
    running.kill();
    // It is in no view, and its bytes are where they were.
    home.say(&["history", &id]).ended(1);
    assert!(!found(&home, "nearline-data", &id).is_empty());
    home.ok_pipe(&LIVE, "");
    assert_eq!(found(&home, "nearline-data", &id), [""; 0]);
    let by = |receipts: &[Receipt]| serde_json::to_value(receipts[0].by).unwrap();
    assert_eq!(by(&receipts(&home)), "start");
    assert_eq!(receipts(&home)[0].members[0].removed.events, 3);

    std::fs::remove_dir_all(home.path("nearline-data")).unwrap();
    let said = home.pipe(&LIVE, &(others() + &traces(&id) + &forget));
    assert!(said.err.contains("1 forgotten member erased"), "{}", said.err);
    assert_eq!(by(&receipts(&home)), "end");
    assert_eq!(found(&home, "nearline-data", &id), [""; 0]);
    assert_eq!(home.ok(&["forget", "--pending"]), "nothing that was forgotten is still on the disk\n");
}

#[test]
fn the_event_that_set_now_goes_with_its_member() {
    let home = Home::new();
    // Of two events at one millisecond a process that starts may have the other one in mind.
    home.ok_pipe(&["run", "-"], &(play("zoe", "a", 10) + &play("ann", "a", 10)));
    let store = RocksStore::open_reader(&home.path("nearline-data")).unwrap();
    let event = store.get(Table::Meta, formats::meta::NOW_EVENT).unwrap().unwrap();
    let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
    let member = event["member"].as_str().unwrap().to_owned();
    home.ok(&["forget", &member]);
    let status = home.json(&["status"]);
    assert_ne!(status["now_event"]["member"], member, "{status}");
    assert_eq!(status["now"], 1_709_287_200_000_i64);
}
