//! In S3, with a server that `NEARLINE_S3` names by its URL: `scripts/test.sh --services` starts it, with a bucket
//! `nearline`. One test kills it, so the others hold `SERVER` while they need it. It keeps everything in memory: killed, it has
//! lost what it had said it had, which S3 itself never does.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::{followed, home, text, until_used, version};
use crate::support::{Home, Said, agent, said, until};

macro_rules! with_a_server {
    ($($name:ident)*) => {
        $(#[test] fn $name() {
            if let Some(url) = variable("NEARLINE_S3") {
                on::$name(&url);
            }
        })*

        #[test]
        fn what_is_skipped_without_s3_is_said() {
            if variable("NEARLINE_S3").is_none() {
                let names = [$(stringify!($name)),*];
                // Not by `eprintln!`, which a test that passes keeps to itself.
                let said = format!(
                    "\nskipped {} tests, as NEARLINE_S3 names no server (scripts/test.sh --services starts one): {}\n",
                    names.len(),
                    names.join(", "),
                );
                std::io::stderr().write_all(said.as_bytes()).unwrap();
            }
        }
    };
}

with_a_server! {
    a_model_goes_through_s3_into_a_running_pipeline_and_old_versions_are_taken_out
    a_publisher_that_is_killed_in_the_middle_leaves_nothing_and_the_next_one_is_whole
    a_server_that_is_killed_in_the_middle_is_waited_for_and_what_it_lost_is_sent_again
    a_bucket_that_is_not_there_is_said
}

pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

static SERVER: RwLock<()> = RwLock::new(());

fn server() -> RwLockReadGuard<'static, ()> {
    SERVER.read().unwrap_or_else(PoisonError::into_inner)
}

/// A home whose repository is a place of its own in the bucket.
fn in_s3(url: &str, place: &str, more: &str) -> Home {
    let home = home("");
    let repository = format!("s3://nearline/{place}-{}", std::process::id());
    home.write(
        "nearline.toml",
        &format!(
            "[publications]\nrepository = \"{repository}\"\npoll_s3 = \"100ms\"\n{more}\n[s3]\nendpoint = \"{url}\"\n\
             allow_http = true\nregion = \"us-east-1\"\naccess_key_id = \"test\"\nsecret_access_key = \"test\"\n"
        ),
    );
    home
}

/// A file of so many MB, 96 of which take a while to send.
pub fn large(home: &Home, megabytes: usize) {
    let mut chance = crate::support::Chance(3);
    let bytes: Vec<u8> =
        (0..megabytes << 17).flat_map(|_| (chance.below(1 << 30) as u64).to_le_bytes()).collect();
    std::fs::write(home.path("large.bin"), bytes).unwrap();
}

pub const PUBLISH_LARGE: [&str; 7] =
    ["publish", "films", "--files", "large.bin", "--kind", "query", "--json"];

/// Waits until an upload is under way.
fn until_uploading(url: &str, place: &str) {
    let wanted = format!("{place}-{}/films", std::process::id());
    until("an upload is under way", || {
        let answer = agent().get(format!("{url}/nearline?uploads")).call();
        answer.is_ok_and(|mut answer| answer.body_mut().read_to_string().unwrap().contains(&wanted))
    });
}

/// The newest version, fetched, is that file.
#[track_caller]
pub fn is_as_published(home: &Home) {
    let got = home.json(&["subscribe", "films", "--once", "--into", "fetched"]);
    let fetched = Path::new(got["folder"].as_str().unwrap()).join("large.bin");
    let [fetched, published] = [home.path("").join(fetched), home.path("large.bin")].map(std::fs::read);
    assert!(fetched.unwrap() == published.unwrap());
}

pub fn listed(home: &Home) -> serde_json::Value {
    home.json(&["publications"])
}

mod on {
    use super::*;

    pub fn a_model_goes_through_s3_into_a_running_pipeline_and_old_versions_are_taken_out(url: &str) {
        let _server = server();
        let follow = "keep = 1\nkeep_for = \"1ms\"\ngrace = \"1s\"\n[subscriptions.films]\nuse = \"model\"";
        let home = in_s3(url, "models", follow);
        home.ok(&["replay", "log.jsonl"]);
        let publish = |model: &str| text(&home.json(&["publish", "films", "--model", model])["version"]);
        let first = publish("a");
        let pipeline = home.serve(&["run", "--follow"]);
        until_used(&pipeline, &first);
        let second = publish("b");
        until_used(&pipeline, &second);
        assert_eq!(pipeline.ok("/v1/models")["live"], version(&home, "b").as_str());
        let got = home.json(&["subscribe", "films", "--once", "--into", "fetched"]);
        assert_eq!(version(&home, &text(&got["folder"])), version(&home, "b"));
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        let removed = home.json(&["publications", "gc"]);
        assert_eq!(removed[0]["version"], first.as_str(), "{removed}");
        assert_eq!(listed(&home)[0]["versions"], 1);
        assert_eq!(listed(&home)[0]["in_use"][0]["version"], second.as_str());
    }

    pub fn a_publisher_that_is_killed_in_the_middle_leaves_nothing_and_the_next_one_is_whole(url: &str) {
        let _server = server();
        let home = in_s3(url, "killed", "");
        large(&home, 96);
        let first = home.json(&["publish", "films", "--model", "a"]);
        let mut child = home.command(&PUBLISH_LARGE).stdout(Stdio::null()).spawn().unwrap();
        until_uploading(url, "killed");
        child.kill().unwrap();
        child.wait().unwrap();
        let newest = listed(&home);
        assert_eq!(newest[0]["newest"]["version"], first["version"]);
        assert_eq!(newest[0]["versions"], 1);
        home.ok(&PUBLISH_LARGE);
        is_as_published(&home);
    }

    pub fn a_server_that_is_killed_in_the_middle_is_waited_for_and_what_it_lost_is_sent_again(url: &str) {
        let _server = SERVER.write().unwrap_or_else(PoisonError::into_inner);
        let home = in_s3(url, "lost", "[subscriptions.films]\nuse = \"watch\"");
        large(&home, 96);
        home.ok(&["replay", "log.jsonl"]);
        home.json(&["publish", "films", "--model", "a"]);
        let pipeline = home.serve(&["run", "--follow"]);
        until("it is watched", || !followed(&pipeline, "films")["newest"].is_null());
        let child =
            home.command(&PUBLISH_LARGE).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until_uploading(url, "lost");
        services("kill");
        until("the failure is seen", || !followed(&pipeline, "films")["failure"].is_null());
        services("up");
        let Said { code, out, err } = said(child.wait_with_output().unwrap());
        assert_eq!(code, 0, "{err}");
        let published: serde_json::Value = serde_json::from_str(&out).unwrap();
        let newest = || followed(&pipeline, "films")["newest"]["version"].clone();
        until("it is told", || newest() == published["version"]);
        is_as_published(&home);
        until("all is well again", || followed(&pipeline, "films")["failure"].is_null());
    }

    pub fn a_bucket_that_is_not_there_is_said(url: &str) {
        let _server = server();
        let home = in_s3(url, "wrong", "");
        let said =
            home.say(&["publish", "films", "--model", "a", "--to", "s3://no-such-bucket-here"]).ended(3);
        assert!(said.contains("no-such-bucket-here") && said.contains("bucket"), "{said}");
    }

    /// As `scripts/services.sh` does it, to the server that this test was told of.
    fn services(what: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services.sh");
        let done =
            Command::new("bash").arg(script).args([what, "s3"]).stdout(Stdio::null()).status().unwrap();
        assert!(done.success(), "scripts/services.sh {what} s3");
    }
}
