//! Models that were trained on members who were forgotten since are named, and no others.

use serde_json::Value;

use crate::support::{Home, model, until};

fn play(member: &str, item: usize) -> String {
    let at = 1_709_251_200_000 + item as i64 * 60_000;
    format!("{{\"member\":\"{member}\",\"item\":\"i{item}\",\"kind\":\"play\",\"value\":0.9,\"at\":{at}}}\n")
}

fn log(members: &[&str]) -> String {
    members
        .iter()
        .enumerate()
        .flat_map(|(place, member)| (0..6).map(move |item| play(member, (place + item) % 9)))
        .collect()
}

const OTHERS: [&str; 8] = ["ann", "bob", "cleo", "dan", "eve", "fay", "gus", "hal"];

/// Trains on logs, or on the store where none is named; the version.
fn train(home: &Home, out: &str, logs: &[&str], seed: &str) -> String {
    let how = ["--out", out, "--rank", "4", "--iterations", "2", "--seed", seed];
    let manifest = home.json(&[&["train"], logs, &how].concat());
    manifest["version"].as_str().unwrap().to_owned()
}

fn prepared() -> Home {
    let home = Home::new();
    home.write("others.jsonl", &log(&OTHERS));
    home.write("all.jsonl", &(log(&OTHERS) + &log(&["zed"])));
    home
}

/// Of how many forgotten members `status` says that a model was trained on; none where that is not known.
fn forgotten(home: &Home, version: &str) -> Option<u64> {
    let status = home.json(&["status"]);
    let model =
        status["models"].as_array().unwrap().iter().find(|model| model["version"] == version).cloned();
    let model = model.unwrap_or_else(|| panic!("no {version} in {status}"));
    model["members_known"].as_bool().unwrap().then(|| model["trained_on_forgotten"].as_u64().unwrap())
}

#[test]
fn models_that_were_trained_on_a_forgotten_member_are_marked_and_no_others() {
    let home = prepared();
    let without = train(&home, "without", &["others.jsonl"], "1");
    let with = train(&home, "with", &["all.jsonl"], "1");
    home.ok(&["replay", "--model", "without", "all.jsonl"]);
    // From the store.
    let stored = train(&home, "stored", &[], "2");
    home.ok(&["model", "use", "with"]);
    assert_eq!((forgotten(&home, &without), forgotten(&home, &with)), (Some(0), Some(0)));
    assert!(!home.ok(&["status"]).contains("was trained on"));
    let receipt = home.json(&["forget", "zed"]);
    assert_eq!(receipt["members"][0]["models"], Value::from(vec![with.clone()]));
    assert_eq!(receipt["models_unknown"], Value::from(Vec::<String>::new()));
    assert_eq!((forgotten(&home, &without), forgotten(&home, &with)), (Some(0), Some(1)));
    assert!(home.ok(&["status"]).contains("it was trained on 1 member forgotten since"));
    // Again, and of somebody that no model knows: a mark is one of a member.
    let receipt = home.json(&["forget", "zed", "nobody"]);
    // Members stand in the order of their digests.
    let mut models: Vec<&Value> =
        receipt["members"].as_array().unwrap().iter().map(|of| &of["models"]).collect();
    models.sort_by_key(|models| models.as_array().unwrap().len());
    assert_eq!(models, [&Value::from(Vec::<String>::new()), &Value::from(vec![with.clone()])]);
    assert_eq!(forgotten(&home, &with), Some(1));
    let said = home.ok(&["forget", "ann"]);
    for version in [&with, &without] {
        assert!(said.contains(&format!("model {version} was trained on them")), "{said}");
    }
    assert_eq!((forgotten(&home, &without), forgotten(&home, &with)), (Some(1), Some(2)));
    // The mark stays while the model is away.
    home.ok(&["model", "use", "stored"]);
    let newest = train(&home, "newest", &[], "3");
    home.ok(&["model", "use", "newest"]);
    home.ok(&["forget", "bob"]);
    home.ok(&["model", "use", "with"]);
    assert_eq!(forgotten(&home, &with), Some(2));
    assert_eq!(forgotten(&home, &newest), Some(1));
    assert_ne!(stored, newest);
}

#[test]
fn of_a_model_from_elsewhere_it_is_not_known() {
    let home = prepared();
    let rows: Vec<(String, Vec<f32>)> =
        (0..9).map(|item| (format!("i{item}"), vec![1.0, item as f32])).collect();
    let rows: Vec<(&str, Vec<f32>)> = rows.iter().map(|(id, row)| (id.as_str(), row.clone())).collect();
    let imported = model(&rows);
    imported.save(&home.path("imported")).unwrap();
    home.ok(&["replay", "--model", "imported", "all.jsonl"]);
    let version = &imported.manifest.version;
    assert_eq!(forgotten(&home, version), None);
    let receipt = home.json(&["forget", "zed"]);
    assert_eq!(receipt["members"][0]["models"], Value::from(Vec::<String>::new()));
    assert_eq!(receipt["models_unknown"], Value::from(vec![version.clone()]));
    // What is exported for others names nobody, not even by a digest.
    train(&home, "with", &["all.jsonl"], "1");
    assert!(home.path("with/members.digests").exists());
    home.ok(&["model", "export", "with", "--to", "others", "--format", "nearline"]);
    assert!(home.path("others/manifest.json").exists() && !home.path("others/members.digests").exists());
}

#[test]
fn a_backup_between_a_forget_and_its_erasure_is_in_the_receipt() {
    let home = prepared();
    let mut running = home.start(&["run", "-"]);
    running.send(&log(&["ann", "zed"]));
    running.send("{\"type\":\"forget\",\"member\":\"zed\",\"at\":1767322000000}\n");
    until("it is forgotten", || home.say(&["status", "--json"]).out.contains("\"to_erase\":1"));
    home.ok(&["backup", "between"]);
    running.finish().ok();
    let receipts: Vec<_> =
        std::fs::read_dir(home.path("nearline-data/receipts")).unwrap().flatten().collect();
    let receipt: Value = serde_json::from_slice(&std::fs::read(receipts[0].path()).unwrap()).unwrap();
    let path = receipt["backups"][0]["path"].as_str().unwrap_or_default();
    assert!(path.ends_with("between"), "{receipt}");
}
