//! Faults of the machine: a disk that is full, a folder that may not be written, logs that are replaced under the
//! reader's feet, a clock that jumps. Each is said with what to do, and what was acknowledged is there after it.

#![expect(clippy::print_stderr, reason = "what was skipped or tried is said")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nearline::engine::socket;

use crate::support::{Home, Said, arg, said, until};

/// A shell script in a mount namespace of its own, where it may mount what it likes; `$N` is the program. None, with
/// a word of it, where the machine forbids that.
fn with_mounts(home: &Home, script: &str) -> Option<Said> {
    let allowed = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped {}: this machine lets nobody mount",
            std::thread::current().name().unwrap_or_default()
        );
        return None;
    }
    let mut command = Command::new("unshare");
    // Whatever hangs there is a fault of its own, which must be seen.
    command.args(["-rm", "timeout", "-s", "KILL", "600", "sh", "-euc", script]).current_dir(home.path(""));
    command.env("N", env!("CARGO_BIN_EXE_nearline")).env_remove("NEARLINE_DATA").env_remove("NEARLINE_LOG");
    Some(said(command.stdin(Stdio::null()).output().unwrap()))
}

/// A home with a log that takes more room than a small disk has, and the digest that it ends in.
fn large_log() -> (Home, String) {
    let home = Home::new();
    home.ok(&["bench-log", "log.jsonl", "--events", "150000", "--members", "5000", "--items", "2000"]);
    home.ok(&["--data", "whole", "replay", "log.jsonl"]);
    let digest = home.verified("whole");
    (home, digest)
}

fn text(home: &Home, name: &str) -> String {
    fs::read_to_string(home.path(name)).unwrap()
}

/// The stored digest that `verify --json` printed, whose recomputed one is the same.
fn digest_of(text: &str) -> String {
    let verdict: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(verdict["stored"], verdict["recomputed"]);
    verdict["stored"].as_str().unwrap().to_owned()
}

/// A live run and a bulk load onto a disk that becomes full, and then larger.
#[test]
fn a_disk_that_is_full_ends_a_load_with_a_word_and_it_goes_on_once_there_is_room() {
    let (home, digest) = large_log();
    // The small ones fill up with the store's log, or with the files of a load; the larger with files that are flushed.
    for (way, size) in
        [("run --epoch-records 3000", "9m"), ("run --epoch-records 3000", "26m"), ("replay", "16m")]
    {
        let script = format!(
            "mkdir -p disk; mount -t tmpfs -o size={size} none disk
             $N --data disk/d {way} log.jsonl 2>failed || echo $? >code
             cat disk/d/acknowledged >acknowledged
             $N --data disk/d status --json >status
             $N --data disk/d verify --json >verify || true
             $N --data disk/d {way} log.jsonl 2>again || true
             mount -o remount,size=400m disk
             $N --data disk/d {way} log.jsonl
             $N --data disk/d verify --json >digest"
        );
        let Some(said) = with_mounts(&home, &script) else { return };
        said.ok();
        assert_eq!(text(&home, "code").trim(), "3", "{way}");
        let failed = text(&home, "failed");
        assert!(failed.contains("the disk is full: make room and start again"), "{way}: {failed}");
        // Another start may find that what was left makes room.
        let again = text(&home, "again");
        assert!(
            again.contains("the disk is full: make room") || again.contains("150,000 live events"),
            "{way}: {again}"
        );
        // What was acknowledged is in a store that is full.
        let status: serde_json::Value = serde_json::from_str(&text(&home, "status")).unwrap();
        let acknowledged = u64::from_str_radix(&text(&home, "acknowledged")[..16], 16).unwrap();
        assert!(status["epoch"].as_u64().unwrap() >= acknowledged && acknowledged > 0, "{way}: {status}");
        if way != "replay" {
            // A batch may be cut between epochs: what is read of the log is never ahead of what is stored.
            let lines = status["sources"][0]["lines"].as_u64().unwrap();
            assert!(status["counts"]["live_events"].as_u64().unwrap() >= lines, "{status}");
            digest_of(&text(&home, "verify"));
        }
        assert_eq!(digest_of(&text(&home, "digest")), digest, "{way}");
    }
}

#[test]
fn a_forget_on_a_full_disk_is_done_or_says_that_it_is_not() {
    let home = Home::new();
    home.ok(&["bench-log", "log.jsonl", "--events", "20000", "--members", "500", "--items", "500"]);
    let script = "mkdir disk; mount -t tmpfs -o size=100m none disk
        $N --data disk/d replay log.jsonl
        $N --data disk/d history m1 --json >before
        dd if=/dev/zero of=disk/filler bs=4k 2>/dev/null || true
        if $N --data disk/d forget m1 >out 2>failed; then echo 0 >code; else echo $? >code; fi
        $N --data disk/d history m1 --json >after || true
        $N --data disk/d verify --json >verify
        rm disk/filler
        $N --data disk/d forget m1 || true
        $N --data disk/d history m1 >gone || echo $? >none
        $N --data disk/d verify --json >digest";
    let Some(said) = with_mounts(&home, script) else { return };
    said.ok();
    digest_of(&text(&home, "verify"));
    let kept = text(&home, "before") == text(&home, "after");
    match text(&home, "code").trim() {
        "0" => assert!(!kept, "{}", text(&home, "out")),
        "3" => assert!(
            text(&home, "failed").contains("the disk is full: make room"),
            "{}",
            text(&home, "failed")
        ),
        code => panic!("{code}: {}", text(&home, "failed")),
    }
    assert_eq!(text(&home, "none").trim(), "1", "the member is gone: {}", text(&home, "gone"));
    digest_of(&text(&home, "digest"));
}

#[test]
fn a_backup_and_a_restore_on_a_full_disk_are_absent_and_say_why_and_are_whole_once_there_is_room() {
    let home = Home::new();
    home.ok(&["bench-log", "log.jsonl", "--events", "20000", "--members", "500", "--items", "500"]);
    home.ok(&["replay", "log.jsonl"]);
    let digest = home.verified("nearline-data");
    let script = "mkdir disk; mount -t tmpfs -o size=400k none disk
        $N backup disk/b --with-key 2>>failed || echo $? >>codes
        ls -A disk >left
        $N backup b --with-key
        $N --data disk/r restore b 2>>failed || echo $? >>codes
        $N --data disk/r run log.jsonl 2>half || echo $? >>codes
        mount -o remount,size=100m disk
        $N --data disk/r restore b
        $N --data disk/r verify --json >restored
        $N backup disk/b --with-key
        $N --data again restore disk/b";
    let Some(said) = with_mounts(&home, script) else { return };
    said.ok();
    assert_eq!(text(&home, "codes"), "3\n3\n3\n");
    let failed = text(&home, "failed");
    assert_eq!(failed.matches("the disk is full: make room").count(), 2, "{failed}");
    assert_eq!(text(&home, "left"), "", "nothing of the backup is left");
    let half = text(&home, "half");
    assert!(half.contains("was broken off"), "{half}");
    assert_eq!(digest_of(&text(&home, "restored")), digest);
    assert_eq!(home.verified("again"), digest);
}

/// The same without mounts: no file may grow beyond a limit. A pipe that nobody writes to must not keep a process
/// alive that commits nothing any more.
#[test]
fn what_was_acknowledged_before_a_file_could_grow_no_more_is_there_after_it() {
    let home = Home::new();
    let limited = format!("trap '' XFSZ; ulimit -f 300; exec {} run -", env!("CARGO_BIN_EXE_nearline"));
    let mut command = Command::new("sh");
    command.args(["-c", &limited]).current_dir(home.path("")).env_remove("NEARLINE_DATA");
    let running = home.start_command(command);
    let mut acknowledged = Vec::new();
    let mut failure = None;
    for round in 0..2_000 {
        let event = |number: usize| {
            format!(
                "{{\"member\":\"m{round}\",\"item\":\"i{number}\",\"kind\":\"play\",\"at\":{number},\"id\":\"{round:0>200}\"}}\n"
            )
        };
        let lines: String = (0..10).map(event).collect();
        let answer = socket::send(&home.path("nearline-data/nearline.sock"), &lines);
        match answer {
            Ok(Some(answer)) if answer.error.is_none() => acknowledged.push(round),
            Ok(answer) => {
                failure = answer.and_then(|answer| answer.error);
                break;
            }
            Err(_) => break,
        }
    }
    assert!(acknowledged.len() > 3, "{failure:?}");
    let said = running.wait().ended(3);
    assert!(said.contains("may not grow so large: raise the limit"), "{said}");
    if let Some(failure) = failure {
        assert!(failure.contains("raise the limit"), "{failure}");
    }
    for (place, round) in acknowledged.iter().enumerate() {
        if place % 29 == 0 || place + 1 == acknowledged.len() {
            let history = home.json(&["history", &format!("m{round}")]);
            assert_eq!(history["events"].as_array().unwrap().len(), 10, "m{round}");
        }
    }
    let live = home.json(&["status"])["counts"]["live_events"].as_u64().unwrap();
    assert!(live >= 10 * acknowledged.len() as u64);
    home.verified("nearline-data");
    home.ok_pipe(&["run", "-"], "{\"member\":\"late\",\"item\":\"i\",\"kind\":\"play\",\"at\":5}\n");
    home.verified("nearline-data");
}

#[test]
fn a_read_only_folder_answers_and_says_why_it_takes_nothing() {
    let home = Home::new();
    home.ok(&["bench-log", "log.jsonl", "--events", "2000", "--members", "50", "--items", "50"]);
    home.ok(&["replay", "log.jsonl"]);
    let digest = home.verified("nearline-data");
    home.write("more.jsonl", "{\"member\":\"late\",\"item\":\"i\",\"kind\":\"play\",\"at\":5}\n");
    // A mount of one's own: what lies elsewhere may be mounted in a way that nobody here may change.
    let script = "mkdir disk; mount -t tmpfs none disk; cp -R nearline-data disk/d; mount -o remount,ro disk
        $N --data disk/d verify --json >digest
        $N --data disk/d get m1 --json >list
        $N --data disk/d history m1 --json >history
        for command in 'run more.jsonl' 'replay more.jsonl' 'forget m1'; do
            $N --data disk/d $command 2>>failed || echo $? >>codes
        done
        mount -o remount,rw disk
        $N --data disk/d run more.jsonl
        rm -r nearline-data; cp -R disk/d nearline-data";
    let Some(said) = with_mounts(&home, script) else { return };
    said.ok();
    assert_eq!(digest_of(&text(&home, "digest")), digest);
    let list: serde_json::Value = serde_json::from_str(&text(&home, "list")).unwrap();
    assert_eq!(list["items"], home.json(&["get", "m1"])["items"]);
    assert_eq!(text(&home, "codes"), "3\n3\n3\n");
    let failed = text(&home, "failed");
    assert_eq!(failed.matches("make the folder writable").count(), 3, "{failed}");
    assert_eq!(home.json(&["status"])["counts"]["live_events"], 2001);
    home.verified("nearline-data");
}

fn play(member: &str, item: &str, at: i64) -> String {
    format!("{{\"member\":\"{member}\",\"item\":\"{item}\",\"kind\":\"play\",\"at\":{at}}}\n")
}

/// The items in a member's history.
fn items_of(home: &Home, member: &str) -> Vec<String> {
    let said = home.say(&["history", member, "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_default();
    let events = answer["events"].as_array().cloned().unwrap_or_default();
    let mut items: Vec<String> =
        events.iter().map(|event| event["item"].as_str().unwrap().to_owned()).collect();
    items.sort();
    items
}

#[test]
fn a_log_that_is_followed_may_shrink_be_written_anew_or_be_replaced() {
    let home = Home::new();
    home.write("log.jsonl", &(play("ann", "a", 1) + &play("ann", "b", 2)));
    let running = home.start(&["run", "--follow", "log.jsonl"]);
    until("the first two are there", || items_of(&home, "ann") == ["a", "b"]);
    // Emptied and written anew, in the same file, shorter than before.
    home.write("log.jsonl", &play("ann", "c", 3));
    until("the shorter log is read", || items_of(&home, "ann") == ["a", "b", "c"]);
    // In the same file and of the same length: only its time tells.
    home.write("log.jsonl", &play("ann", "d", 4));
    until("the log of the same length is read", || items_of(&home, "ann").contains(&"d".to_owned()));
    // Another file in its place, longer, and with the same beginning.
    home.write("new.jsonl", &(play("ann", "d", 4) + &play("ann", "e", 5)));
    fs::rename(home.path("new.jsonl"), home.path("log.jsonl")).unwrap();
    until("the other file is read", || items_of(&home, "ann").len() == 5);
    // Gone for a while, and a line that is not whole yet.
    fs::rename(home.path("log.jsonl"), home.path("old.jsonl")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    let line = play("ann", "f", 6);
    home.write("log.jsonl", &line[..20]);
    std::thread::sleep(std::time::Duration::from_millis(60));
    home.append("log.jsonl", &line[20..]);
    until("the line is whole", || items_of(&home, "ann") == ["a", "b", "c", "d", "e", "f"]);
    running.kill();
    assert_eq!(home.json(&["status"])["counts"]["rejected"], 0, "no line was read in halves");
    home.verified("nearline-data");
}

#[test]
fn a_log_of_the_length_that_it_had_and_other_last_lines_is_read_anew() {
    let home = Home::new();
    // Longer than what tells files apart by their beginning.
    let before: String = (0..100).map(|at| play("ann", "a", at)).collect();
    home.write("log.jsonl", &(before.clone() + &play("bob", "b", 1)));
    let running = home.start(&["run", "--follow", "log.jsonl"]);
    until("the last line is there", || items_of(&home, "bob") == ["b"]);
    home.write("log.jsonl", &(before + &play("bob", "c", 2)));
    until("the other last line is read", || items_of(&home, "bob") == ["b", "c"]);
    running.kill();
    home.verified("nearline-data");
}

/// A library that moves the wall clock by as many seconds as a file says.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, now);
    const char *path = getenv("CLOCK_AHEAD");
    FILE *file = clock == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    long ahead = 0;
    if (file) {
        if (fscanf(file, "%ld", &ahead) == 1) now->tv_sec += ahead;
        fclose(file);
    }
    return done;
}
"#;

fn clock_library(home: &Home) -> Option<std::path::PathBuf> {
    let source = home.write("clock.c", CLOCK);
    let library = home.path("clock.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", arg(&library), arg(&source), "-ldl"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !built {
        eprintln!("skipped {}: there is no C compiler", std::thread::current().name().unwrap_or_default());
    }
    built.then_some(library)
}

fn under_clock(home: &Home, library: &Path, args: &[&str]) -> Command {
    let mut command = home.command(args);
    command.env("LD_PRELOAD", library).env("CLOCK_AHEAD", home.path("ahead"));
    command
}

#[test]
fn a_clock_that_jumps_a_year_ahead_and_back_takes_nothing_that_was_accepted() {
    const YEAR: i64 = 365 * 86_400;
    let home = Home::new();
    let Some(library) = clock_library(&home) else { return };
    let now = jiff::Timestamp::now().as_millisecond();
    let next_year = now + 1000 * (YEAR - 60);
    home.write("ahead", "0");
    home.write("log.jsonl", "");
    let running = home.start_command(under_clock(&home, &library, &["run", "--follow", "log.jsonl"]));
    home.append("log.jsonl", &(play("ann", "today", now - 5) + &play("ann", "early", next_year)));
    until("the clock keeps one out", || home.json(&["status"])["counts"]["rejected"] == 1);
    assert_eq!(items_of(&home, "ann"), ["today"]);
    home.write("ahead", &YEAR.to_string());
    home.append("log.jsonl", &play("ann", "ahead", next_year));
    until("the clock lets it in", || items_of(&home, "ann") == ["ahead", "today"]);
    home.write("ahead", "0");
    home.append("log.jsonl", &(play("ann", "late", now) + &play("ann", "early again", next_year)));
    until("the clock is back", || home.json(&["status"])["counts"]["rejected"] == 2);
    until("what is of today is taken", || items_of(&home, "ann").len() == 3);
    running.kill();
    // What was accepted stays, also when it is read back under the right clock, and sets *now* as any event does.
    home.ok_pipe(&["run", "-"], &play("bob", "today", now));
    assert_eq!(items_of(&home, "ann"), ["ahead", "late", "today"]);
    assert_eq!(home.json(&["status"])["now"], next_year);
    home.verified("nearline-data");
    // A forget reaches past the clock to the member's newest event.
    home.ok(&["forget", "ann"]);
    assert!(items_of(&home, "ann").is_empty());
    home.ok_pipe(&["run", "-"], &play("ann", "ahead", next_year));
    assert!(items_of(&home, "ann").is_empty(), "a late copy does not bring it back");
    // And what did harm can be taken out by who knows it: now moves back.
    assert_eq!(home.json(&["status"])["now"], now);
}
