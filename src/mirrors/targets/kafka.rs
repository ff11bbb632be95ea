//! A compacted topic of Kafka: a message for each change of an entry. Its key is the entry's name, `PREFIX:LIST:MEMBER`, its value
//! the entry as JSON; an entry that is gone is a message without a value.
//!
//! All of a member is in one partition, in order: the one that producers choose for the member's id as a key. What the mirror
//! says of itself is in every partition behind what it speaks of. So who reads a partition alone knows up to which epoch
//! it has been read; and who adds partitions, or makes the topic anew, leaves some in which nothing is said, by which
//! the mirror sees that it is to be filled.
//!
//! A topic cannot be asked for a key: reading entries back is reading partitions from their beginning.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::super::MirrorError;
use super::super::entries::{About, Body, Entry, Key, of_text, to_text};
use super::{PATIENCE, Server, Show, Target, about_of};
use crate::config::SettingError;
use crate::sources::kafka::{KafkaError, Make, Message, Order, Topic, Writer, Written, partition_of};

/// How many partitions a topic has that is made, unless the config says otherwise.
const PARTITIONS: u32 = 4;
/// How often it is looked whether there are more partitions.
const LOOK: Duration = Duration::from_secs(30);
/// So many of the last messages of a partition are read first to find what the mirror says of itself.
const LAST: i64 = 1_000;
/// A topic that is made here. With the lag what was written over or taken out is off the disks in bounded time; by itself Kafka
/// would let it lie for as long as nothing else is written.
const SETTINGS: [(&str, &str); 2] = [(POLICY, COMPACT), ("max.compaction.lag.ms", "86400000")];
const POLICY: &str = "cleanup.policy";
const COMPACT: &str = "compact";

/// A topic, and who writes to it.
pub(super) struct Kafka {
    server: Server,
    topic: Topic,
    /// How many partitions there are; none where the topic is not there.
    partitions: Option<i32>,
    writer: Option<Writer>,
    looked: Instant,
    /// Names of entries that were found in partitions that they do not belong to, as there were fewer once.
    misplaced: Vec<(i32, String)>,
}

impl Kafka {
    pub fn open(server: Server) -> Result<Kafka, MirrorError> {
        let topic =
            Topic::open(&server.url, &server.settings, PATIENCE).map_err(|error| said(&server, error))?;
        let partitions = topic.partitions().map_err(|error| said(&server, error))?;
        let looked = Instant::now();
        let kafka = Kafka { server, topic, partitions, writer: None, looked, misplaced: Vec::new() };
        if partitions.is_some() {
            kafka.is_compacted()?;
        }
        Ok(kafka)
    }

    /// Refuses a topic that would lose entries after a while.
    fn is_compacted(&self) -> Result<(), MirrorError> {
        let policy = self.topic.setting(POLICY).map_err(|error| said(&self.server, error))?;
        match policy.as_deref() {
            Some(COMPACT) => Ok(()),
            other => Err(MirrorError::Refused(format!(
                "the mirror {} is in the topic {} whose {POLICY} is {}, so that entries would go after a while: set it to \
                 {COMPACT}, or name a topic that is not there, which is made so",
                self.server.mirror,
                self.server.url,
                other.unwrap_or("not known"),
            ))),
        }
    }

    /// How many partitions the topic has, which is made where it is not there.
    fn made(&mut self) -> Result<i32, MirrorError> {
        if let Some(partitions) = self.partitions {
            return Ok(partitions);
        }
        let make = Make {
            partitions: self.server.partitions.unwrap_or(PARTITIONS) as i32,
            replication: self.server.replication.map(|brokers| brokers as i32),
            settings: &SETTINGS,
        };
        let partitions = self.topic.make(make).map_err(|error| said(&self.server, error))?;
        self.is_compacted()?;
        self.partitions = Some(partitions);
        Ok(partitions)
    }

    /// The partition that an entry belongs to, among so many.
    fn place(&self, key: &Key, partitions: i32) -> i32 {
        match key {
            Key::List { member, .. } if !member.is_empty() => partition_of(member.as_bytes(), partitions),
            other => partition_of(other.name(&self.server.prefix).as_bytes(), partitions),
        }
    }

    fn orders(&self, Entry { key, body }: &Entry, partitions: i32, orders: &mut Vec<Order>) {
        let order = |partition| Order {
            partition,
            key: key.name(&self.server.prefix),
            value: body.as_ref().map(|body| to_text(key, body)),
        };
        match key {
            Key::About => orders.extend((0..partitions).map(order)),
            key => orders.push(order(self.place(key, partitions))),
        }
    }

    /// Writes messages, and sees to it that nobody else wrote in between.
    fn send(&mut self, orders: &[Order], partitions: i32) -> Result<(), MirrorError> {
        if self.writer.is_none() {
            let writer = self.topic.writer(partitions).map_err(|error| said(&self.server, error))?;
            self.writer = Some(writer);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let Written { anew, others } = writer.write(orders).map_err(|error| said(&self.server, error))?;
        if anew {
            return Err(self.forgotten("the topic holds less than was written to it: it was made anew"));
        }
        for (partition, range) in others {
            let mut ours = None;
            self.read(partition, range, &mut |Message { key, .. }| {
                let name = String::from_utf8_lossy(key);
                if self.is_ours(&name) {
                    ours.get_or_insert(name.into_owned());
                }
                Ok(())
            })?;
            if let Some(name) = ours {
                return Err(self.forgotten(&format!("somebody else has written {name}")));
            }
        }
        Ok(())
    }

    fn forgotten(&self, why: &str) -> MirrorError {
        MirrorError::Forgotten {
            mirror: self.server.mirror.clone(),
            url: self.server.url.clone(),
            message: why.to_owned(),
        }
    }

    fn is_ours(&self, name: &str) -> bool {
        name.strip_prefix(&self.server.prefix).is_some_and(|rest| rest.starts_with(':'))
    }

    fn ranges(&self, partitions: i32) -> Result<Vec<Range<i64>>, MirrorError> {
        self.topic.ranges(partitions).map_err(|error| said(&self.server, error))
    }

    fn read(
        &self,
        partition: i32,
        range: Range<i64>,
        show: &mut dyn FnMut(Message<'_>) -> Result<(), MirrorError>,
    ) -> Result<(), MirrorError> {
        self.topic.read(partition, range, &mut |message| show(message).map_err(Failed::Show)).map_err(
            |error| match error {
                Failed::Show(error) => error,
                Failed::Kafka(error) => said(&self.server, error),
            },
        )
    }

    /// What the mirror says of itself at the end of a partition: in most cases with its last message.
    fn about_in(&self, partition: i32, range: Range<i64>) -> Result<Option<String>, MirrorError> {
        let name = Key::About.name(&self.server.prefix);
        let mut last = LAST;
        loop {
            let from = range.start.max(range.end.saturating_sub(last));
            let mut found = None;
            self.read(partition, from..range.end, &mut |Message { key, value, .. }| {
                if key == name.as_bytes() {
                    found = Some(text_of(value));
                }
                Ok(())
            })?;
            if found.is_some() || from <= range.start {
                return Ok(found.flatten());
            }
            last = last.saturating_mul(32);
        }
    }

    /// The entries of a partition, in two readings, so that what is held of them is where each was said last.
    fn each_of(&mut self, partition: i32, range: Range<i64>, show: Show<'_>) -> Result<(), MirrorError> {
        let mut last: HashMap<u128, i64> = HashMap::new();
        self.read(partition, range.clone(), &mut |Message { offset, key, .. }| {
            if self.is_ours(&String::from_utf8_lossy(key)) {
                last.insert(digest(key), offset);
            }
            Ok(())
        })?;
        let mut misplaced = Vec::new();
        self.read(partition, range, &mut |Message { offset, key, value }| {
            let Some(value) = value.filter(|_| last.get(&digest(key)) == Some(&offset)) else {
                return Ok(());
            };
            let name = String::from_utf8_lossy(key);
            let known = of_text(&String::from_utf8_lossy(value));
            let Some((key, body)) = known.filter(|(key, _)| key.name(&self.server.prefix) == name) else {
                let what = format!("{name} is not of this mirror: give the mirror a prefix of its own");
                return Err(self.server.failed("read", what));
            };
            if key == Key::About || self.partitions.is_none_or(|all| self.place(&key, all) == partition) {
                return show(key, body);
            }
            misplaced.push((partition, name.into_owned()));
            Ok(())
        })?;
        self.misplaced.extend(misplaced);
        Ok(())
    }
}

impl Target for Kafka {
    fn write(&mut self, entries: &[Entry]) -> Result<(), MirrorError> {
        if entries.is_empty() {
            return Ok(());
        }
        let partitions = self.made()?;
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            let now = self.topic.partitions().map_err(|error| said(&self.server, error))?;
            if now != Some(partitions) {
                return Err(self.forgotten("the topic has other partitions than it had"));
            }
        }
        let mut orders = Vec::with_capacity(entries.len());
        entries.iter().for_each(|entry| self.orders(entry, partitions, &mut orders));
        self.send(&orders, partitions)
    }

    fn get(&mut self, keys: &[Key]) -> Result<Vec<Option<Body>>, MirrorError> {
        let Some(partitions) = self.partitions else { return Ok(vec![None; keys.len()]) };
        let mut wanted: HashMap<i32, HashMap<String, Option<String>>> = HashMap::new();
        for key in keys {
            let name = key.name(&self.server.prefix);
            wanted.entry(self.place(key, partitions)).or_default().insert(name, None);
        }
        let ranges = self.ranges(partitions)?;
        for (partition, wanted) in &mut wanted {
            let range = ranges.get(*partition as usize).cloned().unwrap_or_default();
            self.read(*partition, range, &mut |Message { key, value, .. }| {
                if let Ok(name) = std::str::from_utf8(key)
                    && let Some(found) = wanted.get_mut(name)
                {
                    *found = text_of(value);
                }
                Ok(())
            })?;
        }
        let body = |key: &Key| {
            let found = wanted.get(&self.place(key, partitions))?;
            let text = found.get(&key.name(&self.server.prefix))?.as_deref()?;
            of_text(text).filter(|(of, _)| of == key).map(|(_, body)| body)
        };
        Ok(keys.iter().map(body).collect())
    }

    fn together(&self) -> usize {
        // Each time the topic is read; so many lists may be held.
        16_384
    }

    fn each(&mut self, show: Show<'_>) -> Result<(), MirrorError> {
        self.misplaced.clear();
        let Some(partitions) = self.partitions else { return Ok(()) };
        for (partition, range) in self.ranges(partitions)?.into_iter().enumerate() {
            self.each_of(partition as i32, range, show)?;
        }
        Ok(())
    }

    fn tidy(&mut self) -> Result<(), MirrorError> {
        let misplaced = std::mem::take(&mut self.misplaced);
        let gone = |(partition, key)| Order { partition, key, value: None };
        let orders: Vec<Order> = misplaced.into_iter().map(gone).collect();
        match self.partitions {
            Some(partitions) if !orders.is_empty() => self.send(&orders, partitions),
            _ => Ok(()),
        }
    }

    fn about(&mut self) -> Result<Option<About>, MirrorError> {
        let Some(partitions) = self.partitions else { return Ok(None) };
        let mut oldest: Option<About> = None;
        for (partition, range) in self.ranges(partitions)?.into_iter().enumerate() {
            let said = self.about_in(partition as i32, range)?;
            let Some(about) = said.and_then(|text| about_of(Some(Body::About(text)))) else {
                return Ok(None);
            };
            if oldest.as_ref().is_none_or(|oldest| about.epoch < oldest.epoch) {
                oldest = Some(about);
            }
        }
        Ok(oldest)
    }
}

/// Why reading ended early.
enum Failed {
    Kafka(KafkaError),
    Show(MirrorError),
}

impl From<KafkaError> for Failed {
    fn from(error: KafkaError) -> Self {
        Failed::Kafka(error)
    }
}

fn text_of(value: Option<&[u8]>) -> Option<String> {
    value.map(|value| String::from_utf8_lossy(value).into_owned())
}

/// What a key is known by: so few bytes, as there may be many.
fn digest(key: &[u8]) -> u128 {
    let mut half = [0; 16];
    half.copy_from_slice(&blake3::hash(key).as_bytes()[..16]);
    u128::from_be_bytes(half)
}

/// An error of Kafka as one of the mirror, whose settings are in another place of the config than those of sources.
fn said(server: &Server, error: KafkaError) -> MirrorError {
    let setting = |key: String, problem: String| MirrorError::Setting {
        mirror: server.mirror.clone(),
        source: SettingError { key, problem },
    };
    match error {
        KafkaError::Setting { key, problem } => setting(format!("settings.{key}"), problem),
        KafkaError::Settings { problem } => setting("settings".to_owned(), problem),
        KafkaError::Unreachable { problem, .. } => {
            let settings = format!("[mirrors.{}.settings]", server.mirror);
            server.failed(
                "connect",
                format!("{problem}; see that a broker runs there, and that {settings} says how to reach it"),
            )
        }
        KafkaError::Topic { doing, problem, .. } => server.failed(&format!("{doing} the topic"), problem),
        other => server.failed("connect", other),
    }
}
