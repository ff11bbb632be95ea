//! Lists of batch jobs: whole or not at all, filtered when they are read, as long as they are fresh enough, and gone with
//! their members.

use std::time::Duration;

use nearline::stores::Tables;
use nearline::stores::rocks::RocksStore;
use nearline::stores::{Table, formats};
use serde_json::{Value, json};

use crate::support::{Home, Said, items_of, model, until};

fn play(member: &str, item: &str, minute: i64) -> String {
    let at = 1_700_000_000_000 + minute * 60_000;
    format!("{{\"member\":\"{member}\",\"item\":\"{item}\",\"kind\":\"play\",\"value\":1,\"at\":{at}}}\n")
}

/// Members who have each seen three of twenty items.
fn world(members: usize) -> String {
    let seen = |member: usize| (0..3).map(move |n| (member, (member * 3 + n * 7) % 20));
    (0..members)
        .flat_map(seen)
        .map(|(member, item)| play(&format!("m{member}"), &format!("i{item}"), (member % 50) as i64))
        .collect()
}

fn with_model() -> Home {
    let home = Home::new();
    let rows: Vec<(String, Vec<f32>)> =
        (0..20).map(|item| (format!("i{item}"), vec![1.0, 0.05 * f32::from(item as u8)])).collect();
    let rows: Vec<(&str, Vec<f32>)> = rows.iter().map(|(item, row)| (item.as_str(), row.clone())).collect();
    model(&rows).save(&home.path("model")).unwrap();
    home
}

/// The members who have batch lists, by the table itself.
fn listed(home: &Home) -> Vec<String> {
    let store = RocksStore::open_reader(&home.path("nearline-data")).unwrap();
    let mut members = Vec::new();
    store
        .scan(Table::BatchLists, &[], &[], &mut |key, _| {
            members.push(String::from_utf8_lossy(&key[8..]).into_owned());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    members
}

#[test]
fn a_batch_stands_in_where_there_is_no_fresh_list_and_knows_what_was_seen_since() {
    let home = with_model();
    // Without a model of its own the folder has no lists by factors; a basket of none leaves the offline rung.
    home.write("nearline.toml", "[lists]\nbasket = 0\n");
    home.ok_pipe(&["replay", "-"], &world(30));
    let before = home.json(&["get", "m1"]);
    assert_eq!((&before["source"], &before["reason"]), (&json!("trending"), &json!("no model")));
    assert!(home.say(&["batch"]).ended(1).contains("needs a model"));
    assert!(
        home.say(&["batch", "--algorithm", "nothing"])
            .ended(2)
            .contains("factors, together, people_like_you, popular")
    );
    let refused = home.say(&["batch", "--algorithm", "popular", "--model", "model"]).ended(1);
    assert!(refused.contains("leave --model out"), "{refused}");

    let digest = home.verified("nearline-data");
    let made = home.json(&["batch", "--model", "model", "--limit", "12"]);
    assert_eq!(
        (&made["members"], &made["algorithm"], &made["limit"]),
        (&json!(30), &json!("factors"), &json!(12))
    );
    assert_eq!(home.verified("nearline-data"), digest, "they are no function of the records");
    let list = home.json(&["get", "m1", "--limit", "5"]);
    assert_eq!((&list["source"], &list["reason"]), (&json!("offline"), &json!("no model")), "{list}");
    assert_eq!((&list["model"], &list["epoch"]), (&made["model"], &made["epoch"]));
    let items = items_of(&list);
    assert_eq!(items.len(), 5);

    // Seen since, hidden since, withdrawn since: made up for from further down, and at its end from what is trending.
    let since = play("m1", &items[0], 900)
        + &format!(
            "{{\"member\":\"m1\",\"item\":\"{}\",\"kind\":\"hide\",\"at\":1700090000000}}\n",
            items[1]
        )
        + &format!("{{\"type\":\"item\",\"item\":\"{}\",\"at\":1,\"withdrawn\":true}}\n", items[2]);
    home.ok_pipe(&["run", "-"], &since);
    let now = items_of(&home.json(&["get", "m1", "--limit", "5"]));
    assert_eq!(now.len(), 5);
    assert!(items[..3].iter().all(|gone| !now.contains(gone)), "{items:?} then {now:?}");
    assert_eq!(now[..2], items[3..]);
    let all = items_of(&home.json(&["get", "m1", "--limit", "100"]));
    assert_eq!(all.len(), 20 - 3 - 3, "every item that may be listed is: {all:?}");
    // A stranger has none.
    assert_eq!(home.json(&["get", "stranger"])["source"], "trending");
    let status = home.ok(&["status"]);
    assert!(status.contains("lists of 30 members by factors, made"), "{status}");

    // Too old is too old.
    home.write("nearline.toml", "[lists]\nbasket = 0\n[serve]\noffline_max_age = \"1ms\"\n");
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(home.json(&["get", "m1"])["source"], "trending");
    assert!(home.ok(&["status"]).contains("no longer served"));
}

#[test]
fn a_running_pipeline_makes_it_beside_its_events_and_another_takes_its_place_whole() {
    let home = with_model();
    let mut running = home.start(&["run", "--model", "model", "-"]);
    running.send(&world(300));
    until("all is there", || {
        let said = home.say(&["status", "--json"]);
        serde_json::from_str::<Value>(&said.out).is_ok_and(|status| status["counts"]["live_events"] == 900)
    });
    let first = home.json(&["batch"]);
    assert_eq!((&first["members"], &first["generation"]), (&json!(300), &json!(1)));
    running.send(&play("m300", "i0", 60));
    until("the new one is there", || home.json(&["status"])["counts"]["live_events"] == 901);
    let second = home.json(&["batch", "--algorithm", "popular"]);
    assert_eq!((&second["members"], &second["generation"]), (&json!(301), &json!(2)));
    running.finish().ok();
    assert_eq!(listed(&home).len(), 301, "what was before is swept out");
    // The fresh list is still the first choice.
    assert_eq!(home.json(&["get", "m1"])["source"], "nearline");
    // A backup has it, and so has what is restored from it.
    home.ok(&["backup", "copy", "--with-key"]);
    home.ok(&["--data", "restored", "restore", "copy"]);
    assert_eq!(home.json(&["--data", "restored", "status"])["batch"], second);
}

#[test]
fn a_forget_takes_the_batch_list_out_and_the_receipt_counts_it_and_a_trim_takes_out_all() {
    let home = with_model();
    home.ok_pipe(&["replay", "--model", "model", "-"], &world(30));
    home.json(&["batch"]);
    assert_eq!(listed(&home).len(), 30);
    let receipt = home.json(&["forget", "m7"]);
    assert_eq!(receipt["members"][0]["removed"]["batch_lists"], 1, "{receipt}");
    assert!(!listed(&home).contains(&"m7".to_owned()));
    // A part is enough: the list was made of it.
    home.ok_pipe(&["run", "-"], &play("m8", "i0", 1_000));
    home.ok_pipe(&["run", "-"], "{\"type\":\"forget\",\"member\":\"m8\",\"at\":1700040000000}\n");
    let left = listed(&home);
    assert_eq!((left.len(), left.contains(&"m8".to_owned())), (28, false));
    home.ok_pipe(&["run", "-"], "{\"type\":\"trim\",\"at\":1600000000000}\n");
    assert_eq!(listed(&home), [""; 0]);
    assert_eq!(home.json(&["status"])["batch"], Value::Null);
    home.json(&["batch", "--algorithm", "together"]);
    assert_eq!(listed(&home).len(), 29);
}

#[test]
fn who_is_forgotten_while_a_batch_is_under_way_is_in_none_of_its_lists() {
    let home = with_model();
    let mut running = home.start(&["run", "--model", "model", "-"]);
    running.send(&world(6_000));
    until("all is there", || {
        let said = home.say(&["status", "--json"]);
        serde_json::from_str::<Value>(&said.out).is_ok_and(|status| status["counts"]["live_events"] == 18_000)
    });
    // Asked for side by side: wherever the forget comes, the member is in no list when both are done.
    let (made, receipt) = std::thread::scope(|scope| {
        let batch = scope.spawn(|| home.say(&["batch", "--json"]));
        let under_way = || begun(&home) || batch.is_finished();
        until("it has begun", under_way);
        let receipt = home.json(&["forget", "m5999"]);
        (batch.join().unwrap(), receipt)
    });
    let Said { out, .. } = &made;
    let made: Value = serde_json::from_str(out).unwrap_or_else(|_| panic!("{}", made.err));
    assert_eq!(receipt["members"][0]["removed"]["events"], 3);
    running.finish().ok();
    let left = listed(&home);
    assert!(!left.contains(&"m5999".to_owned()));
    assert_eq!(left.len(), 5_999, "{made}");
}

/// Whether a batch has begun and is not whole.
fn begun(home: &Home) -> bool {
    let store = RocksStore::open_reader(&home.path("nearline-data"));
    store.is_ok_and(|store| {
        store.get(Table::Meta, formats::meta::BATCH_BEGUN).is_ok_and(|begun| begun.is_some())
    })
}
