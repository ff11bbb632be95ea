//! What is watched together: exact under retraction, over HTTP, in place of a model's list, as a row of the page.

use serde_json::{Value, json};

use crate::support::{Home, items_of, model};

fn play(member: &str, item: &str, minute: u32) -> String {
    format!(
        "{{\"member\":\"{member}\",\"item\":\"{item}\",\"kind\":\"play\",\"value\":1,\"at\":{},\"id\":\"{member}{item}{minute}\"}}\n",
        1_700_000_000_000 + i64::from(minute) * 60_000
    )
}

/// Twelve members who have each seen a few of nine items; whoever has seen i1 has seen i2.
fn world() -> String {
    (0..12)
        .flat_map(|member| {
            (0..9)
                .filter(move |item| (member * 7 + item * 5) % 4 != 0 || *item == 2)
                .map(move |item| play(&format!("m{member}"), &format!("i{item}"), member * 9 + item))
        })
        .collect()
}

#[test]
fn counts_of_pairs_are_those_of_a_folder_that_never_had_what_was_retracted() {
    let home = Home::new();
    home.write("nearline.toml", "[lists]\nbasket = 3\n");
    // One by one, so that baskets change again and again; what goes is among the newest and among the older ones.
    let gone = [play("m3", "i2", 500), play("m3", "i8", 501), play("m4", "i0", 1), play("m5", "i1", 700)];
    let mut lines = world();
    gone.iter().for_each(|line| lines += line);
    home.ok_pipe(&["run", "--epoch-records", "1", "-"], &lines);
    let with = home.verified("nearline-data");
    let retract: String = gone.iter().map(|line| line.replacen('{', "{\"type\":\"retract\",", 1)).collect();
    home.ok_pipe(&["run", "-"], &retract);
    home.ok_pipe(&["--data", "never", "replay", "-"], &world());
    assert_ne!(with, home.verified("never"));
    assert_eq!(home.verified("nearline-data"), home.verified("never"));

    // Another size of basket is another meaning, and 0 is none.
    home.write("nearline.toml", "[lists]\nbasket = 0\n");
    home.ok_pipe(&["run", "-"], "");
    home.verified("nearline-data");
    let answer = home.json(&["get", "m1", "--list", "watched_together"]);
    assert_eq!(answer["source"], "trending", "{answer}");
    assert_eq!(answer["reason"], "`lists.basket` is 0 in the config");
}

#[test]
fn without_a_model_picks_are_what_is_watched_together_as_long_as_was_asked_for() {
    let home = Home::new();
    home.ok_pipe(&["replay", "-"], &(world() + &play("other", "far", 1)));
    let picks = home.json(&["get", "m1", "--limit", "9"]);
    assert_eq!((&picks["source"], &picks["reason"]), (&json!("nearline"), &json!("no model")), "{picks}");
    let seen: Vec<String> = home.json(&["history", "m1"])["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["item"].as_str().unwrap().to_owned())
        .collect();
    let items = items_of(&picks);
    assert!(items.iter().all(|item| !seen.contains(item)), "{items:?}");
    // The one item that is with nothing comes after all others, from what is trending.
    assert_eq!(items.last().map(String::as_str), Some("far"));
    assert_eq!(items.len(), 10 - seen.len());
    let own = home.json(&["get", "m1", "--list", "watched_together", "--limit", "9"]);
    assert_eq!(items_of(&own), items[..items.len() - 1]);
    // In parts as at once.
    let parts: Vec<String> = (0..items.len())
        .flat_map(|offset| {
            items_of(&home.json(&["get", "m1", "--limit", "1", "--offset", &offset.to_string()]))
        })
        .collect();
    assert_eq!(parts, items);
}

#[test]
fn over_http_it_is_a_list_a_row_and_a_likeness() {
    let home = Home::new();
    home.write("nearline.toml", "[serve]\ndeadline_ms = 20000\n");
    let rows: Vec<(String, Vec<f32>)> =
        (0..4).map(|item| (format!("i{item}"), vec![1.0, 0.1 * f32::from(item as u8)])).collect();
    let rows: Vec<(&str, Vec<f32>)> = rows.iter().map(|(item, row)| (item.as_str(), row.clone())).collect();
    model(&rows).save(&home.path("model")).unwrap();
    let items: String = (0..12)
        .map(|item| {
            format!("{{\"type\":\"item\",\"item\":\"i{item}\",\"at\":{item},\"title\":\"T{item}\"}}\n")
        })
        .collect();
    home.ok_pipe(&["replay", "--model", "model", "-"], &(world() + &items));
    let server = home.serve(&["run"]);
    let list = server.ok("/v1/members/m2/lists/watched_together?limit=9");
    assert_eq!(list["source"], "nearline", "{list}");
    assert_eq!(list["items"], home.json(&["get", "m2", "--list", "watched_together"])["items"]);
    let all = items_of(&list);
    let without = server.ok(&format!("/v1/members/m2/lists/watched_together?exclude={}", all[0]));
    assert_eq!(items_of(&without), all[1..]);

    let alike = server.ok("/v1/items/i1/similar?by=together");
    assert_eq!((&alike["by"], &alike["model"]), (&json!("together"), &Value::Null));
    assert_eq!(alike["items"], home.json(&["similar", "i1", "--by", "together"])["items"]);
    assert_eq!(server.ok("/v1/items/i1/similar")["by"], "factors");
    assert_eq!(server.get("/v1/items/i1/similar?by=nothing").0, 400);

    // m1 has not seen i1, which is in the model, nor i5; nobody has seen the last three.
    let page = server.ok("/v1/members/m1/page?limit=2");
    let mut shown: Vec<String> = Vec::new();
    let rows = page["rows"].as_array().unwrap();
    for row in rows {
        assert!(!items_of(row).is_empty(), "{row}");
        shown.extend(items_of(row));
    }
    let before = shown.len();
    shown.sort();
    shown.dedup();
    assert_eq!(shown.len(), before, "an item is on the page twice: {page}");
    let titles: Vec<&str> = rows.iter().filter_map(|row| row["title"].as_str()).collect();
    assert_eq!(titles, ["Top picks", "Watched with what you watched", "New"], "{page}");
    let stranger = server.ok("/v1/members/stranger/page?limit=2");
    let lists: Vec<&str> =
        stranger["rows"].as_array().unwrap().iter().filter_map(|row| row["list"].as_str()).collect();
    assert_eq!(lists, ["top_picks", "trending", "new"], "{stranger}");
}
