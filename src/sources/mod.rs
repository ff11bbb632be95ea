//! Where records come from: files, folders, standard input and topics of Kafka, as batches of records in normal form.
//!
//! A source yields batches in the order of its log. Each batch says how far the source has been read once the
//! batch is committed, so that a later start goes on from there. What cannot be taken is in the batch too, as
//! [`Rejected`], and stops nothing.

mod compressed;
mod csv;
mod cutter;
mod decoding;
mod fields;
mod files;
pub(crate) mod fuzzing;
pub mod json;
pub mod kafka;
pub mod parquet;
mod read_by_all;
mod reading;
mod reason;
pub mod redaction;
pub mod rejected;
mod sharing;
mod times;
mod watched;

use std::sync::Arc;

pub use cutter::Place;
pub use decoding::decode_lines;
pub use files::{Options, SourceError, open};
pub use read_by_all::read_by_all;
pub use reason::{Problem, Reason};

use crate::records::{self, Record};

/// A log, or several, as batches in order.
pub trait Source: Send {
    /// What it was opened as.
    fn name(&self) -> &str;

    /// What [`Batch::bytes_read`] will come to, where that is known from the start and no file's size says it.
    fn total(&self) -> u64 {
        0
    }

    /// The next batch; none at the end, or soon after the source was told to stop. After an error the source goes on
    /// with what else it has.
    fn next(&mut self) -> Result<Option<Batch>, SourceError>;
}

/// Records of one source, decoded, and what could not be taken between them.
#[derive(Debug, Default)]
pub struct Batch {
    /// The source's name, as it is written with offsets and rejected records.
    pub source: Arc<str>,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// The digest of each record, of a batch that was read back; zeros where it has none.
    digests: Vec<[u64; 2]>,
    /// Lines that could not be taken.
    pub rejected: Vec<Rejected>,
    /// How far the source is read once this batch is committed; none for what cannot be read again.
    pub offset: Option<Offset>,
    /// How many bytes of the source, as stored, this batch took, or how many messages of a topic: for a progress bar.
    pub bytes_read: u64,
}

impl Batch {
    /// An empty batch of a source.
    pub fn new(source: Arc<str>) -> Self {
        Batch { source, ..Batch::default() }
    }

    /// Makes room for the normal form of about this many bytes of a log.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
        self.ends.reserve(bytes / 96);
    }

    /// Adds a record.
    pub fn push(&mut self, record: &Record<'_>) {
        records::encode(record, &mut self.bytes);
        self.ends.push(self.bytes.len() as u32);
    }

    /// Adds a record by its normal form.
    pub(crate) fn push_normal(&mut self, normal: &[u8]) {
        self.bytes.extend_from_slice(normal);
        self.ends.push(self.bytes.len() as u32);
    }

    /// An empty batch, with room for so many records that are read back.
    pub(crate) fn read_back(records: usize) -> Self {
        let (bytes, ends) = (Vec::with_capacity(64 * records), Vec::with_capacity(records));
        Batch {
            source: "store".into(),
            bytes,
            ends,
            digests: Vec::with_capacity(records),
            ..Batch::default()
        }
    }

    /// Adds a record that was read back, with its digest where it is known: `write` appends its normal form. A batch has all of its records from here, or none.
    pub(crate) fn push_read_back<E>(
        &mut self,
        digest: Option<[u64; 2]>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        write(&mut self.bytes)?;
        self.ends.push(self.bytes.len() as u32);
        self.digests.push(digest.unwrap_or_default());
        Ok(())
    }

    /// Lets digests be worked out anew; gives back those that it had.
    pub(crate) fn forget_digests(&mut self) -> Vec<[u64; 2]> {
        std::mem::take(&mut self.digests)
    }

    /// The digest of record `index`, where it is known.
    pub fn digest(&self, index: usize) -> Option<[u64; 2]> {
        self.digests.get(index).copied().filter(|digest| *digest != [0, 0])
    }

    /// How many bytes their normal forms have.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The normal form of record `index`.
    pub fn bytes(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    /// The records, with the bytes of their normal form.
    pub fn records(&self) -> impl Iterator<Item = (Record<'_>, &[u8])> {
        (0..self.len()).map(|index| {
            let bytes = self.bytes(index);
            (records::decode(bytes).expect("a batch holds what `push` encoded"), bytes)
        })
    }
}

/// How far a source that can be read again has been read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Offset {
    /// A partition of a topic.
    Partition(PartitionOffset),
    /// A log in a file.
    Log(LogOffset),
}

impl Offset {
    /// That of a log in a file.
    pub fn log(self) -> Option<LogOffset> {
        match self {
            Offset::Log(offset) => Some(offset),
            Offset::Partition(_) => None,
        }
    }

    /// How much is read: bytes of a log, messages of a partition.
    pub fn read(&self) -> u64 {
        match self {
            Offset::Partition(offset) => offset.next,
            Offset::Log(offset) => offset.bytes,
        }
    }

    /// That of a partition of a topic.
    pub fn partition(self) -> Option<PartitionOffset> {
        match self {
            Offset::Partition(offset) => Some(offset),
            Offset::Log(_) => None,
        }
    }
}

/// How far a partition of a topic has been read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PartitionOffset {
    /// The offset of the message that is read next.
    pub next: u64,
    /// BLAKE3 of the time and the payload of the message before it, as hexadecimal: tells a topic that grew from one
    /// that was made anew under its name.
    #[serde(default)]
    pub last: String,
    /// How often reading had to go on elsewhere, because messages that were to be read were not there.
    #[serde(default)]
    pub resets: u64,
    /// The brokers that it was read from, as they were given.
    #[serde(default)]
    pub brokers: String,
}

/// How far a log in a file has been read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogOffset {
    /// Bytes of the log, after decompression, that need not be read again: the end of its last whole line.
    pub bytes: u64,
    /// Lines among them.
    pub lines: u64,
    /// The size of the file, as stored, when it was last read to its end; none before.
    pub size: Option<u64>,
    /// BLAKE3 of the file's first bytes (at most 4,096 of them), as hexadecimal, and how many those were: tells
    /// a file that grew from one that was replaced.
    pub head: (u32, String),
    /// The same of the last bytes before `bytes`, after decompression: tells a file that grew from one that was
    /// replaced by a longer one with the same beginning.
    #[serde(default)]
    pub tail: (u32, String),
    /// The column map that it was read with, as it was given; empty without one. Read with another map, a log is
    /// another log.
    #[serde(default)]
    pub map: String,
}

/// How much of a line is kept where it could not be taken, in bytes.
pub const RAW: usize = 4096;

/// The beginning of a line as it was, without its line end.
fn raw(line: &[u8]) -> Vec<u8> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line[..line.len().min(RAW)].to_vec()
}

/// A line that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The line's number in its log, from 1; 0 for a message of a topic, which has none.
    pub line: u64,
    /// The offset of the line's first byte in its log, after decompression; or that of the message.
    pub offset: u64,
    /// Why, as a word that is counted by.
    pub reason: Reason,
    /// Why, as a sentence: which field, what was found, what is wanted.
    pub detail: String,
    /// The line as it was, cut at 4 KiB.
    pub raw: Vec<u8>,
}

#[cfg(test)]
mod tests;
