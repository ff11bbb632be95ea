//! The archive: each accepted record once, erased with its member, and read by us and by others.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nearline::sources::parquet::Lines;
use nearline::stores::rocks::RocksStore;
use nearline::stores::{Table, Tables, formats};
use serde_json::Value;

use crate::support::{Home, until};

const CONFIG: &str = "[archive]\nrepository = \"archive\"\n";

/// A home whose config names an archive; `none.toml` names none.
fn archived() -> Home {
    let home = Home::new();
    home.write("nearline.toml", CONFIG);
    home.write("none.toml", "");
    home
}

fn event(member: &str, item: &str, day: u32, hour: u32) -> String {
    format!(
        r#"{{"member":"{member}","item":"{item}","kind":"play","value":0.25,"at":"2024-03-{day:02}T{hour:02}:00:00Z","id":"e{day}-{hour}","context":{{"country":"US"}}}}"#
    ) + "\n"
}

fn retract(event: &str) -> String {
    event.replacen('{', r#"{"type":"retract","#, 1)
}

/// What members do on some days, with what is sent twice, retracted in both ways, and a catalogue.
fn events() -> String {
    let mut lines = String::new();
    for day in 1..5 {
        for number in 0..30 {
            lines += &event(&format!("m{}", number % 7), &format!("i{}", number % 11), day, number % 24);
        }
    }
    lines += &event("m1", "i1", 1, 1);
    lines += &retract(&event("m2", "i2", 1, 2));
    lines += "{\"type\":\"retract\",\"member\":\"m3\",\"id\":\"e2-3\"}\n";
    lines += "{\"type\":\"item\",\"item\":\"i1\",\"at\":5,\"title\":\"Heat\",\"genres\":[\"Crime\",\"Drama\"],\"countries\":[\"US\"]}\n";
    lines + "{\"type\":\"item\",\"item\":\"i2\",\"at\":6,\"title\":\"\\\"Up\\\"\",\"withdrawn\":true}\n"
}

/// The live files.
fn files(home: &Home) -> Vec<PathBuf> {
    home.ok(&["archive", "files"]).lines().map(PathBuf::from).collect()
}

/// All rows of the archive, as lines.
fn rows(home: &Home) -> String {
    let mut text = String::new();
    for file in files(home) {
        let mut lines = Lines::open(File::open(file).unwrap()).unwrap();
        while lines.next_slice().unwrap().rows > 0 {
            text += &String::from_utf8(lines.text.clone()).unwrap();
        }
    }
    text
}

/// The archive is what the store says, and gives its digest when it is replayed.
#[track_caller]
fn holds(home: &Home) -> Value {
    let verdict = home.json(&["archive", "verify"]);
    assert_eq!(
        (&verdict["missing"], &verdict["beyond"], &verdict["repeated"]),
        (&0.into(), &0.into(), &0.into())
    );
    let again = home.path("again");
    let _ = std::fs::remove_dir_all(&again);
    home.ok(&["--data", "again", "--config", "none.toml", "replay", "archive"]);
    assert_eq!(home.verified("again"), home.verified("nearline-data"));
    verdict
}

#[test]
fn what_is_accepted_is_archived_once_and_gives_the_same_digest() {
    let home = archived();
    home.ok_pipe(&["run", "--epoch-records", "16", "-"], &events());
    let verdict = holds(&home);
    assert_eq!(verdict["records"], 30 * 4 + 2 + 2);
    let names: Vec<String> = files(&home).iter().map(|file| file.display().to_string()).collect();
    for day in ["day=2024-03-01", "day=2024-03-04", "day=1970-01-01"] {
        assert!(names.iter().any(|name| name.contains(day)), "{names:?}");
    }
    // All of it once more: nothing is news, and nothing is archived.
    home.ok_pipe(&["run", "-"], &events());
    assert_eq!(holds(&home)["records"], verdict["records"]);
    // In bulk, and with what a set makes of another order.
    let new: String = (0..24).map(|hour| event("new", "i1", 9, hour)).collect();
    home.write("log.jsonl", &(new + &events()));
    home.ok(&["replay", "log.jsonl"]);
    assert_eq!(holds(&home)["records"], 30 * 4 + 2 + 2 + 24);
    let status = home.json(&["status"]);
    assert_eq!(status["archive"]["records"], 30 * 4 + 2 + 2 + 24);
    assert_eq!(status["archive_waiting"]["records"], 0);
    assert!(home.ok(&["archive", "status"]).contains("0 records (0 B) waiting"));
    // Every command that takes logs takes it, and the live files alone count.
    home.write("archive/day=2024-03-01/other.parquet", "no matter");
    home.ok(&["check", "archive"]);
    home.ok(&["train", "archive", "--out", "model", "--rank", "2", "--iterations", "1"]);
    home.ok(&["train", "log.jsonl", "--out", "same", "--rank", "2", "--iterations", "1"]);
    assert_eq!(
        home.json(&["model", "show", "model"])["version"],
        home.json(&["model", "show", "same"])["version"]
    );
}

#[test]
fn a_folder_that_has_records_already_is_archived_whole() {
    let home = archived();
    let none = ["--config", "none.toml"];
    home.ok_pipe(&[&none[..], &["run", "-"]].concat(), &events());
    home.ok(&[&none[..], &["forget", "m4"]].concat());
    home.ok_pipe(&["run", "-"], &event("late", "i1", 7, 1));
    let verdict = holds(&home);
    assert_eq!(verdict["live_events"], home.json(&["status"])["counts"]["live_events"]);
    assert!(!rows(&home).contains("\"m4\""));
    // With the key of the folder those who were forgotten stay so.
    std::fs::create_dir(home.path("with-key")).unwrap();
    std::fs::copy(home.path("nearline-data/digest.key"), home.path("with-key/digest.key")).unwrap();
    home.ok(&["--data", "with-key", "--config", "none.toml", "replay", "archive"]);
    home.ok_pipe(&["--data", "with-key", "--config", "none.toml", "run", "-"], &event("m4", "i4", 1, 4));
    assert_eq!(home.verified("with-key"), home.verified("nearline-data"));
    home.ok(&["archive", "backfill"]);
    assert_eq!(holds(&home)["records"], verdict["records"]);
}

#[test]
fn a_forgotten_member_leaves_the_archive_and_the_receipt_names_the_files() {
    let home = archived();
    home.ok_pipe(&["run", "-"], &events());
    home.ok_pipe(&["run", "-"], &event("m2", "i9", 2, 23));
    // What happened later than what is forgotten stays, and what was retracted of it stays out.
    let later = event("m2", "i1", 20, 1) + &event("m2", "i2", 20, 2);
    home.ok_pipe(&["run", "-"], &(later + &retract(&event("m2", "i2", 20, 2))));
    assert!(rows(&home).contains("\"m2\""));
    let forget = "{\"type\":\"forget\",\"member\":\"m2\",\"at\":\"2024-03-10T00:00:00Z\"}\n";
    let said = home.pipe(&["run", "-"], forget);
    assert!(said.err.contains("1 forgotten member erased"), "{}", said.err);
    let left = rows(&home);
    assert_eq!(left.matches("\"m2\"").count(), 1, "{left}");
    assert!(left.contains("\"type\":\"tombstone\""));
    holds(&home);
    // Now all of it, by command.
    let receipt = home.json(&["forget", "m2"]);
    assert!(!rows(&home).contains("\"m2\""));
    let archived = receipt["archived"].as_array().unwrap();
    assert_eq!(archived.len(), 1, "{receipt}");
    let gone = archived[0].as_str().unwrap().strip_prefix("file://").unwrap();
    assert!(gone.contains("day=2024-03-20") && !PathBuf::from(gone).exists());
    holds(&home);
    let said = home.ok(&["forget", "m3"]);
    assert!(said.contains("files of the archive held them"), "{said}");
    holds(&home);
}

#[test]
fn who_is_forgotten_while_records_wait_is_neither_in_the_queue_nor_archived() {
    let home = archived();
    home.write("nearline.toml", &format!("{CONFIG}every = \"1h\"\n"));
    let queued = |home: &Home| {
        let store = RocksStore::open_reader(&home.path("nearline-data")).unwrap();
        let (mut records, mut of_member) = (0, 0);
        let mut show = |key: &[u8], value: &[u8]| {
            let read = formats::each_queued(key, value, &mut |normal| {
                records += 1;
                of_member += usize::from(memchr::memmem::find(normal, b"leaver").is_some());
            });
            read.unwrap();
            std::ops::ControlFlow::Continue(())
        };
        store.scan(Table::ArchiveQueue, &[], &[], &mut show).unwrap();
        (records, of_member)
    };
    let mut running = home.start(&["run", "-"]);
    let leaver = event("leaver", "i1", 1, 1) + &event("leaver", "i2", 2, 2);
    running.send(&(events() + &leaver + "{\"type\":\"retract\",\"member\":\"leaver\",\"id\":\"none\"}\n"));
    until("all is committed", || home.json(&["status"])["counts"]["live_events"].as_u64() == Some(120));
    until("all is queued", || queued(&home).1 == 3);
    home.ok(&["forget", "leaver"]);
    let (records, of_member) = queued(&home);
    assert!(records > 100 && of_member == 0, "{records} {of_member}");
    running.finish().ok();
    assert_eq!(queued(&home), (0, 0));
    let rows = rows(&home);
    assert!(!rows.contains("leaver") && rows.contains("tombstone"));
    holds(&home);
}

#[test]
fn a_trim_has_the_archive_made_anew_without_what_is_gone() {
    let home = archived();
    home.ok_pipe(&["run", "-"], &events());
    let trim = "{\"type\":\"trim\",\"at\":\"2024-03-02T12:00:00Z\"}\n";
    home.ok_pipe(&["run", "-"], trim);
    holds(&home);
    let left = rows(&home);
    assert!(!left.contains("e1-") && left.contains("e3-") && left.contains("\"type\":\"trim\""), "{left}");
    assert!(!home.path("nearline-data/.archive").exists());
    // Sent again it changes nothing.
    let before = files(&home);
    home.ok_pipe(&["run", "-"], trim);
    assert_eq!(files(&home), before);
}

#[test]
fn small_files_are_put_together() {
    let home = archived();
    home.write("nearline.toml", &format!("{CONFIG}compact_files = 4\n"));
    for hour in 0..6 {
        home.ok_pipe(&["run", "-"], &(event("m1", "i1", 1, hour) + &event("m1", "i1", 2, hour)));
    }
    // At the fourth file of a day, and then two more.
    assert_eq!(files(&home).len(), 2 * 3);
    holds(&home);
    let said = home.json(&["archive", "compact"]);
    assert_eq!((&said["compacted"]["files"], &said["compacted"]["into"]), (&6.into(), &2.into()));
    assert_eq!(files(&home).len(), 2);
    holds(&home);
    // Nothing else lies there.
    let count = |day: &str| std::fs::read_dir(home.path("archive").join(day)).unwrap().count();
    assert_eq!((count("day=2024-03-01"), count("day=2024-03-02")), (1, 1));
}

#[test]
fn what_does_not_belong_together_is_refused_with_what_to_do() {
    let home = archived();
    home.ok_pipe(&["run", "-"], &events());
    let said = home.pipe(&["--config", "none.toml", "run", "-"], "").ended(2);
    assert!(said.contains("nearline archive leave"), "{said}");
    home.write("other.toml", "[archive]\nrepository = \"elsewhere\"\n");
    let said = home.pipe(&["--config", "other.toml", "run", "-"], "").ended(2);
    assert!(said.contains("elsewhere") && said.contains("nearline archive leave"), "{said}");
    // Another folder takes its records all the same, and archives them nowhere.
    let said = home.pipe(&["--data", "second", "run", "-"], &event("m1", "i1", 1, 1)).ended(2);
    assert!(
        said.contains("another data folder") && said.contains("wait in the store")
            || said.contains("waits in the store"),
        "{said}"
    );
    home.verified("second");
    holds(&home);
    // A copy that went on: who comes second is told, and may say which of the two counts.
    let copied = Command::new("cp").args(["-r", "nearline-data", "copy"]).current_dir(home.path("")).status();
    assert!(copied.unwrap().success());
    for hour in 0..3 {
        home.ok_pipe(&["--data", "copy", "run", "-"], &event("m8", "i1", 8, hour));
    }
    let said = home.pipe(&["run", "-"], &event("m9", "i1", 9, 9)).ended(2);
    assert!(said.contains("another copy of the folder") && said.contains("archive backfill"), "{said}");
    home.ok(&["archive", "backfill"]);
    holds(&home);
    assert!(!rows(&home).contains("\"m8\""));
    // Turned off, it is known where it was.
    home.ok(&["archive", "leave"]);
    home.pipe(&["--config", "none.toml", "run", "-"], &event("m9", "i2", 9, 10)).ok();
    let receipt = home.json(&["--config", "none.toml", "forget", "m9"]);
    let left = receipt["archives_left"][0].as_str().unwrap();
    assert!(left.ends_with("/archive"), "{receipt}");
    let said = home.say(&["archive", "verify"]).ended(2);
    assert!(said.contains("no archive"), "{said}");
}

#[test]
fn a_repository_that_is_away_holds_nothing_up_and_is_caught_up_with() {
    let home = archived();
    home.ok_pipe(&["run", "-"], &event("m1", "i1", 1, 1));
    // In its place there is a file: nothing can be written there.
    std::fs::rename(home.path("archive"), home.path("away")).unwrap();
    let mut running = home.start(&["run", "-"]);
    std::fs::remove_dir_all(home.path("archive")).unwrap();
    std::fs::write(home.path("archive"), "in the way").unwrap();
    running.send(&events());
    until("all is committed", || home.json(&["status"])["counts"]["live_events"].as_u64() >= Some(118));
    let said = running.finish().ended(3);
    assert!(said.contains("waits in the store"), "{said}");
    let waiting = home.json(&["status"])["archive_waiting"]["records"].clone();
    // Events that came in one epoch with what retracts them changed nothing.
    assert!(waiting.as_u64() >= Some(30 * 4 + 2 + 2 - 1 - 2), "{waiting}");
    std::fs::remove_file(home.path("archive")).unwrap();
    std::fs::rename(home.path("away"), home.path("archive")).unwrap();
    home.ok(&["archive", "ship"]);
    holds(&home);
}

#[test]
fn killed_at_any_time_each_record_is_archived_once() {
    let home = archived();
    home.write("nearline.toml", &format!("{CONFIG}every = \"1ms\"\ncompact_files = 3\n"));
    let mut sent = 0;
    for round in 0..6_u32 {
        let mut running = home.start(&["run", "--epoch-records", "8", "-"]);
        for number in 0..40 * (round + 1) {
            running.send(&event(&format!("m{round}"), &format!("i{number}"), 1 + number % 3, number % 24));
            sent += 1;
        }
        until("all is committed", || home.json(&["status"])["counts"]["live_events"].as_u64() == Some(sent));
        running.kill();
        home.ok(&["archive", "ship"]);
        let verdict = home.json(&["archive", "verify"]);
        assert_eq!(verdict["records"], sent);
    }
    holds(&home);
}

/// Counts and sums by day, as DuckDB reads the archive and as we say; `NEARLINE_DUCKDB` names a Python that has it
/// (`scripts/test.sh --services` sees to that).
#[test]
fn duckdb_reads_what_we_count() {
    let Some(python) = std::env::var_os("NEARLINE_DUCKDB") else {
        // Past the harness, which keeps what passing tests print to itself.
        let said = "\nskipped 1 test, as NEARLINE_DUCKDB names no Python with DuckDB: archive::duckdb_reads_what_we_count\n";
        let _ = std::io::stderr().write_all(said.as_bytes());
        return;
    };
    let home = archived();
    home.ok_pipe(&["run", "--epoch-records", "16", "-"], &events());
    home.ok(&["forget", "m5"]);
    home.write("ask.py", ASK);
    let output =
        Command::new(python).arg("ask.py").arg(home.path("archive")).current_dir(home.path("")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["live"], home.json(&["status"])["counts"]["live_events"], "{answer}");
    let popular = home.json(&["popular", "--window", "all", "--limit", "100"]);
    for row in popular["items"].as_array().unwrap() {
        assert_eq!(answer["items"][row["item"].as_str().unwrap()], row["count"], "{answer}");
    }
    let days = answer["days"].as_array().unwrap();
    assert_eq!(days.len(), 4, "{answer}");
    for day in days {
        let (count, sum) = (day[1].as_f64().unwrap(), day[2].as_f64().unwrap());
        assert_eq!(sum, count * 0.25, "{answer}");
    }
    assert_eq!(
        answer["catalogue"],
        serde_json::json!([["i1", "Heat", ["Crime", "Drama"], false], ["i2", "\"Up\"", null, true]])
    );
}

/// The query that docs/archive.md gives for live events.
const ASK: &str = r#"
import duckdb, json, sys
records = f"read_parquet('{sys.argv[1]}/*/*.parquet', hive_partitioning = true)"
duckdb.sql(f"""
create view records as select * from {records};
create view live as
select * from records e where type = 'event'
and not exists (select 1 from records r where r.type = 'retract' and r.member = e.member and (
    (r.item is null and r.id = e.id)
    or (r.item = e.item and r.kind = e.kind and r.value = e.value and r."at" = e."at"
        and r.id is not distinct from e.id and r.context is not distinct from e.context)))
""")
print(json.dumps({
    "live": duckdb.sql("select count(*) from live").fetchall()[0][0],
    "items": dict(duckdb.sql("select item, count(*) from live group by item").fetchall()),
    "days": [[str(day), count, float(total)] for day, count, total in
             duckdb.sql("select day, count(*), sum(value) from live group by day order by day").fetchall()],
    "catalogue": [list(row) for row in
             duckdb.sql("select item, title, genres, withdrawn from records where type = 'item' order by item").fetchall()],
}))
"#;

/// The server of S3 that `NEARLINE_S3` names by its URL and that has the bucket `nearline` (`scripts/test.sh --services`); a
/// test that has none is skipped, and says so.
pub fn server_of_s3(test: &str) -> Option<String> {
    let server = std::env::var("NEARLINE_S3").ok().filter(|server| !server.is_empty());
    if server.is_none() {
        let said = format!("\nskipped 1 test, as NEARLINE_S3 names no server: archive::{test}\n");
        let _ = std::io::stderr().write_all(said.as_bytes());
    }
    server
}

/// A home whose archive has a place of its own in the bucket, and its URL.
fn in_s3(server: &str, more: &str) -> (Home, String) {
    let home = Home::new();
    let s3 = format!(
        "[s3]\nendpoint = \"{server}\"\nallow_http = true\nregion = \"us-east-1\"\naccess_key_id = \"k\"\n\
         secret_access_key = \"s\"\n"
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let url = format!("s3://nearline/archive-{now}");
    home.write("nearline.toml", &format!("[archive]\nrepository = \"{url}\"\n{more}{s3}"));
    home.write("none.toml", &s3);
    (home, url)
}

#[test]
fn an_archive_in_s3_is_shipped_compacted_erased_and_read_again() {
    let Some(server) = server_of_s3("an_archive_in_s3_is_shipped_compacted_erased_and_read_again") else {
        return;
    };
    let (home, url) = in_s3(&server, "compact_files = 2\n");
    let half = events().len() / 2;
    let half = half + events()[half..].find('\n').unwrap() + 1;
    home.ok_pipe(&["run", "--epoch-records", "16", "-"], &events()[..half]);
    home.ok_pipe(&["run", "--epoch-records", "16", "-"], &events()[half..]);
    let receipt = home.json(&["forget", "m5"]);
    assert!(receipt["archived"][0].as_str().unwrap().starts_with(&url), "{receipt}");
    let verdict = home.json(&["archive", "verify"]);
    assert_eq!(
        (&verdict["missing"], &verdict["beyond"], &verdict["repeated"]),
        (&0.into(), &0.into(), &0.into())
    );
    home.ok(&["--data", "again", "--config", "none.toml", "replay", &url]);
    assert_eq!(home.verified("again"), home.verified("nearline-data"));
    let one = home.ok(&["archive", "files"]).lines().next().unwrap().to_owned();
    home.ok(&["--config", "none.toml", "check", &one]);
}

/// What stands between the program and a server, and can be cut off.
struct Line {
    address: String,
    cut: Arc<AtomicBool>,
}

impl Line {
    fn to(server: &str) -> Line {
        let server = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let cut = Arc::new(AtomicBool::new(false));
        let off = cut.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&server) else { continue };
                if !off.load(Ordering::SeqCst) {
                    carry(client.try_clone().unwrap(), server.try_clone().unwrap(), &off);
                    carry(server, client, &off);
                }
            }
        });
        Line { address, cut }
    }
}

/// Carries bytes one way until either side ends or the line is cut.
fn carry(mut from: TcpStream, mut to: TcpStream, cut: &Arc<AtomicBool>) {
    let cut = cut.clone();
    from.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    std::thread::spawn(move || {
        let mut bytes = vec![0; 4096];
        while !cut.load(Ordering::SeqCst) {
            match from.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => {
                    if to.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
}

#[test]
fn a_server_of_s3_that_is_cut_off_in_the_middle_is_caught_up_with() {
    let Some(server) = server_of_s3("a_server_of_s3_that_is_cut_off_in_the_middle_is_caught_up_with") else {
        return;
    };
    let line = Line::to(&server);
    let (home, _) = in_s3(&line.address, "every = \"1ms\"\ncompact_files = 2\n");
    let mut running = home.start(&["run", "--epoch-records", "8", "-"]);
    let mut sent = 0;
    for round in 0..5 {
        for number in 0..60 {
            running.send(&event(&format!("m{round}"), &format!("i{number}"), 1 + number % 9, number % 24));
            sent += 1;
        }
        // While it ships, and for long enough that a request fails.
        std::thread::sleep(Duration::from_millis(150));
        line.cut.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(300));
        line.cut.store(false, Ordering::SeqCst);
    }
    until("all is committed", || home.json(&["status"])["counts"]["live_events"].as_u64() == Some(sent));
    running.finish().ok();
    let verdict = home.json(&["archive", "verify"]);
    assert_eq!(verdict["records"], sent);
    assert_eq!(
        (&verdict["missing"], &verdict["beyond"], &verdict["repeated"]),
        (&0.into(), &0.into(), &0.into())
    );
}
