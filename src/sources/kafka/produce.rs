//! A log sent to a topic: records as JSON, a member's all in one partition.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as Said, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};

use super::client::{self, ASK, Ears, Purpose};
use super::{Address, KafkaError, Options};
use crate::records::{Record, write_json};

/// How long a full queue is waited for before it is tried again.
const FULL: Duration = Duration::from_millis(5);
/// How long one wait for what is on its way takes.
const FLUSH: Duration = Duration::from_millis(500);

/// What became of the records that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// How many arrived.
    pub records: u64,
    /// How many cannot go through a topic: the key and the tombstones of an export.
    pub left_out: u64,
}

/// Sends records to a topic.
pub struct Producer {
    producer: ThreadedProducer<Reports>,
    topic: String,
    to: String,
    json: Vec<u8>,
    sent: u64,
    left_out: u64,
}

/// Hears what became of each record.
struct Reports {
    ears: Ears,
    arrived: AtomicU64,
    failed: AtomicU64,
    why: Mutex<Option<String>>,
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
        match result {
            Ok(_) => drop(self.arrived.fetch_add(1, Ordering::Relaxed)),
            Err((error, _)) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let mut why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
                let code = error.rdkafka_error_code();
                why.get_or_insert_with(|| code.map_or_else(|| error.to_string(), |code| code.to_string()));
            }
        }
    }
}

impl Producer {
    /// Ready to send to the one topic of an address.
    pub fn open(given: &str, options: &Options) -> Result<Producer, KafkaError> {
        let address = Address::parse(given)?;
        let [topic] = &address.topics[..] else {
            let problem = "records are sent to one topic".to_owned();
            return Err(KafkaError::Address { given: given.to_owned(), problem });
        };
        let config = client::config(&address.brokers, &options.settings, Purpose::Write)?;
        let reports = Reports {
            ears: Ears::new(&address.brokers),
            arrived: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            why: Mutex::new(None),
        };
        let producer: ThreadedProducer<Reports> =
            config.create_with_context(reports).map_err(|error| client::refused(&error))?;
        let sender = Producer {
            producer,
            topic: topic.clone(),
            to: given.to_owned(),
            json: Vec::new(),
            sent: 0,
            left_out: 0,
        };
        sender.see(&address, options.wait)?;
        Ok(sender)
    }

    /// Sees that there is such a topic; brokers that make topics when they are asked for make it now.
    fn see(&self, address: &Address, wait: Duration) -> Result<(), KafkaError> {
        let began = std::time::Instant::now();
        loop {
            let asked = self.producer.client().fetch_metadata(Some(&self.topic), wait.min(ASK));
            let problem = match asked {
                Ok(metadata) => {
                    let error = metadata.topics().first().and_then(|topic| topic.error());
                    match error.map(RDKafkaErrorCode::from) {
                        None => return Ok(()),
                        Some(RDKafkaErrorCode::UnknownTopicOrPartition) if began.elapsed() >= FLUSH => {
                            return Err(KafkaError::NoTopic {
                                topic: self.topic.clone(),
                                brokers: address.brokers.clone(),
                                there: "topics are not made when they are asked for: make it first".into(),
                            });
                        }
                        Some(other) => other.to_string(),
                    }
                }
                Err(error) => self.producer.context().ears.last().unwrap_or_else(|| error.to_string()),
            };
            if began.elapsed() >= wait {
                return Err(KafkaError::Unreachable { brokers: address.brokers.clone(), problem });
            }
            std::thread::sleep(FULL * 20);
        }
    }

    /// Sends a record; waits while too many are on their way.
    pub fn send(&mut self, record: &Record<'_>) -> Result<(), KafkaError> {
        let key = match record {
            Record::Tombstone(_) | Record::Key(_) => {
                self.left_out += 1;
                return Ok(());
            }
            Record::Item(version) => Some(version.item),
            other => other.member(),
        };
        let mut json = std::mem::take(&mut self.json);
        json.clear();
        write_json(record, &mut json);
        let sent = self.send_message(key, json.trim_ascii_end());
        self.json = json;
        sent
    }

    /// Sends a message; waits while too many are on their way.
    pub fn send_message(&mut self, key: Option<&str>, payload: &[u8]) -> Result<(), KafkaError> {
        let mut message: BaseRecord<'_, str, [u8]> = BaseRecord::to(&self.topic).payload(payload);
        if let Some(key) = key {
            message = message.key(key);
        }
        loop {
            match self.producer.send(message) {
                Ok(()) => {
                    self.sent += 1;
                    return Ok(());
                }
                Err((Said::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    message = back;
                    std::thread::sleep(FULL);
                }
                Err((error, _)) => return Err(self.undelivered(1, &error.to_string())),
            }
        }
    }

    /// How many records were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Waits until it is known of every record whether it arrived.
    pub fn finish(self) -> Result<Delivered, KafkaError> {
        loop {
            let known = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let reports = self.producer.context();
            let (arrived, failed) = (known(&reports.arrived), known(&reports.failed));
            if arrived + failed >= self.sent {
                return match failed {
                    0 => Ok(Delivered { records: arrived, left_out: self.left_out }),
                    _ => Err(self.undelivered(0, "")),
                };
            }
            // It says of each in the end; how long that may take is a setting (`message.timeout.ms`).
            let _ = self.producer.flush(FLUSH);
        }
    }

    fn undelivered(&self, more: u64, problem: &str) -> KafkaError {
        let reports = self.producer.context();
        let why = reports.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        KafkaError::Undelivered {
            failed: reports.failed.load(Ordering::Relaxed) + more,
            sent: self.sent + more,
            to: self.to.clone(),
            problem: why.or_else(|| reports.ears.last()).unwrap_or_else(|| problem.to_owned()),
        }
    }
}
