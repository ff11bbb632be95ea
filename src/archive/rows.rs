//! Records with their epochs, in memory, on their way into a file.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::records::{self, Record};

/// Records in normal form with their epochs.
#[derive(Debug, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    epoch: u64,
    start: usize,
    length: u32,
}

impl Rows {
    /// Adds a record.
    pub fn push(&mut self, epoch: u64, normal: &[u8]) {
        self.rows.push(Row { epoch, start: self.bytes.len(), length: normal.len() as u32 });
        self.bytes.extend_from_slice(normal);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Epochs and normal forms, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.rows.iter().map(|row| (row.epoch, self.normal(row)))
    }

    fn normal(&self, row: &Row) -> &[u8] {
        &self.bytes[row.start..row.start + row.length as usize]
    }

    /// The first epoch and the last.
    pub fn epochs(&self) -> (u64, u64) {
        let epochs = || self.rows.iter().map(|row| row.epoch);
        (epochs().min().unwrap_or(0), epochs().max().unwrap_or(0))
    }

    /// Puts them in the order of a file: by member, those of none first, then moment, item and the rest. So the same
    /// records make the same file.
    pub fn sort(&mut self) {
        let normal = |row: &Row| &self.bytes[row.start..row.start + row.length as usize];
        let mut keyed: Vec<(Key<'_>, Row)> =
            self.rows.iter().map(|row| (Key::of(normal(row)), *row)).collect();
        keyed.sort_unstable_by(|(a, a_row), (b, b_row)| {
            a.cmp(b).then_with(|| (normal(a_row), a_row.epoch).cmp(&(normal(b_row), b_row.epoch)))
        });
        self.rows = keyed.into_iter().map(|(_, row)| row).collect();
    }

    /// Deals them out by day, in the order of the days.
    pub fn by_day(&self) -> Vec<(String, Rows)> {
        let mut days: std::collections::BTreeMap<i64, Rows> = std::collections::BTreeMap::new();
        for (epoch, normal) in self.iter() {
            days.entry(day_of(normal)).or_default().push(epoch, normal);
        }
        days.into_iter().map(|(day, rows)| (folder_of(day), rows)).collect()
    }
}

/// What rows are sorted by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    member: Option<&'a str>,
    at: i64,
    item: &'a str,
}

impl<'a> Key<'a> {
    fn of(normal: &'a [u8]) -> Key<'a> {
        let (member, at, item) = match records::decode(normal) {
            Ok(Record::Event(event) | Record::Retract(event)) => (Some(event.member), event.at, event.item),
            Ok(Record::RetractId { member, .. } | Record::Forget { member, .. }) => (Some(member), -1, ""),
            Ok(Record::Item(version)) => (None, version.at, version.item),
            Ok(Record::Trim { at }) => (None, at, ""),
            _ => (None, -1, ""),
        };
        Key { member, at, item }
    }
}

/// The day of an event or of its retraction, since 1970 in UTC. What no member did at a moment lies under the first day: the
/// catalogue, retractions by id, what is left of who was forgotten. (Hive has a name for no day at all, at which pandas
/// stumbles.)
pub fn day_of(normal: &[u8]) -> i64 {
    const DAY: i64 = 86_400_000;
    match records::decode(normal) {
        Ok(Record::Event(event) | Record::Retract(event)) => event.at.div_euclid(DAY),
        _ => 0,
    }
}

/// The name of a day's folder, as Hive has it.
pub fn folder_of(day: i64) -> String {
    let moment = Timestamp::from_second(day * 86_400).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("day={}", moment.to_zoned(TimeZone::UTC).date())
}
