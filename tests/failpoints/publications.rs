//! Publishers and pipelines that follow them.

use std::os::unix::process::ExitStatusExt;

use super::{ABORTED, Fire, LOG};

/// A home whose pipelines take over the models that are published as `films`.
fn with_repository(fire: &Fire) {
    let config = "[publications]\nrepository = \"repository\"\nretry_for = \"1ms\"\nkeep = 1\nkeep_for = \"1ms\"\n\
                  grace = \"1s\"\n\
                  [publications.notify.nobody]\nurl = \"http://127.0.0.1:9/\"\n\
                  [subscriptions.films]\nuse = \"model\"\n";
    std::fs::write(fire.home.path("nearline.toml"), config).unwrap();
}

/// The newest version of `films`, as whoever subscribes sees it: fetched whole.
fn newest(fire: &Fire) -> String {
    let got = fire.home.json(&["subscribe", "films", "--once", "--into", "fetched"]).unwrap();
    got["publication"]["model"].as_str().unwrap().to_owned()
}

#[test]
fn a_publisher_that_ends_anywhere_leaves_the_version_before_or_the_new_one_whole() {
    let fire = Fire::new();
    with_repository(&fire);
    let model = |name: &str| {
        let shown = fire.home.json(&["model", "show", name]).unwrap();
        shown["version"].as_str().unwrap().to_owned()
    };
    let (one, two) = (model("model-1"), model("model-2"));
    let publish = |name| ["publish", "films", "--model", name];
    for (place, there, letters) in [
        ("publication-file", false, 0),
        ("publication-file=2", false, 0),
        ("publication-file=3", false, 0),
        ("publication-manifest", false, 0),
        ("publication-letters", false, 0),
        ("publication-latest", true, 1),
    ] {
        let _ = std::fs::remove_dir_all(fire.home.path("repository"));
        fire.ok(&publish("model-1"));
        // Nobody answers: the letter is kept.
        let kept = |listed: &serde_json::Value| listed[0]["undelivered"].as_array().unwrap().len();
        assert_eq!(kept(&fire.home.json(&["publications"]).unwrap()), 1);
        fire.dies(place, &publish("model-2"));
        assert_eq!(newest(&fire), if there { &*two } else { &*one }, "{place}");
        let listed = fire.home.json(&["publications"]).unwrap();
        assert_eq!(kept(&listed), 1 + letters, "{place}: a letter of what nobody can have would be a lie");
        fire.ok(&publish("model-2"));
        assert_eq!(newest(&fire), two, "{place}");
    }
    // What is never finished is taken out in its time, and so is a version whose end was broken off.
    fire.dies("publication-file", &["publish", "films", "--files", LOG, "nearline.toml", "--kind", "query"]);
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    fire.dies("publication-collected", &["publications", "gc"]);
    assert_eq!(newest(&fire), two);
    fire.ok(&["publications", "gc"]);
    let listed = fire.home.json(&["publications"]).unwrap();
    assert_eq!(listed[0]["versions"], 1);
    let left = std::fs::read_dir(fire.home.path("repository/films")).unwrap().flatten();
    let versions = left.filter(|entry| entry.file_name().len() == 64).count();
    assert_eq!(versions, 1, "of what was broken off nothing is left");
}

#[test]
fn a_pipeline_that_ends_while_it_takes_a_publication_over_goes_on_with_it() {
    let fire = Fire::new();
    with_repository(&fire);
    let version = fire.home.json(&["model", "show", "model-2"]).unwrap()["version"].clone();
    for place in ["publication-fetched", "publication-fetched=3", "subscription-fetched"] {
        fire.away();
        let _ = std::fs::remove_dir_all(fire.home.path("repository"));
        fire.ok(&["replay", "--model", "model-1", LOG]);
        let mut child = fire.runs_until(place);
        fire.ok(&["publish", "films", "--model", "model-2"]);
        assert_eq!(child.0.wait().unwrap().signal(), Some(ABORTED), "{place}");
        assert_ne!(fire.status()["model"], version, "{place}");
        let mut child = fire.runs_until("nowhere");
        let began = std::time::Instant::now();
        while fire.status()["publications"][0]["in_use"].is_null() {
            assert!(began.elapsed().as_secs() < 300 && child.0.try_wait().unwrap().is_none(), "{place}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        drop(child);
        assert_eq!(fire.status()["model"], version, "{place}");
        let left = std::fs::read_dir(fire.home.path("nearline-data/publications")).into_iter().flatten();
        assert_eq!(left.count(), 0, "{place}");
        fire.digest("nearline-data");
    }
}
