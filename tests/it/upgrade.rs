//! Folders and models of every format there has been, frozen in `tests/fixtures`, opened by the program of today.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Home, arg};

macro_rules! formats {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(&stringify!($name).replace('_', "-")); })*

        #[test]
        fn every_format_that_is_kept_is_opened_and_so_is_todays() {
            let mut kept: Vec<String> = std::fs::read_dir(fixtures())
                .unwrap()
                .flatten()
                .filter(|entry| entry.path().is_dir())
                .map(|entry| entry.file_name().into_string().unwrap().replace('-', "_"))
                .collect();
            kept.sort();
            assert_eq!(kept, [$(stringify!($name)),*]);
            let todays = format!("format_{}", nearline::stores::formats::FORMAT);
            assert_eq!(kept.last(), Some(&todays), "tests/fixtures/make.sh makes the one that is missing");
        }
    };
}

formats! { format_1 format_2 format_3 format_4 format_5 format_6 format_7 }

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A log.
fn log(name: &str) -> String {
    std::fs::read_to_string(fixtures().join(name).with_extension("jsonl")).unwrap()
}

/// The logs that the folder was made from, one after the other.
fn logs(format: &str) -> String {
    let listed = if matches!(format, "format-1" | "format-2") { String::new() } else { log("4-listed") };
    ["1-loaded", "2-live", "3-killed"].map(log).concat() + &listed
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A home with the frozen folder in it, and what was said of that by the program that made it.
fn home(format: &str) -> (Home, Value) {
    let home = Home::new();
    copied(&fixtures().join(format).join("data"), &home.path("nearline-data"));
    let expected = std::fs::read_to_string(fixtures().join(format).join("expected.json")).unwrap();
    (home, serde_json::from_str(&expected).unwrap())
}

/// It answers what it answered, and has the digest.
fn is_as_it_was(home: &Home, expected: &Value, digest: &str) {
    let status = home.json(&["status"]);
    for (name, value) in [
        ("model", &status["model"]),
        ("now", &status["now"]),
        ("live_events", &status["counts"]["live_events"]),
        ("rejected", &status["rejected"]),
        ("batch", &status["batch"]),
        ("clusters", &status["clusters"]),
    ] {
        assert_eq!(value, &expected[name], "{name}");
    }
    for (name, list) in expected["lists"].as_object().unwrap() {
        let (member, list_name) = name.split_once(' ').unwrap();
        let answer = home.json(&["get", member, "--list", list_name, "--limit", "100"]);
        let entries = answer["items"].as_array().unwrap();
        let entries: Vec<Value> =
            entries.iter().map(|entry| json!([entry["item"], entry["score"]])).collect();
        assert_eq!(&Value::Array(entries), list, "{name}");
    }
    // Before format 3 there were none; and no event of those folders names a list.
    let rows = &home.json(&["performance", "--days", "100"])["rows"];
    assert_eq!(rows, expected.get("performance").unwrap_or(&json!([])));
    assert_eq!(home.verified("nearline-data"), digest);
}

/// The centres of the frozen folder, where it has some, in another one.
fn use_centres(home: &Home, format: &str, data: &str, expected: &Value) {
    if let Some(version) = expected["clusters"]["centres"].as_str() {
        let centres = fixtures().join(format).join("data/centres").join(version);
        home.ok(&["--data", data, "cluster", "--use", arg(&centres)]);
    }
}

fn check(format: &str) {
    let (home, expected) = home(format);
    let model = fixtures().join(format).join("model");
    assert_eq!(home.json(&["model", "show", arg(&model)])["version"], expected["model"]);
    // To read it changes nothing of it; to open it for writing may.
    is_as_it_was(&home, &expected, expected["digest"].as_str().unwrap());
    home.ok_pipe(&["run", "--model", arg(&model), "-"], "");
    // A view that came later is in the digest from now on; all others are as they were.
    let forget = r#"{"type":"forget","member":"m9","at":1795000000000}"#;
    let all = format!("{}{forget}\n", logs(format));
    home.ok_pipe(&["--data", "anew", "run", "--model", arg(&model), "-"], &all);
    use_centres(&home, format, "anew", &expected);
    let digest = home.verified("anew");
    if matches!(format, "format-4" | "format-5" | "format-6" | "format-7") {
        assert_eq!(digest, expected["digest"].as_str().unwrap());
    }
    is_as_it_was(&home, &expected, &digest);

    // Everything again: what is live is known, and what was taken out stays out.
    home.ok_pipe(&["run", "-"], &logs(format));
    assert_eq!(home.verified("nearline-data"), digest);
    let late = r#"{"member":"m2","item":"i4","kind":"like","value":1,"at":1709251300000,"id":"not-yet"}"#;
    home.ok_pipe(&["run", "-"], &format!("{late}\n"));
    assert_eq!(home.verified("nearline-data"), digest);

    // What is new is taken, and the end is that of a folder of today.
    let new = [
        r#"{"member":"m2","item":"i4","kind":"like","at":"2024-04-20T00:00:00Z","id":"new"}"#,
        r#"{"member":"new","item":"i7","kind":"play","value":0.5,"at":"2024-04-20T01:00:00Z"}"#,
        r#"{"type":"item","item":"i9","at":"2024-04-20T00:00:00Z","title":"Ninth","withdrawn":true}"#,
        r#"{"type":"retract","member":"m1","id":"e1000"}"#,
    ];
    let new = new.map(|line| format!("{line}\n")).concat() + &log("4-listed");
    home.ok_pipe(&["run", "-"], &new);
    let before = digest;
    let digest = home.verified("nearline-data");
    assert_ne!(digest, before);
    let all = format!("{all}{new}");
    home.ok_pipe(&["--data", "today", "run", "--model", arg(&model), "-"], &all);
    use_centres(&home, format, "today", &expected);
    assert_eq!(home.verified("today"), digest);

    // An export of it is a folder of today.
    let export = home.ok(&["export"]);
    home.ok_pipe(&["--data", "copy", "replay", "--model", arg(&model), "-"], &export);
    use_centres(&home, format, "copy", &expected);
    assert_eq!(home.verified("copy"), digest);
    home.ok_pipe(&["--data", "copy", "run", "-"], &logs(format));
    assert_eq!(home.verified("copy"), digest);
    // And it may be loaded in bulk, and its lists made anew.
    home.ok_pipe(&["replay", "-"], &logs(format));
    assert_eq!(home.verified("nearline-data"), digest);
}
