//! A thread that takes messages from librdkafka, partition by partition, and makes blocks of them for the threads that
//! decode.
//!
//! Each partition has a queue of its own, so that what is said of it (its end, an offset that is not there) is known to
//! be said of it. The thread asks the brokers nothing itself, so that nobody waits for an answer.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError as Said, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};

use super::client::Ears;
use super::decision::{Begin, Reset, resume};
use super::watching::Order;
use super::{KafkaError, Partition};
use crate::sources::cutter::{Cut, Place as LogPlace};
use crate::sources::decoding::{Block, Closed, Feed, Format, Messages};
use crate::sources::reason::{NO_PAYLOAD, Reason};
use crate::sources::watched::latest_at;
use crate::sources::{Offset, Options, PartitionOffset, Rejected, SourceError};

/// How long the thread waits for messages before it looks at other things.
const LOOK: Duration = Duration::from_millis(20);
/// How many messages of one partition are taken before it is another's turn.
const TURN: usize = 10_000;
/// How much memory is made ready for the next blocks of all partitions, in bytes.
const READY: usize = 16 << 20;
/// How long a message waits in a block for others while there are more to be taken.
const GATHER: Duration = Duration::from_millis(10);

/// Where a partition is read.
#[derive(Debug)]
pub struct Place {
    /// The partition.
    pub partition: Partition,
    /// Where to begin.
    pub begin: Begin,
    /// The offset to be read next.
    pub next: i64,
    /// The mark of the message before it; empty where it is not known.
    pub last: String,
    /// Where to end.
    pub end: Option<i64>,
    /// From which offset on the place is kept; none where it never is.
    pub keep_from: Option<i64>,
    /// How often reading had to go on elsewhere.
    pub resets: u64,
}

impl Place {
    /// A partition that is read from an offset on.
    pub fn new(partition: Partition, from: i64) -> Self {
        Place {
            partition,
            begin: Begin { from, check: false, reset: None },
            next: from,
            last: String::new(),
            end: None,
            keep_from: Some(i64::MIN),
            resets: 0,
        }
    }

    /// Where to go on, given the oldest offset and the one behind the newest.
    fn resume(&mut self, low: i64, high: i64) {
        self.begin = resume(self.next, !self.last.is_empty(), low, high);
    }

    /// Takes up where it was decided to begin.
    fn take_up(&mut self) {
        if let Some(reset) = self.begin.reset.take() {
            self.reset(&reset, self.begin.from);
        }
    }

    fn reset(&mut self, reset: &Reset, next: i64) {
        tracing::warn!(partition = %self.partition, "{reset}");
        self.resets += 1;
        self.last.clear();
        self.next = next;
        self.keep_from = self.keep_from.map(|_| i64::MIN);
        if let Reset::Shrunk { high, .. } = reset {
            self.end = self.end.map(|end| end.min(*high));
        }
    }
}

/// A partition that is read.
struct State {
    place: Place,
    name: Arc<str>,
    queue: Option<PartitionQueue<Ears>>,
    open: Open,
    /// Whether messages are taken.
    reading: bool,
    /// Whether its end was reached.
    done: bool,
}

/// Messages that wait to become a block.
#[derive(Default)]
struct Open {
    bytes: Vec<u8>,
    messages: Messages,
    rejected: Vec<Rejected>,
    /// The time of the newest of them, and where it lies.
    newest: Option<(i64, Range<usize>)>,
    /// How many offsets were passed.
    passed: u64,
    since: Option<Instant>,
}

/// The thread.
pub struct Reader {
    consumer: Arc<BaseConsumer<Ears>>,
    brokers: String,
    cluster: String,
    options: Options,
    states: Vec<State>,
    ask: Sender<Partition>,
    orders: Receiver<Order>,
    ready: (Sender<usize>, Receiver<usize>),
}

impl Reader {
    /// Ready to read. `ask` asks where to go on, and `orders` is where the answer comes from.
    pub fn new(
        consumer: Arc<BaseConsumer<Ears>>,
        brokers: &str,
        cluster: String,
        options: Options,
        ask: Sender<Partition>,
        orders: Receiver<Order>,
    ) -> Self {
        let states = Vec::new();
        Reader {
            consumer,
            brokers: brokers.to_owned(),
            cluster,
            options,
            states,
            ask,
            orders,
            ready: unbounded(),
        }
    }

    /// Reads until the ends are reached, or nobody takes what is read any more.
    pub fn read(mut self, places: Vec<Place>, feed: &Feed) {
        for place in places {
            let index = self.add(place);
            self.begin(index);
        }
        // Where nobody waits any more, that is all.
        let _ = self.take_turns(feed);
        // What is not taken is not fetched.
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(%error, "the partitions could not be let go");
        }
    }

    fn take_turns(&mut self, feed: &Feed) -> Result<(), Closed> {
        let mut looked = Instant::now();
        while self.goes_on(feed) {
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look(feed)?;
                // With many busy partitions there is always one to be read.
                (0..self.states.len()).try_for_each(|index| self.flush_old(index, feed))?;
            }
            if let Ok(index) = self.ready.1.try_recv() {
                self.turn(index, feed)?;
                continue;
            }
            (0..self.states.len()).try_for_each(|index| self.flush(index, feed))?;
            match self.ready.1.recv_timeout(LOOK) {
                Ok(index) => self.turn(index, feed)?,
                // A queue says once that it is not empty any more; to look costs little.
                Err(_) => (0..self.states.len()).try_for_each(|index| self.turn(index, feed))?,
            }
        }
        (0..self.states.len()).try_for_each(|index| self.flush(index, feed))
    }

    fn goes_on(&self, feed: &Feed) -> bool {
        !feed.is_over() && (self.options.kafka.endless || self.states.iter().any(|state| !state.done))
    }

    /// What is told by others: events of the client, and where to go on.
    fn look(&mut self, feed: &Feed) -> Result<(), Closed> {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            match event {
                Err(Said::MessageConsumptionFatal(code)) => return self.fatal(code, feed),
                Err(error) => tracing::debug!(%error, brokers = self.brokers, "said by the client"),
                // All partitions have queues of their own.
                Ok(message) => tracing::debug!(offset = message.offset(), "a message of no partition"),
            }
        }
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Begin(partition, low, high) => self.begin_again(partition, low, high),
                Order::Gone(partition) => self.gone(&partition, feed)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, place: Place) -> usize {
        let index = self.states.len();
        let Partition { topic, number } = &place.partition;
        let mut queue = self.consumer.split_partition_queue(topic, *number);
        let ready = self.ready.0.clone();
        if let Some(queue) = &mut queue {
            queue.set_nonempty_callback(move || {
                // Where the reader has ended, nobody needs to know.
                let _ = ready.send(index);
            });
        }
        let name = place.partition.name(&self.cluster);
        self.states.push(State { place, name, queue, open: Open::default(), reading: false, done: false });
        index
    }

    /// Begins to fetch, where the place says.
    fn begin(&mut self, index: usize) {
        let state = &mut self.states[index];
        state.place.take_up();
        let from = state.place.begin.from;
        if state.place.end.is_some_and(|end| state.place.next >= end) {
            state.done = true;
            return;
        }
        self.assign(index, At::Offset(from));
    }

    fn assign(&mut self, index: usize, at: At) {
        self.stop(index);
        let state = &mut self.states[index];
        let Partition { topic, number } = &state.place.partition;
        let mut list = TopicPartitionList::with_capacity(1);
        let assigned = list
            .add_partition_offset(topic, *number, at)
            .and_then(|()| self.consumer.incremental_assign(&list));
        state.reading = assigned.is_ok();
        if let Err(error) = assigned {
            tracing::warn!(partition = %state.place.partition, %error, "the partition cannot be read; trying again");
            self.ask_about(index);
        }
    }

    /// Fetches no more.
    fn stop(&mut self, index: usize) {
        let state = &mut self.states[index];
        if !std::mem::take(&mut state.reading) {
            return;
        }
        let Partition { topic, number } = &state.place.partition;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(topic, *number);
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::debug!(partition = %state.place.partition, %error, "the partition could not be let go");
        }
    }

    fn ask_about(&self, index: usize) {
        // Whoever answers lives as long as this.
        let _ = self.ask.send(self.states[index].place.partition.clone());
    }

    fn begin_again(&mut self, partition: Partition, low: i64, high: i64) {
        let known = self.states.iter().position(|state| state.place.partition == partition);
        let index = match known {
            Some(index) => index,
            None => {
                self.options.kafka.lags.also(&self.cluster, &partition);
                let mut place = Place::new(partition, low);
                let name = place.partition.name(&self.cluster);
                if let Some(stored) = (self.options.kafka.committed.0)(&name).and_then(Offset::partition) {
                    (place.next, place.last, place.resets) = (stored.next as i64, stored.last, stored.resets);
                }
                self.add(place)
            }
        };
        if self.states[index].done || self.states[index].reading {
            return;
        }
        self.states[index].place.resume(low, high);
        self.begin(index);
    }

    fn gone(&mut self, partition: &Partition, feed: &Feed) -> Result<(), Closed> {
        let Some(index) = self.states.iter().position(|state| state.place.partition == *partition) else {
            return Ok(());
        };
        self.flush(index, feed)?;
        self.stop(index);
        if self.options.kafka.endless {
            tracing::warn!(%partition, "the partition is gone; it is read on when it comes back");
            return Ok(());
        }
        self.states[index].done = true;
        let problem = format!("{partition} is gone");
        feed.failed(SourceError::from(KafkaError::Fatal { brokers: self.brokers.clone(), problem }))
    }

    fn fatal(&self, code: RDKafkaErrorCode, feed: &Feed) -> Result<(), Closed> {
        let problem = code.to_string();
        feed.failed(SourceError::from(KafkaError::Fatal { brokers: self.brokers.clone(), problem }))?;
        Err(Closed)
    }

    /// Takes what a partition has, but no more than its share.
    fn turn(&mut self, index: usize, feed: &Feed) -> Result<(), Closed> {
        let Some(queue) = self.states[index].queue.take() else { return Ok(()) };
        let outcome = self.take_from(index, &queue, feed);
        self.states[index].queue = Some(queue);
        outcome
    }

    fn take_from(&mut self, index: usize, queue: &PartitionQueue<Ears>, feed: &Feed) -> Result<(), Closed> {
        for _ in 0..TURN {
            match queue.poll(Duration::ZERO) {
                None => return Ok(()),
                Some(Ok(message)) => self.take(index, &message, feed)?,
                Some(Err(Said::PartitionEOF(_))) => {
                    if self.states[index].place.end.is_some() && self.states[index].reading {
                        self.finish(index, feed)?;
                    }
                }
                Some(Err(Said::MessageConsumptionFatal(code))) => return self.fatal(code, feed),
                Some(Err(error)) => self.failed(index, &error),
            }
        }
        // There may be more, which it will not say.
        let _ = self.ready.0.send(index);
        self.flush_old(index, feed)
    }

    fn flush_old(&mut self, index: usize, feed: &Feed) -> Result<(), Closed> {
        match self.states[index].open.since {
            Some(since) if since.elapsed() >= GATHER => self.flush(index, feed),
            _ => Ok(()),
        }
    }

    fn take(&mut self, index: usize, message: &BorrowedMessage<'_>, feed: &Feed) -> Result<(), Closed> {
        let state = &mut self.states[index];
        if !state.reading {
            return Ok(());
        }
        let offset = message.offset();
        if std::mem::take(&mut state.place.begin.check) && offset + 1 == state.place.next {
            let payload = message.payload().unwrap_or_default();
            if mark(time_of(message), payload) != state.place.last {
                state.place.reset(&Reset::Other { next: state.place.next }, 0);
                self.assign(index, At::Beginning);
            }
            return Ok(());
        }
        if offset < state.place.next {
            return Ok(());
        }
        if state.place.end.is_some_and(|end| offset >= end) {
            return self.finish(index, feed);
        }
        if state.open.is_too_far(offset) {
            self.flush(index, feed)?;
        }
        let state = &mut self.states[index];
        state.open.add(offset, message);
        state.open.passed += (offset + 1 - state.place.next) as u64;
        state.place.next = offset + 1;
        let ended = state.place.end.is_some_and(|end| offset + 1 >= end);
        if ended {
            self.finish(index, feed)?;
        } else if state.open.bytes.len() >= self.options.block_bytes {
            self.flush(index, feed)?;
        }
        Ok(())
    }

    fn failed(&mut self, index: usize, error: &Said) {
        use RDKafkaErrorCode::{
            AutoOffsetReset, BadMessage, OffsetOutOfRange, UnknownPartition, UnknownTopic,
            UnknownTopicOrPartition,
        };
        let partition = &self.states[index].place.partition;
        match error.rdkafka_error_code() {
            Some(
                AutoOffsetReset
                | OffsetOutOfRange
                | UnknownPartition
                | UnknownTopic
                | UnknownTopicOrPartition,
            ) => {
                tracing::debug!(%partition, %error, "the partition cannot be read on");
                if self.states[index].reading {
                    self.stop(index);
                    self.ask_about(index);
                }
            }
            Some(BadMessage) => {
                tracing::error!(%partition, %error, "messages are damaged, and are passed over");
            }
            _ => tracing::warn!(%partition, %error, "the partition cannot be read now; trying again"),
        }
    }

    fn finish(&mut self, index: usize, feed: &Feed) -> Result<(), Closed> {
        self.flush(index, feed)?;
        self.stop(index);
        self.states[index].done = true;
        Ok(())
    }

    /// Lets the messages that were gathered be decoded.
    fn flush(&mut self, index: usize, feed: &Feed) -> Result<(), Closed> {
        let share = READY / self.states.len().max(1);
        let state = &mut self.states[index];
        if state.open.is_empty() {
            return Ok(());
        }
        let room = state.open.bytes.len().min(share);
        let next = Open { bytes: Vec::with_capacity(room), ..Open::default() };
        let open = std::mem::replace(&mut state.open, next);
        let place = &mut state.place;
        if let Some((time, range)) = open.newest {
            place.last = mark(time, open.bytes.get(range).unwrap_or_default());
        }
        let kept = place.keep_from.is_some_and(|from| place.next >= from);
        let offset = kept.then(|| {
            Offset::Partition(PartitionOffset {
                next: place.next as u64,
                last: place.last.clone(),
                resets: place.resets,
                brokers: self.brokers.clone(),
            })
        });
        let nowhere = LogPlace::default();
        feed.block(Block {
            source: state.name.clone(),
            format: Format::Messages(open.messages),
            cut: Cut { bytes: open.bytes, place: nowhere, rejected: open.rejected, whole: nowhere },
            offset,
            bytes_read: open.passed,
            latest_at: latest_at(&self.options),
        })
    }
}

impl Open {
    fn is_empty(&self) -> bool {
        self.messages.ends.is_empty() && self.rejected.is_empty()
    }

    /// Whether an offset cannot be counted from the first.
    fn is_too_far(&self, offset: i64) -> bool {
        !self.messages.ends.is_empty() && offset as u64 - self.messages.first > u64::from(u32::MAX)
    }

    fn add(&mut self, offset: i64, message: &BorrowedMessage<'_>) {
        self.since.get_or_insert_with(Instant::now);
        let start = self.bytes.len();
        match message.payload() {
            Some(payload) => {
                if self.messages.ends.is_empty() {
                    self.messages.first = offset as u64;
                }
                self.bytes.extend_from_slice(payload);
                let behind = (offset as u64 - self.messages.first) as u32;
                self.messages.ends.push((self.bytes.len() as u32, behind));
                self.newest = Some((time_of(message), start..self.bytes.len()));
                self.bytes.push(b'\n');
            }
            None => {
                self.rejected.push(Rejected {
                    line: 0,
                    offset: offset as u64,
                    reason: Reason::NoPayload,
                    detail: NO_PAYLOAD.to_owned(),
                    raw: Vec::new(),
                });
                self.newest = Some((time_of(message), start..start));
            }
        }
    }
}

fn time_of(message: &BorrowedMessage<'_>) -> i64 {
    message.timestamp().to_millis().unwrap_or(-1)
}

/// What a message is recognised by.
fn mark(time: i64, payload: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&time.to_be_bytes()).update(payload);
    hasher.finalize().to_hex()[..32].to_owned()
}
