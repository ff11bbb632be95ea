//! Beside a process that writes: readers, a second writer, commands that reach it through its socket.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use nearline::engine::socket;
use nearline::stores::StoreError;
use nearline::stores::rocks::{RocksOptions, RocksStore};

use crate::support::{Home, until};

fn play(member: &str, item: &str, hour: u8) -> String {
    format!(
        r#"{{"member":"{member}","item":"{item}","kind":"play","value":0.5,"at":"2024-03-01T{hour:02}:00:00Z"}}"#
    ) + "\n"
}

/// How many live events a member has; none where there is nothing yet.
fn events_of(home: &Home, member: &str) -> usize {
    let said = home.say(&["history", member, "--json"]);
    let answer: Option<serde_json::Value> = serde_json::from_str(&said.out).ok();
    answer.map_or(0, |answer| answer["events"].as_array().unwrap().len())
}

#[test]
fn a_line_that_is_piped_in_shows_shortly_after_while_the_pipe_stays_open() {
    let home = Home::new();
    let mut running = home.start(&["run", "-"]);
    running.send(&play("ann", "a", 10));
    until("the first event shows", || events_of(&home, "ann") == 1);
    assert_eq!(home.items("ann", "continue_watching"), ["a"]);
    running.send(&play("ann", "b", 11));
    until("the list follows", || home.items("ann", "continue_watching") == ["b", "a"]);
    assert_eq!(home.json(&["popular", "--window", "1h"])["items"][0]["item"], "b");
    assert_eq!(home.json(&["why", "ann", "a"])["kept_out"][0], "the member has seen the item");
    assert_eq!(home.json(&["status"])["running"], true);
    home.verified("nearline-data");
    running.finish().ok();
    assert_eq!(home.json(&["status"])["running"], false);
}

#[test]
fn a_second_writer_is_told_that_the_folder_is_held() {
    let home = Home::new();
    let mut running = home.start(&["run", "-"]);
    running.send(&play("ann", "a", 10));
    for second in [&["run", "-"][..], &["replay", "-"]] {
        let said = home.pipe(second, &play("bob", "a", 10)).ended(3);
        assert!(said.contains("is held by another nearline process that writes to it"), "{said}");
    }
    let Err(error) = RocksStore::open(&home.path("nearline-data"), RocksOptions::default()) else {
        panic!("two writers at once")
    };
    assert!(matches!(error, StoreError::Held(_)), "{error}");
    running.finish().ok();
    // Nothing of what was refused is there, and the folder is free again.
    assert_eq!(events_of(&home, "bob"), 0);
    home.ok_pipe(&["run", "-"], &play("bob", "a", 10));
    assert_eq!((events_of(&home, "ann"), events_of(&home, "bob")), (1, 1));
}

#[test]
fn a_forget_reaches_the_running_process_and_a_late_event_does_not_return() {
    let home = Home::new();
    let mut running = home.start(&["run", "-"]);
    running.send(&(play("ann", "a", 10) + &play("bob", "a", 10)));
    until("both are there", || events_of(&home, "ann") + events_of(&home, "bob") == 2);
    let receipt = home.json(&["forget", "ann"]);
    let removed = &receipt["members"][0]["removed"];
    assert_eq!((&removed["events"], &removed["lists"]), (&1.into(), &1.into()));
    assert_eq!(events_of(&home, "ann"), 0);
    running.send(&(play("ann", "a", 10) + &play("ann", "late", 11) + &play("bob", "b", 12)));
    until("what comes after is there", || events_of(&home, "bob") == 2);
    assert_eq!(events_of(&home, "ann"), 0);
    running.finish().ok();
    home.ok_pipe(&["run", "-"], &play("ann", "a", 10));
    assert_eq!(events_of(&home, "ann"), 0);
    home.verified("nearline-data");
}

#[test]
fn the_socket_is_for_its_owner_alone_and_goes_with_the_process() {
    let home = Home::new();
    let running = home.start(&["run", "-"]);
    let path = home.path("nearline-data/nearline.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    running.finish().ok();
    assert!(!path.exists());
}

#[test]
fn a_folder_that_lies_deeper_than_a_socket_may_is_served_all_the_same() {
    let home = Home::new();
    let data = format!("{}/data", "deep/".repeat(40));
    std::fs::create_dir_all(home.path(&data)).unwrap();
    std::os::unix::fs::symlink(home.path(&data), home.path("nearline-data")).unwrap();
    for data in [&*home.path(&data).to_string_lossy(), &data] {
        let running = home.start(&["--data", data, "run", "-"]);
        let answer = socket::send(&home.path("nearline-data/nearline.sock"), &play("ann", "a", 10));
        assert_eq!(answer.unwrap().unwrap().accepted, 1);
        home.ok(&["--data", data, "forget", "ann"]);
        running.finish().ok();
        assert_eq!(home.say(&["--data", data, "history", "ann"]).code, 1);
    }
}

#[test]
fn what_the_socket_cannot_take_is_said_and_the_rest_is_taken() {
    let home = Home::new();
    let running = home.start(&["run", "-"]);
    let path = home.path("nearline-data/nearline.sock");
    // The tombstone is a sound record, of another folder: that is seen only behind the source.
    let foreign = r#"{"type":"tombstone","member":"41a40000000000000000000000000000","body":{"events":[],"forget":5,"ids":[],"key":"6714bfd61714f6e7"}}"#;
    let lines = format!("nonsense\n{}{foreign}\n", play("ann", "a", 10));
    let answer = socket::send(&path, &lines).unwrap().unwrap();
    assert_eq!((answer.accepted, answer.rejected.len(), answer.error), (1, 2, None));
    assert!(answer.rejected[0].starts_with("line 1: "), "{:?}", answer.rejected);
    assert!(answer.rejected[1].contains("another data folder"), "{:?}", answer.rejected);
    // The answer came once the record was on disk.
    assert_eq!(events_of(&home, "ann"), 1);
    running.finish().ok();
}

/// A process that is killed while it is asked: what it was asked may be done or not, and is never said to be.
#[test]
fn a_command_whose_answer_never_comes_fails_and_says_to_ask_again() {
    let home = Home::new();
    home.ok_pipe(&["run", "-"], &play("ann", "a", 10));
    let socket = std::os::unix::net::UnixListener::bind(home.path("nearline-data/nearline.sock")).unwrap();
    std::thread::spawn(move || {
        for (stream, number) in socket.incoming().flatten().zip(0..) {
            // Closed before the request is read, or in the middle of the answer.
            if number % 2 == 1 {
                let _ = (&stream).read(&mut [0; 16]);
                let _ = (&stream).write_all(b"{\"epoch\":7,");
            }
        }
    });
    // More than the socket takes while nobody reads.
    let many: String = (0..100_000).map(|number| format!("member-{number}\n")).collect();
    for turn in 0..4 {
        let said = home.pipe(&["forget", "--members", "-"], &many).ended(3);
        assert!(said.contains("ended before its answer; ask again"), "{turn}: {said}");
        for command in [&["forget", "ann"][..], &["backup", "copy"], &["backup", "copy", "--gone"]] {
            let said = home.say(command).ended(3);
            assert!(said.contains("ended before its answer; ask again"), "{turn}, {command:?}: {said}");
        }
    }
}

/// Whoever read what is said beside the answers has gone away, as where the log of a service is cut off.
#[test]
fn where_nobody_listens_any_more_all_goes_on() {
    let home = Home::new();
    let log: String =
        (0..900).map(|number| play(&format!("m{}", number % 30), &format!("i{}", number % 9), 10)).collect();
    std::fs::create_dir_all(home.path("logs/inside")).unwrap();
    home.write("logs/log.jsonl", &(log + "nonsense\n"));
    let train = ["train", "logs/log.jsonl", "--out", "model", "--rank", "2", "--iterations", "2"];
    for command in [&["run", "logs"][..], &train, &["replay", "--model", "model", "logs"]] {
        let mut command = home.command(command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).env("NEARLINE_LOG", "info");
        let mut child = command.spawn().unwrap();
        drop(child.stderr.take());
        assert!(child.wait().unwrap().success(), "{command:?}");
    }
    assert_eq!(home.json(&["status"])["counts"]["rejected"], 1);
    home.verified("nearline-data");
}

#[test]
fn a_terminate_lets_what_was_read_be_committed() {
    let home = Home::new();
    let log: String =
        (0..20_000).map(|number| play(&format!("m{}", number % 50), &format!("i{number}"), 10)).collect();
    home.write("log.jsonl", &log);
    let running = home.start(&["run", "--follow", "log.jsonl"]);
    until("all is there", || home.say(&["status", "--json"]).out.contains("\"live_events\":20000,"));
    home.append("log.jsonl", &play("late", "a", 10));
    until("the file is followed", || events_of(&home, "late") == 1);
    let killed = Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap();
    assert!(killed.success());
    running.finish().ok();
    home.verified("nearline-data");
    assert!(home.json(&["status"])["sources"][0]["at_end"].as_bool().unwrap());
}

#[test]
fn a_new_file_in_a_folder_that_is_followed_is_read() {
    let home = Home::new();
    std::fs::create_dir(home.path("logs")).unwrap();
    home.write("logs/1.jsonl", &play("ann", "a", 10));
    let running = home.start(&["run", "--follow", "logs"]);
    until("the first file is read", || events_of(&home, "ann") == 1);
    home.write("logs/2.jsonl", &play("bob", "a", 10));
    until("the second file is read", || events_of(&home, "bob") == 1);
    running.kill();
    home.verified("nearline-data");
}
