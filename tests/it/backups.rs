//! A backup is the folder as of one epoch, made beside whatever happens; what is restored goes on like the original.

use crate::support::{Home, model, until};

fn play(member: &str, item: &str, minute: usize) -> String {
    let at = 1_709_251_200_000 + minute as i64 * 60_000;
    format!(
        "{{\"member\":\"{member}\",\"item\":\"{item}\",\"kind\":\"play\",\"at\":{at},\"id\":\"e{minute}\"}}\n"
    )
}

fn log(minutes: std::ops::Range<usize>) -> String {
    minutes.map(|minute| play(&format!("m{}", minute % 40), ["a", "b", "c"][minute % 3], minute)).collect()
}

fn prepared() -> Home {
    let home = Home::new();
    let rows = [("a", vec![1.0, 0.0]), ("b", vec![0.5, 0.5]), ("c", vec![0.0, 1.0])];
    model(&rows).save(&home.path("model")).unwrap();
    home
}

const RUN: [&str; 4] = ["run", "--model", "model", "-"];

#[test]
fn a_backup_is_made_while_events_flow_and_goes_on_to_the_digest_of_the_original() {
    let home = prepared();
    home.write("all.jsonl", &log(0..6_000));
    let mut running = home.start(&RUN);
    running.send(&log(0..1_000));
    let epoch = || home.say(&["status", "--json"]).out.parse::<serde_json::Value>().ok();
    until("something is there", || epoch().is_some_and(|status| status["counts"]["live_events"] != 0));
    home.ok(&["forget", "m7"]);
    let feeding = std::thread::spawn(move || {
        for minute in (1_000..6_000).step_by(50) {
            running.send(&log(minute..minute + 50));
        }
        running
    });
    let made: Vec<serde_json::Value> =
        (0..3).map(|number| home.json(&["backup", &format!("backups/{number}")])).collect();
    feeding.join().unwrap().finish().ok();
    assert!(made[0]["epoch"].as_u64() <= made[2]["epoch"].as_u64());
    // Without its key a backup is of no use, and the key is not in it.
    home.say(&["--data", "none", "restore", "backups/0"]).ended(2);
    home.write("other.key", &("0".repeat(64) + "\n"));
    let said = home.say(&["--data", "none", "restore", "backups/0", "--key", "other.key"]).ended(2);
    assert!(said.contains("is not the key that the backup's digests are made with"), "{said}");
    for (number, made) in made.iter().enumerate() {
        let (from, data) = (format!("backups/{number}"), format!("restored-{number}"));
        home.ok(&["--data", &data, "restore", &from, "--key", "nearline-data/digest.key"]);
        home.verified(&data);
        let status = home.json(&["--data", &data, "status"]);
        assert_eq!(
            (&status["epoch"], &status["counts"]["live_events"]),
            (&made["epoch"], &made["live_events"])
        );
        // The log was never read under its name; whoever was forgotten stays so.
        home.ok(&["--data", &data, "run", "all.jsonl"]);
        let original = home.ok_pipe(&["export"], "");
        assert!(!original.contains("\"m7\"") || original.contains("tombstone"));
    }
    home.ok(&["run", "all.jsonl"]);
    for number in 0..3 {
        assert_eq!(home.verified(&format!("restored-{number}")), home.verified("nearline-data"));
    }
}

#[test]
fn a_restore_goes_into_an_empty_folder_or_one_that_holds_the_key_alone() {
    let home = prepared();
    home.ok_pipe(&RUN, &log(0..100));
    home.ok(&["backup", "backup"]);
    home.say(&["backup", "backup"]).ended(2);
    let said = home.say(&["restore", "backup"]).ended(2);
    assert!(said.contains("is not empty"), "{said}");
    let digest = home.verified("nearline-data");
    std::fs::create_dir(home.path("again")).unwrap();
    std::fs::copy(home.path("nearline-data/digest.key"), home.path("again/digest.key")).unwrap();
    home.ok(&["--data", "again", "restore", "backup"]);
    assert_eq!(home.verified("again"), digest);
    assert_eq!(home.json(&["--data", "again", "get", "m39"])["source"], "nearline");
    // Neither is touched by what happens to the other.
    home.ok_pipe(&["--data", "again", "run", "-"], &log(100..200));
    std::fs::remove_dir_all(home.path("nearline-data")).unwrap();
    home.ok(&["--data", "third", "restore", "backup", "--key", "again/digest.key"]);
    assert_eq!(home.verified("third"), digest);
}

#[test]
fn receipts_name_the_backups_that_still_hold_the_member() {
    let home = prepared();
    home.ok_pipe(&RUN, &log(0..100));
    home.ok(&["backup", "one"]);
    home.ok(&["backup", "two", "--with-key"]);
    home.ok(&["--data", "again", "restore", "two"]);
    home.ok(&["backup", "three"]);
    std::fs::rename(home.path("two"), home.path("elsewhere")).unwrap();
    std::fs::remove_dir_all(home.path("three")).unwrap();
    home.ok(&["backup", "three", "--gone"]);
    home.say(&["backup", "three", "--gone"]).ended(1);
    let receipt = home.json(&["forget", "m1"]);
    let named = |receipt: &serde_json::Value| -> Vec<(String, bool)> {
        let backups = receipt["backups"].as_array().unwrap().iter();
        let name = |path: &serde_json::Value| path.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        backups.map(|made| (name(&made["path"]), made["reachable"].as_bool().unwrap())).collect()
    };
    assert_eq!(named(&receipt), [("one".to_owned(), true), ("two".to_owned(), false)]);
    // One that is made after the forget does not hold the member, but it does hold the next one.
    home.ok(&["backup", "four"]);
    home.ok(&["backup", "one", "--gone"]);
    home.ok(&["backup", "two", "--gone"]);
    assert_eq!(named(&home.json(&["forget", "m2"])), [("four".to_owned(), true)]);
}

#[test]
fn an_export_piped_into_an_empty_folder_gives_the_digest_also_after_what_is_in_no_log() {
    let home = prepared();
    home.write("log.jsonl", &log(0..500));
    home.ok(&["replay", "--model", "model", "log.jsonl"]);
    let running = home.start(&["run", "-"]);
    // A like, a retraction by fields and one by id, and an item: by command, as an application would.
    let like = r#"{"member":"m3","item":"b","kind":"like","at":1709300000000}"#;
    let back = play("m4", "b", 4).replacen('{', r#"{"type":"retract","#, 1);
    let records = format!(
        "{like}\n{back}{}\n{}\n",
        r#"{"type":"retract","member":"m5","id":"e45"}"#,
        r#"{"type":"item","item":"c","at":1709300000000,"title":"Gone","withdrawn":true}"#
    );
    let socket = home.path("nearline-data/nearline.sock");
    let answer = nearline::engine::socket::send(&socket, &records).unwrap().unwrap();
    assert_eq!((answer.accepted, answer.rejected.len()), (4, 0));
    home.ok(&["forget", "m6", "m7"]);
    // Exported while the pipeline runs.
    let exported = home.ok(&["export"]);
    running.finish().ok();
    home.ok_pipe(&["--data", "copy", "replay", "--model", "model", "-"], &exported);
    let original = home.verified("nearline-data");
    assert_eq!(home.verified("copy"), original);
    // The copy keeps out what the original keeps out.
    home.ok(&["--data", "copy", "replay", "log.jsonl"]);
    assert_eq!(home.verified("copy"), original);
    assert_eq!(home.json(&["--data", "copy", "get", "m6"])["source"], "trending");
}
