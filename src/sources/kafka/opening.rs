//! Opening topics: which partitions there are, and where each begins and ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError as Said, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaRespErr;

use super::address::Address;
use super::client::{self, ASK, Ears, Which, offsets};
use super::decision::resume;
use super::reading::{Place, Reader};
use super::start::Start;
use super::watching::Watching;
use super::{KafkaError, Partition};
use crate::sources::decoding::Decoding;
use crate::sources::{Offset, Options, Source, SourceError};

/// How often brokers that do not answer are asked again.
const AGAIN: Duration = Duration::from_millis(250);

/// Opens the topics of an address. `known` says how far a partition has been read, by its name.
pub fn open(
    given: &str,
    options: &Options,
    known: &dyn Fn(&str) -> Option<Offset>,
) -> Result<Box<dyn Source>, SourceError> {
    let address = Address::parse(given)?;
    let consumer = Arc::new(client::reader(&address.brokers, &options.kafka.settings)?);
    let opening = Opening { consumer: &consumer, address: &address, options, began: Instant::now() };
    let partitions = opening.partitions()?;
    let cluster = consumer.client().fetch_cluster_id(ASK).unwrap_or_else(|| address.brokers.clone());
    let places = opening.places(&partitions, &cluster, known)?;
    let total = places.iter().filter_map(|place| Some((place.end? - place.next).max(0) as u64)).sum();

    let (ask, asked) = unbounded();
    let (order, orders) = unbounded();
    options.kafka.lags.add(&cluster, &consumer, &partitions);
    let watching = Watching {
        consumer: consumer.clone(),
        topics: address.topics.iter().map(|topic| topic.as_str().into()).collect(),
        known: partitions.into_iter().collect(),
        asked,
        order,
        share: options.share,
        every: options.kafka.endless.then(|| client::refresh(&options.kafka.settings)),
    };
    let spawned = thread::Builder::new().name("kafka".into()).spawn(move || watching.run());
    spawned.map_err(|source| SourceError::Thread { source })?;
    let reader = Reader::new(consumer, &address.brokers, cluster, options.clone(), ask, orders);
    let decoding = Decoding::start(given.to_owned(), options.threads, options.stop.clone(), move |feed| {
        reader.read(places, &feed)
    })?;
    Ok(Box::new(decoding.of_total(total)))
}

struct Opening<'a> {
    consumer: &'a BaseConsumer<Ears>,
    address: &'a Address,
    options: &'a Options,
    began: Instant,
}

impl Opening<'_> {
    /// Asks until there is an answer, but not for ever.
    fn until<T>(&self, mut ask: impl FnMut(Duration) -> Result<Option<T>, Said>) -> Result<T, KafkaError> {
        loop {
            let left = self.options.kafka.wait.saturating_sub(self.began.elapsed());
            let said = match ask(left.clamp(AGAIN, ASK)) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => "a partition has no leader".to_owned(),
                Err(error) => {
                    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
                }
            };
            client::hear(self.consumer);
            if left.is_zero() || self.options.stop.load(Ordering::Relaxed) {
                let problem = self.consumer.context().last().unwrap_or(said);
                return Err(KafkaError::Unreachable { brokers: self.address.brokers.clone(), problem });
            }
            thread::sleep(AGAIN);
        }
    }

    /// The partitions of all topics.
    fn partitions(&self) -> Result<Vec<Partition>, KafkaError> {
        let mut found = Vec::new();
        for topic in &self.address.topics {
            let mut refused = None;
            let numbers = self.until(|timeout| {
                let metadata = self.consumer.fetch_metadata(Some(topic), timeout)?;
                let Some(about) = metadata.topics().first() else { return Ok(None) };
                refused = about.error().map(RDKafkaErrorCode::from);
                Ok(match about.error() {
                    Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) => None,
                    Some(_) => Some(Vec::new()),
                    None => numbers(about),
                })
            })?;
            match refused {
                None => {}
                Some(RDKafkaErrorCode::UnknownTopicOrPartition) => return Err(self.no_topic(topic)),
                Some(other) => {
                    return Err(KafkaError::Refused {
                        topic: topic.clone(),
                        brokers: self.address.brokers.clone(),
                        problem: other.to_string(),
                    });
                }
            }
            let topic: Arc<str> = topic.as_str().into();
            let own = numbers.into_iter().filter(|number| self.options.share.reads(&topic, *number));
            found.extend(own.map(|number| Partition { topic: topic.clone(), number }));
        }
        Ok(found)
    }

    fn no_topic(&self, topic: &str) -> KafkaError {
        let there = self.consumer.fetch_metadata(None, ASK).map(|metadata| {
            let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
            let mut names: Vec<String> = names.filter(|name| !name.starts_with("__")).collect();
            names.sort_unstable();
            names
        });
        let there = match there {
            Ok(names) if names.is_empty() => "is none at all: make it first".to_owned(),
            Ok(names) if names.len() > 20 => {
                format!("are {} others, such as {}", names.len(), names[..20].join(", "))
            }
            Ok(names) => format!("are: {}", names.join(", ")),
            Err(_) => "may be others".to_owned(),
        };
        KafkaError::NoTopic { topic: topic.to_owned(), brokers: self.address.brokers.clone(), there }
    }

    /// Where each partition begins and ends.
    fn places(
        &self,
        partitions: &[Partition],
        cluster: &str,
        known: &dyn Fn(&str) -> Option<Offset>,
    ) -> Result<Vec<Place>, KafkaError> {
        let ask = |which| self.until(|timeout| offsets(self.consumer, partitions, which, timeout).map(whole));
        let (lows, highs) = (ask(Which::Low)?, ask(Which::High)?);
        let kafka = &self.options.kafka;
        let times = match kafka.from {
            Some(Start::Time(time)) => {
                self.until(|timeout| offsets(self.consumer, partitions, Which::Of(time), timeout).map(Some))?
            }
            _ => vec![None; partitions.len()],
        };
        let place = |(index, partition): (usize, &Partition)| {
            let (low, high) = (lows[index], highs[index]);
            let given = match kafka.from {
                None | Some(Start::Earliest) => low,
                Some(Start::Latest) => high,
                Some(Start::Time(_)) => times[index].unwrap_or(high),
                Some(Start::Offset(offset)) => (offset as i64).clamp(low, high),
            };
            let stored = known(&partition.name(cluster)).and_then(Offset::partition);
            let mut place = Place::new(partition.clone(), given);
            place.end = (!kafka.endless).then_some(high);
            if let Some(stored) = stored {
                place.resets = stored.resets;
                let next = stored.next as i64;
                if kafka.again && kafka.from.is_some() {
                    // What lies between must not be passed over for ever, and what was read need not be read again.
                    place.keep_from = if given <= next { Some(next.min(high)) } else { None };
                } else {
                    place.begin = resume(next, !stored.last.is_empty(), low, high);
                    place.next = next;
                    place.last = stored.last;
                }
            }
            place
        };
        Ok(partitions.iter().enumerate().map(place).collect())
    }
}

/// The partitions of a topic, where each has a leader.
pub fn numbers(about: &MetadataTopic) -> Option<Vec<i32>> {
    let all = about.partitions();
    let led = !all.is_empty() && all.iter().all(|partition| partition.leader() >= 0);
    led.then(|| all.iter().map(|partition| partition.id()).collect())
}

/// All of them, or none.
fn whole(offsets: Vec<Option<i64>>) -> Option<Vec<i64>> {
    offsets.into_iter().collect()
}
