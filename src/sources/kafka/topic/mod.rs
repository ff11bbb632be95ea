//! A compacted topic that is written and read back by the keys of its messages: what a mirror is in. It is no source: nothing
//! is decoded here, and no offset is kept.

mod murmur;
mod reading;
mod writing;

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError as Said, RDKafkaErrorCode};

pub use murmur::partition_of;
pub use reading::Message;
pub use writing::{Order, Writer, Written};

use super::client::{self, Ears, Purpose, hear};
use super::opening::numbers;
use super::{Address, KafkaError};
use crate::config::Settings;

/// How often it is looked whether a topic that was made is there.
const AGAIN: Duration = Duration::from_millis(50);

/// A topic, and a client that reads it.
pub struct Topic {
    brokers: String,
    name: String,
    settings: Settings,
    /// How long the brokers may take to answer.
    patience: Duration,
    consumer: BaseConsumer<Ears>,
}

/// A topic that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Make<'a> {
    /// Its partitions.
    pub partitions: i32,
    /// On how many brokers each is; none: as the brokers are set.
    pub replication: Option<i32>,
    /// Its settings.
    pub settings: &'a [(&'a str, &'a str)],
}

impl Topic {
    /// A client for the one topic of an address, which need not be there.
    pub fn open(given: &str, settings: &Settings, patience: Duration) -> Result<Topic, KafkaError> {
        let address = Address::parse(given)?;
        let [name] = &address.topics[..] else {
            let problem = "it names several topics, and one is wanted".to_owned();
            return Err(KafkaError::Address { given: given.to_owned(), problem });
        };
        let mut config = client::config(&address.brokers, settings, Purpose::Read)?;
        // At the end of a partition a broker would wait for more, and meanwhile not answer what is asked of the next one.
        config.set("fetch.wait.max.ms", "5");
        let ears = Ears::new(&address.brokers);
        let consumer = config.create_with_context(ears).map_err(|error| client::refused(&error))?;
        let (name, settings) = (name.clone(), settings.clone());
        Ok(Topic { brokers: address.brokers, name, settings, patience, consumer })
    }

    /// How many partitions it has; none where it is not there.
    pub fn partitions(&self) -> Result<Option<i32>, KafkaError> {
        let asked = self.consumer.fetch_metadata(Some(&self.name), self.patience);
        hear(&self.consumer);
        let metadata = asked.map_err(|error| self.unreachable(&error))?;
        let Some(about) = metadata.topics().first() else { return Ok(None) };
        match about.error().map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => return Ok(None),
            Some(other) => return Err(self.failed("show", other)),
        }
        let numbers = numbers(about).ok_or_else(|| self.failed("read", "a partition has no leader"))?;
        Ok(Some(numbers.len() as i32))
    }

    /// Makes it, and waits until it is there. Says how many partitions it has, also where somebody else was first.
    pub fn make(&self, make: Make<'_>) -> Result<i32, KafkaError> {
        // A negative number leaves it to the brokers.
        let replication = TopicReplication::Fixed(make.replication.unwrap_or(-1));
        let mut new = NewTopic::new(&self.name, make.partitions, replication);
        for (key, value) in make.settings {
            new = new.set(key, value);
        }
        let made =
            self.ask("make", |admin, options| async move { admin.create_topics([&new], &options).await })?;
        for outcome in made {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(self.failed("make", code)),
            }
        }
        let began = Instant::now();
        loop {
            match self.partitions() {
                Ok(Some(partitions)) => return Ok(partitions),
                Ok(None) | Err(KafkaError::Topic { .. }) if began.elapsed() < self.patience => {
                    std::thread::sleep(AGAIN);
                }
                Ok(None) => return Err(self.failed("make", "it is not there yet")),
                Err(error) => return Err(error),
            }
        }
    }

    /// One of its settings at the brokers; none where they know no such setting.
    pub fn setting(&self, key: &str) -> Result<Option<String>, KafkaError> {
        let doing = "read the settings of";
        let about = ResourceSpecifier::Topic(&self.name);
        let said = self
            .ask(doing, |admin, options| async move { admin.describe_configs([&about], &options).await })?;
        let Some(said) = said.into_iter().next() else { return Ok(None) };
        let said = said.map_err(|code| self.failed(doing, code))?;
        Ok(said.get(key).and_then(|entry| entry.value.clone()))
    }

    /// A client that writes to it. It has so many partitions.
    pub fn writer(&self, partitions: i32) -> Result<Writer, KafkaError> {
        Writer::open(self, partitions)
    }

    /// Asks the brokers as who sees to topics.
    fn ask<T, F: Future<Output = Result<T, Said>>>(
        &self,
        doing: &str,
        what: impl FnOnce(AdminClient<Ears>, AdminOptions) -> F,
    ) -> Result<T, KafkaError> {
        let config = client::config(&self.brokers, &self.settings, Purpose::Write)?;
        let admin: AdminClient<Ears> =
            config.create_with_context(Ears::new(&self.brokers)).map_err(|error| client::refused(&error))?;
        let options =
            AdminOptions::new().request_timeout(Some(self.patience)).operation_timeout(Some(self.patience));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| self.failed(doing, error))?;
        runtime.block_on(what(admin, options)).map_err(|error| self.failed(doing, said(&error)))
    }

    fn unreachable(&self, error: &Said) -> KafkaError {
        let problem = self.consumer.context().last().unwrap_or_else(|| said(error));
        KafkaError::Unreachable { brokers: self.brokers.clone(), problem }
    }

    fn failed(&self, doing: &str, problem: impl std::fmt::Display) -> KafkaError {
        KafkaError::Topic {
            doing: doing.to_owned(),
            topic: self.name.clone(),
            brokers: self.brokers.clone(),
            problem: problem.to_string(),
        }
    }
}

/// What an error says, without the words around its code.
fn said(error: &Said) -> String {
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
}
