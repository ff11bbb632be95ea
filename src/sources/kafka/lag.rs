//! How far topics are read, and how far they go: for `status`, for metrics, and for Kafka's own tools.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};

use super::client::{self, Ears, Which, offsets};
use super::{Committed, KafkaError, Partition};
use crate::config::Settings;
use crate::sources::Offset;

/// How often it is told how far topics are read.
const EVERY: Duration = Duration::from_secs(1);
/// How long the brokers have to say how far topics go.
const ASK: Duration = Duration::from_secs(3);
/// How long the last report may take.
const LAST: Duration = Duration::from_secs(2);

/// How far a partition is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub number: i32,
    /// The offset that is read next, by what is committed; none before the first commit.
    pub next: Option<u64>,
    /// The offset behind the newest message, when it was last asked for.
    pub end: Option<u64>,
    /// How often reading had to go on elsewhere.
    pub resets: u64,
}

impl Lag {
    /// How many messages are still to be read.
    pub fn behind(&self) -> Option<u64> {
        Some(self.end?.saturating_sub(self.next?))
    }
}

/// How far all topics are read that a process reads. Clones share it.
#[derive(Clone, Default)]
pub struct Lags(Arc<Mutex<Vec<Group>>>);

/// The topics of one address.
struct Group {
    cluster: String,
    consumer: Arc<BaseConsumer<Ears>>,
    partitions: BTreeMap<Partition, Known>,
}

#[derive(Default, Clone)]
struct Known {
    next: Option<u64>,
    end: Option<u64>,
    resets: u64,
    /// What was reported to Kafka.
    reported: Option<u64>,
}

impl std::fmt::Debug for Lags {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.all()).finish()
    }
}

impl Lags {
    fn groups(&self) -> MutexGuard<'_, Vec<Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Partitions that are read from now on.
    pub(super) fn add(&self, cluster: &str, consumer: &Arc<BaseConsumer<Ears>>, partitions: &[Partition]) {
        let partitions = partitions.iter().map(|partition| (partition.clone(), Known::default())).collect();
        self.groups().push(Group { cluster: cluster.to_owned(), consumer: consumer.clone(), partitions });
    }

    /// One more partition.
    pub(super) fn also(&self, cluster: &str, partition: &Partition) {
        for group in self.groups().iter_mut().filter(|group| group.cluster == cluster) {
            if group.partitions.keys().any(|known| known.topic == partition.topic) {
                group.partitions.entry(partition.clone()).or_default();
            }
        }
    }

    /// How far each partition is read.
    pub fn all(&self) -> Vec<Lag> {
        let mut all = Vec::new();
        for group in self.groups().iter() {
            for (partition, known) in &group.partitions {
                all.push(Lag {
                    topic: partition.topic.to_string(),
                    number: partition.number,
                    next: known.next,
                    end: known.end,
                    resets: known.resets,
                });
            }
        }
        all
    }
}

/// A thread that reports, until it is dropped; then once more.
pub struct Reporter {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Begins, where topics are read.
    pub fn start(lags: &Lags, committed: &Committed) -> std::io::Result<Option<Reporter>> {
        if lags.groups().is_empty() {
            return Ok(None);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (lags, committed, told) = (lags.clone(), committed.clone(), stop.clone());
        let run = move || {
            while !told.load(Ordering::Relaxed) {
                report(&lags, &committed, ASK);
                thread::park_timeout(EVERY);
            }
            report(&lags, &committed, LAST);
        };
        let thread = thread::Builder::new().name("lag".into()).spawn(run)?;
        Ok(Some(Reporter { stop, thread: Some(thread) }))
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It says itself what it cannot do.
            let _ = thread.join();
        }
    }
}

/// Reports what is committed to Kafka, and asks how far the topics go. The brokers are asked with nothing held.
fn report(lags: &Lags, committed: &Committed, within: Duration) {
    let clients: Vec<_> = lags.groups().iter().map(|group| group.consumer.clone()).collect();
    for (index, consumer) in clients.iter().enumerate() {
        let (mut all, mut to_report) = (Vec::new(), TopicPartitionList::new());
        if let Some(Group { cluster, partitions, .. }) = lags.groups().get_mut(index) {
            for (partition, known) in partitions {
                let name = partition.name(cluster);
                if let Some(offset) = (committed.0)(&name).and_then(Offset::partition) {
                    (known.next, known.resets) = (Some(offset.next), offset.resets);
                }
                if let Some(next) = known.next.filter(|next| known.reported != Some(*next)) {
                    let at = At::Offset(next as i64);
                    if to_report.add_partition_offset(&partition.topic, partition.number, at).is_ok() {
                        known.reported = Some(next);
                    }
                }
                all.push(partition.clone());
            }
        }
        if to_report.count() > 0
            && let Err(error) = consumer.commit(&to_report, CommitMode::Async)
        {
            tracing::debug!(%error, "offsets could not be reported");
        }
        let ends = offsets(consumer, &all, Which::High, within);
        if let (Ok(ends), Some(group)) = (ends, lags.groups().get_mut(index)) {
            for (partition, end) in all.iter().zip(ends) {
                if let Some(known) = group.partitions.get_mut(partition) {
                    known.end = end.map(|end| end as u64).or(known.end);
                }
            }
        }
    }
}

/// The offsets behind the newest messages of partitions, asked for once: of topics and numbers, in their order.
pub fn ends(
    brokers: &str,
    settings: &Settings,
    partitions: &[(String, i32)],
) -> Result<Vec<Option<u64>>, KafkaError> {
    let consumer = client::reader(brokers, settings)?;
    let partitions: Vec<Partition> = partitions
        .iter()
        .map(|(topic, number)| Partition { topic: topic.as_str().into(), number: *number })
        .collect();
    match offsets(&consumer, &partitions, Which::High, ASK) {
        Ok(ends) => Ok(ends.into_iter().map(|end| end.map(|end| end as u64)).collect()),
        Err(error) => {
            client::hear(&consumer);
            let problem = consumer.context().last().unwrap_or_else(|| error.to_string());
            Err(KafkaError::Unreachable { brokers: brokers.to_owned(), problem })
        }
    }
}
