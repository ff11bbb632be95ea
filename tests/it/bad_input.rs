//! Input that means harm: whatever is sent, every good line is taken and every bad one is accounted for, and a member
//! or an item of any size has its answer in bounded memory and time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use nearline::fuzzing::TARGETS;

use crate::support::{Chance, Home, until};

/// Ways to break a line, and the reason that each is rejected with.
const BREAKS: [(&str, fn(usize) -> String); 18] = [
    ("not-json", |n| format!("{{\"member\":\"m{n}\",\"item\":\"i\"")),
    ("not-json", |n| format!("nonsense {n}")),
    ("not-json", |n| format!("{{\"member\":\"m{n}\",}}")),
    ("not-an-object", |n| format!("[{n}]")),
    ("missing-field", |n| format!("{{\"member\":\"m{n}\",\"item\":\"i\",\"kind\":\"play\"}}")),
    ("unknown-field", |n| {
        format!("{{\"member\":\"m{n}\",\"item\":\"i\",\"kind\":\"play\",\"at\":7,\"colour\":1}}")
    }),
    ("duplicate-field", |n| {
        format!("{{\"member\":\"m{n}\",\"member\":\"x\",\"item\":\"i\",\"kind\":\"play\",\"at\":7}}")
    }),
    ("unknown-type", |n| format!("{{\"type\":\"t{n}\",\"member\":\"m\"}}")),
    ("wrong-type", |n| format!("{{\"member\":{n},\"item\":\"i\",\"kind\":\"play\",\"at\":7}}")),
    ("empty-id", |n| format!("{{\"member\":\"\",\"item\":\"i{n}\",\"kind\":\"play\",\"at\":7}}")),
    ("id-too-long", |n| format!("{{\"member\":\"{n:0>257}\",\"item\":\"i\",\"kind\":\"play\",\"at\":7}}")),
    ("at-unreadable", |n| {
        format!("{{\"member\":\"m\",\"item\":\"i\",\"kind\":\"play\",\"at\":\"day {n}\"}}")
    }),
    ("at-out-of-range", |n| {
        format!("{{\"member\":\"m\",\"item\":\"i\",\"kind\":\"play\",\"at\":-{}}}", n + 1)
    }),
    ("at-out-of-range", |n| {
        format!("{{\"member\":\"m\",\"item\":\"i\",\"kind\":\"play\",\"at\":{}}}", 7_258_118_400_000 + n)
    }),
    ("at-ahead", |n| {
        format!("{{\"member\":\"m\",\"item\":\"i\",\"kind\":\"play\",\"at\":{}}}", 7_000_000_000_000 + n)
    }),
    ("value-out-of-range", |n| {
        format!("{{\"member\":\"m{n}\",\"item\":\"i\",\"kind\":\"play\",\"at\":7,\"value\":1e{}}}", 10 + n)
    }),
    ("context-invalid", |n| {
        format!("{{\"member\":\"m{n}\",\"item\":\"i\",\"kind\":\"play\",\"at\":7,\"context\":{{\"a\":[1]}}}}")
    }),
    ("not-utf8", |n| format!("{{\"member\":\"m{n}\u{1}\",\"item\":\"i\",\"kind\":\"play\",\"at\":7}}")),
];

/// A log of good lines and broken ones, mixed by seed; how many are good, and how many broken by each reason.
fn mixed(good: usize, broken: usize, seed: u64) -> (Vec<u8>, BTreeMap<String, u64>) {
    let mut chance = Chance(seed);
    let (mut left_good, mut left_broken) = (good, broken);
    let mut reasons = BTreeMap::new();
    let mut log = Vec::with_capacity((good + broken) * 90);
    while left_good + left_broken > 0 {
        if chance.below(left_good + left_broken) < left_good {
            let number = good - left_good;
            left_good -= 1;
            log.extend_from_slice(
                format!(
                    "{{\"member\":\"m{}\",\"item\":\"i{}\",\"kind\":\"play\",\"at\":{number}}}\n",
                    number % 1_009,
                    number % 97
                )
                .as_bytes(),
            );
        } else {
            let (reason, line) = BREAKS[chance.below(BREAKS.len())];
            *reasons.entry(reason.to_owned()).or_default() += 1;
            let mut line = line(left_broken).into_bytes();
            if reason == "not-utf8" {
                line.iter_mut().filter(|byte| **byte == 1).for_each(|byte| *byte = 0xff);
            }
            log.extend_from_slice(&line);
            log.push(b'\n');
            left_broken -= 1;
        }
    }
    (log, reasons)
}

#[test]
fn a_million_broken_lines_among_good_ones_are_accounted_for_and_every_good_one_is_taken() {
    let home = Home::new();
    let (log, reasons) = mixed(100_000, 1_000_000, 7);
    fs::write(home.path("log.jsonl"), log).unwrap();
    home.ok(&["replay", "log.jsonl"]);
    let status = home.json(&["status"]);
    assert_eq!(status["counts"]["live_events"], 100_000);
    assert_eq!(status["counts"]["accepted"], 100_000);
    assert_eq!(status["counts"]["rejected"], 1_000_000);
    let told: BTreeMap<String, u64> = serde_json::from_value(status["rejected"].clone()).unwrap();
    assert_eq!(told, reasons);
    // Each broken line is kept, with its place: no place twice.
    let kept = fs::read_to_string(home.path("nearline-data/rejected.jsonl")).unwrap();
    let mut places: Vec<u64> = kept
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["line"].as_u64().unwrap())
        .collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 1_000_000);
    assert!(home.say(&["check", "log.jsonl"]).ended(1).contains("1,000,000 lines"));
    home.verified("nearline-data");
}

/// A mutation of some bytes: flips, cuts, doublings, parts of others, and what numbers and quotes break on.
fn mutated(seed: &[u8], others: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    const TOKENS: [&[u8]; 16] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"\n",
        b"\r\n",
        b",",
        b"-0",
        b"1e308",
        b"9223372036854775808",
        b"\xff",
        b"\0",
        b"null",
        b"\\ud800",
        b"0.0000005",
        b"::",
    ];
    let mut bytes = seed.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        match chance.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 => bytes.truncate(at),
            2 => {
                let end = at + chance.below(bytes.len() - at + 1);
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => {
                let other = &others[chance.below(others.len())];
                let from = chance.below(other.len() + 1);
                bytes.splice(at..at, other[from..].iter().copied());
            }
            4 => {
                let end = at + chance.below((bytes.len() - at).min(8) + 1);
                bytes.drain(at..end);
            }
            _ => {
                bytes.splice(at..at, TOKENS[chance.below(TOKENS.len())].iter().copied());
            }
        }
        bytes.truncate(1 << 16);
    }
    bytes
}

#[test]
fn what_must_hold_of_all_that_is_parsed_holds_for_the_corpus_and_what_is_like_it() {
    let seed = std::env::var("NEARLINE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let seconds = std::env::var("NEARLINE_FUZZ_SECONDS").ok().and_then(|time| time.parse().ok()).unwrap_or(2);
    for (name, body) in TARGETS {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        corpus.iter().for_each(|bytes| body(bytes));
        let mut chance = Chance(seed);
        let (began, mut tried) = (Instant::now(), 0);
        while tried < 100 || began.elapsed() < Duration::from_secs(seconds) {
            let bytes = mutated(&corpus[chance.below(corpus.len())], &corpus, &mut chance);
            if std::panic::catch_unwind(|| body(&bytes)).is_err() {
                let place = std::env::temp_dir().join(format!("nearline-{name}-{seed}-{tried}"));
                fs::write(&place, &bytes).unwrap();
                panic!("{name}, seed {seed}, number {tried}: see {}", place.display());
            }
            tried += 1;
        }
        println!("{name}: {} of the corpus and {tried} mutations", corpus.len());
    }
}

#[test]
fn numbers_at_the_edges_are_taken_exactly_and_beyond_them_refused() {
    let home = Home::new();
    let cases = [
        ("1e9", "0", Some("1000000000")),
        ("-1000000000", "7258118399999", Some("-1000000000")),
        ("1000000000.0000004999", "1", Some("1000000000")),
        ("1000000000.0000006", "1", None),
        ("-1e9000000000", "2", None),
        ("0.0000005", "3", Some("0")),
        ("0.0000015", "4", Some("0.000002")),
        ("0.0000025", "5", Some("0.000002")),
        ("-0.00000050000000000000000000001", "6", Some("-0.000001")),
        ("-0", "7", Some("0")),
        ("-0.0e-999999999999", "8", Some("0")),
        ("1e-400", "9", Some("0")),
        ("0.000000000000000000000000000001e36", "10", Some("1000000")),
        ("1", "7258118400000", None),
        ("1", "-1", None),
        ("1", "\"2199-12-31T23:59:59.999999Z\"", Some("1")),
        ("1", "\"1969-12-31T23:59:59.9999Z\"", None),
    ];
    let line = |(number, (value, at, _)): (usize, &(&str, &str, Option<&str>))| {
        format!(
            "{{\"member\":\"m{number}\",\"item\":\"i\",\"kind\":\"play\",\"value\":{value},\"at\":{at}}}\n"
        )
    };
    let log: String = cases.iter().enumerate().map(line).collect();
    home.write("nearline.toml", "[run]\nmax_ahead = \"2000000h\"\n");
    home.ok_pipe(&["run", "-"], &log);
    let exported = home.ok(&["export", "--without-key"]);
    for (number, (value, at, taken)) in cases.iter().enumerate() {
        let name = format!("\"member\":\"m{number}\"");
        let found = exported.lines().find(|line| line.contains(&name));
        match (found, taken) {
            (None, None) => {}
            (Some(found), Some(taken)) => {
                assert!(found.contains(&format!("\"value\":{taken},")), "{value} at {at}: {found}");
            }
            _ => panic!("{value} at {at}: {found:?}"),
        }
    }
    home.verified("nearline-data");
}

/// Ids that look alike, and are others as bytes.
const ALIKE: [&str; 10] = [
    "caf\u{e9}",
    "cafe\u{301}",
    "caf\u{e9} ",
    " caf\u{e9}",
    "Caf\u{e9}",
    "caf\u{e9}\u{200b}",
    "caf\u{e9}\u{feff}",
    "c\u{430}f\u{e9}",
    "caf\u{e9}\u{0}",
    "caf\u{e9}\t",
];

#[test]
fn ids_that_look_alike_are_others_in_every_view_and_command() {
    let home = Home::new();
    let mut log = String::new();
    for (number, id) in ALIKE.iter().enumerate() {
        let id = serde_json::to_string(id).unwrap();
        for count in 0..=number {
            writeln!(
                log,
                "{{\"member\":{id},\"item\":\"i{count}\",\"kind\":\"play\",\"value\":0.5,\"at\":{count}}}"
            )
            .unwrap();
            writeln!(log, "{{\"member\":\"m{count}\",\"item\":{id},\"kind\":{id},\"at\":{count}}}").unwrap();
            writeln!(log, "{{\"member\":\"m{count}\",\"item\":{id},\"kind\":\"buy\",\"at\":{count},\"context\":{{\"country\":{id}}}}}").unwrap();
        }
        writeln!(log, "{{\"type\":\"item\",\"item\":{id},\"at\":1,\"title\":\"Title {number}\"}}").unwrap();
    }
    home.ok_pipe(&["run", "-"], &log);
    home.verified("nearline-data");
    let popular = home.json(&["popular", "--kind", "buy", "--limit", "50"]);
    let popular = popular["items"].as_array().unwrap();
    assert_eq!(popular.len(), ALIKE.len());
    for (number, id) in ALIKE.iter().enumerate() {
        let found = popular.iter().find(|entry| entry["item"] == *id).unwrap();
        assert_eq!(found["count"], number as u64 + 1, "{id:?}");
        assert_eq!(found["title"], format!("Title {number}"));
        // What the system hands to a program ends at a zero byte.
        if id.contains('\0') {
            continue;
        }
        let history = home.json(&["history", id]);
        assert_eq!(history["events"].as_array().unwrap().len(), number + 1, "{id:?}");
        assert_eq!(home.items(id, "continue_watching").len(), number + 1, "{id:?}");
        let of_country = home.json(&["popular", "--kind", "buy", "--country", id]);
        assert_eq!(of_country["items"].as_array().unwrap().len(), 1, "{id:?}");
        assert_eq!(home.json(&["popular", "--kind", id])["items"][0]["item"], *id);
        assert_eq!(home.json(&["why", id, "i0"])["member"], *id);
    }
    home.ok(&["forget", ALIKE[0]]);
    assert_eq!(home.say(&["history", ALIKE[0]]).code, 1);
    for (number, id) in ALIKE.iter().enumerate().skip(1).filter(|(_, id)| !id.contains('\0')) {
        assert_eq!(home.json(&["history", id])["events"].as_array().unwrap().len(), number + 1, "{id:?}");
    }
    home.verified("nearline-data");
}

/// The largest resident memory of a process so far, in megabytes.
fn peak(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// How long a process has been at work on all processors together.
fn worked(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let behind_the_name: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // In hundredths of a second, for programs, whatever the kernel counts in.
    let ticks: u64 = behind_the_name[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

#[test]
fn a_member_with_a_million_events_and_an_item_seen_by_everyone_stay_in_bounds() {
    const EVENTS: usize = 1_000_000;
    const MEMBERS: usize = 50_000;
    let home = Home::new();
    let mut log = String::with_capacity((EVENTS + MEMBERS) * 80);
    for number in 0..EVENTS {
        let item = number % 2_000;
        writeln!(
            log,
            "{{\"member\":\"giant\",\"item\":\"i{item}\",\"kind\":\"play\",\"value\":0.9,\"at\":{number}}}"
        )
        .unwrap();
    }
    for number in 0..MEMBERS {
        writeln!(log, "{{\"member\":\"m{number}\",\"item\":\"everyone\",\"kind\":\"play\",\"at\":{number},\"id\":\"e\"}}").unwrap();
    }
    home.write("log.jsonl", &log);
    home.ok(&["train", "log.jsonl", "--out", "model", "--rank", "8", "--iterations", "1"]);
    home.ok(&["replay", "--model", "model", "log.jsonl"]);
    let mut running = home.start(&["run", "-"]);
    let live = |home: &Home| home.json(&["status"])["counts"]["live_events"].as_u64().unwrap();
    // Live events of the giant, each an epoch of its own; the whole history is behind each list.
    let began = Instant::now();
    for number in 0..20 {
        running.send(&format!(
            "{{\"member\":\"giant\",\"item\":\"new{number}\",\"kind\":\"play\",\"at\":{number}}}\n"
        ));
        std::thread::sleep(Duration::from_millis(15));
    }
    until("the giant's events are there", || live(&home) == (EVENTS + MEMBERS + 20) as u64);
    let live_took = began.elapsed();
    // Half of the giant's history goes again, retraction by retraction.
    let (began, worked_before) = (Instant::now(), worked(running.id()));
    let mut gone = String::new();
    for number in (0..EVENTS).step_by(2) {
        let item = number % 2_000;
        writeln!(gone, "{{\"type\":\"retract\",\"member\":\"giant\",\"item\":\"i{item}\",\"kind\":\"play\",\"value\":0.9,\"at\":{number}}}").unwrap();
    }
    running.send(&gone);
    until("half is gone", || live(&home) == (EVENTS / 2 + MEMBERS + 20) as u64);
    let (retracted_took, retracted_worked) = (began.elapsed(), worked(running.id()) - worked_before);
    // An item that everyone has seen is withdrawn: it concerns every list.
    running.send("{\"type\":\"item\",\"item\":\"everyone\",\"at\":1,\"withdrawn\":true}\n");
    let began = Instant::now();
    until("the last is there", || {
        running.send("{\"member\":\"m7\",\"item\":\"i3\",\"kind\":\"play\",\"at\":8}\n");
        home.json(&["history", "m7"])["events"].as_array().unwrap().len() == 2
    });
    let withdrawn_took = began.elapsed();
    let used = peak(running.id());
    println!(
        "live {live_took:?}, retracted {retracted_took:?} ({retracted_worked:?} of a processor), withdrawn \
         {withdrawn_took:?}, {used} MB at most"
    );
    running.finish().ok();
    assert!(used < 900, "{used} MB");
    // What the process itself has worked: the machine may do other things as well.
    assert!(retracted_worked < Duration::from_secs(45), "{retracted_worked:?} of {retracted_took:?}");
    home.verified("nearline-data");
}
