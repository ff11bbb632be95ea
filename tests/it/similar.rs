//! Similar items, and `because_you_watched`, over a model of known angles.

use serde_json::json;

use crate::support::{Home, model};

/// a, b and c within a few degrees of each other, d at a right angle, e against them, z zero.
fn home() -> Home {
    let home = Home::new();
    let rows = [
        ("a", vec![1.0, 0.0]),
        ("b", vec![10.0, 1.0]),
        ("c", vec![0.1, 0.02]),
        ("d", vec![0.0, 3.0]),
        ("e", vec![-1.0, 0.0]),
        ("z", vec![0.0, 0.0]),
    ];
    model(&rows).save(&home.path("model")).unwrap();
    home
}

fn event(kind: &str, item: &str, hour: u8) -> String {
    format!(
        r#"{{"member":"ann","item":"{item}","kind":"{kind}","value":1,"at":"2024-03-01T{hour:02}:00:00Z"}}"#
    ) + "\n"
}

fn similar(home: &Home, item: &str) -> Vec<String> {
    let items = home.json(&["similar", item]);
    items["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["item"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn similar_items_are_in_order_of_their_angle_without_withdrawn_ones() {
    let home = home();
    home.ok_pipe(&["run", "--model", "model", "-"], &event("like", "d", 9));
    assert_eq!(similar(&home, "a"), ["b", "c", "d", "z", "e"]);
    let answer = home.json(&["similar", "a", "--limit", "1"]);
    assert_eq!(answer["items"].as_array().unwrap().len(), 1);
    let cosine = answer["items"][0]["score"].as_f64().unwrap();
    assert!((cosine - 10.0 / 101.0f64.sqrt()).abs() < 1e-6, "{cosine}");

    let withdrawn = r#"{"type":"item","item":"b","at":"2024-03-01T00:00:00Z","withdrawn":true}"#;
    home.ok_pipe(&["run", "--model", "model", "-"], &format!("{withdrawn}\n"));
    assert_eq!(similar(&home, "a"), ["c", "d", "z", "e"]);
    assert_eq!(home.json(&["similar", "a", "--limit", "1"])["items"][0]["item"], "c");
    assert!(home.ok(&["similar", "a"]).contains("like a: model "));
}

#[test]
fn what_is_like_nothing_says_why() {
    let home = home();
    home.ok_pipe(&["run", "-"], &event("like", "d", 9));
    assert!(home.say(&["similar", "a"]).ended(1).contains("there is no model"));
    home.ok_pipe(&["run", "--model", "model", "-"], "");
    assert!(home.say(&["similar", "unheard of"]).ended(1).contains("the item is not in the model"));
    assert!(home.say(&["similar", "z"]).ended(1).contains("the item's factor is zero"));
    assert_eq!(home.json(&["similar", "z"])["items"], json!([]));
}

#[test]
fn because_you_watched_is_like_the_newest_item_with_a_positive_signal() {
    let home = home();
    let because = |home: &Home| home.json(&["get", "ann", "--list", "because_you_watched"]);
    let run = |lines: &str| home.ok_pipe(&["run", "--model", "model", "-"], lines);

    run(&event("play", "d", 9));
    run(&event("play", "a", 10));
    assert_eq!(because(&home)["because"]["item"], "a");
    // a and d are seen.
    assert_eq!(home.items("ann", "because_you_watched"), ["b", "c", "z", "e"]);

    // A disliked item is neither listed nor what a list is about; an item that is not in the model is passed over.
    run(&event("dislike", "c", 11));
    run(&event("play", "unheard of", 12));
    assert_eq!(because(&home)["because"]["item"], "a");
    assert_eq!(home.items("ann", "because_you_watched"), ["b", "z", "e"]);

    run(&event("like", "e", 13));
    assert_eq!(because(&home)["because"]["item"], "e");
    // A liked item that is not seen may be listed, but not beside itself.
    assert_eq!(home.items("ann", "because_you_watched"), ["z", "b"]);
    assert_eq!(because(&home)["source"], "nearline");

    // Who has no such item gets trending, with the reason.
    let stranger = home.json(&["get", "bob", "--list", "because_you_watched"]);
    assert_eq!((&stranger["source"], &stranger["reason"]), (&json!("trending"), &json!("unknown member")));
    assert_eq!(stranger.get("because"), None);
}
