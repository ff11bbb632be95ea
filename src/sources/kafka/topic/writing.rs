//! Messages written to a topic: all have arrived when it is said that they have, in the order in which they were given, and
//! whatever else came into the topic meanwhile is noticed.
//!
//! Whoever is the only one to write knows which offset its next message will have. Where it has a lesser one, the topic was
//! deleted and made anew, or lost what it had. Where it has a greater one, somebody else has written: perhaps a process
//! of ours that was killed, whose messages were still on their way.

use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as Said, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};

use super::super::KafkaError;
use super::super::client::{self, Ears, Purpose};
use super::Topic;

/// How long a full queue is waited for before it is tried again.
const FULL: Duration = Duration::from_millis(2);
/// How much longer than the patience it is waited for librdkafka to say that a message did not arrive.
const BEYOND: Duration = Duration::from_secs(5);

/// A message that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Into which partition.
    pub partition: i32,
    /// Under which key.
    pub key: String,
    /// What it says; none takes out what was said before.
    pub value: Option<String>,
}

/// What was noticed while messages were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Whether the topic holds less than was written to it: it was made anew.
    pub anew: bool,
    /// Partitions, and offsets in them, at which somebody else has written.
    pub others: Vec<(i32, Range<i64>)>,
}

/// A client that writes to a topic.
pub struct Writer {
    producer: ThreadedProducer<Reports>,
    topic: String,
    brokers: String,
    patience: Duration,
    /// Where the next message of each partition is expected.
    next: Vec<i64>,
}

/// Hears what became of each message.
struct Reports {
    ears: Ears,
    known: Mutex<Known>,
    more: Condvar,
}

#[derive(Default)]
struct Known {
    /// Partitions and offsets of those that arrived.
    arrived: Vec<(i32, i64)>,
    failed: usize,
    why: Option<String>,
}

impl Reports {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.ears.log(level, facility, text);
    }

    fn error(&self, error: Said, reason: &str) {
        self.ears.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut known = self.known();
        match result {
            Ok(message) => known.arrived.push((message.partition(), message.offset())),
            Err((error, _)) => {
                known.failed += 1;
                let code = error.rdkafka_error_code();
                known
                    .why
                    .get_or_insert_with(|| code.map_or_else(|| error.to_string(), |code| code.to_string()));
            }
        }
        self.more.notify_all();
    }
}

impl Writer {
    pub(super) fn open(topic: &Topic, partitions: i32) -> Result<Writer, KafkaError> {
        let next = topic.ranges(partitions)?.into_iter().map(|range| range.end).collect();
        let mut config = client::config(&topic.brokers, &topic.settings, Purpose::Write)?;
        let patience = topic.patience.as_millis().to_string();
        for (key, value) in [
            // All replicas have it, once and in order, or it is an error.
            ("enable.idempotence", "true"),
            // A topic that was deleted is made by us, compacted, or not at all.
            ("allow.auto.create.topics", "false"),
            ("message.timeout.ms", patience.as_str()),
            // Whoever writes waits for the end of it.
            ("linger.ms", "1"),
        ] {
            config.set(key, value);
        }
        let reports =
            Reports { ears: Ears::new(&topic.brokers), known: Mutex::default(), more: Condvar::new() };
        let producer: ThreadedProducer<Reports> =
            config.create_with_context(reports).map_err(|error| client::refused(&error))?;
        let (name, brokers) = (topic.name.clone(), topic.brokers.clone());
        Ok(Writer { producer, topic: name, brokers, patience: topic.patience, next })
    }

    /// Writes messages. All replicas that there are have all of them when it returns; where it fails any part of them may
    /// be there, or come yet, and the writer must not be used again.
    pub fn write(&mut self, orders: &[Order]) -> Result<Written, KafkaError> {
        *self.producer.context().known() = Known::default();
        for order in orders {
            self.send(order)?;
        }
        self.compare(self.arrived(orders.len())?)
    }

    fn send(&self, order: &Order) -> Result<(), KafkaError> {
        let mut record: BaseRecord<'_, str, str> =
            BaseRecord::to(&self.topic).key(order.key.as_str()).partition(order.partition);
        if let Some(value) = &order.value {
            record = record.payload(value.as_str());
        }
        let began = Instant::now();
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((Said::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if began.elapsed() < self.patience =>
                {
                    record = back;
                    std::thread::sleep(FULL);
                }
                Err((error, _)) => return Err(self.failed(&error)),
            }
        }
    }

    /// Where all arrived, in the order of partitions and offsets.
    fn arrived(&self, sent: usize) -> Result<Vec<(i32, i64)>, KafkaError> {
        let reports = self.producer.context();
        let waits = |known: &mut Known| known.arrived.len() + known.failed < sent && known.failed == 0;
        let patience = self.patience + BEYOND;
        let (mut known, _) = reports
            .more
            .wait_timeout_while(reports.known(), patience, waits)
            .unwrap_or_else(PoisonError::into_inner);
        if known.arrived.len() < sent {
            let why = known.why.take().or_else(|| reports.ears.last());
            return Err(self.failed(&why.unwrap_or_else(|| "no answer".to_owned())));
        }
        let mut arrived = std::mem::take(&mut known.arrived);
        arrived.sort_unstable();
        Ok(arrived)
    }

    /// Compares where messages are with where they were expected.
    fn compare(&mut self, arrived: Vec<(i32, i64)>) -> Result<Written, KafkaError> {
        if arrived.iter().any(|(_, offset)| *offset < 0) {
            // A message that was sent twice, of which the brokers do not know any more where they have it.
            return Err(self.failed(&"the brokers do not say where a message is"));
        }
        Ok(compare(&mut self.next, arrived))
    }

    fn failed(&self, problem: &dyn std::fmt::Display) -> KafkaError {
        KafkaError::Topic {
            doing: "write to".to_owned(),
            topic: self.topic.clone(),
            brokers: self.brokers.clone(),
            problem: problem.to_string(),
        }
    }
}

fn compare(next: &mut [i64], arrived: Vec<(i32, i64)>) -> Written {
    let mut written = Written::default();
    for (partition, offset) in arrived {
        let Some(next) = next.get_mut(partition as usize) else { continue };
        if offset < *next {
            written.anew = true;
        } else if offset > *next {
            written.others.push((partition, *next..offset));
        }
        *next = offset + 1;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_in_between_and_a_topic_that_was_made_anew_are_noticed() {
        let mut next = [5, 0];
        let nothing = compare(&mut next, vec![(0, 5), (0, 6), (1, 0)]);
        assert_eq!(nothing, Written::default());
        let others = compare(&mut next, vec![(0, 8), (0, 9), (0, 12), (1, 1)]);
        assert_eq!(others, Written { anew: false, others: vec![(0, 7..8), (0, 10..12)] });
        let anew = compare(&mut next, vec![(1, 0)]);
        assert!(anew.anew);
    }
}
