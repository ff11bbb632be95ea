//! Topics of Kafka: with librdkafka's mock cluster in this process (`mock.rs`), and with a real broker (`server.rs`),
//! which `scripts/test.sh --services` starts.

mod mock;
mod server;

use std::sync::RwLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::support::{Home, Running};

/// Some tests kill the broker, here and in `mirrors.rs`: the others hold this while they need it.
pub static BROKER: RwLock<()> = RwLock::new(());

/// The longest that a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A log of some members: `count` plays from `first` on.
fn log(first: usize, count: usize) -> String {
    (first..first + count).map(|number| event(number) + "\n").collect()
}

/// The event of a number.
fn event(number: usize) -> String {
    let (member, item, minute) = (number % 37, number * 7 % 101, number % 1440);
    format!(
        r#"{{"member":"m{member}","item":"i{item}","kind":"play","value":0.5,"at":"2024-03-01T{:02}:{:02}:00Z","id":"e{number}"}}"#,
        minute / 60,
        minute % 60
    )
}

/// The digest of a folder that read this log from a file.
fn digest_of(home: &Home, log: &str) -> String {
    let name = format!("plain-{}", blake3::hash(log.as_bytes()).to_hex());
    home.write("plain.jsonl", log);
    home.ok(&["--data", &name, "replay", "plain.jsonl"]);
    home.verified(&name)
}

/// A home whose config says how often to look for new partitions, and more.
fn home(settings: &str) -> Home {
    let home = Home::new();
    let often = "\"topic.metadata.refresh.interval.ms\" = 500";
    home.write("nearline.toml", &format!("[kafka]\nwait = \"60s\"\n[kafka.settings]\n{often}\n{settings}\n"));
    home
}

/// How many live events there are; none where there is no folder yet.
fn live(home: &Home) -> u64 {
    let said = home.say(&["status", "--json"]);
    let status: Option<serde_json::Value> = serde_json::from_str(&said.out).ok();
    status.map_or(0, |status| status["counts"]["live_events"].as_u64().unwrap())
}

/// What `status` says of the partitions of topics.
fn partitions(home: &Home) -> Vec<serde_json::Value> {
    let status = home.json(&["status"]);
    status["sources"].as_array().unwrap().iter().map(|source| source["kafka"].clone()).collect()
}

/// The sum of what partitions say under a key.
fn sum(home: &Home, key: &str) -> u64 {
    partitions(home).iter().map(|partition| partition[key].as_u64().unwrap_or(0)).sum()
}

/// Interrupts a process and waits until it has committed what it read.
fn interrupt(running: Running) -> crate::support::Said {
    let pid = running.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    running.wait()
}

/// Sends messages as any producer would.
struct Sender {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl Sender {
    fn new(brokers: &str, topic: &str, settings: &[(&str, &str)]) -> Sender {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("partitioner", "murmur2_random");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        Sender { producer: config.create().unwrap(), topic: topic.to_owned() }
    }

    /// Sends a message without a key to a partition.
    fn to(&self, partition: i32, payload: Option<&[u8]>) {
        let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&self.topic).partition(partition);
        record.payload = payload;
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    /// Sends each line of a log, the next to the next partition.
    fn log(&self, log: &str, partitions: usize) {
        for (number, line) in log.lines().enumerate() {
            self.to((number % partitions) as i32, Some(line.as_bytes()));
        }
        self.flush();
    }

    /// Sends a message with a key and a time.
    fn keyed(&self, partition: i32, key: &str, payload: Option<&[u8]>, at: Option<i64>) {
        let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&self.topic).partition(partition).key(key);
        (record.payload, record.timestamp) = (payload, at);
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }
}

/// The offset of each partition that Kafka knows of a group.
fn reported(brokers: &str, group: &str, topic: &str, partitions: i32) -> Vec<Offset> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, partitions - 1);
    let answer = consumer.committed_offsets(asked, PATIENCE).unwrap();
    answer.elements().iter().map(|element| element.offset()).collect()
}
