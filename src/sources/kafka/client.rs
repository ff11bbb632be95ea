//! A client of librdkafka: its settings, and what it says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as Said, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};

use super::{KafkaError, Partition};
use crate::config::Settings;

/// How often what librdkafka complains of is passed on.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// How long offsets are asked for.
pub const ASK: Duration = Duration::from_secs(10);

/// What is set for whoever reads, unless the config says otherwise.
const READING: [(&str, &str); 8] = [
    ("group.id", "nearline"),
    // A queue that ran full is looked at again soon: the default of a second would leave a fast reader waiting.
    ("fetch.queue.backoff.ms", "5"),
    ("fetch.message.max.bytes", "4194304"),
    ("queued.min.messages", "200000"),
    ("check.crcs", "true"),
    ("isolation.level", "read_committed"),
    ("allow.auto.create.topics", "false"),
    ("topic.metadata.refresh.interval.ms", "30000"),
];
/// What is set for whoever reads, whatever the config says.
const READING_ALWAYS: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    // Where a message is not there that is to be read, reading decides itself, and says so.
    ("auto.offset.reset", "error"),
];
/// What is set for whoever writes, unless the config says otherwise.
const WRITING: [(&str, &str); 7] = [
    ("enable.idempotence", "true"),
    ("compression.type", "lz4"),
    ("linger.ms", "20"),
    ("batch.size", "1000000"),
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "131072"),
    // As Java's producers do it, so that a member's records stay in one partition whoever sends them.
    ("partitioner", "murmur2_random"),
];

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Reading.
    Read,
    /// Writing.
    Write,
}

/// The settings of a client.
pub fn config(brokers: &str, settings: &Settings, purpose: Purpose) -> Result<ClientConfig, KafkaError> {
    let mut config = ClientConfig::new();
    config.set("client.id", "nearline");
    let (usual, always) = match purpose {
        Purpose::Read => (&READING[..], &READING_ALWAYS[..]),
        Purpose::Write => (&WRITING[..], &[][..]),
    };
    for (key, value) in usual {
        config.set(*key, *value);
    }
    let given = settings.read()?;
    if !given.iter().any(|(key, _)| key.starts_with("ssl.ca")) {
        // OpenSSL is our own, and does not know where this system keeps its certificates.
        config.set("ssl.ca.location", "probe");
    }
    for (key, value) in given {
        config.set(key, value);
    }
    for (key, value) in always {
        config.set(*key, *value);
    }
    config.set("bootstrap.servers", brokers);
    let debug = tracing::enabled!(target: "librdkafka", tracing::Level::DEBUG);
    config.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Warning });
    Ok(config)
}

/// A client that reads.
pub fn reader(brokers: &str, settings: &Settings) -> Result<BaseConsumer<Ears>, KafkaError> {
    let config = config(brokers, settings, Purpose::Read)?;
    config.create_with_context(Ears::new(brokers)).map_err(|error| refused(&error))
}

/// Why a client could not be made, without the value of what is wrong: it may be a secret.
pub fn refused(error: &Said) -> KafkaError {
    match error {
        Said::ClientConfig(_, why, key, value) => {
            let shown = match value.len() {
                0 => why.clone(),
                // Short ones may be a part of any word.
                1..4 => why.replace(&format!("\"{value}\""), "…"),
                _ => why.replace(value.as_str(), "…"),
            };
            KafkaError::Setting { key: key.clone(), problem: shown }
        }
        Said::ClientCreation(why) => KafkaError::Settings { problem: why.clone() },
        other => KafkaError::Settings { problem: other.to_string() },
    }
}

/// Hears what librdkafka says.
pub struct Ears {
    brokers: String,
    heard: Mutex<Heard>,
    commits_fail: AtomicBool,
}

#[derive(Default)]
struct Heard {
    last: Option<String>,
    told: Option<Instant>,
}

impl Ears {
    /// For a client of these brokers.
    pub fn new(brokers: &str) -> Self {
        Ears { brokers: brokers.to_owned(), heard: Mutex::default(), commits_fail: AtomicBool::new(false) }
    }

    /// What was complained of last.
    pub fn last(&self) -> Option<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).last.clone()
    }
}

impl ClientContext for Ears {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // What matters of it comes as an error too.
        tracing::debug!(target: "librdkafka", ?level, facility, "{text}");
    }

    fn error(&self, error: Said, reason: &str) {
        let code = error.rdkafka_error_code();
        // These are for the reader, which says what it makes of them.
        if matches!(
            code,
            Some(
                RDKafkaErrorCode::PartitionEOF
                    | RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::UnknownTopicOrPartition
            )
        ) {
            return;
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.last = Some(reason.to_owned());
        if heard.told.is_none_or(|told| told.elapsed() >= SAY_EVERY) {
            heard.told = Some(Instant::now());
            tracing::warn!(brokers = self.brokers, "Kafka: {reason}; trying again");
        }
    }
}

impl ConsumerContext for Ears {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) => self.commits_fail.store(false, Ordering::Relaxed),
            Err(error) if !self.commits_fail.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    brokers = self.brokers,
                    %error,
                    "the offsets of the group cannot be reported to Kafka: tools that show its lag will be wrong; \
                     reading does not depend on them"
                );
            }
            Err(_) => {}
        }
    }
}

/// Hears what the client has to say: errors are told where events are taken.
pub fn hear(consumer: &BaseConsumer<Ears>) {
    // Each is an event or a line of a log, of which there may be some before what matters.
    for _ in 0..100 {
        consumer.poll(Duration::ZERO);
    }
}

/// Which offset of a partition is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// That of the oldest message.
    Low,
    /// That of the message that comes next.
    High,
    /// That of the first message of this time or later; none where there is none.
    Of(i64),
}

/// Offsets of partitions, in their order; none where there is none, or the partition cannot be asked.
pub fn offsets(
    consumer: &BaseConsumer<Ears>,
    partitions: &[Partition],
    which: Which,
    timeout: Duration,
) -> Result<Vec<Option<i64>>, Said> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    let at = match which {
        Which::Low => At::Beginning,
        Which::High => At::End,
        Which::Of(time) => At::Offset(time),
    };
    for partition in partitions {
        asked.add_partition_offset(&partition.topic, partition.number, at)?;
    }
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let answer = consumer.offsets_for_times(asked, timeout)?;
    let found = |partition: &Partition| {
        let element = answer.find_partition(&partition.topic, partition.number)?;
        element.error().ok()?;
        match element.offset() {
            At::Offset(offset) => Some(offset),
            _ => None,
        }
    };
    Ok(partitions.iter().map(found).collect())
}

/// How often it is looked for partitions that are new: as often as librdkafka does it.
pub fn refresh(settings: &Settings) -> Duration {
    const KEY: &str = "topic.metadata.refresh.interval.ms";
    let given = settings.read().ok().and_then(|all| all.into_iter().find(|(key, _)| key == KEY));
    let usual = READING.iter().find(|(key, _)| *key == KEY).map(|(_, value)| *value);
    let text = given.map(|(_, value)| value).or_else(|| usual.map(str::to_owned)).unwrap_or_default();
    // A negative interval turns librdkafka's own refresh off.
    Duration::from_millis(text.parse().unwrap_or(30_000).max(100))
}
