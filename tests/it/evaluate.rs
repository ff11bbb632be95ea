//! `evaluate` as it is typed: each protocol on tiny data, and what is said of bad use.

use std::fmt::Write;

use serde_json::Value;

use crate::support::Home;

const FIT: [&str; 6] = ["--rank", "4", "--iterations", "4", "--lambda", "0.01"];

/// 60 members of two tastes; the even ones have items below 20 and the odd ones those above, twelve each, an hour
/// apart.
fn items(member: u32) -> impl Iterator<Item = u32> {
    (0..12).map(move |step| 20 * (member % 2) + (member / 2 + step) % 20)
}

fn log() -> String {
    let mut text = String::new();
    for member in 0..60 {
        for (step, item) in items(member).enumerate() {
            let at = 1_767_225_600_000 + 3_600_000 * step as u64 + u64::from(member);
            writeln!(text, r#"{{"member":"m{member}","item":"i{item}","kind":"like","at":{at}}}"#).unwrap();
        }
    }
    text
}

fn pairs(members: std::ops::Range<u32>, keep: impl Fn(usize) -> bool) -> String {
    let mut text = "uid,sid\n".to_owned();
    for member in members {
        for (_, item) in items(member).enumerate().filter(|(step, _)| keep(*step)) {
            writeln!(text, "{member},{item}").unwrap();
        }
    }
    text
}

fn evaluated(home: &Home, args: &[&str]) -> Value {
    home.json(&[&["evaluate"], args, &FIT].concat())
}

fn nearline(found: &Value, measure: &str) -> f64 {
    let figures = found["figures"].as_array().unwrap();
    let figure = figures.iter().find(|figure| figure["measure"] == measure).unwrap();
    figure["nearline"]["mean"].as_f64().unwrap()
}

#[test]
fn lightgcn_takes_a_folder_or_two_files() {
    let home = Home::new();
    let lines = |keep: &dyn Fn(usize) -> bool| {
        (0..60).fold(String::new(), |mut text, member| {
            write!(text, "{member}").unwrap();
            for (_, item) in items(member).enumerate().filter(|(step, _)| keep(*step)) {
                write!(text, " {item}").unwrap();
            }
            text + "\n"
        })
    };
    std::fs::create_dir(home.path("lists")).unwrap();
    home.write("lists/train.txt", &lines(&|step| step != 3));
    home.write("lists/test.txt", &lines(&|step| step == 3));
    let found = evaluated(&home, &["--protocol", "lightgcn", "lists"]);
    assert_eq!(
        (found["protocol"].as_str(), found["tested"]["members"].as_u64()),
        (Some("lightgcn"), Some(60))
    );
    assert_eq!(nearline(&found, "recall@20"), 1.0);
    assert_eq!(evaluated(&home, &["--protocol", "lightgcn", "lists/train.txt", "lists/test.txt"]), found);
    let table = home.ok(&["evaluate", "--protocol", "lightgcn", "lists"]);
    assert!(table.contains("NDCG@20") && table.contains("60 items to be found"), "{table}");

    home.write("lists/test.txt", "0 3\n1 ten\n");
    let said = home.say(&["evaluate", "--protocol", "lightgcn", "lists"]).ended(2);
    assert!(said.contains("lists/test.txt, line 2: `ten` is not a whole number"), "{said}");
    let said = home.say(&["evaluate", "--protocol", "lightgcn", "lists/train.txt"]).ended(2);
    assert!(said.contains("a folder with train.txt and test.txt"), "{said}");
}

#[test]
fn strong_takes_a_folder_of_published_files_or_logs() {
    let home = Home::new();
    home.write("train.csv", &pairs(0..40, |_| true));
    home.write("test_tr.csv", &pairs(40..60, |step| step > 1));
    home.write("test_te.csv", &pairs(40..60, |step| step <= 1));
    let found = evaluated(&home, &["--protocol", "strong", "."]);
    assert_eq!(
        (found["tested"]["members"].as_u64(), found["tested"]["wanted"].as_u64()),
        (Some(20), Some(40))
    );
    assert_eq!((nearline(&found, "recall@20"), nearline(&found, "recall@50")), (1.0, 1.0));
    assert!(nearline(&found, "NDCG@100") > 0.3);
    let said = home.say(&["evaluate", "--protocol", "strong", "--part", "validation", "."]).ended(2);
    assert!(said.contains("validation_tr.csv"), "{said}");

    home.write("log.jsonl", &log());
    let found = evaluated(&home, &["--protocol", "strong", "log.jsonl"]);
    let members = found["tested"]["members"].as_u64().unwrap();
    assert_eq!(found["tested"]["wanted"].as_u64(), Some(2 * members));
    let said = home.say(&["evaluate", "--protocol", "strong", "--part", "test", "log.jsonl"]).ended(2);
    assert!(said.contains("--part goes with a folder"), "{said}");
}

#[test]
fn ncf_takes_the_beginning_of_three_names() {
    let home = Home::new();
    let (mut train, mut test, mut negative) = (String::new(), String::new(), String::new());
    for member in 0..60 {
        for (step, item) in items(member).enumerate() {
            if step == 3 {
                writeln!(test, "{member}\t{item}\t5\t0").unwrap();
                let others: String =
                    (0..20).map(|other| format!("\t{}", 20 * (1 - member % 2) + other)).collect();
                writeln!(negative, "({member},{item}){others}").unwrap();
            } else {
                writeln!(train, "{member}\t{item}\t5\t0").unwrap();
            }
        }
    }
    home.write("tiny.train.rating", &train);
    home.write("tiny.test.rating", &test);
    home.write("tiny.test.negative", &negative);
    let found = evaluated(&home, &["--protocol", "ncf", "tiny"]);
    assert_eq!((nearline(&found, "hit rate@10"), nearline(&found, "NDCG@10")), (1.0, 1.0));
    let said = home.say(&["evaluate", "--protocol", "ncf", "other"]).ended(2);
    assert!(said.contains("cannot read other.train.rating") && said.contains("NAME.test.negative"), "{said}");
    home.say(&["evaluate", "--protocol", "ncf"]).ended(2);
}

#[test]
fn logs_are_measured_by_time_by_members_and_on_a_walk() {
    let home = Home::new();
    home.write("log.jsonl", &log());
    let time = evaluated(&home, &["log.jsonl"]);
    assert_eq!(time["protocol"], "time");
    let members = evaluated(&home, &["--protocol", "members", "log.jsonl"]);
    assert_eq!(members["rows"][0]["group"], "held_out");

    let walk =
        ["--protocol", "prequential", "log.jsonl", "--split", "0.5", "--refresh-hours", "6", "--k", "10"];
    let found = evaluated(&home, &walk);
    assert_eq!((found["k"].as_u64(), found["refresh_hours"].as_u64()), (Some(10), Some(6)));
    assert_eq!(
        (found["walked"]["members"].as_u64(), found["walked"]["events"].as_u64()),
        (Some(60), Some(360))
    );
    let all = &found["rows"][0];
    assert_eq!((all["group"].as_str(), all["events"].as_u64()), (Some("all"), Some(360)));
    let rate = |column: &str| all["hit_rate"][column]["mean"].as_f64().unwrap();
    assert!(rate("nearline") > rate("popularity"), "{all}");
    assert!(found["windows"].as_array().unwrap().len() > 1);
    assert_eq!(evaluated(&home, &walk), found);
    let table = home.ok(&[&["evaluate"], &walk[..]].concat());
    assert!(table.contains("hit rate@10: nearline") && table.contains("window from"), "{table}");
}

#[test]
fn a_flag_that_the_protocol_has_no_use_for_is_refused() {
    let home = Home::new();
    home.write("log.jsonl", &log());
    for (args, with) in [
        (
            &["--protocol", "members", "--split", "0.5"][..],
            "--split goes with --protocol time or prequential",
        ),
        (&["--protocol", "time", "--refresh-hours", "6"], "--refresh-hours goes with --protocol prequential"),
        (&["--protocol", "ncf", "--map", "member=a"], "--map goes with --protocol time or members"),
        (&["--protocol", "lightgcn", "--part", "test"], "--part goes with --protocol strong"),
    ] {
        let said = home.say(&[&["evaluate", "log.jsonl"], args].concat()).ended(2);
        assert!(said.contains(with), "{said}");
    }
    home.say(&["evaluate", "log.jsonl", "--protocol", "prequential", "--refresh-hours", "0"]).ended(2);
}
