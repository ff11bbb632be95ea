//! With a real broker, which `NEARLINE_KAFKA` names as HOST:PORT: `scripts/test.sh --services` starts it. One test kills
//! it, so the others hold `BROKER` while they need it.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{PoisonError, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{BROKER, PATIENCE, Sender, digest_of, event, home, interrupt, live, log, sum};
use crate::support::until;

macro_rules! with_a_broker {
    ($($name:ident)*) => {
        $(#[test] fn $name() {
            if let Some(brokers) = variable("NEARLINE_KAFKA") {
                on::$name(&brokers);
            }
        })*

        #[test]
        fn what_is_skipped_without_a_broker_is_said() {
            if variable("NEARLINE_KAFKA").is_none() {
                let names = [$(stringify!($name)),*];
                // Not by `eprintln!`, which a test that passes keeps to itself.
                let said = format!(
                    "\nskipped {} tests, as NEARLINE_KAFKA names no broker (scripts/test.sh --services starts one): {}\n",
                    names.len(),
                    names.join(", "),
                );
                std::io::stderr().write_all(said.as_bytes()).unwrap();
            }
        }
    };
}

with_a_broker! {
    a_log_goes_through_kafka_while_both_are_killed_and_the_digest_is_that_of_the_file
    however_messages_are_compressed_they_are_read
    messages_that_were_deleted_before_they_were_read_are_counted_as_lost
    a_compacted_topic_gives_what_is_left_in_it
    partitions_that_are_added_are_found
    a_topic_that_is_made_anew_while_it_is_followed_is_read_from_its_beginning
    a_topic_that_was_made_anew_in_between_is_recognised_however_long_it_is
    poison_of_every_kind_is_kept_aside_and_transactions_that_were_aborted_are_not_read
    a_backfill_begins_at_a_time_and_ends_where_the_topic_ended
    tls_and_scram_are_set_in_the_config
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn hold() -> RwLockReadGuard<'static, ()> {
    BROKER.read().unwrap_or_else(PoisonError::into_inner)
}

/// `scripts/services.sh`, which started the broker.
fn services(args: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services.sh");
    let said = Command::new("bash").arg(script).args(args).output().unwrap();
    assert!(said.status.success(), "services.sh {args:?}: {}", String::from_utf8_lossy(&said.stderr));
}

/// A topic of one's own, which goes with the test.
struct Topic {
    brokers: String,
    name: String,
    admin: AdminClient<DefaultClientContext>,
    partitions: i32,
}

impl Topic {
    fn new(brokers: &str, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Topic {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let name = format!("{name}-{}-{}", std::process::id(), since.as_nanos());
        let admin = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
        let topic = Topic { brokers: brokers.to_owned(), name, admin, partitions };
        topic.make(settings);
        topic
    }

    fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
    }

    fn make(&self, settings: &[(&str, &str)]) {
        let mut new = NewTopic::new(&self.name, self.partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        // A topic that was deleted may take a moment to be gone.
        until("the topic is made", || {
            let made = wait(self.admin.create_topics([&new], &Self::options())).unwrap();
            made[0].is_ok()
        });
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        until("the topic is there", || {
            let metadata = consumer.fetch_metadata(Some(&self.name), PATIENCE).unwrap();
            let topic = &metadata.topics()[0];
            topic.error().is_none() && topic.partitions().len() == self.partitions as usize
        });
    }

    fn delete(&self) {
        let deleted = wait(self.admin.delete_topics(&[&self.name], &Self::options())).unwrap();
        deleted[0].as_ref().unwrap();
    }

    fn sender(&self, settings: &[(&str, &str)]) -> Sender {
        Sender::new(&self.brokers, &self.name, settings)
    }

    fn address(&self) -> String {
        format!("kafka://{}/{}", self.brokers, self.name)
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        let _ = wait(self.admin.delete_topics(&[&self.name], &Self::options()));
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

mod on {
    use super::*;

    pub fn a_log_goes_through_kafka_while_both_are_killed_and_the_digest_is_that_of_the_file(brokers: &str) {
        let _alone = BROKER.write().unwrap_or_else(PoisonError::into_inner);
        let topic = Topic::new(brokers, "killed", 4, &[]);
        let home = home("\"reconnect.backoff.max.ms\" = 500");
        let text = log(0, 60_000);
        home.write("log.jsonl", &text);
        let address = topic.address();
        let mut running = home.start(&["run", &address]);
        // Sent while it is read; it goes on by itself when the broker is back.
        let mut sending = home.command(&["produce", "log.jsonl", "--to", &address]).spawn().unwrap();
        until("some is read", || live(&home) > 0);
        for _ in 0..4 {
            let before = live(&home);
            running.kill();
            running = home.start(&["run", &address]);
            until("more is read", || live(&home) > before || live(&home) == 60_000);
        }
        services(&["kill", "kafka"]);
        running.kill();
        services(&["up", "kafka"]);
        running = home.start(&["run", &address]);
        services(&["kill", "kafka"]);
        std::thread::sleep(Duration::from_secs(1));
        services(&["up", "kafka"]);
        assert!(sending.wait().unwrap().success());
        until("all is read", || live(&home) == 60_000);
        interrupt(running).ok();
        assert_eq!(home.verified("nearline-data"), digest_of(&home, &text));
        assert_eq!((sum(&home, "lag"), sum(&home, "resets")), (0, 0));
    }

    pub fn however_messages_are_compressed_they_are_read(brokers: &str) {
        let _held = hold();
        let topic = Topic::new(brokers, "compressed", 2, &[]);
        let home = home("");
        for (number, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
            topic.sender(&[("compression.type", codec), ("linger.ms", "50")]).log(&log(number * 500, 500), 2);
        }
        home.ok(&["replay", &topic.address()]);
        assert_eq!(home.verified("nearline-data"), digest_of(&home, &log(0, 2_500)));
    }

    pub fn messages_that_were_deleted_before_they_were_read_are_counted_as_lost(brokers: &str) {
        let _held = hold();
        let topic = Topic::new(brokers, "truncated", 1, &[]);
        let home = home("");
        let sender = topic.sender(&[]);
        sender.log(&log(0, 100), 1);
        home.ok(&["replay", &topic.address()]);
        sender.log(&log(100, 100), 1);
        let delete_to = |offset| {
            let mut to = TopicPartitionList::new();
            to.add_partition_offset(&topic.name, 0, Offset::Offset(offset)).unwrap();
            wait(topic.admin.delete_records(&to, &Topic::options())).unwrap();
        };
        // Up to what was read is no loss.
        delete_to(100);
        home.ok(&["replay", &topic.address()]);
        assert_eq!((live(&home), sum(&home, "resets")), (200, 0));
        sender.log(&log(200, 100), 1);
        delete_to(250);
        let said = home.say(&["replay", &topic.address()]);
        assert!(
            said.err.contains("its messages from 200 to 249 were deleted before they were read"),
            "{said:?}"
        );
        assert_eq!((live(&home), sum(&home, "resets"), sum(&home, "lag")), (250, 1, 0));
        assert_eq!(home.verified("nearline-data"), digest_of(&home, &(log(0, 200) + &log(250, 50))));
    }

    pub fn a_compacted_topic_gives_what_is_left_in_it(brokers: &str) {
        let _held = hold();
        let settings = [
            ("cleanup.policy", "compact"),
            ("segment.ms", "100"),
            ("min.cleanable.dirty.ratio", "0.001"),
            ("max.compaction.lag.ms", "200"),
            ("delete.retention.ms", "60000"),
        ];
        let topic = Topic::new(brokers, "compacted", 1, &settings);
        let sender = topic.sender(&[("linger.ms", "0")]);
        let home = home("");
        for round in 0..5 {
            for key in 0..20 {
                sender.keyed(0, &format!("k{key}"), Some(event(round * 20 + key).as_bytes()), None);
            }
            sender.flush();
            std::thread::sleep(Duration::from_millis(150));
        }
        sender.keyed(0, "k0", None, None);
        sender.flush();
        // The newest segment is never compacted: what comes later makes it an older one.
        let left = || {
            home.say(&["--data", "look", "replay", &topic.address(), "--from", "earliest"]);
            let copy = home.path("look");
            let accepted = home.json(&["--data", "look", "status"])["counts"]["accepted"].as_u64().unwrap();
            std::fs::remove_dir_all(copy).unwrap();
            accepted
        };
        let mut sent = 0;
        until("it was compacted", || {
            sender.keyed(0, "later", Some(event(1_000 + sent).as_bytes()), None);
            sender.flush();
            sent += 1;
            std::thread::sleep(Duration::from_millis(500));
            left() < 60
        });
        home.ok(&["replay", &topic.address()]);
        assert_eq!((sum(&home, "lag"), sum(&home, "resets")), (0, 0), "gaps are no loss");
        let export = home.ok(&["export", "--without-key"]);
        (81..100).for_each(|number| assert!(export.contains(&format!("\"e{number}\"")), "{number}"));
        // A later start goes on behind the gaps.
        sender.keyed(0, "later", Some(event(5_000).as_bytes()), None);
        sender.flush();
        home.ok(&["replay", &topic.address()]);
        assert!(home.ok(&["export", "--without-key"]).contains("\"e5000\""));
        assert_eq!((sum(&home, "lag"), sum(&home, "resets")), (0, 0));
    }

    pub fn partitions_that_are_added_are_found(brokers: &str) {
        let _held = hold();
        let topic = Topic::new(brokers, "grown", 1, &[]);
        let home = home("");
        topic.sender(&[]).log(&log(0, 50), 1);
        let running = home.start(&["run", &topic.address()]);
        until("what was there is read", || live(&home) == 50);
        let more = NewPartitions::new(&topic.name, 3);
        wait(topic.admin.create_partitions([&more], &Topic::options())).unwrap()[0].as_ref().unwrap();
        let sender = topic.sender(&[]);
        sender.log(&log(50, 90), 3);
        until("the new partitions are read from their beginning", || live(&home) == 140);
        interrupt(running).ok();
        assert_eq!(super::super::partitions(&home).len(), 3);
        assert_eq!(home.verified("nearline-data"), digest_of(&home, &log(0, 140)));
    }

    pub fn a_topic_that_is_made_anew_while_it_is_followed_is_read_from_its_beginning(brokers: &str) {
        let _held = hold();
        let topic = Topic::new(brokers, "anew", 2, &[]);
        let home = home("");
        topic.sender(&[]).log(&log(0, 200), 2);
        let running = home.start(&["run", &topic.address()]);
        until("what was there is read", || live(&home) == 200);
        topic.delete();
        topic.make(&[]);
        topic.sender(&[]).log(&log(200, 40), 2);
        until("the new topic is read", || live(&home) == 240);
        // Twice, and this time with more than there was.
        topic.delete();
        std::thread::sleep(Duration::from_secs(2));
        topic.make(&[]);
        topic.sender(&[]).log(&log(240, 100), 2);
        until("the new topic is read again", || live(&home) == 340);
        let said = interrupt(running);
        assert!(said.err.contains("made anew"), "{said:?}");
        assert!(sum(&home, "resets") >= 4);
        assert_eq!(sum(&home, "lag"), 0);
        assert_eq!(home.verified("nearline-data"), digest_of(&home, &log(0, 340)));
    }

    pub fn a_topic_that_was_made_anew_in_between_is_recognised_however_long_it_is(brokers: &str) {
        let _held = hold();
        let topic = Topic::new(brokers, "between", 1, &[]);
        let home = home("");
        topic.sender(&[]).log(&log(0, 100), 1);
        home.ok(&["replay", &topic.address()]);
        for (first, count) in [(100, 30), (130, 250)] {
            topic.delete();
            topic.make(&[]);
            topic.sender(&[]).log(&log(first, count), 1);
            let said = home.say(&["replay", &topic.address()]);
            assert!(said.err.contains("made anew"), "{said:?}");
        }
        assert_eq!((live(&home), sum(&home, "resets")), (380, 2));
        assert_eq!(home.verified("nearline-data"), digest_of(&home, &log(0, 380)));
    }

    pub fn poison_of_every_kind_is_kept_aside_and_transactions_that_were_aborted_are_not_read(brokers: &str) {
        use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
        let _held = hold();
        let topic = Topic::new(brokers, "poison", 1, &[("max.message.bytes", "8000000")]);
        let home = home("");
        let sender = topic.sender(&[("message.max.bytes", "8000000"), ("compression.type", "lz4")]);
        let large = format!("{}{}", event(2), " ".repeat(5_000_000));
        for payload in [Some(event(0).as_bytes()), None, Some(b"\0\xff".as_slice()), Some(large.as_bytes())] {
            sender.to(0, payload);
        }
        sender.flush();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("transactional.id", &topic.name);
        let transactions: BaseProducer = config.create().unwrap();
        transactions.init_transactions(PATIENCE).unwrap();
        for (number, commit) in [(3, false), (1, true)] {
            transactions.begin_transaction().unwrap();
            let line = event(number);
            let record: BaseRecord<'_, str, str> = BaseRecord::to(&topic.name).payload(&line);
            transactions.send(record).map_err(|(error, _)| error).unwrap();
            transactions.flush(PATIENCE).unwrap();
            if commit {
                transactions.commit_transaction(PATIENCE).unwrap();
            } else {
                transactions.abort_transaction(PATIENCE).unwrap();
            }
        }
        home.ok(&["replay", &topic.address()]);
        let rejected = &home.json(&["status"])["rejected"];
        assert_eq!(
            (&rejected["no-payload"], &rejected["not-utf8"], &rejected["too-long"]),
            (&1.into(), &1.into(), &1.into()),
            "{rejected}"
        );
        assert_eq!(home.verified("nearline-data"), digest_of(&home, &log(0, 2)));
    }

    pub fn a_backfill_begins_at_a_time_and_ends_where_the_topic_ended(brokers: &str) {
        let _held = hold();
        let topic = Topic::new(brokers, "times", 2, &[("retention.ms", "-1")]);
        let home = home("");
        let sender = topic.sender(&[]);
        let january = 1_767_225_600_000;
        for number in 0..100 {
            let at = january + (number as i64 - 50) * 60_000;
            sender.keyed((number % 2) as i32, "k", Some(event(number).as_bytes()), Some(at));
        }
        sender.flush();
        home.ok(&["replay", &topic.address(), "--from", "2026-01-01"]);
        assert_eq!(home.verified("nearline-data"), digest_of(&home, &log(50, 50)));
        home.ok(&["--data", "half", "replay", &topic.address(), "--from", "2026-01-01T00:25:00Z"]);
        assert_eq!(home.verified("half"), digest_of(&home, &log(75, 25)));
        home.ok(&["--data", "none", "replay", &topic.address(), "--from", "2027-01-01"]);
        assert_eq!(home.json(&["check", &topic.address()])["accepted"], 100);
        // It ends though more comes all the time.
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1_000.. {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    sender.to((number % 2) as i32, Some(event(number).as_bytes()));
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            home.ok(&["--data", "bounded", "replay", &topic.address()]);
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let export = home.ok(&["--data", "bounded", "export", "--without-key"]);
        (0..100).for_each(|number| assert!(export.contains(&format!("\"e{number}\"")), "{number}"));
    }

    pub fn tls_and_scram_are_set_in_the_config(brokers: &str) {
        let (Some(tls), Some(ca)) = (variable("NEARLINE_KAFKA_TLS"), variable("NEARLINE_KAFKA_CA")) else {
            let name = "tls_and_scram_are_set_in_the_config";
            let said =
                format!("\nskipped 1 test, as NEARLINE_KAFKA_TLS names no listener with TLS: {name}\n");
            return std::io::stderr().write_all(said.as_bytes()).unwrap();
        };
        let _held = hold();
        let topic = Topic::new(brokers, "secret", 2, &[]);
        let address = format!("kafka://{tls}/{}", topic.name);
        let with = |password: &str| {
            let home = home(&format!(
                "\"security.protocol\" = \"SASL_SSL\"\n\"ssl.ca.location\" = {ca:?}\n\
                 \"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"sasl.username\" = \"nearline\"\n\
                 \"sasl.password\" = {{ file = \"password\" }}"
            ));
            home.write("password", &format!("{password}\n"));
            home
        };
        let home = with("only-for-tests");
        home.write("log.jsonl", &log(0, 100));
        home.ok(&["produce", "log.jsonl", "--to", &address]);
        home.ok(&["replay", &address]);
        assert_eq!((live(&home), sum(&home, "lag")), (100, 0));
        let home = with("hunter2");
        let config = std::fs::read_to_string(home.path("nearline.toml")).unwrap();
        home.write("nearline.toml", &config.replace("60s", "3s"));
        let said = home.say(&["replay", &address]).ended(3);
        assert!(said.contains("invalid credentials") && !said.contains("hunter2"), "{said}");
    }
}
