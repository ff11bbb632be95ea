//! Mirrors in real servers, which `scripts/test.sh --services` starts and whose addresses are in the environment. Some tests
//! kill them, so the others hold `SERVERS` (of Kafka `BROKER`) while they need one.

mod kafka;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use serde_json::Value;

use self::kafka::{
    Topic, a_topic_that_is_deleted_or_made_anew_is_filled_anew, a_topic_that_is_not_compacted_is_refused,
    consumers_find_all_of_a_member_in_one_partition_in_order_and_know_how_far_they_are,
    partitions_that_are_added_are_filled_and_nothing_is_left_where_it_was,
    tls_and_scram_are_set_for_the_mirror, what_is_taken_out_is_off_the_brokers_disks_after_the_lag,
    what_somebody_else_writes_over_is_made_good,
};
use crate::kafka::BROKER;
use crate::support::{Chance, Home, Running, Server, items_of, until};

/// A kind of server.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    /// The variable that says where one is.
    variable: &'static str,
}

const MEMCACHED: Kind = Kind { name: "memcached", variable: "NEARLINE_MEMCACHED" };
const REDIS: Kind = Kind { name: "redis", variable: "NEARLINE_REDIS" };
const KAFKA: Kind = Kind { name: "kafka", variable: "NEARLINE_KAFKA" };
#[cfg(feature = "mysql")]
const MYSQL: Kind = Kind { name: "mysql", variable: "NEARLINE_MYSQL" };
#[cfg(feature = "cassandra")]
const CASSANDRA: Kind = Kind { name: "cassandra", variable: "NEARLINE_CASSANDRA" };

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Tests on each kind of server. Those of servers that are not there are skipped, and it is said.
macro_rules! on_servers {
    ($($kind:ident $module:ident: $($name:ident)*;)*) => {
        $(mod $module {
            use super::*;

            $(#[test] fn $name() {
                if let Some(place) = variable($kind.variable) {
                    super::$name(At::new($kind, place));
                }
            })*

            #[test]
            fn what_is_skipped_without_a_server_is_said() {
                if variable($kind.variable).is_none() {
                    let names = [$(stringify!($name)),*];
                    let said = format!(
                        "\nskipped {} tests, as {} names no server (scripts/test.sh --services starts one): {}\n",
                        names.len(), $kind.variable, names.join(", "),
                    );
                    // Not by `eprintln!`, which a test that passes keeps to itself.
                    std::io::stderr().write_all(said.as_bytes()).unwrap();
                }
            }
        })*
    };
}

on_servers! {
    MEMCACHED memcached:
        a_mirror_is_as_the_store_and_says_where_it_is_not
        a_member_who_is_forgotten_is_in_no_mirror
        a_process_that_is_killed_goes_on_where_it_was
        a_server_that_is_killed_in_the_middle_holds_nothing_up_and_is_caught_up_with;
    REDIS redis:
        a_mirror_is_as_the_store_and_says_where_it_is_not
        a_member_who_is_forgotten_is_in_no_mirror
        a_process_that_is_killed_goes_on_where_it_was
        a_server_that_is_killed_in_the_middle_holds_nothing_up_and_is_caught_up_with;
    KAFKA in_kafka:
        a_mirror_is_as_the_store_and_says_where_it_is_not
        a_member_who_is_forgotten_is_in_no_mirror
        a_process_that_is_killed_goes_on_where_it_was
        a_server_that_is_killed_in_the_middle_holds_nothing_up_and_is_caught_up_with
        consumers_find_all_of_a_member_in_one_partition_in_order_and_know_how_far_they_are
        what_is_taken_out_is_off_the_brokers_disks_after_the_lag
        a_topic_that_is_deleted_or_made_anew_is_filled_anew
        partitions_that_are_added_are_filled_and_nothing_is_left_where_it_was
        what_somebody_else_writes_over_is_made_good
        a_topic_that_is_not_compacted_is_refused
        tls_and_scram_are_set_for_the_mirror;
}
#[cfg(feature = "mysql")]
on_servers! {
    MYSQL mysql:
        a_mirror_is_as_the_store_and_says_where_it_is_not
        a_member_who_is_forgotten_is_in_no_mirror
        a_process_that_is_killed_goes_on_where_it_was
        a_server_that_is_killed_in_the_middle_holds_nothing_up_and_is_caught_up_with
        lists_can_be_asked_for_by_sql;
}
#[cfg(feature = "cassandra")]
on_servers! {
    CASSANDRA cassandra:
        a_mirror_is_as_the_store_and_says_where_it_is_not
        a_member_who_is_forgotten_is_in_no_mirror
        a_process_that_is_killed_goes_on_where_it_was
        a_server_that_is_killed_in_the_middle_holds_nothing_up_and_is_caught_up_with;
}

/// Held for writing by whoever kills one.
pub static SERVERS: RwLock<()> = RwLock::new(());

/// A server.
struct At {
    kind: Kind,
    place: String,
}

impl At {
    fn new(kind: Kind, place: String) -> At {
        At { kind, place }
    }

    fn held(&self) -> RwLockReadGuard<'static, ()> {
        self.lock().read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What whoever kills the server holds alone.
    fn lock(&self) -> &'static RwLock<()> {
        if self.kind.name == "kafka" { &BROKER } else { &SERVERS }
    }

    /// The topic in which mirrors are, of Kafka.
    fn topic(&self) -> String {
        format!("mirrors-{}", std::process::id())
    }

    /// A home with a mirror of all views, whose names begin with a prefix of its own.
    fn home(&self, prefix: &str) -> Home {
        let home = Home::new();
        home.write("nearline.toml", &self.config(prefix));
        home.write("log.jsonl", &log(1, 400));
        home.ok(&["train", "log.jsonl", "--out", "model", "--rank", "4", "--iterations", "2"]);
        home
    }

    fn config(&self, prefix: &str) -> String {
        let (path, more) = match self.kind.name {
            "mysql" => {
                let of = |name: &str| variable(name).unwrap_or_default();
                let (user, password) = (of("NEARLINE_MYSQL_USER"), of("NEARLINE_MYSQL_PASSWORD"));
                ("/nearline".to_owned(), format!("user = \"{user}\"\npassword = \"{password}\"\n"))
            }
            #[cfg(feature = "cassandra")]
            "cassandra" => {
                let user = crate::publications::cassandra::user_and_password();
                ("/nearline".to_owned(), format!("replication = 1\n{user}"))
            }
            "kafka" => (format!("/{}", self.topic()), String::new()),
            _ => (String::new(), String::new()),
        };
        format!(
            "[mirrors.there]\nurl = \"{}://{}{path}\"\nprefix = \"{prefix}_{}\"\n\
             views = [\"top_picks\", \"continue_watching\", \"trending\", \"popularity\"]\n{more}",
            self.kind.name,
            self.place,
            std::process::id()
        )
    }

    fn services(&self, what: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services.sh");
        let done = Command::new("bash")
            .arg(script)
            .args([what, self.kind.name])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "scripts/services.sh {what} {}", self.kind.name);
    }
}

/// What members do, some of it taken back.
fn log(seed: u64, events: usize) -> String {
    let mut chance = Chance(seed);
    let mut lines = String::new();
    for number in 0..events {
        let (member, item) = (chance.below(30), chance.below(40));
        let (value, hour) = (chance.below(10), chance.below(24));
        let event = format!(
            r#""member":"m {member}","item":"i{item}","kind":"play","value":0.{value},"at":"2024-03-01T{hour:02}:00:00Z","id":"{seed}-{number}","context":{{"country":"US"}}}}"#
        );
        lines += &format!("{{{event}\n");
        if chance.below(10) == 0 {
            lines += &format!("{{\"type\":\"retract\",{event}\n");
        }
    }
    lines
}

fn verify(home: &Home) -> (i32, Value) {
    let said = home.say(&["verify", "--mirror", "there", "--json"]);
    assert!(said.code < 2, "{said:?}");
    (said.code, serde_json::from_str(&said.out).unwrap())
}

/// The mirror is as the store, and holds something.
fn equal(home: &Home) {
    let (code, verdict) = verify(home);
    assert_eq!(code, 0, "{verdict}");
    assert!(verdict["same"].as_u64().unwrap() > 30, "{verdict}");
}

fn a_mirror_is_as_the_store_and_says_where_it_is_not(at: At) {
    let _held = at.held();
    let home = at.home("same");
    home.ok(&["replay", "--model", "model", "log.jsonl"]);
    equal(&home);
    home.write("more.jsonl", &log(2, 200));
    home.ok(&["run", "--epoch-records", "20", "more.jsonl"]);
    equal(&home);
    let status = home.json(&["mirrors", "status"]);
    assert_eq!(status["mirrors"][0]["acked"], home.json(&["status"])["epoch"], "{status}");
    assert_eq!(status["mirrors"][0]["waiting"], 0, "{status}");

    if at.kind.name == "kafka" {
        let said = home.say(&["serve", "--from", "there"]).ended(2);
        assert!(said.contains("cannot be asked for a member's list"), "{said}");
    } else {
        answers_as_the_folder(&home);
    }

    // Another folder writes over it: that is seen, and made good.
    let other = at.home("same");
    other.write("log.jsonl", &log(9, 100));
    other.ok(&["run", "log.jsonl"]);
    equal(&other);
    let (code, verdict) = verify(&home);
    assert_eq!(code, 1, "{verdict}");
    assert!(verdict["missing"].as_u64().unwrap() > 0 && !verdict["examples"][0].is_null(), "{verdict}");
    // The mirror speaks of an epoch before the one that it had acknowledged.
    home.ok(&["mirrors", "ship"]);
    equal(&home);
    home.ok(&["mirrors", "fill", "there"]);
    equal(&home);

    // Without the mirror in the config nothing is written, as it would be left behind without a word.
    home.write("none.toml", "");
    let refused = home.say(&["--config", "none.toml", "run", "log.jsonl"]).ended(2);
    assert!(refused.contains("mirrors leave there"), "{refused}");
    home.ok(&["mirrors", "leave", "there"]);
    home.ok(&["--config", "none.toml", "run", "log.jsonl"]);
}

/// Lists from the mirror are those of the folder.
fn answers_as_the_folder(home: &Home) {
    let server = home.serve(&["serve", "--from", "there"]);
    for list in ["top_picks", "continue_watching", "trending"] {
        let answer = server.ok(&format!("/v1/members/m%203/lists/{list}?limit=10"));
        let wanted = home.json(&["get", "m 3", "--list", list, "--limit", "10"]);
        if list != "trending" {
            // What is trending leaves out what a member has seen, which a mirror does not know.
            assert_eq!(items_of(&answer), items_of(&wanted), "{list}: {answer}");
            assert_eq!(answer["source"], "nearline");
        }
        assert_eq!(answer["epoch"], wanted["epoch"]);
        assert_eq!(answer["as_of"], wanted["as_of"]);
    }
    assert_eq!(server.ok("/v1/members/m%203/lists/top_picks")["model"], home.json(&["status"])["model"]);
    let nobody = server.ok("/v1/members/nobody/lists/top_picks");
    assert_eq!((&nobody["source"], items_of(&nobody).is_empty()), (&"trending".into(), false), "{nobody}");
    assert_eq!(server.get("/v1/members/m%203/lists/new").0, 404);
    assert_eq!(server.get("/v1/members/m%203/lists/top_picks?genre=Crime").0, 400);
    assert_eq!(server.get("/v1/popular").0, 404);
    assert_eq!(server.ok("/health/ready")["status"], "ok");
}

/// Who looks whether a member has a list in the mirror.
enum Looks {
    /// Over HTTP, from the mirror.
    Server(Server),
    /// As a consumer of the topic.
    Topic(Topic),
}

impl Looks {
    fn new(at: &At, home: &Home) -> Looks {
        match at.kind.name {
            "kafka" => Looks::Topic(Topic::of(at, &at.topic())),
            _ => Looks::Server(home.serve(&["serve", "--from", "there"])),
        }
    }

    fn has(&self, prefix: &str, member: &str) -> bool {
        match self {
            Looks::Server(server) => {
                let path = format!("/v1/members/{}/lists/top_picks", member.replace(' ', "%20"));
                // A server with much to do may be late, and says to ask again.
                let mut answer = (503, Value::Null);
                until("it is answered in time", || {
                    answer = server.get(&path);
                    answer.0 != 503
                });
                assert_eq!(answer.0, 200, "{path}: {}", answer.1);
                answer.1["source"] == "nearline"
            }
            Looks::Topic(topic) => topic.has(&format!("{prefix}_{}", std::process::id()), member),
        }
    }
}

fn a_member_who_is_forgotten_is_in_no_mirror(at: At) {
    let _held = at.held();
    let home = at.home("gone");
    home.ok(&["run", "--model", "model", "log.jsonl"]);
    equal(&home);
    let looks = Looks::new(&at, &home);
    let has = |member: &str| looks.has("gone", member);
    assert_eq!([has("m 3"), has("m 4"), has("m 5")], [true; 3]);
    let receipt = home.json(&["forget", "m 3"]);
    assert!(receipt["mirrors"][0].as_str().unwrap().contains(&at.place), "{receipt}");
    assert!(!has("m 3"));
    // Also while a pipeline runs, by command and by record.
    let pipeline = home.serve(&["run", "--follow"]);
    home.json(&["forget", "m 4"]);
    assert!(!has("m 4"));
    let (code, answer) =
        pipeline.post("/v1/events", "{\"type\":\"forget\",\"member\":\"m 5\",\"at\":4000000000000}\n");
    assert_eq!((code, &answer["accepted"]), (200, &1.into()), "{answer}");
    until("the mirror lets go", || !has("m 5"));
    drop(pipeline);
    home.ok(&["forget", "--pending"]);
    equal(&home);
    // Nor does the queue name them.
    let stored = nearline::stores::rocks::RocksStore::open_reader(&home.path("nearline-data")).unwrap();
    let mut queued = 0;
    let count = &mut |_: &[u8], _: &[u8]| {
        queued += 1;
        std::ops::ControlFlow::Continue(())
    };
    nearline::stores::Tables::scan(&stored, nearline::stores::Table::MirrorQueue, &[], &[], count).unwrap();
    assert_eq!(queued, 0);
}

fn a_process_that_is_killed_goes_on_where_it_was(at: At) {
    let _held = at.held();
    let home = at.home("killed");
    home.ok(&["replay", "--model", "model", "log.jsonl"]);
    let mut chance = Chance(7);
    for round in 10..14 {
        let mut running: Running = home.start(&["run", "-"]);
        for part in 0..5 {
            running.send(&log(round * 10 + part, 40));
            std::thread::sleep(Duration::from_millis(chance.below(60) as u64));
        }
        running.kill();
    }
    // In the middle of being filled, too.
    home.ok(&["mirrors", "fill", "there"]);
    home.write("more.jsonl", &log(99, 50));
    home.ok(&["run", "more.jsonl"]);
    equal(&home);
}

fn a_server_that_is_killed_in_the_middle_holds_nothing_up_and_is_caught_up_with(at: At) {
    let _alone = at.lock().write().unwrap_or_else(PoisonError::into_inner);
    let home = at.home("caught");
    let config = at.config("caught").replace("views", "queue = 1000\nviews");
    home.write("nearline.toml", &config);
    home.ok(&["replay", "--model", "model", "log.jsonl"]);
    let pipeline = home.serve(&["run", "--follow"]);
    let acked = || home.json(&["mirrors", "status"])["mirrors"][0].clone();
    let epoch = || home.json(&["status"])["epoch"].clone();
    let caught_up = || {
        until("the mirror is caught up with", || {
            let mirror = acked();
            mirror["filling"].is_null() && mirror["acked"] == epoch()
        });
    };
    caught_up();
    at.services("kill");
    // Few changes, which wait; then more than wait.
    let (code, answer) = pipeline.post("/v1/events", log(20, 30));
    assert_eq!(code, 200, "{answer}");
    assert!(acked()["waiting"].as_u64().unwrap() > 0, "{}", acked());
    at.services("up");
    caught_up();
    equal(&home);
    at.services("kill");
    for round in 30..60 {
        let (code, answer) = pipeline.post("/v1/events", log(round, 100));
        assert_eq!(code, 200, "{answer}");
    }
    at.services("up");
    caught_up();
    equal(&home);
}

#[cfg(feature = "mysql")]
fn lists_can_be_asked_for_by_sql(at: At) {
    use sqlx::Connection as _;
    let _held = at.held();
    let home = at.home("asked");
    home.ok(&["run", "--model", "model", "log.jsonl"]);
    let wanted = home.json(&["get", "m 3", "--list", "top_picks", "--limit", "5"]);
    let counts = home.json(&["popular", "--kind", "play", "--limit", "1000"]);
    let all: u64 =
        counts["items"].as_array().unwrap().iter().map(|item| item["count"].as_u64().unwrap()).sum();
    let of = |name: &str| variable(name).unwrap();
    let (host, port) = at.place.rsplit_once(':').unwrap();
    let options = sqlx::mysql::MySqlConnectOptions::new()
        .host(host)
        .port(port.parse().unwrap())
        .database("nearline")
        .username(&of("NEARLINE_MYSQL_USER"))
        .password(&of("NEARLINE_MYSQL_PASSWORD"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let prefix = format!("asked_{}", std::process::id());
    runtime.block_on(async {
        let mut connection = sqlx::MySqlConnection::connect_with(&options).await.unwrap();
        let items: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT item FROM {prefix}_items WHERE member = 'm 3' AND list = 'top_picks' AND position <= 5 ORDER BY position"
        )))
        .fetch_all(&mut connection)
        .await
        .unwrap();
        assert_eq!(items, items_of(&wanted));
        let events: u64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT CAST(SUM(events) AS UNSIGNED) FROM {prefix}_popularity WHERE kind = 'play' AND country = 'US'"
        )))
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(events, all);
    });
}

#[test]
fn a_mirror_whose_server_is_not_there_is_said_and_nothing_is_lost() {
    let home = Home::new();
    home.write("nearline.toml", "[mirrors.cache]\nurl = \"redis://127.0.0.1:1\"\n");
    home.write("log.jsonl", &log(1, 20));
    let said = home.say(&["run", "log.jsonl"]).ended(3);
    assert!(said.contains("redis://127.0.0.1:1") && said.contains("mirrors ship"), "{said}");
    assert!(home.json(&["status"])["counts"]["accepted"].as_u64().unwrap() >= 20);
    let said = home.say(&["mirrors", "ship"]).ended(3);
    assert!(said.contains("the mirror cache"), "{said}");
    let said = home.say(&["verify", "--mirror", "other"]).ended(2);
    assert!(said.contains("cache"), "{said}");
    for nowhere in ["nowhere", "kafka://127.0.0.1:1/films"] {
        let said = home.say(&["serve", "--from", nowhere]).ended(2);
        assert!(said.contains("memcached://") && !said.contains("kafka://HOST"), "{said}");
    }
}
