//! A topic read, a partition at a time and from one offset to another.

use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError as Said, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};

use super::super::client::{Which, hear, offsets};
use super::super::{KafkaError, Partition};
use super::Topic;

/// How long one wait for a message takes.
const LOOK: Duration = Duration::from_millis(100);

/// A message of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Where it is in its partition.
    pub offset: i64,
    /// Its key.
    pub key: &'a [u8],
    /// What it says; none: what was said under this key is no more.
    pub value: Option<&'a [u8]>,
}

impl Topic {
    /// Where each of so many partitions begins, and where its next message will be.
    pub fn ranges(&self, partitions: i32) -> Result<Vec<Range<i64>>, KafkaError> {
        let all: Vec<Partition> =
            (0..partitions).map(|number| Partition { topic: self.name.as_str().into(), number }).collect();
        let ask = |which| -> Result<Vec<i64>, KafkaError> {
            let found = offsets(&self.consumer, &all, which, self.patience);
            hear(&self.consumer);
            let found = found.map_err(|error| self.unreachable(&error))?;
            let all: Option<Vec<i64>> = found.into_iter().collect();
            all.ok_or_else(|| self.failed("read", "a partition does not say where it ends"))
        };
        let (lows, highs) = (ask(Which::Low)?, ask(Which::High)?);
        Ok(lows.into_iter().zip(highs).map(|(low, high)| low..high).collect())
    }

    /// Shows the messages of a partition from one offset on and before another, in their order; of those that were
    /// compacted away there are none. An error ends the showing.
    pub fn read<E: From<KafkaError>>(
        &self,
        partition: i32,
        range: Range<i64>,
        show: &mut dyn FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if range.is_empty() {
            return Ok(());
        }
        let assign = |list: &TopicPartitionList| {
            self.consumer.assign(list).map_err(|error| E::from(self.failed("read", error)))
        };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, At::Offset(range.start))
            .map_err(|error| self.failed("read", error))?;
        assign(&list)?;
        let read = self.take(partition, range.end, show);
        // What librdkafka fetches ahead is of no use any more.
        assign(&TopicPartitionList::new())?;
        read
    }

    fn take<E: From<KafkaError>>(
        &self,
        partition: i32,
        end: i64,
        show: &mut dyn FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut heard = Instant::now();
        let mut problem = None;
        loop {
            match self.consumer.poll(LOOK) {
                Some(Ok(message)) if message.partition() == partition => {
                    heard = Instant::now();
                    let offset = message.offset();
                    if offset < end {
                        let key = message.key().unwrap_or_default();
                        show(Message { offset, key, value: message.payload() })?;
                    }
                    if offset + 1 >= end {
                        return Ok(());
                    }
                }
                // The last messages before the end may have been compacted away.
                Some(Err(Said::PartitionEOF(number))) if number == partition => return Ok(()),
                Some(Err(error)) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                        return Err(self.failed("read", error).into());
                    }
                    _ => problem = Some(error.to_string()),
                },
                Some(Ok(_)) | None => {}
            }
            if heard.elapsed() >= self.patience {
                let none = || format!("no answer within {} s", self.patience.as_secs());
                return Err(self.failed("read", problem.unwrap_or_else(none)).into());
            }
        }
    }
}
