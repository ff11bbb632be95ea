//! Clusters: made, used, kept as records come and go, across restarts, loads and models, and what is served of them.

use serde_json::{Value, json};

use crate::support::{Chance, Home, items_of, model, until};

const MEMBERS: usize = 60;
const ITEMS: usize = 12;

fn event(member: usize, item: usize, kind: &str, minute: usize) -> String {
    format!(
        "{{\"member\":\"m{member}\",\"item\":\"i{item:02}\",\"kind\":\"{kind}\",\"value\":1,\"at\":{}}}\n",
        1_709_251_200_000_i64 + minute as i64 * 60_000
    )
}

fn play(member: usize, item: usize, minute: usize) -> String {
    event(member, item, "play", minute)
}

/// Events of members, most of one of three tastes: items whose number has the same remainder.
fn past(seed: u64, events: usize) -> String {
    let mut chance = Chance(seed);
    let mut one = |place: usize| {
        let member = chance.below(MEMBERS);
        let astray = chance.below(8) == 0;
        let item = if astray { chance.below(ITEMS) } else { member % 3 + 3 * chance.below(ITEMS / 3) };
        let kind = ["play", "play", "like", "dislike", "hide"][chance.below(30).saturating_sub(25)];
        event(member, item, kind, place)
    };
    (0..events).map(&mut one).collect()
}

/// Models `a` and `b`, whose items lie in three directions, not the same ones, and the past under the first.
fn home() -> Home {
    let home = Home::new();
    for (name, shift) in [("a", 0), ("b", 1)] {
        let factor = |item: usize| {
            let mut row = vec![0.05; 4];
            row[(item % 3 + shift) % 4] = 1.0;
            row[3] += item as f32 / 50.0;
            row
        };
        // The last item is in no model.
        let rows: Vec<(String, Vec<f32>)> =
            (0..ITEMS - 1).map(|item| (format!("i{item:02}"), factor(item))).collect();
        let rows: Vec<(&str, Vec<f32>)> = rows.iter().map(|(id, row)| (id.as_str(), row.clone())).collect();
        model(&rows).save(&home.path(name)).unwrap();
    }
    home.write("past.jsonl", &past(1, 400));
    home.ok(&["replay", "--model", "a", "past.jsonl"]);
    home
}

fn clusters(home: &Home) -> Value {
    home.json(&["status"])["clusters"].clone()
}

/// Makes centres in the folder `name`.
fn made(home: &Home, name: &str) -> Value {
    home.json(&["cluster", "--clusters", "3", "--out", name])
}

#[test]
fn clusters_are_what_they_would_be_if_all_had_come_at_once() {
    let home = home();
    let centres = made(&home, "centres");
    assert_eq!(centres["clusters"], 3, "{centres}");
    assert_eq!(made(&home, "again")["version"], centres["version"], "the same factors give the same centres");
    let used = home.json(&["cluster", "--use", "centres"]);
    assert_eq!((&used["centres"], &used["previous"]), (&centres["version"], &Value::Null), "{used}");
    let first = clusters(&home);
    let nearest: u64 = centres["members"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert_eq!((&first["clusters"], first["members"].as_u64()), (&json!(3), Some(nearest)), "{first}");
    home.verified("nearline-data");

    // One by one, so that members move; then in bulk; with what goes again.
    let (more, bulk, gone) = (past(2, 150), past(3, 100), past(4, 40));
    home.ok_pipe(&["run", "--epoch-records", "1", "--workers", "2", "-"], &(more.clone() + &gone));
    home.verified("nearline-data");
    let retract: String =
        gone.lines().map(|line| line.replacen('{', "{\"type\":\"retract\",", 1) + "\n").collect();
    home.ok_pipe(&["run", "-"], &retract);
    home.verified("nearline-data");
    home.ok_pipe(&["replay", "-"], &bulk);
    home.verified("nearline-data");
    home.ok(&["forget", "m7"]);
    let kept = home.verified("nearline-data");

    let without: String = [past(1, 400), bulk, more].concat();
    let without: String =
        without.lines().filter(|line| !line.contains("\"m7\"")).map(|line| line.to_owned() + "\n").collect();
    home.ok_pipe(&["--data", "never", "replay", "--model", "a", "-"], &without);
    let bare = home.verified("never");
    home.ok(&["--data", "never", "cluster", "--use", "centres"]);
    assert_eq!(kept, home.verified("never"));
    // Made anew from the start, with the centres in use.
    home.write("nearline.toml", "[lists]\nlength = 99\n");
    home.ok_pipe(&["run", "-"], "");
    home.ok_pipe(&["--data", "never", "run", "-"], "");
    assert_eq!(home.verified("nearline-data"), home.verified("never"));
    home.write("nearline.toml", "");
    home.ok_pipe(&["--data", "never", "run", "-"], "");
    assert_eq!(kept, home.verified("never"));
    let none = home.json(&["--data", "never", "cluster", "--none"]);
    assert_eq!((&none["centres"], &none["previous"]), (&Value::Null, &centres["version"]));
    assert_eq!(bare, home.verified("never"));
    assert!(std::fs::read_dir(home.path("never/centres")).unwrap().next().is_none());
}

#[test]
fn other_centres_take_over_at_once_and_other_models_have_no_members_in_them() {
    let home = home();
    made(&home, "centres");
    home.ok(&["cluster", "--use", "centres"]);
    let of_a = home.verified("nearline-data");
    let fine = home.json(&["cluster", "--clusters", "6", "--seed", "3", "--use"]);
    assert_eq!(fine["used"]["previous"], clusters_of(&home, "centres"), "{fine}");
    assert_eq!(clusters(&home)["clusters"], 6);
    assert_ne!(home.verified("nearline-data"), of_a);
    home.ok(&["cluster", "--use", "centres"]);
    assert_eq!(home.verified("nearline-data"), of_a);

    home.ok(&["model", "use", "b"]);
    assert_eq!(clusters(&home)["members"], 0);
    home.verified("nearline-data");
    let answer = home.json(&["get", "m1", "--list", "popular_with_people_like_you"]);
    assert_eq!(answer["source"], "trending", "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("another model"), "{answer}");
    // While it stands by, the model before is kept up with its clusters, and so it comes back.
    home.ok_pipe(&["run", "-"], &past(5, 60));
    assert_eq!(clusters(&home)["members"], 0);
    home.ok(&["model", "rollback"]);
    let back = home.verified("nearline-data");
    home.ok_pipe(&["--data", "never", "replay", "--model", "a", "-"], &(past(1, 400) + &past(5, 60)));
    home.ok(&["--data", "never", "cluster", "--use", "centres"]);
    assert_eq!(back, home.verified("never"));
    // And centres of the one that stands by now may be used before it is live again.
    home.ok(&["model", "use", "b"]);
    home.ok(&["cluster", "--clusters", "3", "--out", "centres-b"]);
    home.ok(&["model", "rollback"]);
    home.ok(&["cluster", "--use", "centres-b"]);
    assert_eq!(clusters(&home)["members"], 0);
    home.ok(&["model", "use", "b"]);
    assert!(clusters(&home)["members"].as_u64() > Some(50));
    home.verified("nearline-data");
}

fn clusters_of(home: &Home, centres: &str) -> Value {
    let text = std::fs::read_to_string(home.path(centres).join("manifest.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["version"].clone()
}

/// What a member's cluster likes, worked out from who is near whom: three tastes that do not meet.
#[test]
fn the_list_has_what_most_like_of_those_who_are_alike_and_not_what_one_has_seen_or_hides() {
    let home = Home::new();
    let rows = [("a1", 0), ("a2", 0), ("a3", 0), ("a4", 0), ("b1", 1), ("b2", 1)];
    let row = |of: usize| (0..2).map(|k| if k == of { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
    model(&rows.map(|(item, of)| (item, row(of)))).save(&home.path("m")).unwrap();
    let line = |member: &str, item: &str, kind: &str| {
        format!(
            "{{\"member\":\"{member}\",\"item\":\"{item}\",\"kind\":\"{kind}\",\"value\":1,\"at\":1709251200000}}\n"
        )
    };
    let mut log = String::new();
    for (item, members) in [("a1", 3), ("a2", 5), ("a3", 4), ("far", 4)] {
        (0..members).for_each(|member| log += &line(&format!("x{member}"), item, "play"));
    }
    (0..9).for_each(|member| log += &line(&format!("y{member}"), "b1", "play"));
    log += &line("x0", "a4", "dislike");
    // New here, with a taste like the x.
    log += &line("new", "a1", "play");
    log += &(line("new", "a3", "hide") + &line("known", "a1", "play"));
    ["a2", "a3", "a4"].iter().for_each(|item| log += &line("known", item, "like"));
    log += "{\"type\":\"item\",\"item\":\"a2\",\"at\":1,\"title\":\"The second\"}\n";
    home.ok_pipe(&["replay", "--model", "m", "-"], &log);
    let before = home.json(&["get", "new", "--list", "popular_with_people_like_you"]);
    assert_eq!(before["reason"], "there are no clusters: make them with `nearline cluster`", "{before}");
    home.ok(&["cluster", "--clusters", "2", "--use"]);

    let list = |member: &str| home.json(&["get", member, "--list", "popular_with_people_like_you"]);
    let answer = list("new");
    assert_eq!(answer["source"], "nearline");
    assert!(answer.get("reason").is_none() && answer["model"].is_string(), "{answer}");
    // a1 is seen, a3 hidden; a2 and far are liked by more than a4, which x0 dislikes; nobody near likes b1.
    let counts = |answer: &Value| -> Vec<(String, f64)> {
        let of =
            |entry: &Value| (entry["item"].as_str().unwrap().to_owned(), entry["score"].as_f64().unwrap());
        answer["items"].as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!(counts(&answer), [("a2".into(), 6.0), ("far".into(), 4.0), ("a4".into(), 1.0)]);
    assert_eq!(answer["items"][0]["title"], "The second");
    assert_eq!(list("nobody")["reason"], "unknown member");

    // Little is known of who likes three items or fewer: the list stands in for `top_picks`, as long as was asked for.
    let picks = home.json(&["get", "new", "--limit", "4"]);
    assert_eq!(
        (&picks["reason"], &picks["source"]),
        (&json!("little is known of the member's taste"), &json!("nearline"))
    );
    assert_eq!(items_of(&picks), ["a2", "far", "a4", "b1"]);
    let known = home.json(&["get", "known", "--limit", "4"]);
    assert_eq!(known.get("reason"), None, "{known}");
    home.write("nearline.toml", "[clusters]\nfew_items = 0\n");
    assert_eq!(home.json(&["get", "new"]).get("reason"), None);
    home.write("nearline.toml", "");

    // Who has seen all that the model knows has what others like before what is trending.
    let all: String = rows.iter().map(|(item, _)| line("known", item, "play")).collect();
    home.ok_pipe(&["run", "-"], &all);
    let left = home.json(&["get", "known", "--limit", "2"]);
    assert_eq!(
        (&left["reason"], &left["source"]),
        (&json!("no item is left to list"), &json!("nearline")),
        "{left}"
    );
    assert_eq!(items_of(&left), ["far"]);

    // A withdrawn item is in no list.
    home.ok_pipe(&["run", "-"], "{\"type\":\"item\",\"item\":\"a2\",\"at\":2,\"withdrawn\":true}\n");
    assert_eq!(items_of(&list("new")), ["far", "a4", "b1", "b2"]);
    home.verified("nearline-data");
    let batch = home.json(&["batch", "--algorithm", "people_like_you"]);
    assert!(batch["members"].as_u64() > Some(5), "{batch}");
}

#[test]
fn a_running_pipeline_finds_members_among_centres_and_goes_on_as_events_come_in() {
    let home = home();
    made(&home, "centres");
    home.write("nearline.toml", "[clusters]\nfew_items = 1\n");
    let server = home.serve(&["run", "--follow"]);
    let used = home.json(&["cluster", "--use", "centres"]);
    assert_eq!(used["centres"], clusters_of(&home, "centres"));
    let page = server.ok("/v1/members/m1/page?limit=1");
    let rows: Vec<&str> =
        page["rows"].as_array().unwrap().iter().filter_map(|row| row["list"].as_str()).collect();
    assert!(rows.contains(&"popular_with_people_like_you"), "{page}");

    // Somebody new, with one liked item of the first taste.
    let posted = server.post("/v1/events", play(900, 0, 9_000));
    let epoch = posted.1["epoch"].as_u64().unwrap();
    let path = format!("/v1/members/m900/lists/popular_with_people_like_you?limit=3&after={epoch}");
    let list = server.ok(&path);
    assert_eq!(list["source"], "nearline", "{list}");
    assert!(list["items"][0]["score"].as_f64() > Some(5.0), "{list}");
    let picks = server.ok(&format!("/v1/members/m900/lists/top_picks?limit=3&after={epoch}"));
    assert_eq!(picks["reason"], "little is known of the member's taste", "{picks}");
    assert_eq!(items_of(&picks), items_of(&list));
    let known = server.ok("/v1/status")["clusters"]["members"].as_u64().unwrap();
    assert!(known > 50, "{known}");
    let other = home.json(&["cluster", "--clusters", "2", "--use"]);
    assert_eq!(other["used"]["previous"], clusters_of(&home, "centres"));
    // What a killed process leaves is as whole as what was acknowledged.
    server.kill();
    home.verified("nearline-data");
    home.ok_pipe(&["run", "--epoch-records", "3", "-"], &past(8, 50));
    assert_eq!(clusters(&home)["clusters"], 2);
    home.verified("nearline-data");
}

#[test]
fn published_centres_are_taken_over_by_who_follows_them() {
    let home = home();
    home.write(
        "nearline.toml",
        "[publications]\nrepository = \"repository\"\n[subscriptions.tastes]\nuse = \"centres\"\n",
    );
    let server = home.serve(&["run", "--follow"]);
    home.ok(&["cluster", "--clusters", "3", "--publish", "tastes"]);
    until("the clusters are there", || clusters(&home)["clusters"] == 3);
    made(&home, "centres");
    assert_eq!(clusters(&home)["centres"], clusters_of(&home, "centres"));
    home.ok(&["cluster", "--clusters", "5", "--out", "five"]);
    home.ok(&["publish", "tastes", "--centres", "five"]);
    until("the others are there", || clusters(&home)["clusters"] == 5);
    until("metrics say so, a moment after they are committed", || {
        server.get("/metrics").1.as_str().unwrap().contains("nearline_clusters 5")
    });
    server.interrupt().ok();
    home.verified("nearline-data");
}

#[test]
fn what_cannot_be_used_is_refused_and_a_folder_without_its_centres_goes_on_without() {
    let home = home();
    let failed = |args: &[&str], code| home.say(args).ended(code);
    let aggregates = Home::new();
    aggregates.ok_pipe(&["run", "-"], &play(1, 1, 1));
    assert!(aggregates.say(&["cluster", "--use"]).ended(1).contains("no live model"));
    assert!(failed(&["cluster"], 2).contains("say where the centres go"));
    assert!(
        failed(&["cluster", "--use", "a"], 2).contains("no centres")
            || failed(&["cluster", "--use", "a"], 2).contains("manifest.json")
    );
    made(&home, "centres");
    assert!(failed(&["cluster", "--clusters", "4", "--out", "centres"], 2).contains("never written over"));
    assert!(failed(&["cluster", "--use", "centres", "--seed", "1"], 2).contains("--use alone"));
    home.ok(&["--data", "other", "replay", "--model", "b", "past.jsonl"]);
    assert!(failed(&["--data", "other", "cluster", "--use", "centres"], 1).contains("made with model"));

    home.ok(&["cluster", "--use", "centres"]);
    home.ok(&["backup", "saved", "--with-key"]);
    home.ok(&["--data", "restored", "restore", "saved"]);
    assert_eq!(home.verified("restored"), home.verified("nearline-data"));
    home.ok(&["--data", "bare", "replay", "--model", "a", "past.jsonl"]);
    std::fs::remove_dir_all(home.path("nearline-data/centres")).unwrap();
    home.ok_pipe(&["run", "-"], "");
    assert_eq!(clusters(&home), Value::Null);
    assert_eq!(home.verified("nearline-data"), home.verified("bare"));
    home.ok_pipe(&["run", "--centres", "centres", "-"], "");
    assert_eq!(home.verified("nearline-data"), home.verified("restored"));
}
