//! Topics of Kafka as a source, and as a place to send a log to. The only place that names `rdkafka`.
//!
//! Partitions are assigned by hand, from the offsets in the store: an offset is committed with the epoch of its
//! records and nowhere else. What a consumer group would do, `watching.rs` does: it finds partitions that come, go and
//! come back. Offsets are told to Kafka after our own commit (`lag.rs`), for tools that show how far behind a group is.
//!
//! ```text
//! librdkafka ─→ reading (a thread: blocks by partition) ─→ decoding threads ─→ batches
//!                  ↑ begin, gone      │ where do I go on?
//!               watching (a thread: metadata, oldest and newest offsets)
//! ```

mod address;
mod client;
mod decision;
mod lag;
mod opening;
mod produce;
mod reading;
mod settings;
mod start;
mod topic;
mod watching;

use std::sync::Arc;
use std::time::Duration;

pub use address::{Address, SCHEME};
pub use lag::{Lag, Lags, Reporter, ends};
pub use opening::open;
pub use produce::{Delivered, Producer};
pub use settings::{misplaced, misplaced_in_mirror};
pub use start::Start;
pub use topic::{Make, Message, Order, Topic, Writer, Written, partition_of};

use super::Offset;
use crate::config::{SettingError, Settings};

/// How topics are read.
#[derive(Debug, Clone)]
pub struct Options {
    /// librdkafka's settings.
    pub settings: Settings,
    /// Whether to go on beyond the ends that the topics have now.
    pub endless: bool,
    /// Where partitions begin that were not read before.
    pub from: Option<Start>,
    /// Whether to begin there in all of them, whatever was read before.
    pub again: bool,
    /// How long to wait for the brokers at the start.
    pub wait: Duration,
    /// Where it is told how far topics are read.
    pub lags: Lags,
    /// What is committed.
    pub committed: Committed,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            settings: Settings::default(),
            endless: false,
            from: None,
            again: false,
            wait: Duration::from_secs(30),
            lags: Lags::default(),
            committed: Committed::default(),
        }
    }
}

/// The offset of a source that is committed, by the source's name.
#[derive(Clone)]
pub struct Committed(pub Arc<dyn Fn(&str) -> Option<Offset> + Send + Sync>);

impl Default for Committed {
    fn default() -> Self {
        Committed(Arc::new(|_| None))
    }
}

impl std::fmt::Debug for Committed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Committed")
    }
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: Arc<str>,
    /// Its number.
    pub number: i32,
}

impl Partition {
    /// What the partition is called where offsets and rejected messages are kept: by its cluster, whose brokers may be
    /// named otherwise tomorrow.
    fn name(&self, cluster: &str) -> Arc<str> {
        format!("{SCHEME}{cluster}/{}/{}", self.topic, self.number).into()
    }
}

/// The topic and the number that the name of a partition says.
pub fn topic_of(name: &str) -> Option<(&str, i32)> {
    let (before, number) = name.rsplit_once('/')?;
    let (_, topic) = before.rsplit_once('/')?;
    Some((topic, number.parse().ok()?))
}

impl std::fmt::Display for Partition {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.topic, self.number)
    }
}

/// Why topics cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// It is no address.
    #[error(
        "{given} cannot be used: {problem}; an address is kafka://HOST:PORT/TOPIC, with commas between several"
    )]
    Address {
        /// As it was given.
        given: String,
        /// What is wrong.
        problem: String,
    },
    /// A setting cannot be used.
    #[error("[kafka.settings] `{key}`: {problem}")]
    Setting {
        /// The setting.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// The settings cannot be used together.
    #[error("[kafka.settings]: {problem}")]
    Settings {
        /// What is wrong.
        problem: String,
    },
    /// No broker answers.
    #[error(
        "no broker at {brokers} answers ({problem}); see that it runs there, and that [kafka.settings] says how to reach it"
    )]
    Unreachable {
        /// The brokers.
        brokers: String,
        /// What was said last.
        problem: String,
    },
    /// There is no such topic.
    #[error("there is no topic `{topic}` at {brokers}; there {there}")]
    NoTopic {
        /// The topic.
        topic: String,
        /// The brokers.
        brokers: String,
        /// What there is.
        there: String,
    },
    /// The brokers refuse.
    #[error("the brokers at {brokers} refuse to show the topic `{topic}`: {problem}")]
    Refused {
        /// The topic.
        topic: String,
        /// The brokers.
        brokers: String,
        /// What they say.
        problem: String,
    },
    /// Something cannot be done with a topic.
    #[error("{doing} the topic `{topic}` at {brokers}: {problem}")]
    Topic {
        /// What was to be done.
        doing: String,
        /// The topic.
        topic: String,
        /// The brokers.
        brokers: String,
        /// Why not.
        problem: String,
    },
    /// librdkafka cannot go on.
    #[error("reading from {brokers} cannot go on: {problem}; what was committed is kept: start again")]
    Fatal {
        /// The brokers.
        brokers: String,
        /// What it says.
        problem: String,
    },
    /// Records were not delivered.
    #[error(
        "{failed} of {sent} records were not delivered to {to}: {problem}; send the log again: what is there twice changes nothing"
    )]
    Undelivered {
        /// How many were not.
        failed: u64,
        /// How many were sent.
        sent: u64,
        /// Where to.
        to: String,
        /// Why the first of them was not.
        problem: String,
    },
}

impl From<SettingError> for KafkaError {
    fn from(SettingError { key, problem }: SettingError) -> Self {
        KafkaError::Setting { key, problem }
    }
}

impl KafkaError {
    /// Whether the use or the config is at fault.
    pub fn is_bad_use(&self) -> bool {
        use KafkaError::{Address, NoTopic, Setting, Settings};
        matches!(self, Address { .. } | Setting { .. } | Settings { .. } | NoTopic { .. })
    }
}
