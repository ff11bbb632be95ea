//! A thread beside the reader that asks the brokers what takes long to answer: which partitions there are, and what is
//! left of one that could not be read on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::Partition;
use super::client::{ASK, Ears, Which, offsets};
use super::opening::numbers;
use crate::processes::Share;

/// How often a partition that is not there is looked for.
const AGAIN: Duration = Duration::from_millis(500);

/// What the reader is to do.
#[derive(Debug)]
pub enum Order {
    /// Read a partition, on or for the first time: its oldest offset, and the one behind its newest.
    Begin(Partition, i64, i64),
    /// A partition is gone; it will be looked for.
    Gone(Partition),
}

/// What is watched.
pub struct Watching {
    /// Whom to ask.
    pub consumer: Arc<BaseConsumer<Ears>>,
    /// The topics.
    pub topics: Vec<Arc<str>>,
    /// The partitions that the reader knows.
    pub known: BTreeSet<Partition>,
    /// Partitions that the reader cannot read on. It ends with this.
    pub asked: Receiver<Partition>,
    /// What the reader is told.
    pub order: Sender<Order>,
    /// Which partitions are read here.
    pub share: Share,
    /// How often to look for new partitions; none where none count.
    pub every: Option<Duration>,
}

impl Watching {
    /// Until the reader has ended.
    pub fn run(mut self) {
        let mut waiting: BTreeSet<Partition> = BTreeSet::new();
        let (mut looked, mut asked_at) = (Instant::now(), Instant::now());
        loop {
            match self.asked.recv_timeout(AGAIN.min(self.every.unwrap_or(AGAIN))) {
                Ok(partition) => {
                    waiting.insert(partition);
                    waiting.extend(self.asked.try_iter());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.every.is_some_and(|every| looked.elapsed() >= every) {
                looked = Instant::now();
                self.look(&mut waiting);
            }
            if !waiting.is_empty() && asked_at.elapsed() >= AGAIN {
                self.begin(&mut waiting);
                asked_at = Instant::now();
            }
        }
    }

    /// Looks for partitions that are new, or gone.
    fn look(&mut self, waiting: &mut BTreeSet<Partition>) {
        for topic in self.topics.clone() {
            let Some(there) = self.there(&topic) else { continue };
            for number in there.iter().filter(|number| self.share.reads(&topic, **number)) {
                let partition = Partition { topic: topic.clone(), number: *number };
                if self.known.insert(partition.clone()) {
                    tracing::info!(%partition, "a new partition");
                    waiting.insert(partition);
                }
            }
            let gone =
                self.known.iter().filter(|known| known.topic == topic && !there.contains(&known.number));
            for partition in gone.cloned().collect::<Vec<_>>() {
                if waiting.insert(partition.clone()) {
                    // Where the reader has ended, so has this.
                    let _ = self.order.send(Order::Gone(partition));
                }
            }
        }
    }

    /// The partitions of a topic that is led; none of one that is gone. Nothing where nobody knows now.
    fn there(&self, topic: &str) -> Option<Vec<i32>> {
        let metadata = self.consumer.fetch_metadata(Some(topic), ASK).ok()?;
        let about = metadata.topics().first()?;
        match about.error().map(rdkafka::error::RDKafkaErrorCode::from) {
            None => numbers(about),
            Some(rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition) => Some(Vec::new()),
            Some(_) => None,
        }
    }

    /// Lets the reader begin with those that wait and are there.
    fn begin(&self, waiting: &mut BTreeSet<Partition>) {
        let topics: BTreeSet<Arc<str>> = waiting.iter().map(|partition| partition.topic.clone()).collect();
        for topic in topics {
            let Some(there) = self.there(&topic) else { continue };
            let ready = waiting.iter().filter(|one| one.topic == topic && there.contains(&one.number));
            let ready: Vec<Partition> = ready.cloned().collect();
            let ask = |which| offsets(&self.consumer, &ready, which, ASK).ok();
            let (Some(lows), Some(highs)) = (ask(Which::Low), ask(Which::High)) else { continue };
            for ((partition, low), high) in ready.into_iter().zip(lows).zip(highs) {
                if let (Some(low), Some(high)) = (low, high) {
                    waiting.remove(&partition);
                    let _ = self.order.send(Order::Begin(partition, low, high));
                }
            }
        }
    }
}
