//! `publish`, `publications` and `subscribe` as they are typed.

use super::{files, home, publish, text, version};
use crate::support::{said, until};

#[test]
fn what_is_published_is_listed_fetched_and_never_published_twice() {
    let home = home("");
    let first = publish(&home, "a");
    let again = home.json(&["publish", "films", "--model", "a"]);
    assert_eq!((text(&again["version"]), &again["known"]), (first.clone(), &true.into()));
    let second = publish(&home, "b");
    let listed = home.json(&["publications"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["newest"]["model"], version(&home, "b").as_str());
    assert_eq!(listed[0]["newest"]["command"], "nearline publish films --model b --json");
    let shown = home.ok(&["publications"]);
    assert!(shown.contains("films") && shown.contains(&second[..12]), "{shown}");
    let shown = home.ok(&["publications", "films"]);
    assert!(
        shown.contains("items.parquet") && shown.contains("2 in all") || shown.contains("versions"),
        "{shown}"
    );
    // What is fetched is a model's folder like any other, and so is what lies in a folder's repository.
    let got = home.json(&["subscribe", "films", "--once", "--into", "fetched"]);
    assert_eq!(got["publication"]["version"], second.as_str());
    let folder = text(&got["folder"]);
    assert_eq!(version(&home, &folder), version(&home, "b"));
    assert_eq!(version(&home, &format!("repository/films/{first}")), version(&home, "a"));
}

#[test]
fn subscribe_prints_each_version_as_it_appears() {
    let home = home("");
    let mut command = home.command(&["subscribe", "films", "--json", "--into", "fetched"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let versions = ["a", "b"].map(|model| {
        let version = publish(&home, model);
        until("it is fetched", || home.path(&format!("fetched/{version}/publication.json")).exists());
        version
    });
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let out = said(child.wait_with_output().unwrap()).ok();
    let printed: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        printed.iter().map(|line| text(&line["publication"]["version"])).collect::<Vec<_>>(),
        versions
    );
}

#[test]
fn bad_use_says_what_is_wanted() {
    let home = home("");
    home.write("nearline.toml", "");
    for (args, code, wanted) in [
        (&["publish", "films", "--model", "a"][..], 2, "publications.repository"),
        (&["publish", "films", "--to", "r"], 2, "--model <DIR>"),
        (&["publish", "a/b", "--model", "a", "--to", "r"], 2, "letters, digits"),
        (&["publish", "films", "--model", "nothing", "--to", "r"], 2, "this is no model"),
        (&["publish", "films", "--files", "nothing", "--kind", "query", "--to", "r"], 2, "no file"),
        (&["publish", "films", "--files", "log.jsonl", "--kind", "model", "--to", "r"], 2, "centres, query"),
        (&["publish", "films", "--version", "abc", "--to", "r"], 1, "no publication films of version abc"),
        (&["publish", "films", "--lists", "--to", "r"], 3, "nearline-data"),
        (&["publish", "films", "--model", "a", "--to", "ftp://x"], 2, "s3://BUCKET/PREFIX"),
        (&["publications", "films", "--from", "other"], 1, "no publication films"),
        (&["train", "log.jsonl", "--out", "m", "--publish", "a/b", "--to", "r"], 2, "letters, digits"),
        (&["subscribe", "a/b", "--from", "r"], 2, "letters, digits"),
    ] {
        let said = home.say(args).ended(code);
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
}

#[test]
fn a_job_that_fails_is_known_to_whoever_follows_its_publication() {
    let home = home("");
    let args = ["train", "log.jsonl", "--out", "m", "--publish", "films", "--rank", "2", "--iterations", "1"];
    home.write("empty.jsonl", "");
    let failing = [&["train", "empty.jsonl"], &args[2..]].concat();
    assert_ne!(home.say(&failing).code, 0);
    let listed = home.json(&["publications"]);
    assert_eq!(listed[0]["publication"], "films");
    assert!(listed[0]["failed"]["why"].is_string() && listed[0]["newest"].is_null(), "{listed}");
    home.ok(&args);
    let listed = home.json(&["publications"]);
    assert!(listed[0]["failed"].is_null(), "{listed}");
    assert_eq!(listed[0]["newest"]["model"], version(&home, "m").as_str());
}

#[test]
fn retention_takes_out_old_versions_but_what_is_in_use() {
    let home = home("keep = 1\nkeep_for = \"1ms\"\ngrace = \"1s\"\n[subscriptions.films]\nuse = \"model\"\n");
    home.ok(&["replay", "log.jsonl"]);
    let first = publish(&home, "a");
    let server = home.serve(&["run", "--follow"]);
    super::until_used(&server, &first);
    // Killed, it uses what it used, for all that anybody knows.
    server.kill();
    let second = publish(&home, "b");
    home.write("answer.csv", "a,b\n");
    home.ok(&["publish", "films", "--files", "answer.csv", "--kind", "query"]);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let dry = home.json(&["publications", "gc", "--dry-run"]);
    assert_eq!((text(&dry[0]["version"]), dry.as_array().unwrap().len()), (second.clone(), 1));
    assert_eq!(home.json(&["publications", "gc"]), dry);
    assert!(files(&home.path(&format!("repository/films/{second}"))).is_empty());
    assert!(!files(&home.path(&format!("repository/films/{first}"))).is_empty());
    assert_eq!(home.json(&["publications", "gc"]), serde_json::json!([]));
}
