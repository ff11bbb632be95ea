//! `nearline performance`: counts worked out by hand, and folders from before lists were counted.

use nearline::engine::recover::Standing;
use nearline::stores::formats::meta;
use nearline::stores::rocks::{RocksOptions, RocksStore};
use nearline::stores::{Store, Table};
use serde_json::json;

use crate::support::Home;

/// Events in two lists on two days, and outside of any.
fn log() -> String {
    let event = |kind: &str, at: &str, id: &str, context: &str| {
        format!(
            r#"{{"member":"m","item":"i","kind":"{kind}","at":"2026-01-{at}:00Z","id":"{id}","context":{{{context}}}}}"#
        ) + "\n"
    };
    let first = r#""country":"US","list":"top_picks","position":3,"variant":"b""#;
    let abroad = r#""country":"DE","list":"top_picks","position":3,"variant":"b""#;
    [
        event("impression", "01T23:59", "e1", first),
        event("impression", "02T00:00", "e2", first),
        event("impression", "02T00:01", "e3", abroad),
        event("impression", "02T00:02", "e4", r#""list":"top_picks","position":12"#),
        event("click", "02T00:03", "e5", first),
        event("click", "02T00:04", "e6", first),
        event("play", "02T00:05", "e7", first),
        event("like", "02T00:06", "e8", first),
        event("impression", "02T00:07", "e9", r#""list":"trending""#),
        event("play", "02T00:08", "e10", r#""country":"US""#),
    ]
    .concat()
}

#[test]
fn rows_are_the_counts_worked_out_by_hand() {
    let home = Home::new();
    home.ok_pipe(&["run", "-"], &log());
    home.ok_pipe(&["run", "-"], "{\"type\":\"retract\",\"member\":\"m\",\"id\":\"e6\"}\n");
    let answer = home.json(&["performance"]);
    let first = json!({
        "day": "2026-01-01", "list": "top_picks", "position": 3, "variant": "b",
        "impressions": 1, "clicks": 0, "plays": 0, "events": {"impression": 1},
    });
    let twelfth = json!({
        "day": "2026-01-02", "list": "top_picks", "position": 12,
        "impressions": 1, "clicks": 0, "plays": 0, "events": {"impression": 1},
    });
    let third = json!({
        "day": "2026-01-02", "list": "top_picks", "position": 3, "variant": "b",
        "impressions": 2, "clicks": 1, "plays": 1, "events": {"impression": 2, "click": 1, "like": 1, "play": 1},
    });
    let trending = json!({
        "day": "2026-01-02", "list": "trending",
        "impressions": 1, "clicks": 0, "plays": 0, "events": {"impression": 1},
    });
    assert_eq!(answer["rows"], json!([first, twelfth, third, trending]));
    assert_eq!((&answer["days"], &answer["as_of"]), (&json!(7), &json!(1_767_312_480_000_i64)));
    assert_eq!(home.json(&["performance", "--days", "1"])["rows"], json!([twelfth, third, trending]));
    let by_position = json!([
        {"list": "top_picks", "position": 3, "impressions": 3, "clicks": 1, "plays": 1,
         "events": {"impression": 3, "click": 1, "like": 1, "play": 1}},
        {"list": "top_picks", "position": 12, "impressions": 1, "clicks": 0, "plays": 0, "events": {"impression": 1}},
    ]);
    let asked = ["performance", "--list", "top_picks", "--by", "position"];
    assert_eq!(home.json(&asked)["rows"], by_position);
    home.say(&["performance", "--days", "0"]).ended(2);
    home.say(&["performance", "--by", "country"]).ended(2);

    // Over HTTP it is the same.
    let server = home.serve(&["run"]);
    assert_eq!(server.ok("/v1/performance"), home.json(&["performance"]));
    let path = "/v1/performance?days=7&list=top_picks&by=position";
    assert_eq!(server.ok(path), home.json(&asked));
    assert_eq!(server.get("/v1/performance?by=country").0, 400);
    server.kill();

    // When nothing of it is left, nothing is counted.
    home.ok_pipe(&["run", "-"], "{\"type\":\"forget\",\"member\":\"m\",\"at\":1767312480000}\n");
    assert_eq!(home.json(&["performance"])["rows"], json!([]));
}

#[test]
fn a_forget_says_how_many_counts_of_lists_it_lowered() {
    let home = Home::new();
    home.ok_pipe(&["run", "-"], &log());
    let receipt = home.json(&["forget", "m"]);
    // Impressions of three places on one day and of one on another; clicks, plays and likes of one place.
    assert_eq!(receipt["members"][0]["removed"]["performance"], 7);
    assert_eq!(home.json(&["performance"])["rows"], json!([]));
}

#[test]
fn a_folder_from_before_lists_were_counted_counts_them_at_its_next_start() {
    let home = Home::new();
    home.ok_pipe(&["run", "-"], &log());
    let (digest, counted) = (home.verified("nearline-data"), home.json(&["performance"]));
    let folder = home.path("nearline-data");
    {
        // As an earlier release left it.
        let store = RocksStore::open(&folder, RocksOptions::default()).unwrap();
        for view in [Table::Performance, Table::Together] {
            store.clear(view).unwrap();
        }
        let mut change = store.begin();
        change.put(Table::Meta, meta::FORMAT, &2_u32.to_be_bytes());
        change.commit(true).unwrap();
    }
    let before = home.json(&["performance"]);
    assert_eq!((&before["rows"], &before["views_pending"]), (&json!([]), &json!(true)));
    assert!(home.ok(&["performance"]).contains("made by an earlier release"));
    assert_ne!(home.verified("nearline-data"), digest);

    home.ok_pipe(&["run", "-"], "");
    assert_eq!(home.json(&["performance"])["rows"], counted["rows"]);
    assert_eq!(home.verified("nearline-data"), digest);
    let standing = Standing::of(&RocksStore::open_reader(&folder).unwrap()).unwrap();
    assert_eq!(standing.format, Some(nearline::stores::formats::FORMAT));
}
