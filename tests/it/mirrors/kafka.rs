//! What a mirror in a topic of Kafka has besides: where messages are, for whoever reads them with a client of their own; and what
//! becomes of it when somebody else changes the topic.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// A message as any consumer has it.
#[derive(Debug, Clone)]
struct Message {
    partition: i32,
    key: String,
    value: Option<Value>,
}

/// The topic of a mirror, seen by other clients.
pub struct Topic {
    brokers: String,
    name: String,
    admin: AdminClient<DefaultClientContext>,
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("allow.auto.create.topics", "false");
    config
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

impl Topic {
    pub fn of(at: &At, name: &str) -> Topic {
        Topic { brokers: at.place.clone(), name: name.to_owned(), admin: client(&at.place).create().unwrap() }
    }

    /// One that the config of a home is made to name.
    fn named(at: &At, home: &Home, name: &str) -> Topic {
        let topic = Topic::of(at, &format!("{name}-{}", std::process::id()));
        let config = std::fs::read_to_string(home.path("nearline.toml")).unwrap();
        home.write("nearline.toml", &config.replace(&at.topic(), &topic.name));
        topic
    }

    fn make(&self, partitions: i32, settings: &[(&str, &str)]) {
        let mut new = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        // A topic that was deleted may take a moment to be gone.
        until("the topic is made", || wait(self.admin.create_topics([&new], &options())).unwrap()[0].is_ok());
    }

    fn delete(&self) {
        wait(self.admin.delete_topics(&[&self.name], &options())).unwrap()[0].as_ref().unwrap();
    }

    fn partitions(&self) -> usize {
        let consumer: BaseConsumer = client(&self.brokers).create().unwrap();
        let metadata = consumer.fetch_metadata(Some(&self.name), PATIENCE).unwrap();
        metadata.topics()[0].partitions().len()
    }

    /// All messages that are there, each partition's in its order.
    fn messages(&self) -> Vec<Message> {
        let consumer: BaseConsumer = client(&self.brokers)
            .set("group.id", "looks")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        let partitions = self.partitions() as i32;
        for partition in 0..partitions {
            list.add_partition_offset(&self.name, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut messages, mut left) = (Vec::new(), partitions);
        while left > 0 {
            match consumer.poll(PATIENCE).expect("the topic can be read") {
                Ok(message) => messages.push(Message {
                    partition: message.partition(),
                    key: String::from_utf8(message.key().unwrap().to_vec()).unwrap(),
                    value: message.payload().map(|value| serde_json::from_slice(value).unwrap()),
                }),
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => left -= 1,
                Err(error) => panic!("{error}"),
            }
        }
        messages.sort_by_key(|message| message.partition);
        messages
    }

    /// The last message of each partition and key, of those that say something.
    fn last(&self) -> BTreeMap<(i32, String), Value> {
        let mut last = BTreeMap::new();
        for Message { partition, key, value } in self.messages() {
            match value {
                Some(value) => drop(last.insert((partition, key), value)),
                None => drop(last.remove(&(partition, key))),
            }
        }
        last
    }

    /// Whether some list of a member is there, of the mirror with a prefix.
    pub fn has(&self, prefix: &str, member: &str) -> bool {
        let of = |((_, key), value): (&(i32, String), &Value)| {
            key.starts_with(&format!("{prefix}:")) && value["member"] == member
        };
        self.last().iter().any(of)
    }
}

/// Hears into which partition librdkafka put each key.
#[derive(Default)]
struct Places(std::sync::Mutex<BTreeMap<String, i32>>);

impl ClientContext for Places {}

impl ProducerContext for Places {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = result.as_ref().unwrap();
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        self.0.lock().unwrap().insert(key, message.partition());
    }
}

/// Where producers put members, of a topic with so many partitions.
fn places(at: &At, partitions: i32, members: &[String]) -> BTreeMap<String, i32> {
    let topic = Topic::of(at, &format!("places-{}", std::process::id()));
    topic.make(partitions, &[]);
    let producer: ThreadedProducer<Places> = client(&at.place)
        .set("partitioner", "murmur2_random")
        .create_with_context(Places::default())
        .unwrap();
    for member in members {
        let record: BaseRecord<'_, str, str> = BaseRecord::to(&topic.name).key(member.as_str()).payload("");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    topic.delete();
    producer.context().0.lock().unwrap().clone()
}

pub fn consumers_find_all_of_a_member_in_one_partition_in_order_and_know_how_far_they_are(at: At) {
    let _held = at.held();
    let home = at.home("read");
    let topic = Topic::named(&at, &home, "read");
    let config = std::fs::read_to_string(home.path("nearline.toml")).unwrap();
    home.write("nearline.toml", &config.replace("views", "partitions = 3\nviews"));
    home.ok(&["run", "--model", "model", "log.jsonl"]);
    home.write("more.jsonl", &log(2, 100));
    home.ok(&["run", "--epoch-records", "20", "more.jsonl"]);
    equal(&home);
    assert_eq!(topic.partitions(), 3);
    let members: Vec<String> = (0..30).map(|number| format!("m {number}")).collect();
    let places = places(&at, 3, &members);
    let mut epochs = [0; 3];
    let mut lists = 0;
    for Message { partition, value, .. } in topic.messages() {
        let Some(value) = value else { continue };
        if let Some(member) = value["member"].as_str().filter(|member| !member.is_empty()) {
            assert_eq!(places[member], partition, "{value}");
            lists += 1;
        }
        if let Some(epoch) = value["epoch"].as_u64() {
            assert!(epoch >= epochs[partition as usize], "{value} after {epochs:?}");
            epochs[partition as usize] = epoch;
        }
    }
    let epoch = home.json(&["status"])["epoch"].as_u64().unwrap();
    assert!(lists > 60 && epochs == [epoch; 3], "{lists} lists, up to {epochs:?} of {epoch}");
    // The last of each key is what the folder has.
    let last = topic.last();
    for member in &members {
        for list in ["top_picks", "continue_watching"] {
            let key = format!("read_{}:{list}:{}", std::process::id(), member.replace(' ', "%20"));
            let found = last.get(&(places[member], key)).map(|value| value["items"].clone());
            let items = found.map(|items| items_of(&serde_json::json!({ "items": items })));
            let wanted = home.json(&["get", member, "--list", list, "--limit", "100"]);
            let wanted = if wanted["source"] == "nearline" { items_of(&wanted) } else { Vec::new() };
            assert_eq!(items.unwrap_or_default(), wanted, "{list} of {member}");
        }
    }
    topic.delete();
}

pub fn what_is_taken_out_is_off_the_brokers_disks_after_the_lag(at: At) {
    let _held = at.held();
    let home = at.home("disks");
    let topic = Topic::named(&at, &home, "disks");
    // As a topic is that is made by us, but faster.
    topic.make(
        2,
        &[
            ("cleanup.policy", "compact"),
            ("segment.ms", "500"),
            ("max.compaction.lag.ms", "1000"),
            ("delete.retention.ms", "500"),
        ],
    );
    home.ok(&["run", "--model", "model", "log.jsonl"]);
    home.ok(&["forget", "m 3"]);
    equal(&home);
    let prefix = format!("disks_{}", std::process::id());
    assert!(!topic.has(&prefix, "m 3"));
    let mut round = 100;
    until("no message of the member is left", || {
        // Epochs go on, of other members.
        round += 1;
        let event = format!(
            r#"{{"member":"m 4","item":"i1","kind":"play","value":0.5,"at":"2024-03-01T00:00:00Z","id":"{round}"}}"#
        );
        home.write("one.jsonl", &event);
        home.ok(&["run", "one.jsonl"]);
        !topic.messages().iter().any(|message| message.key.ends_with(":m%203"))
    });
    equal(&home);
    topic.delete();
}

pub fn a_topic_that_is_deleted_or_made_anew_is_filled_anew(at: At) {
    let _held = at.held();
    let home = at.home("anew");
    let topic = Topic::named(&at, &home, "anew");
    home.ok(&["run", "--model", "model", "log.jsonl"]);
    equal(&home);
    // While nothing runs.
    topic.delete();
    let (code, verdict) = verify(&home);
    assert_eq!((code, &verdict["same"]), (1, &0.into()), "{verdict}");
    home.write("more.jsonl", &log(2, 20));
    home.ok(&["run", "more.jsonl"]);
    equal(&home);
    // While a pipeline runs: somebody else makes it anew, and then nobody does.
    let pipeline = home.serve(&["run", "--follow"]);
    let caught_up = |round| {
        let (code, answer) = pipeline.post("/v1/events", log(round, 30));
        assert_eq!(code, 200, "{answer}");
        until("the mirror is caught up with", || {
            let mirror = home.json(&["mirrors", "status"])["mirrors"][0].clone();
            mirror["filling"].is_null() && mirror["acked"] == home.json(&["status"])["epoch"]
        });
    };
    caught_up(20);
    topic.delete();
    topic.make(4, &[("cleanup.policy", "compact")]);
    caught_up(21);
    equal(&home);
    topic.delete();
    caught_up(22);
    equal(&home);
    drop(pipeline);
    topic.delete();
}

pub fn partitions_that_are_added_are_filled_and_nothing_is_left_where_it_was(at: At) {
    let _held = at.held();
    let home = at.home("wider");
    let topic = Topic::named(&at, &home, "wider");
    home.ok(&["run", "--model", "model", "log.jsonl"]);
    let before = topic.last();
    wait(topic.admin.create_partitions([&NewPartitions::new(&topic.name, 7)], &options())).unwrap()[0]
        .as_ref()
        .unwrap();
    until("there are more partitions", || topic.partitions() == 7);
    home.write("more.jsonl", &log(2, 20));
    home.ok(&["run", "more.jsonl"]);
    equal(&home);
    home.ok(&["forget", "m 3"]);
    equal(&home);
    let prefix = format!("wider_{}", std::process::id());
    assert!(!topic.has(&prefix, "m 3"));
    let mut found = BTreeMap::new();
    for ((partition, key), value) in topic.last() {
        let other = found.insert(key.clone(), partition);
        assert!(other.is_none() || value["epoch"].is_u64(), "{key} is in {partition} and {other:?}");
    }
    let moved = before.keys().filter(|(partition, key)| found.get(key).is_some_and(|now| now != partition));
    assert!(moved.count() > 5);
    topic.delete();
}

pub fn what_somebody_else_writes_over_is_made_good(at: At) {
    let _held = at.held();
    let home = at.home("over");
    let topic = Topic::named(&at, &home, "over");
    home.ok(&["run", "--model", "model", "log.jsonl"]);
    let pipeline = home.serve(&["run", "--follow"]);
    let prefix = format!("over_{}", std::process::id());
    let is_list = |((_, key), _): &((i32, String), Value)| key.starts_with(&format!("{prefix}:top_picks:"));
    let ((place, key), list) = topic.last().into_iter().find(is_list).unwrap();
    // Of somebody else than whose list is written over, so that this is not written anew by itself.
    let post = |id| {
        let event = format!(
            r#"{{"member":"other","item":"i1","kind":"play","value":0.5,"at":"2024-03-01T00:00:00Z","id":"{id}"}}"#
        );
        let (code, answer) = pipeline.post("/v1/events", event);
        assert_eq!(code, 200, "{answer}");
    };
    let is_caught_up = || {
        let mirror = home.json(&["mirrors", "status"])["mirrors"][0].clone();
        mirror["filling"].is_null() && mirror["acked"] == home.json(&["status"])["epoch"]
    };
    post(20);
    until("the mirror is caught up with", is_caught_up);
    let other: ThreadedProducer<Places> = client(&at.place).create_with_context(Places::default()).unwrap();
    let old = serde_json::json!({ "member": list["member"], "list": "top_picks", "items": [] }).to_string();
    let old: BaseRecord<'_, str, str> =
        BaseRecord::to(&topic.name).partition(place).key(key.as_str()).payload(old.as_str());
    other.send(old).map_err(|(error, _)| error).unwrap();
    other.flush(PATIENCE).unwrap();
    assert_eq!(verify(&home).0, 1);
    post(21);
    until("what was written over is seen", || is_caught_up() && verify(&home).0 == 0);
    drop(pipeline);
    topic.delete();
}

pub fn a_topic_that_is_not_compacted_is_refused(at: At) {
    let _held = at.held();
    let home = at.home("kept");
    let topic = Topic::named(&at, &home, "kept");
    topic.make(1, &[("cleanup.policy", "compact,delete")]);
    let said = home.say(&["run", "log.jsonl"]).ended(2);
    assert!(said.contains("cleanup.policy is compact,delete") && said.contains(&topic.name), "{said}");
    assert!(topic.messages().is_empty());
    topic.delete();
    topic.make(1, &[("cleanup.policy", "compact")]);
    home.ok(&["mirrors", "ship"]);
    equal(&home);
    topic.delete();
}

pub fn tls_and_scram_are_set_for_the_mirror(at: At) {
    let (Some(tls), Some(ca)) = (variable("NEARLINE_KAFKA_TLS"), variable("NEARLINE_KAFKA_CA")) else {
        let said = "\nskipped 1 test, as NEARLINE_KAFKA_TLS names no listener with TLS: tls_and_scram_are_set_for_the_mirror\n";
        return std::io::stderr().write_all(said.as_bytes()).unwrap();
    };
    let _held = at.held();
    let home = at.home("secret");
    let topic = Topic::named(&at, &home, "secret");
    let config = std::fs::read_to_string(home.path("nearline.toml")).unwrap().replace(&at.place, &tls);
    let settings = format!(
        "[mirrors.there.settings]\n\"security.protocol\" = \"SASL_SSL\"\n\"ssl.ca.location\" = {ca:?}\n\
         \"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"sasl.username\" = \"nearline\"\n\"sasl.password\" = {{ file = \"password\" }}\n"
    );
    home.write("nearline.toml", &format!("{config}\n{settings}"));
    home.write("password", "hunter2\n");
    let said = home.say(&["run", "log.jsonl"]).ended(3);
    assert!(said.contains("[mirrors.there.settings]") && !said.contains("hunter2"), "{said}");
    home.write("password", "only-for-tests\n");
    home.ok(&["mirrors", "ship"]);
    equal(&home);
    topic.delete();
}
