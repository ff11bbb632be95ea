//! The bytes of a record's normal form (docs/formats.md, "Normal form"), and back.
//!
//! The layout is fixed: an event's digest is taken over these bytes, so a change of them is a change of
//! format. Strings are led by their length, integers are big-endian.

use super::{Event, ItemVersion, Record, Tombstone};

const EVENT: u8 = 1;
const RETRACT: u8 = 2;
const RETRACT_ID: u8 = 3;
const FORGET: u8 = 4;
const TRIM: u8 = 5;
const ITEM: u8 = 6;
const TOMBSTONE: u8 = 7;
const KEY: u8 = 8;

/// What a record is, as far as its first byte tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordType {
    /// An event.
    Event,
    /// A retraction by fields.
    Retract,
    /// Any other record.
    Other,
}

/// What the record with this normal form is.
pub fn type_of(normal: &[u8]) -> RecordType {
    match normal.first() {
        Some(&EVENT) => RecordType::Event,
        Some(&RETRACT) => RecordType::Retract,
        _ => RecordType::Other,
    }
}

/// The ids of the member and of the item in the normal form of an event, or of a retraction by fields; none of any other
/// record.
pub fn event_ids(normal: &[u8]) -> Option<(&[u8], &[u8])> {
    if type_of(normal) == RecordType::Other {
        return None;
    }
    let mut rest = Rest(&normal[1..]);
    let mut id = || -> Option<&[u8]> {
        let length = usize::from(rest.byte().ok()?) + 1;
        rest.take(length).ok()
    };
    Some((id()?, id()?))
}

/// Bytes that are not the normal form of any record: the store or a program is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are not a record in normal form")]
pub struct Malformed;

/// Appends the normal form of `record` to `out`.
pub fn encode(record: &Record<'_>, out: &mut Vec<u8>) {
    match record {
        Record::Event(event) => encode_event(EVENT, event, out),
        Record::Retract(event) => encode_event(RETRACT, event, out),
        Record::RetractId { member, id } => {
            out.push(RETRACT_ID);
            put_id(member, out);
            put_id(id, out);
        }
        Record::Forget { member, at } => {
            out.push(FORGET);
            put_id(member, out);
            out.extend_from_slice(&at.to_be_bytes());
        }
        Record::Trim { at } => {
            out.push(TRIM);
            out.extend_from_slice(&at.to_be_bytes());
        }
        Record::Item(item) => {
            out.push(ITEM);
            put_id(item.item, out);
            out.extend_from_slice(&item.at.to_be_bytes());
            out.push(u8::from(item.withdrawn));
            put_text(item.body, out);
        }
        Record::Tombstone(tombstone) => {
            out.push(TOMBSTONE);
            put_id(tombstone.member, out);
            put_text(tombstone.body, out);
        }
        Record::Key(key) => {
            out.push(KEY);
            put_id(key, out);
        }
    }
}

fn encode_event(tag: u8, event: &Event<'_>, out: &mut Vec<u8>) {
    out.push(tag);
    put_id(event.member, out);
    put_id(event.item, out);
    put_id(event.kind, out);
    out.extend_from_slice(&event.at.to_be_bytes());
    out.extend_from_slice(&event.value.to_be_bytes());
    match event.id {
        None => out.push(0),
        Some(id) => {
            out.push(1);
            put_id(id, out);
        }
    }
    put_text(event.context, out);
}

/// An id is 1 to 256 bytes, so its length less one fits a byte.
fn put_id(id: &str, out: &mut Vec<u8>) {
    debug_assert!((1..=super::MAX_ID).contains(&id.len()));
    out.push((id.len() - 1) as u8);
    out.extend_from_slice(id.as_bytes());
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Reads a record from the bytes of its normal form.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, Malformed> {
    let mut rest = Rest(bytes);
    let record = match rest.byte()? {
        EVENT => Record::Event(rest.event()?),
        RETRACT => Record::Retract(rest.event()?),
        RETRACT_ID => Record::RetractId { member: rest.id()?, id: rest.id()? },
        FORGET => Record::Forget { member: rest.id()?, at: rest.integer()? },
        TRIM => Record::Trim { at: rest.integer()? },
        ITEM => Record::Item(ItemVersion {
            item: rest.id()?,
            at: rest.integer()?,
            withdrawn: rest.byte()? != 0,
            body: rest.text()?,
        }),
        TOMBSTONE => Record::Tombstone(Tombstone { member: rest.id()?, body: rest.text()? }),
        KEY => Record::Key(rest.id()?),
        _ => return Err(Malformed),
    };
    if rest.0.is_empty() { Ok(record) } else { Err(Malformed) }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn integer(&mut self) -> Result<i64, Malformed> {
        let bytes = self.take(8)?.try_into().map_err(|_| Malformed)?;
        Ok(i64::from_be_bytes(bytes))
    }

    fn string(&mut self, length: usize) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed)
    }

    fn id(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(self.byte()?) + 1;
        self.string(length)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        self.string(u32::from_be_bytes(bytes) as usize)
    }

    fn event(&mut self) -> Result<Event<'a>, Malformed> {
        Ok(Event {
            member: self.id()?,
            item: self.id()?,
            kind: self.id()?,
            at: self.integer()?,
            value: self.integer()?,
            id: match self.byte()? {
                0 => None,
                _ => Some(self.id()?),
            },
            context: self.text()?,
        })
    }
}
