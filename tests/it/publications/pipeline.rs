//! A running pipeline takes over what is published.

use std::io::{BufRead, BufReader};

use super::{FILMS, files, followed, home, publish, until_used, version};
use crate::support::{Home, agent, arg, until};

#[test]
fn a_published_model_is_taken_over_told_and_shown() {
    let home = home(FILMS);
    let first = publish(&home, "a");
    home.ok(&["replay", "log.jsonl"]);
    let server = home.serve(&["run", "--follow"]);
    until_used(&server, &first);
    assert_eq!(server.ok("/v1/models")["live"], version(&home, "a").as_str());
    assert_eq!(server.items("/v1/members/m1/lists/top_picks")[0], "i2");

    let stream = agent().get(format!("{}/v1/publications/changes?publication=films", server.address)).call();
    let mut events = BufReader::new(stream.unwrap().into_body().into_reader()).lines();
    let mut told = |happened: &str| {
        let data = events.find_map(|line| line.unwrap().strip_prefix("data: ").map(str::to_owned)).unwrap();
        let told: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(
            (told["happened"].as_str(), told["publication"].as_str()),
            (Some(happened), Some("films"))
        );
        told
    };
    let second = publish(&home, "b");
    assert_eq!(told("published")["newest"]["version"], second.as_str());
    assert_eq!(told("in_use")["in_use"]["version"], second.as_str());
    assert_eq!(server.ok("/v1/models")["live"], version(&home, "b").as_str());
    assert_eq!(server.items("/v1/members/m1/lists/top_picks")[0], "i3");

    // Whoever listens is told before the folder says so.
    until("it is shown", || {
        let shown = home.ok(&["status"]);
        shown.contains(&format!("films: model {}", &second[..12])) && shown.contains("in use since")
    });
    let metrics = server.get("/metrics").1;
    let metrics = metrics.as_str().unwrap();
    for line in ["publication_failed{publication=\"films\"} 0", "publication_bytes{publication=\"films\"}"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    // Both are in use, in one place or the other, and what was fetched leaves nothing.
    let listed = home.json(&["publications", "films"]);
    assert_eq!(
        (&listed[0]["versions"], &listed[0]["in_use"][0]["version"]),
        (&2.into(), &second.as_str().into())
    );
    assert!(files(&home.path("nearline-data/publications")).is_empty());
    // A way back is publishing the version again.
    home.ok(&["publish", "films", "--version", &first]);
    until_used(&server, &first);
    assert_eq!(server.ok("/v1/models")["live"], version(&home, "a").as_str());
}

#[test]
fn what_is_damaged_is_not_used_the_model_before_stays_and_the_failure_is_seen() {
    let home = home(FILMS);
    let first = publish(&home, "a");
    home.ok(&["replay", "log.jsonl"]);
    let server = home.serve(&["run", "--follow"]);
    until_used(&server, &first);
    // It is damaged before anybody is told of it.
    let second = publish_damaged(&home, "b");
    until("the failure is seen", || !followed(&server, "films")["failure"].is_null());
    let seen = followed(&server, "films");
    let why = seen["failure"]["why"].as_str().unwrap();
    assert!(why.contains("wrong checksum") && why.contains("items.parquet"), "{why}");
    assert_eq!(seen["newest"]["version"], second.as_str());
    assert_eq!(seen["in_use"]["version"], first.as_str());
    assert_eq!(server.ok("/v1/models")["live"], version(&home, "a").as_str());
    let shown = home.ok(&["status"]);
    assert!(shown.contains("wrong checksum"), "{shown}");
    assert!(
        server.get("/metrics").1.as_str().unwrap().contains("publication_failed{publication=\"films\"} 1")
    );
    // Published again it is whole, and is taken over without another word.
    assert_eq!(publish(&home, "b"), second);
    until_used(&server, &second);
    assert!(followed(&server, "films")["failure"].is_null());
    assert_eq!(server.ok("/v1/models")["live"], version(&home, "b").as_str());
}

/// Publishes a model elsewhere, damages it and brings it here, the pointer last.
fn publish_damaged(home: &Home, model: &str) -> String {
    let published = home.json(&["publish", "films", "--model", model, "--to", "elsewhere"]);
    let version = super::text(&published["version"]);
    let [from, to] = ["elsewhere", "repository"].map(|at| home.path(&format!("{at}/films/{version}")));
    std::fs::create_dir_all(&to).unwrap();
    for file in files(&from) {
        let mut bytes = std::fs::read(&file).unwrap();
        if file.ends_with("items.parquet") {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        std::fs::write(to.join(file.file_name().unwrap()), bytes).unwrap();
    }
    let latest = home.path("repository/films/latest.new");
    std::fs::copy(home.path("elsewhere/films/latest"), &latest).unwrap();
    std::fs::rename(&latest, home.path("repository/films/latest")).unwrap();
    version
}

#[test]
fn going_back_by_hand_is_not_undone_by_a_restart() {
    let home = home(FILMS);
    home.ok(&["replay", "--model", "a", "log.jsonl"]);
    let server = home.serve(&["run", "--follow"]);
    let second = publish(&home, "b");
    until_used(&server, &second);
    home.ok(&["model", "rollback"]);
    assert_eq!(server.ok("/v1/models")["live"], version(&home, "a").as_str());
    server.interrupt();
    let server = home.serve(&["run", "--follow"]);
    until("it has looked", || followed(&server, "films")["newest"]["version"] == second.as_str());
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(server.ok("/v1/models")["live"], version(&home, "a").as_str());
}

#[test]
fn what_was_published_while_nobody_looked_is_taken_over_at_the_start_and_another_kind_is_refused() {
    let home = home(FILMS);
    home.ok(&["replay", "--model", "a", "log.jsonl"]);
    home.write("answer.csv", "a,b\n");
    home.ok(&["publish", "films", "--files", "answer.csv", "--kind", "query"]);
    let server = home.serve(&["run", "--follow"]);
    until("it is refused", || !followed(&server, "films")["failure"].is_null());
    let why = followed(&server, "films")["failure"]["why"].to_string();
    assert!(why.contains("of the kind query") && why.contains("[subscriptions.films]"), "{why}");
    server.kill();
    let second = publish(&home, "b");
    let server = home.serve(&["run", "--follow"]);
    until_used(&server, &second);
}

#[test]
fn lists_that_are_published_stand_in_elsewhere_and_who_was_forgotten_has_none() {
    let home = home("[subscriptions.picks]\nuse = \"lists\"\n");
    home.ok(&["--data", "there", "replay", "--model", "a", "log.jsonl"]);
    home.ok(&["--data", "there", "batch", "--publish", "picks", "--limit", "2"]);
    let published = &home.json(&["publications", "picks"])[0]["newest"];
    assert_eq!((&published["kind"], &published["counts"]["members"]), (&"lists".into(), &50.into()));
    assert_eq!(published["model"], version(&home, "a").as_str());
    // Here m1 was forgotten since, and m2 never was.
    let log = std::fs::read_to_string(home.path("log.jsonl")).unwrap();
    let without: String =
        log.lines().filter(|line| !line.contains("\"m2\"")).flat_map(|line| [line, "\n"]).collect();
    home.write("here.jsonl", &without);
    home.ok(&["replay", "here.jsonl"]);
    home.ok(&["forget", "m1"]);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(600);
    let later = later.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let event =
        format!("{{\"member\":\"m1\",\"item\":\"i4\",\"kind\":\"play\",\"value\":1,\"at\":{later}}}\n");
    home.ok_pipe(&["run", "-"], &event);
    assert_eq!(home.json(&["status"])["counts"]["live_events"], 49, "m1 is back");
    let server = home.serve(&["run", "--follow"]);
    until("they are in use", || !followed(&server, "picks")["in_use"].is_null());
    let batch = &server.ok("/v1/status")["batch"];
    assert_eq!((&batch["algorithm"], &batch["limit"]), (&"factors".into(), &2.into()));
    assert_eq!(batch["members"], 48, "m1 and m2 have none");
}

#[test]
fn a_catalogue_that_is_published_is_known_elsewhere() {
    let home = home("[subscriptions.titles]\nuse = \"catalogue\"\n");
    let items = "{\"type\":\"item\",\"item\":\"i2\",\"at\":5,\"title\":\"Heat\"}\n\
                 {\"type\":\"item\",\"item\":\"i3\",\"at\":5,\"title\":\"Ran\",\"withdrawn\":true}\n";
    home.ok_pipe(&["--data", "there", "run", "-"], items);
    home.ok(&["--data", "there", "publish", "titles", "--catalogue"]);
    home.ok(&["replay", "--model", "a", "log.jsonl"]);
    let server = home.serve(&["run", "--follow"]);
    until("it is in use", || !followed(&server, "titles")["in_use"].is_null());
    let first = &server.ok("/v1/members/m5/lists/top_picks")["items"][0];
    assert_eq!((&first["item"], &first["title"]), (&"i2".into(), &"Heat".into()));
    assert!(!server.items("/v1/members/m5/lists/top_picks").contains(&"i3".to_owned()));
}

#[test]
fn a_repository_that_is_away_is_waited_for_and_one_that_cannot_be_is_refused() {
    let home = home("[subscriptions.films]\nuse = \"model\"\nrepository = \"later/repository\"\n");
    home.write("later", "no folder yet");
    home.ok(&["replay", "--model", "a", "log.jsonl"]);
    let server = home.serve(&["run", "--follow"]);
    until("the failure is seen", || !followed(&server, "films")["failure"].is_null());
    std::fs::remove_file(home.path("later")).unwrap();
    let second = super::text(
        &home.json(&["publish", "films", "--model", "b", "--to", arg(&home.path("later/repository"))])["version"],
    );
    until_used(&server, &second);
    server.kill();
    home.write("nearline.toml", "[subscriptions.films]\nrepository = \"ftp://host/x\"\n");
    let said = home.say(&["run", "--follow"]).ended(2);
    assert!(said.contains("s3://BUCKET/PREFIX"), "{said}");
}
