//! Variants side by side: whose lists are whose, promotions that outlast kills, and what they are compared by.

use std::collections::BTreeMap;
use std::time::Duration;

use nearline::config::Config;
use nearline::folder::Folder;
use nearline::serving::Reader;
use nearline::serving::list::{ListAnswer, ListName, ListQuery, Rung};
use serde_json::{Value, json};

use crate::support::{Chance, Home, items_of, model, until};

const MEMBERS: usize = 600;
const ITEMS: usize = 40;

/// Three ways: the live model, a model of its own, and what is popular.
const THREE: &str = "experiment = \"first\"\n[variants.control]\nshare = 50\n[variants.other]\nshare = 30\nmodel = \"b\"\n\
                     [variants.popular]\nshare = 20\nalgorithm = \"popular\"\n[serve]\ndeadline_ms = 20000\n";

fn event(member: &str, item: usize, kind: &str, minute: usize, more: &str) -> String {
    let (hour, minute) = (minute / 60 % 24, minute % 60);
    format!(
        r#"{{"member":"{member}","item":"i{item}","kind":"{kind}","at":"2024-03-01T{hour:02}:{minute:02}:00Z"{more}}}"#
    ) + "\n"
}

/// What members did before; each a few items.
fn past() -> String {
    let mut chance = Chance(5);
    let play = |place: usize| {
        event(&format!("m{}", place % MEMBERS), chance.below(ITEMS), "play", place % 1_000, "")
    };
    (0..4 * MEMBERS).map(play).collect()
}

/// Models in folders `a`, `b` and `c`, `past.jsonl`, and a config that says nothing, `plain.toml`.
fn world() -> Home {
    let home = Home::new();
    for (name, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        save_model(&home, name, seed);
    }
    home.write("past.jsonl", &past());
    home.write("plain.toml", "");
    home
}

fn save_model(home: &Home, name: &str, seed: u64) {
    let mut chance = Chance(seed);
    let mut number = || chance.below(2_001) as f32 / 1_000.0 - 1.0;
    let rows: Vec<(String, Vec<f32>)> =
        (0..ITEMS).map(|item| (format!("i{item}"), (0..6).map(|_| number()).collect())).collect();
    let mut rows: Vec<(&str, Vec<f32>)> = rows.iter().map(|(id, row)| (id.as_str(), row.clone())).collect();
    rows.sort_by(|one, other| one.0.cmp(other.0));
    let _ = std::fs::remove_dir_all(home.path(name));
    model(&rows).save(&home.path(name)).unwrap();
}

fn version(home: &Home, model: &str) -> String {
    home.json(&["model", "show", model])["version"].as_str().unwrap().to_owned()
}

/// The list of every member in a folder, by what the folder itself says.
fn lists(home: &Home, data: &str, list: ListName) -> BTreeMap<String, ListAnswer> {
    let file = home.path(if data == "nearline-data" { "nearline.toml" } else { "plain.toml" });
    let config = Config::load(Some(&file)).unwrap();
    let reader = Reader::open(&Folder::new(home.path(data)), config).unwrap();
    let query = ListQuery::first(list, 10);
    let of = |member: usize| {
        let member = format!("m{member}");
        let answer = reader.read(|serving| serving.list(&member, &query, 0)).unwrap();
        (member, answer)
    };
    (0..MEMBERS).map(of).collect()
}

/// The same of a folder of one model and no variants.
fn lists_of_model(home: &Home, model: &str, list: ListName) -> BTreeMap<String, ListAnswer> {
    let data = format!("only-{model}");
    if !home.path(&data).exists() {
        home.ok(&["--config", "plain.toml", "--data", &data, "replay", "--model", model, "past.jsonl"]);
    }
    lists(home, &data, list)
}

fn ids(answer: &ListAnswer) -> Vec<&str> {
    answer.items.iter().map(|entry| entry.item.as_str()).collect()
}

/// Every list is that of its member's variant: the items, the model that it names, and where it is from.
fn assert_split(home: &Home, data: &str, models: [&str; 2]) -> BTreeMap<String, usize> {
    let [live, own] = models.map(|model| lists_of_model(home, model, ListName::TopPicks));
    let popular = lists_of_model(home, models[0], ListName::Trending);
    let mut members: BTreeMap<String, usize> = BTreeMap::new();
    for (member, answer) in lists(home, data, ListName::TopPicks) {
        let variant = answer.variant.clone().unwrap();
        let (wanted, model, source) = match &*variant {
            "control" => (&live[&member], Some(version(home, models[0])), Rung::Nearline),
            "other" => (&own[&member], Some(version(home, models[1])), Rung::Nearline),
            _ => (&popular[&member], None, Rung::Online),
        };
        assert_eq!(ids(&answer), ids(wanted), "{member} of {variant}");
        assert_eq!((answer.model.clone(), answer.source), (model, source), "{member} of {variant}");
        *members.entry(variant).or_default() += 1;
    }
    members
}

#[test]
fn each_member_has_the_lists_of_one_variant_and_of_exactly_its_model() {
    let home = world();
    home.write("nearline.toml", THREE);
    home.ok(&["replay", "--model", "a", "past.jsonl"]);
    let members = assert_split(&home, "nearline-data", ["a", "b"]);
    // Five standard deviations of what chance would make of half, three tenths and a fifth of 600.
    for (variant, wanted, most) in [("control", 300, 61), ("other", 180, 56), ("popular", 120, 49)] {
        assert!(members[variant].abs_diff(wanted) <= most, "{variant} has {} members", members[variant]);
    }
    let digest = home.verified("nearline-data");

    // Piped in small epochs, by three workers, with a retraction of all that was added: the same to the byte.
    let more: String =
        (0..200).map(|place| event(&format!("m{place}"), place % ITEMS, "like", 1_200, "")).collect();
    let gone = more.replace("{\"member\"", "{\"type\":\"retract\",\"member\"");
    home.write("more.jsonl", &more);
    home.write("gone.jsonl", &gone);
    let run = ["--data", "piped", "run", "--model", "a", "--epoch-records", "97", "--workers", "3"];
    home.ok(&[&run[..], &["past.jsonl", "more.jsonl"]].concat());
    assert_ne!(home.verified("piped"), digest);
    home.ok(&[&run[..], &["gone.jsonl"]].concat());
    assert_eq!(home.verified("piped"), digest);

    // Nobody moves at the next start, whatever was asked for in between.
    home.ok_pipe(&["run", "-"], "");
    assert_eq!(assert_split(&home, "nearline-data", ["a", "b"]), members);
    let said = home.ok(&["get", "m1"]);
    assert!(said.lines().next().unwrap().contains(", variant "), "{said}");
}

#[test]
fn why_and_because_you_watched_are_of_the_members_variant() {
    let home = world();
    home.write("nearline.toml", THREE);
    home.ok(&["replay", "--model", "a", "past.jsonl"]);
    let because = ["a", "b"].map(|model| lists_of_model(&home, model, ListName::BecauseYouWatched));
    let own = lists(&home, "nearline-data", ListName::BecauseYouWatched);
    let mut seen = BTreeMap::new();
    for (member, answer) in own {
        let variant = answer.variant.clone().unwrap();
        assert_eq!(ids(&answer), ids(&because[usize::from(variant == "other")][&member]), "{member}");
        seen.entry(variant).or_insert(member);
    }
    for (variant, member) in seen {
        let first = &home.items(&member, "top_picks")[0];
        let why = home.json(&["why", &member, first]);
        assert_eq!((&why["position"], &why["variant"]), (&json!(1), &json!(variant)), "{why}");
        if variant == "popular" {
            assert!(why["model"].is_null() && why["parts"] == json!([]), "{why}");
            continue;
        }
        let wanted = version(&home, if variant == "other" { "b" } else { "a" });
        let parts = why["parts"].as_array().unwrap().iter().map(|part| part["adds"].as_f64().unwrap());
        assert_eq!(why["model"], wanted.as_str());
        assert!((parts.sum::<f64>() - why["score"].as_f64().unwrap()).abs() < 1e-3, "{why}");
        let like = home.json(&["similar", "i1", "--member", &member]);
        assert_eq!((&like["model"], &like["variant"]), (&json!(wanted), &json!(variant)));
    }
}

#[test]
fn a_promotion_gives_every_member_one_variant_outlasts_a_kill_and_can_be_taken_back() {
    let home = world();
    home.write("nearline.toml", THREE);
    home.ok(&["replay", "--model", "a", "past.jsonl"]);
    let split = home.verified("nearline-data");
    let all =
        home.json(&["--data", "only-b", "--config", "plain.toml", "replay", "--model", "b", "past.jsonl"]);
    assert!(all["epoch"].is_u64());
    let wanted = home.json(&["--data", "only-b", "--config", "plain.toml", "verify"])["stored"].clone();

    // While events flow, of members of their own.
    let mut running = home.start(&["run", "-"]);
    let mut live = String::new();
    let taken = std::thread::scope(|scope| {
        let promoting = scope.spawn(|| home.json(&["variants", "promote", "other"]));
        for place in 0..150 {
            let event = event(&format!("live{}", place % 7), place % ITEMS, "play", place, "");
            running.send(&event);
            live += &event;
            std::thread::sleep(Duration::from_millis(1));
        }
        promoting.join().unwrap()
    });
    assert_eq!((&taken["variant"], &taken["model"]), (&json!("other"), &json!(version(&home, "b"))));
    until("all is there", || home.json(&["status"])["counts"]["accepted"].as_u64() >= Some(150 + 2_400));
    home.write("live.jsonl", &live);
    home.verified("nearline-data");
    // The same again is nothing new, and another one has to wait.
    let again = home.json(&["variants", "promote", "other"]);
    assert!(again["previous"].is_null(), "{again}");
    let said = home.say(&["variants", "promote", "control"]).ended(1);
    assert!(said.contains("other is promoted already"), "{said}");
    let said = home.say(&["variants", "promote", "nobody"]).ended(1);
    assert!(said.contains("no variant nobody") && said.contains("control, other, popular"), "{said}");
    running.kill();

    // It holds although the config says of the variants what it said.
    let gone = live.replace("{\"member\"", "{\"type\":\"retract\",\"member\"");
    home.ok_pipe(&["run", "-"], &gone);
    let status = home.json(&["status"]);
    assert_eq!(status["variants"]["promoted"], "other");
    assert_eq!(status["model"], version(&home, "b").as_str());
    assert_eq!(home.json(&["verify"])["stored"], wanted, "every list is that of the model");
    for (member, answer) in lists(&home, "nearline-data", ListName::TopPicks) {
        assert_eq!(answer.variant.as_deref(), Some("other"), "{member}");
    }
    // And back, where the lists of all variants still are; also that outlasts a kill.
    let running = home.start(&["run", "-"]);
    let back = home.json(&["model", "rollback"]);
    assert_eq!((&back["model"], back["variant"].is_null()), (&json!(version(&home, "a")), true));
    running.kill();
    home.ok_pipe(&["run", "-"], "");
    assert_eq!(home.verified("nearline-data"), split);
    assert_split(&home, "nearline-data", ["a", "b"]);
    // Without a running pipeline it is the same.
    home.ok(&["variants", "promote", "popular"]);
    assert_eq!(home.json(&["get", "m1"])["source"], "online");
    assert_eq!(home.json(&["get", "m1"])["variant"], "popular");
    home.verified("nearline-data");
    home.ok(&["model", "rollback"]);
    assert_eq!(home.verified("nearline-data"), split);
}

#[test]
fn a_crash_at_any_moment_of_a_promotion_is_made_good() {
    let home = world();
    home.write("nearline.toml", THREE);
    home.ok(&["replay", "--model", "a", "past.jsonl"]);
    let split = home.verified("nearline-data");
    let all = lists_of_model(&home, "b", ListName::TopPicks);
    let mut chance = Chance(3);
    let mut promoted = 0;
    for round in 0..8 {
        let running = home.start(&["run", "-"]);
        let delay = Duration::from_micros(chance.below(300_000) as u64);
        let asked = std::thread::scope(|scope| {
            let asked = scope.spawn(|| match round % 2 {
                0 => home.say(&["variants", "promote", "other"]),
                _ => home.say(&["model", "rollback"]),
            });
            std::thread::sleep(delay);
            running.kill();
            asked.join().unwrap()
        });
        home.ok_pipe(&["run", "-"], "");
        let status = home.json(&["status"]);
        let is_promoted = status["variants"]["promoted"] == "other";
        if asked.code == 0 {
            assert_eq!(is_promoted, round % 2 == 0, "it was said to be so");
        }
        let digest = home.verified("nearline-data");
        if is_promoted {
            promoted += 1;
            for (member, answer) in lists(&home, "nearline-data", ListName::TopPicks) {
                assert_eq!(ids(&answer), ids(&all[&member]), "{member} after {delay:?} of round {round}");
            }
        } else {
            assert_eq!(digest, split, "after {delay:?} of round {round}");
        }
    }
    assert!(promoted > 0, "some promotion was begun");
}

#[test]
fn another_config_of_the_variants_makes_the_lists_anew_before_anything_else() {
    let home = world();
    home.write("nearline.toml", THREE);
    home.ok(&["replay", "--model", "a", "past.jsonl"]);
    home.ok(&["variants", "promote", "other"]);
    // Another experiment: what was promoted is void, and its model is the live one.
    home.write("nearline.toml", &THREE.replace("\"first\"", "\"second\"").replace("\"b\"", "\"c\""));
    let said = home.say(&["verify"]).ended(2);
    assert!(said.contains("another config"), "{said}");
    let server = home.serve(&["run"]);
    let answer = server.ok("/v1/members/m1/lists/top_picks");
    assert!(answer["source"] != "trending", "the lists are there when the server is ready: {answer}");
    assert_eq!(server.ok("/v1/status")["variants"]["promoted"], Value::Null);
    server.kill();
    assert_split(&home, "nearline-data", ["b", "c"]);
    home.verified("nearline-data");

    // Without variants all is as if there never had been any.
    home.write("nearline.toml", "");
    home.ok_pipe(&["run", "-"], "");
    let live = lists_of_model(&home, "b", ListName::TopPicks);
    for (member, answer) in lists(&home, "nearline-data", ListName::TopPicks) {
        assert_eq!((ids(&answer), &answer.variant), (ids(&live[&member]), &None), "{member}");
    }
    assert_eq!(home.verified("nearline-data"), home.verified("only-b"));
    assert!(home.json(&["status"])["variants"].is_null());
    home.say(&["variants"]).ended(1);
    home.say(&["variants", "promote", "other"]).ended(2);
    // Files of models that nothing is made with go with the next start.
    home.ok_pipe(&["run", "-"], "");
    assert_eq!(std::fs::read_dir(home.path("nearline-data/models")).unwrap().count(), 1);
}

#[test]
fn a_models_folder_that_holds_another_model_at_the_next_start_takes_over_beside() {
    let home = world();
    home.write("nearline.toml", THREE);
    home.ok(&["replay", "--model", "a", "past.jsonl"]);
    // The live model alone changes: whoever has a model of their own keeps it.
    home.ok(&["model", "use", "c"]);
    assert_split(&home, "nearline-data", ["c", "b"]);
    home.ok(&["model", "rollback"]);
    assert_split(&home, "nearline-data", ["a", "b"]);
    // The variant's is another one.
    let before = version(&home, "b");
    save_model(&home, "b", 7);
    std::fs::remove_dir_all(home.path("only-b")).unwrap();
    assert_ne!(version(&home, "b"), before);
    home.ok_pipe(&["run", "-"], "");
    assert_split(&home, "nearline-data", ["a", "b"]);
    home.verified("nearline-data");
    // A folder that is gone: the lists stay with the model that they have.
    std::fs::rename(home.path("b"), home.path("away")).unwrap();
    home.ok_pipe(&["run", "-"], "");
    std::fs::rename(home.path("away"), home.path("b")).unwrap();
    assert_split(&home, "nearline-data", ["a", "b"]);
    // Where there is none to stay with, it is said which is missing.
    home.write("nearline.toml", &THREE.replace("\"b\"", "\"nowhere\""));
    let said = home.pipe(&["run", "-"], "").ended(2);
    assert!(said.contains("variant other") && said.contains("nowhere"), "{said}");
}

/// What members of each variant were shown, and what came of it: of every tenth impression a click, in `other` of every
/// fifth.
fn shown(home: &Home) -> String {
    let mut log = String::new();
    for (place, (member, answer)) in lists(home, "nearline-data", ListName::TopPicks).iter().enumerate() {
        let variant = answer.variant.clone().unwrap();
        let more = |kind: &str| {
            format!(
                r#","id":"{kind}-{place}","context":{{"list":"top_picks","position":1,"variant":"{variant}"}}"#
            )
        };
        log += &event(member, place % ITEMS, "impression", 1_000, &more("impression"));
        if place % (if variant == "other" { 5 } else { 10 }) == 0 {
            log += &event(member, place % ITEMS, "click", 1_001, &more("click"));
        }
    }
    log
}

#[test]
fn variants_are_compared_by_what_their_members_were_shown_and_did_exactly_under_retraction() {
    let home = world();
    home.write("nearline.toml", THREE);
    home.ok(&["replay", "--model", "a", "past.jsonl"]);
    let members = assert_split(&home, "nearline-data", ["a", "b"]);
    let log = shown(&home);
    home.write("shown.jsonl", &log);
    home.ok(&["run", "shown.jsonl"]);
    let answer = home.json(&["variants", "--against", "popular"]);
    assert_eq!((&answer["experiment"], &answer["against"]), (&json!("first"), &json!("popular")));
    let of = |answer: &Value, name: &str| {
        answer["variants"].as_array().unwrap().iter().find(|own| own["variant"] == name).unwrap().clone()
    };
    let counted = |variant: &str, kind: &str| {
        let says = |line: &&str| {
            line.contains(&format!(r#""variant":"{variant}""#))
                && line.contains(&format!(r#""kind":"{kind}""#))
        };
        log.lines().filter(says).count()
    };
    for (name, share) in [("control", 0.5), ("other", 0.3), ("popular", 0.2)] {
        let own = of(&answer, name);
        assert_eq!((&own["share"], &own["members"]), (&json!(share), &json!(members[name])), "{own}");
        assert_eq!(own["impressions"], counted(name, "impression"), "{own}");
        assert_eq!(own["clicks"], counted(name, "click"), "{own}");
        assert_eq!(own["plays"], 0, "{own}");
        let rate = &own["click_rate"];
        let value = counted(name, "click") as f64 / counted(name, "impression") as f64;
        assert!((rate["value"].as_f64().unwrap() - value).abs() < 1e-12, "{own}");
        assert!(
            rate["low"].as_f64() < rate["value"].as_f64() && rate["value"].as_f64() < rate["high"].as_f64()
        );
        assert_eq!(rate["above"].is_null(), name == "popular", "{own}");
    }
    let said = home.ok(&["variants"]);
    assert!(said.contains("experiment first") && said.contains("other against control: clicks +"), "{said}");
    assert_eq!(home.json(&["variants", "--list", "trending"])["variants"][0]["impressions"], 0);
    home.say(&["variants", "--against", "nobody"]).ended(2);

    // Over HTTP it is the same.
    let server = home.serve(&["run"]);
    assert_eq!(server.ok("/v1/variants?against=popular"), answer);
    assert_eq!(server.get("/v1/variants?against=nobody").0, 400);
    // What is retracted and who is forgotten is in no count any more.
    let (first, _) = log.split_once('\n').unwrap();
    server.post("/v1/events", first.replace("{\"member\"", "{\"type\":\"retract\",\"member\""));
    let whose: Value = serde_json::from_str(first).unwrap();
    let variant = whose["context"]["variant"].as_str().unwrap();
    let after = of(&server.ok("/v1/variants?against=popular"), variant);
    assert_eq!(after["impressions"], counted(variant, "impression") - 1);
    server.delete(&format!("/v1/members/{}", whose["member"].as_str().unwrap()));
    until("the member is counted no more", || {
        of(&server.ok("/v1/variants"), variant)["members"] == members[variant] - 1
    });
    server.kill();
    home.verified("nearline-data");
}

#[test]
fn over_http_answers_name_the_variant_and_a_promotion_needs_the_right_to_it() {
    let home = world();
    let tokens = "[serve.tokens.shop]\ntoken = \"shop-shop-shop-shop\"\nscopes = [\"read\", \"write\"]\n\
                  [serve.tokens.admin]\ntoken = \"admin-admin-admin-admin\"\nscopes = [\"read\", \"admin\"]\n";
    home.write("nearline.toml", &format!("{THREE}{tokens}"));
    home.ok(&["replay", "--model", "a", "past.jsonl"]);
    let of: BTreeMap<String, String> = lists(&home, "nearline-data", ListName::TopPicks)
        .into_iter()
        .map(|(member, answer)| (answer.variant.unwrap(), member))
        .collect();
    let server = home.serve(&["run"]);
    let ask = |method: &str, path: &str, token: &str| {
        let url = format!("{}{path}", server.address);
        let bearer = format!("Bearer {token}");
        let agent = crate::support::agent();
        crate::support::answered(match method {
            "GET" => agent.get(url).header("authorization", bearer).call(),
            _ => agent.post(url).header("authorization", bearer).send_empty(),
        })
    };
    let get = |path: &str| ask("GET", path, "shop-shop-shop-shop").1;
    for (variant, member) in &of {
        let list = get(&format!("/v1/members/{member}/lists/top_picks"));
        let ranked = ask("POST", &format!("/v1/members/{member}/rank"), "shop-shop-shop-shop").1;
        let page = get(&format!("/v1/members/{member}/page"));
        for answer in [&list, &ranked, &page] {
            assert_eq!(answer["variant"], variant.as_str(), "{answer}");
        }
        // Made now or kept, it is the same list.
        assert_eq!(items_of(&list), items_of(&ranked), "{variant}");
        assert_eq!((&list["model"], &ranked["source"]), (&ranked["model"], &json!("online")), "{variant}");
    }
    assert_eq!(get("/v1/trending")["variant"], Value::Null);
    let metrics = get("/metrics");
    let counted = r#"nearline_variant_answers_total{variant="popular",rung="online"}"#;
    assert!(metrics.as_str().unwrap().contains(counted), "{metrics}");

    let path = "/v1/variants/other/promote";
    assert_eq!(ask("POST", path, "shop-shop-shop-shop").0, 403);
    assert_eq!(ask("POST", "/v1/variants/nobody/promote", "admin-admin-admin-admin").0, 404);
    let (status, promoted) = ask("POST", path, "admin-admin-admin-admin");
    assert_eq!((status, &promoted["variant"]), (200, &json!("other")), "{promoted}");
    assert_eq!(promoted["model"], version(&home, "b").as_str());
    assert_eq!(get("/v1/variants")["promoted"], "other");
    assert_eq!(ask("POST", "/v1/variants/control/promote", "admin-admin-admin-admin").0, 409);
    let member = &of["popular"];
    let after = get(&format!("/v1/members/{member}/lists/top_picks?after={}", promoted["epoch"]));
    assert_eq!(after["variant"], "other");
    server.kill();
    // A replica tells of it and changes nothing.
    let replica = home.serve(&["serve"]);
    let url = format!("{}{path}", replica.address);
    let sent = crate::support::agent().post(url).header("authorization", "Bearer admin-admin-admin-admin");
    let (status, problem) = crate::support::answered(sent.send_empty());
    assert_eq!(status, 403, "{problem}");
}
