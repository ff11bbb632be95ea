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

#[test]
fn nothing_is_written_into_a_folder_while_a_backup_is_put_into_it_nor_after_a_restore_that_was_broken_off() {
    let home = prepared();
    home.ok_pipe(&RUN, &log(0..100));
    home.ok(&["backup", "backup", "--with-key"]);
    let digest = home.verified("nearline-data");
    // What a restore leaves that was killed.
    std::fs::create_dir_all(home.path("again/.restoring/store")).unwrap();
    for command in [&["run", "-"][..], &["get", "m1"], &["forget", "m1"], &["backup", "other"]] {
        let said = home.say(&[&["--data", "again"], command].concat()).ended(3);
        assert!(said.contains("was broken off") && said.contains("say `nearline restore` again"), "{said}");
    }
    assert!(!home.path("again/store").exists());
    // Another process is at it.
    let lock = std::fs::File::open(home.path("again")).unwrap();
    lock.lock().unwrap();
    let said = home.say(&["--data", "again", "restore", "backup"]).ended(3);
    assert!(said.contains("is held by another nearline process"), "{said}");
    drop(lock);
    home.ok(&["--data", "again", "restore", "backup"]);
    assert_eq!(home.verified("again"), digest);
    // A backup of a later release.
    let manifest = std::fs::read_to_string(home.path("backup/backup.json")).unwrap();
    home.write("backup/backup.json", &manifest.replace("\"format\": 1", "\"format\": 2"));
    let said = home.say(&["--data", "later", "restore", "backup"]).ended(2);
    assert!(said.contains("has format 2, and this nearline reads 1"), "{said}");
}

/// Backups one after the other, while a model takes over and back, and members are forgotten.
#[test]
fn a_backup_that_is_made_while_a_model_takes_over_is_whole_and_goes_on() {
    let home = prepared();
    model(&[("a", vec![0.0, 1.0]), ("b", vec![0.5, -0.5]), ("c", vec![1.0, 0.0])])
        .save(&home.path("other"))
        .unwrap();
    // Members enough for the building of lists to take a while.
    let event = |minute: usize| play(&format!("m{}", minute % 3_000), ["a", "b"][minute / 3_000], minute);
    home.write("all.jsonl", &(0..6_000).map(event).collect::<String>());
    home.ok(&["replay", "--model", "model", "all.jsonl"]);
    let original = home.verified("nearline-data");
    home.ok(&["--data", "with-other", "replay", "--model", "other", "all.jsonl"]);
    let with_other = home.verified("with-other");
    let running = home.start(&["run", "-"]);
    let backups = std::thread::scope(|scope| {
        let swaps = scope.spawn(|| {
            for model in ["other", "model", "other"] {
                home.ok(&["model", "use", model]);
                home.ok(&["forget", "nobody"]);
            }
        });
        let mut backups = Vec::new();
        while !swaps.is_finished() {
            let name = format!("backups/{}", backups.len());
            let said = home.say(&["backup", &name]);
            // It may ask to be asked again, and then it is not there.
            assert!(said.code == 0 || said.err.contains("ask again"), "{said:?}");
            assert_eq!(home.path(&name).exists(), said.code == 0);
            if said.code == 0 {
                backups.push(name);
            }
        }
        swaps.join().unwrap();
        backups
    });
    running.finish().ok();
    assert!(!backups.is_empty());
    // Some of them, from the first to the last: how many there are depends on the machine.
    for (number, name) in backups.iter().enumerate().step_by(backups.len().div_ceil(6)) {
        let data = format!("restored-{number}");
        home.ok(&["--data", &data, "restore", name, "--key", "nearline-data/digest.key"]);
        let restored = home.verified(&data);
        assert!([&original, &with_other].contains(&&restored), "{name}");
        // What was being built then is built now, or stands by.
        home.ok_pipe(&["--data", &data, "run", "-"], "");
        home.ok(&["--data", &data, "model", "use", "other"]);
        assert_eq!(home.verified(&data), with_other, "{name}");
    }
}

/// The process that makes it is killed, or the command that asked for it; beside them events flow.
#[test]
fn a_backup_that_is_killed_is_whole_or_absent_and_what_it_left_is_in_no_ones_way() {
    let home = prepared();
    home.ok_pipe(&RUN, &log(0..3_000));
    home.ok(&["backup", "first"]);
    let mut chance = crate::support::Chance(8);
    let (mut made, mut events) = (0, 3_000);
    for round in 0..12 {
        let name = format!("backups/{round}");
        let mut running = home.start(&RUN);
        running.send(&log(events..events + 200));
        events += 200;
        let mut asking = home.command(&["backup", &name]);
        let mut asking =
            asking.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(chance.below(120_000) as u64));
        if round % 3 == 0 {
            // Nobody waits for the answer any more.
            asking.kill().unwrap();
            running.finish().ok();
        } else {
            running.kill();
        }
        let answered = asking.wait().unwrap().success();
        home.verified("nearline-data");
        assert!(!answered || home.path(&name).exists(), "round {round} was answered");
        if home.path(&name).exists() {
            made += 1;
            let data = format!("restored-{round}");
            home.ok(&["--data", &data, "restore", &name, "--key", "nearline-data/digest.key"]);
            home.verified(&data);
        } else {
            home.ok(&["backup", &name]);
        }
    }
    println!("{made} of 12 were made");
    // Every one of them is known, so that a receipt can name it.
    let receipt = home.json(&["forget", "m1"]);
    assert_eq!(receipt["backups"].as_array().unwrap().len(), 13);
}
