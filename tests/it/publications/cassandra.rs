//! In Cassandra, which `NEARLINE_CASSANDRA` names: `scripts/test.sh --services` starts it. One test kills it, so the others hold
//! what all tests with that server hold.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLockReadGuard};
use std::time::Duration;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use super::server::{PUBLISH_LARGE, is_as_published, large, listed, variable};
use super::{followed, home, text, until_used, version};
use crate::mirrors::SERVERS;
use crate::support::{Home, Said, said, until};

macro_rules! with_a_server {
    ($($name:ident)*) => {
        $(#[test] fn $name() {
            if let Some(place) = variable("NEARLINE_CASSANDRA") {
                on::$name(&place);
            }
        })*

        #[test]
        fn what_is_skipped_without_cassandra_is_said() {
            if variable("NEARLINE_CASSANDRA").is_none() {
                let names = [$(stringify!($name)),*];
                // Not by `eprintln!`, which a test that passes keeps to itself.
                let said = format!(
                    "\nskipped {} tests, as NEARLINE_CASSANDRA names no server (scripts/test.sh --services starts one): {}\n",
                    names.len(),
                    names.join(", "),
                );
                std::io::stderr().write_all(said.as_bytes()).unwrap();
            }
        }
    };
}

with_a_server! {
    a_model_goes_through_cassandra_into_a_running_pipeline_and_old_versions_are_taken_out
    two_who_publish_the_same_at_once_make_one_version_that_is_whole
    a_publisher_that_is_killed_in_the_middle_leaves_nothing_that_is_not_swept
    a_server_that_is_killed_in_the_middle_is_waited_for
    what_cannot_be_is_said_before_anything_is_sent
}

/// A home whose repository is a place of its own in a keyspace.
fn in_cassandra(server: &str, name: &str, more: &str) -> Home {
    let home = home("");
    let repository = format!("cassandra://{server}/nearline/{name}-{}", std::process::id());
    home.write(
        "nearline.toml",
        &format!(
            "[publications]\nrepository = \"{repository}\"\npoll_s3 = \"100ms\"\n{more}\n[cassandra]\nreplication = 1\n{}",
            user_and_password()
        ),
    );
    home
}

/// As the config has them; nothing where the server asks for none.
pub fn user_and_password() -> String {
    let of = |name: &str| variable(&format!("NEARLINE_CASSANDRA_{name}"));
    match (of("USER"), of("PASSWORD")) {
        (Some(user), Some(password)) => format!("user = \"{user}\"\npassword = \"{password}\"\n"),
        _ => String::new(),
    }
}

/// A look at the rows of a home's repository.
struct Look {
    runtime: tokio::runtime::Runtime,
    session: Session,
    repository: String,
}

impl Look {
    fn new(server: &str, home: &Home) -> Look {
        let config = std::fs::read_to_string(home.path("nearline.toml")).unwrap();
        let url = config.lines().find_map(|line| line.strip_prefix("repository = ")).unwrap();
        let repository = format!("/{}", url.trim_matches('"').rsplit('/').next().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut builder = SessionBuilder::new().known_node(server);
        if let Some(user) = variable("NEARLINE_CASSANDRA_USER") {
            builder = builder.user(user, variable("NEARLINE_CASSANDRA_PASSWORD").unwrap());
        }
        let session = runtime.block_on(builder.build()).unwrap();
        Look { runtime, session, repository }
    }

    /// How many uploads have begun and not ended.
    fn uploads(&self) -> usize {
        let ask = "SELECT name FROM nearline.nearline_objects_1 \
                   WHERE repository = ? AND folder = 'films' AND kind = 'upload'";
        let found = self.runtime.block_on(self.session.query_unpaged(ask, (&self.repository,))).unwrap();
        found.into_rows_result().unwrap().rows_num()
    }

    /// Waits until one is under way.
    fn until_uploading(&self) {
        until("an upload is under way", || self.uploads() == 1);
    }
}

/// The server stays as it is while this is held.
fn held() -> RwLockReadGuard<'static, ()> {
    SERVERS.read().unwrap_or_else(PoisonError::into_inner)
}

mod on {
    use super::*;

    pub fn a_model_goes_through_cassandra_into_a_running_pipeline_and_old_versions_are_taken_out(
        place: &str,
    ) {
        let _server = held();
        let follow = "keep = 1\nkeep_for = \"1ms\"\ngrace = \"1s\"\n[subscriptions.films]\nuse = \"model\"";
        let home = in_cassandra(place, "models", follow);
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
        std::thread::sleep(Duration::from_millis(2_100));
        let removed = home.json(&["publications", "gc"]);
        assert_eq!(removed[0]["version"], first.as_str(), "{removed}");
        assert_eq!(listed(&home)[0]["versions"], 1);
        assert_eq!(listed(&home)[0]["in_use"][0]["version"], second.as_str());
    }

    pub fn two_who_publish_the_same_at_once_make_one_version_that_is_whole(place: &str) {
        let _server = held();
        let home = in_cassandra(place, "both", "");
        large(&home, 24);
        let publishers = [(); 2].map(|()| {
            home.command(&PUBLISH_LARGE).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let versions = publishers.map(|child| {
            let said: serde_json::Value =
                serde_json::from_str(&said(child.wait_with_output().unwrap()).ok()).unwrap();
            text(&said["version"])
        });
        assert_eq!(versions[0], versions[1]);
        assert_eq!(listed(&home)[0]["versions"], 1);
        is_as_published(&home);
    }

    pub fn a_publisher_that_is_killed_in_the_middle_leaves_nothing_that_is_not_swept(place: &str) {
        let _server = held();
        let home = in_cassandra(place, "killed", "grace = \"1s\"");
        large(&home, 240);
        let first = home.json(&["publish", "films", "--model", "a"]);
        let look = Look::new(place, &home);
        let mut child = home.command(&PUBLISH_LARGE).stdout(Stdio::null()).spawn().unwrap();
        look.until_uploading();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(look.uploads(), 1);
        let newest = listed(&home);
        assert_eq!(newest[0]["newest"]["version"], first["version"]);
        assert_eq!(newest[0]["versions"], 1);
        std::thread::sleep(Duration::from_millis(1_100));
        home.ok(&["publications", "gc"]);
        assert_eq!(look.uploads(), 0);
        home.ok(&PUBLISH_LARGE);
        is_as_published(&home);
    }

    pub fn a_server_that_is_killed_in_the_middle_is_waited_for(place: &str) {
        let _server = SERVERS.write().unwrap_or_else(PoisonError::into_inner);
        let home = in_cassandra(place, "lost", "[subscriptions.films]\nuse = \"watch\"");
        large(&home, 240);
        home.ok(&["replay", "log.jsonl"]);
        home.json(&["publish", "films", "--model", "a"]);
        let pipeline = home.serve(&["run", "--follow"]);
        until("it is watched", || !followed(&pipeline, "films")["newest"].is_null());
        let look = Look::new(place, &home);
        let child =
            home.command(&PUBLISH_LARGE).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        look.until_uploading();
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

    pub fn what_cannot_be_is_said_before_anything_is_sent(place: &str) {
        let _server = held();
        let home = in_cassandra(place, "wrong", "");
        let none = format!("cassandra://{place}/no_such_keyspace");
        home.write("without.toml", &format!("[cassandra]\nobject_mb = 1\n{}", user_and_password()));
        let publish = |to: &str, what: &[&str]| {
            home.say(&[&["--config", "without.toml", "publish", "films", "--to", to][..], what].concat())
        };
        let said = publish(&none, &["--model", "a"]).ended(3);
        assert!(said.contains("no_such_keyspace") && said.contains("replication"), "{said}");
        // Too large, and nothing of it is there: neither the file that is, nor the one that would fit.
        home.write("small.txt", "small");
        std::fs::write(home.path("large.bin"), vec![7; 1_000_001]).unwrap();
        let there = format!("cassandra://{place}/nearline/wrong-{}", std::process::id());
        let files = ["--files", "small.txt", "large.bin", "--kind", "query"];
        let said = publish(&there, &files).ended(2);
        assert!(said.contains("large.bin") && said.contains("1 MB") && said.contains("HDFS"), "{said}");
        let left = home.json(&["--config", "without.toml", "publications", "--from", &there]);
        assert_eq!((&left[0]["versions"], &left[0]["bytes"]), (&0.into(), &0.into()), "{left}");
        // The archive grows without end.
        home.write("without.toml", &format!("[archive]\nrepository = \"{there}\"\n"));
        let said = home.say(&["--config", "without.toml", "replay", "log.jsonl"]).ended(2);
        assert!(said.contains("archive.repository") && said.contains("grows"), "{said}");
    }
}

/// As `scripts/services.sh` does it, to the server that this test was told of.
fn services(what: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services.sh");
    let done = Command::new("bash").arg(script).args([what, "cassandra"]).stdout(Stdio::null()).status();
    assert!(done.unwrap().success(), "scripts/services.sh {what} cassandra");
}
