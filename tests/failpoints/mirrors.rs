//! Mirrors, in a real Redis and a real Kafka whose addresses are in `NEARLINE_REDIS` and `NEARLINE_KAFKA`
//! (`scripts/test.sh --services` starts them).

use std::io::Write as _;

use super::{Fire, LOG};

impl Fire {
    fn is_mirrored(&self, place: &str) {
        let verdict = self.home.json(&["verify", "--mirror", "there"]).unwrap();
        for wrong in ["missing", "beyond", "other"] {
            assert_eq!(verdict[wrong], 0, "{place}: {verdict}");
        }
        assert!(verdict["same"].as_u64().unwrap() > 10, "{place}: {verdict}");
    }
}

/// Where a server is, unless the test is to be skipped.
fn server(variable: &str, test: &str) -> Option<String> {
    let server = std::env::var(variable).ok().filter(|place| !place.is_empty());
    if server.is_none() {
        // Not by `eprintln!`, which a test that passes keeps to itself.
        let said = format!("\nskipped 1 test, as {variable} names no server: {test}\n");
        std::io::stderr().write_all(said.as_bytes()).unwrap();
    }
    server
}

#[test]
fn a_mirror_whose_process_ends_at_any_narrow_place_is_as_the_store() {
    let test = "a_mirror_whose_process_ends_at_any_narrow_place_is_as_the_store";
    if let Some(redis) = server("NEARLINE_REDIS", test) {
        is_as_the_store(&format!("redis://{redis}"), &["mirror-written=3", "mirror-noted=2"]);
    }
}

#[test]
fn a_topic_whose_process_ends_at_any_narrow_place_is_as_the_store() {
    let test = "a_topic_whose_process_ends_at_any_narrow_place_is_as_the_store";
    if let Some(brokers) = server("NEARLINE_KAFKA", test) {
        // Between two of its writes many epochs may come: there need not be a third.
        is_as_the_store(&format!("kafka://{brokers}/fire-{}", std::process::id()), &[]);
    }
}

/// `more` are places to come to besides, more than once.
fn is_as_the_store(url: &str, more: &[&str]) {
    let fire = Fire::new();
    let config = format!(
        "[mirrors.there]\nurl = \"{url}\"\nprefix = \"fire_{}\"\nviews = [\"top_picks\", \"continue_watching\", \
         \"trending\", \"popularity\"]\n",
        std::process::id()
    );
    std::fs::write(fire.home.path("nearline.toml"), config).unwrap();
    let lines: Vec<String> = fire.world.records.iter().map(|record| format!("{}\n", record.line)).collect();
    let (first, second) = lines.split_at(lines.len() / 2);
    std::fs::write(fire.home.path("first.jsonl"), first.concat()).unwrap();
    std::fs::write(fire.home.path("second.jsonl"), second.concat()).unwrap();
    let small = ["--epoch-records", "40", "--workers", "2"];
    let first = [&["run", "--model", "model-1", "first.jsonl"], &small[..]].concat();
    let second = [&["run", "second.jsonl"], &small[..]].concat();
    let places =
        ["commit=9", "committed=9", "mirror-written", "mirror-noted", "mirror-filled", "mirror-swept"];
    for place in places.iter().chain(more) {
        fire.away();
        // The server has what the folder before had, which is to go.
        if place.starts_with("mirror-filled") || place.starts_with("mirror-swept") {
            fire.dies(place, &first);
        }
        fire.ok(&first);
        if !place.starts_with("mirror-filled") && !place.starts_with("mirror-swept") {
            fire.dies(place, &second);
        }
        fire.ok(&second);
        fire.is_mirrored(place);
    }
    // A load, and what was to be filled after it.
    fire.away();
    fire.dies("end-of-load", &["replay", "--model", "model-1", LOG]);
    fire.ok(&["replay", LOG]);
    fire.is_mirrored("end-of-load");
    // Another model takes over, and with it all lists.
    for place in ["turn", "turned"] {
        let other = if place == "turn" { "model-2" } else { "model-1" };
        fire.dies(place, &["run", "--model", other, LOG]);
        fire.ok(&["run", "--model", other, LOG]);
        fire.is_mirrored(place);
    }
    let member = fire.world.records.iter().find_map(|record| {
        let value: serde_json::Value = serde_json::from_str(&record.line).ok()?;
        value["member"].as_str().map(str::to_owned)
    });
    let member = member.unwrap();
    fire.dies("erase-mirrored", &["forget", &member]);
    let receipt = fire.home.json(&["forget", "--pending"]).unwrap();
    assert!(receipt["mirrors"][0].as_str().unwrap().contains(url), "{receipt}");
    fire.is_mirrored("erase-mirrored");
}
