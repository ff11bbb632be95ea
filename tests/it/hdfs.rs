//! HDFS as a repository of publications and of the archive, with a cluster that `NEARLINE_HDFS` names by host and port:
//! `scripts/test.sh --services` starts it. Two tests kill it, so the others hold `CLUSTER` while they need it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use nearline::config::Access;
use nearline::repositories::Repository;

use crate::support::{Home, Said, model, said, until};

macro_rules! with_a_cluster {
    ($($name:ident)*) => {
        $(#[test] fn $name() {
            if let Some(host) = variable("NEARLINE_HDFS") {
                on::$name(&host);
            }
        })*

        #[test]
        fn what_is_skipped_without_hdfs_is_said() {
            if variable("NEARLINE_HDFS").is_none() {
                let names = [$(stringify!($name)),*];
                // Not by `eprintln!`, which a test that passes keeps to itself.
                let said = format!(
                    "\nskipped {} tests, as NEARLINE_HDFS names no cluster (scripts/test.sh --services starts one): {}\n",
                    names.len(),
                    names.join(", "),
                );
                std::io::stderr().write_all(said.as_bytes()).unwrap();
            }
        }
    };
}

with_a_cluster! {
    a_repository_in_hdfs_is_as_any_other
    a_model_goes_through_hdfs_into_a_running_pipeline_and_old_versions_are_taken_out
    a_publisher_that_is_killed_in_the_middle_leaves_nothing_to_be_seen_and_what_it_left_is_swept
    a_cluster_that_is_killed_in_the_middle_of_a_publication_is_waited_for
    an_archive_in_hdfs_is_shipped_compacted_erased_and_read_again
    a_cluster_that_is_killed_while_it_is_archived_to_is_caught_up_with
    who_may_not_is_told_at_once_and_what_is_not_there_is_said
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

static CLUSTER: RwLock<()> = RwLock::new(());

fn cluster() -> RwLockReadGuard<'static, ()> {
    CLUSTER.read().unwrap_or_else(PoisonError::into_inner)
}

fn cluster_to_kill() -> RwLockWriteGuard<'static, ()> {
    CLUSTER.write().unwrap_or_else(PoisonError::into_inner)
}

/// A folder of its own in the cluster.
fn place(host: &str, name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("hdfs://{host}/nearline/{name}-{now}")
}

/// A home with two models and a log, whose publications lie in a folder of the cluster.
fn publishing(url: &str, more: &str) -> Home {
    let home = Home::new();
    let one = [("i1", vec![1.0, 0.0]), ("i2", vec![0.9, 0.1]), ("i3", vec![0.1, 0.9])];
    let other = [("i1", vec![1.0, 0.0]), ("i2", vec![0.1, 0.9]), ("i3", vec![0.9, 0.1])];
    model(&one).save(&home.path("a")).unwrap();
    model(&other).save(&home.path("b")).unwrap();
    home.write(
        "log.jsonl",
        "{\"member\":\"m1\",\"item\":\"i1\",\"kind\":\"play\",\"value\":0.9,\"at\":1709251200000}\n",
    );
    home.write(
        "nearline.toml",
        &format!("[publications]\nrepository = \"{url}\"\npoll_s3 = \"100ms\"\n{more}\n"),
    );
    home
}

/// A file that takes a while to send.
fn large(home: &Home) {
    let mut chance = crate::support::Chance(3);
    let bytes: Vec<u8> = (0..96 << 17).flat_map(|_| (chance.below(1 << 30) as u64).to_le_bytes()).collect();
    std::fs::write(home.path("large.bin"), bytes).unwrap();
}

const PUBLISH_LARGE: [&str; 7] = ["publish", "films", "--files", "large.bin", "--kind", "query", "--json"];

/// All files of a folder and what is below it, also those that are still being written.
fn all_files(url: &str) -> Vec<String> {
    let (cluster, folder) = url.strip_prefix("hdfs://").unwrap().split_once('/').unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = hdfs_native::ClientBuilder::new().with_url(format!("hdfs://{cluster}")).build().unwrap();
    let listed = runtime.block_on(client.list_status(&format!("/{folder}"), true)).unwrap_or_default();
    listed.into_iter().filter(|status| !status.isdir).map(|status| status.path).collect()
}

/// Waits until a file is being written.
fn until_uploading(url: &str) {
    until("an upload is under way", || all_files(url).iter().any(|file| file.contains(".large.bin.tmp.")));
}

/// What is fetched is what was published.
fn fetched(home: &Home) {
    let got = home.json(&["subscribe", "films", "--once", "--into", "fetched"]);
    let file = home.path("").join(Path::new(got["folder"].as_str().unwrap()).join("large.bin"));
    assert!(std::fs::read(file).unwrap() == std::fs::read(home.path("large.bin")).unwrap());
}

/// As `scripts/services.sh` does it, to the cluster that this test was told of.
fn services(what: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services.sh");
    let done = Command::new("bash").arg(script).args([what, "hdfs"]).stdout(Stdio::null()).status().unwrap();
    assert!(done.success(), "scripts/services.sh {what} hdfs");
}

fn event(member: &str, number: usize) -> String {
    format!(
        "{{\"member\":\"{member}\",\"item\":\"i{}\",\"kind\":\"play\",\"at\":\"2024-03-0{}T10:00:00Z\",\"id\":\"e{number}\"}}\n",
        number % 11,
        1 + number % 4
    )
}

/// The archive is what the store says, record by record.
#[track_caller]
fn archive_holds(home: &Home, records: u64) {
    let verdict = home.json(&["archive", "verify"]);
    let wrong = (&verdict["missing"], &verdict["beyond"], &verdict["repeated"]);
    assert_eq!(wrong, (&0.into(), &0.into(), &0.into()), "{verdict}");
    assert_eq!(verdict["records"], records, "{verdict}");
}

mod on {
    use super::*;

    pub fn a_repository_in_hdfs_is_as_any_other(host: &str) {
        let _cluster = cluster();
        let url = place(host, "any");
        let repository = Repository::open(&url, &Access::default()).unwrap();
        assert_eq!(repository.list("").unwrap(), [], "not made yet");
        assert_eq!(repository.folders("").unwrap(), Vec::<String>::new());
        assert_eq!(repository.get("a/b").unwrap(), None);
        repository.put("a/b", "first").unwrap();
        repository.put("a/b", "second, and longer").unwrap();
        assert_eq!(repository.get("a/b").unwrap().unwrap(), b"second, and longer");
        assert_eq!(repository.get_range("a/b", 3..9).unwrap(), b"ond, a");
        assert!(repository.put_new("a/new", "mine").unwrap());
        assert!(!repository.put_new("a/new", "another's").unwrap());
        assert_eq!(repository.get("a/new").unwrap().unwrap(), b"mine");
        // Over a block's bounds, which the test cluster has at 128 MB, takes too long here; over those of parts does not.
        let long: Vec<u8> = (0..20 << 20).map(|i: u32| (i >> 3) as u8).collect();
        assert_eq!(repository.put_all("a/deeper/long", &mut &long[..]).unwrap(), long.len() as u64);
        assert_eq!(repository.put_all("a/deeper/long", &mut &long[1..]).unwrap(), long.len() as u64 - 1);
        let mut copy = Vec::new();
        assert_eq!(repository.get_all("a/deeper/long", &mut copy).unwrap(), Some(long.len() as u64 - 1));
        assert!(copy == long[1..]);
        let names: Vec<String> = repository
            .list("")
            .unwrap()
            .into_iter()
            .map(|object| format!("{} {}", object.name, object.size))
            .collect();
        assert_eq!(
            names,
            ["a/b 18".to_owned(), format!("a/deeper/long {}", long.len() - 1), "a/new 4".to_owned()]
        );
        assert_eq!(repository.folders("").unwrap(), ["a"]);
        assert_eq!(repository.folders("a").unwrap(), ["deeper"]);
        assert_eq!(repository.head("a/b").unwrap().unwrap().size, 18);
        assert_eq!(repository.head("a").unwrap(), None, "a folder is no object");
        repository.delete("a/b").unwrap();
        repository.delete("a/b").unwrap();
        assert_eq!(repository.get("a/b").unwrap(), None);
        struct Breaks(bool);
        impl std::io::Read for Breaks {
            fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    Err(std::io::Error::other("gone"))
                } else {
                    Ok(out.len())
                }
            }
        }
        repository.put_all("a/broken", &mut Breaks(false)).unwrap_err();
        assert_eq!(repository.head("a/broken").unwrap(), None);
        assert!(all_files(&url).iter().all(|file| !file.contains("broken")), "nothing is left of it");
    }

    pub fn a_model_goes_through_hdfs_into_a_running_pipeline_and_old_versions_are_taken_out(host: &str) {
        let _cluster = cluster();
        let follow = "keep = 1\nkeep_for = \"1ms\"\ngrace = \"1s\"\n[subscriptions.films]\nuse = \"model\"";
        let home = publishing(&place(host, "models"), follow);
        home.ok(&["replay", "log.jsonl"]);
        let version = |published: serde_json::Value| published["version"].as_str().unwrap().to_owned();
        let publish = |model: &str| version(home.json(&["publish", "films", "--model", model]));
        let first = publish("a");
        let pipeline = home.serve(&["run", "--follow"]);
        let live = |model: &str| {
            let wanted = version(home.json(&["model", "show", model]));
            until("the model is live", || pipeline.ok("/v1/models")["live"] == wanted.as_str());
        };
        live("a");
        let second = publish("b");
        live("b");
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        let removed = home.json(&["publications", "gc"]);
        assert_eq!(removed[0]["version"], first.as_str(), "{removed}");
        let listed = home.json(&["publications"]);
        assert_eq!((&listed[0]["versions"], &listed[0]["newest"]["version"]), (&1.into(), &second.into()));
    }

    pub fn a_publisher_that_is_killed_in_the_middle_leaves_nothing_to_be_seen_and_what_it_left_is_swept(
        host: &str,
    ) {
        let _cluster = cluster();
        let url = place(host, "killed");
        let home = publishing(&url, "grace = \"1s\"");
        large(&home);
        let first = home.json(&["publish", "films", "--model", "a"]);
        let mut child = home.command(&PUBLISH_LARGE).stdout(Stdio::null()).spawn().unwrap();
        until_uploading(&url);
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = home.json(&["publications"]);
        assert_eq!(listed[0]["newest"]["version"], first["version"]);
        assert_eq!(listed[0]["versions"], 1);
        let left = || all_files(&url).iter().filter(|file| file.contains(".tmp.")).count();
        assert_eq!(left(), 1, "what it was writing");
        until("what it left is old enough to be swept", || {
            home.ok(&["publications", "gc"]);
            left() == 0
        });
        home.ok(&PUBLISH_LARGE);
        fetched(&home);
    }

    pub fn a_cluster_that_is_killed_in_the_middle_of_a_publication_is_waited_for(host: &str) {
        let _cluster = cluster_to_kill();
        let url = place(host, "lost");
        let home = publishing(&url, "");
        large(&home);
        let child =
            home.command(&PUBLISH_LARGE).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until_uploading(&url);
        services("kill");
        services("up");
        let Said { code, err, .. } = said(child.wait_with_output().unwrap());
        assert_eq!(code, 0, "{err}");
        fetched(&home);
    }

    pub fn an_archive_in_hdfs_is_shipped_compacted_erased_and_read_again(host: &str) {
        let _cluster = cluster();
        let url = place(host, "archive");
        let home = Home::new();
        home.write("nearline.toml", &format!("[archive]\nrepository = \"{url}\"\ncompact_files = 2\n"));
        home.write("none.toml", "");
        for part in 0..3 {
            let lines: String =
                (part * 100..(part + 1) * 100).map(|i| event(&format!("m{}", i % 7), i)).collect();
            home.ok_pipe(&["run", "--epoch-records", "16", "-"], &lines);
        }
        archive_holds(&home, 300);
        let receipt = home.json(&["forget", "m5"]);
        assert!(receipt["archived"][0].as_str().unwrap().starts_with(&url), "{receipt}");
        let verdict = home.json(&["archive", "verify"]);
        assert_eq!((&verdict["missing"], &verdict["beyond"]), (&0.into(), &0.into()), "{verdict}");
        home.ok(&["--data", "again", "--config", "none.toml", "replay", &url]);
        assert_eq!(home.verified("again"), home.verified("nearline-data"));
        let one = home.ok(&["archive", "files"]).lines().next().unwrap().to_owned();
        assert!(one.starts_with(&url), "{one}");
        home.ok(&["--config", "none.toml", "check", &one]);
        #[cfg(feature = "query")]
        {
            let said =
                home.ok(&["query", "select count(*) as n from records where type = 'event'", "--json"]);
            let expected = (0..300).filter(|i| i % 7 != 5).count();
            assert!(said.contains(&format!("{expected}")), "{said}");
        }
    }

    pub fn a_cluster_that_is_killed_while_it_is_archived_to_is_caught_up_with(host: &str) {
        let _cluster = cluster_to_kill();
        let url = place(host, "caught");
        let home = Home::new();
        home.write(
            "nearline.toml",
            &format!("[archive]\nrepository = \"{url}\"\nevery = \"1ms\"\ncompact_files = 3\n"),
        );
        let mut running = home.start(&["run", "--epoch-records", "8", "-"]);
        let mut sent = 0;
        let mut send = |running: &mut crate::support::Running, count: usize| {
            for _ in 0..count {
                running.send(&event(&format!("m{}", sent % 7), sent));
                sent += 1;
            }
            let all =
                |count: usize| home.json(&["status"])["counts"]["live_events"].as_u64() == Some(count as u64);
            until("all is committed", || all(sent));
        };
        send(&mut running, 100);
        until("something is there", || !all_files(&url).is_empty());
        services("kill");
        // What comes meanwhile is committed, and waits.
        send(&mut running, 100);
        services("up");
        send(&mut running, 20);
        running.finish().ok();
        archive_holds(&home, 220);
    }

    pub fn who_may_not_is_told_at_once_and_what_is_not_there_is_said(host: &str) {
        let _cluster = cluster();
        // The root of the cluster is of who started it.
        let home = publishing(&format!("hdfs://{host}/nobodys"), "[hdfs]\nuser = \"nobody\"");
        let began = std::time::Instant::now();
        let told = home.say(&["publish", "films", "--model", "a"]).ended(3);
        assert!(told.contains("Permission denied") && told.contains("`user` of [hdfs]"), "{told}");
        assert!(began.elapsed().as_secs() < 15, "it was not tried again and again");
        let told = home.say(&["publications", "--from", "hdfs://"]).ended(2);
        assert!(told.contains("hdfs://HOST:PORT/FOLDER"), "{told}");
        home.write("nearline.toml", "[hdfs]\nusers = \"me\"\n");
        let told = home.say(&["publications", "--from", &format!("hdfs://{host}/x")]).ended(2);
        assert!(told.contains("users") && told.contains("dfs.nameservices"), "{told}");
    }
}
