//! What a process brings to an epoch, as it travels.
//!
//! The length of a head, the head as JSON, then records in normal form, each led by its length; lengths are four bytes,
//! big-endian.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::names::NewNames;
use crate::sources::{Batch, Offset, Rejected};

/// What a process brings to an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// Which process.
    pub from: usize,
    /// Names that nobody has met.
    pub names: NewNames,
    /// Whether it has nothing more to bring.
    pub finishing: bool,
    /// Whether it was interrupted, and all are to end.
    pub stopped: bool,
    /// Members who are to be forgotten: every process may hold lines about them that it could not take.
    pub forgotten: Vec<String>,
    /// Records, each led by its length.
    pub records: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(default)]
    names: NewNames,
    finishing: bool,
    stopped: bool,
    #[serde(default)]
    forgotten: Vec<String>,
}

impl Brought {
    /// As it is sent, with the records of one process.
    pub fn encode(&self, records: &[u8]) -> Vec<u8> {
        let (names, forgotten) = (self.names.clone(), self.forgotten.clone());
        let head = Head { names, finishing: self.finishing, stopped: self.stopped, forgotten };
        let head = serde_json::to_vec(&head).unwrap_or_default();
        let mut bytes = Vec::with_capacity(4 + head.len() + records.len());
        bytes.extend_from_slice(&(head.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(records);
        bytes
    }

    /// From what another process sent.
    pub fn decode(from: usize, bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (head, records) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let Head { names, finishing, stopped, forgotten } = serde_json::from_slice(head).ok()?;
        Some(Brought { from, names, finishing, stopped, forgotten, records: records.to_vec() })
    }

    /// The records as a batch; none where they are damaged.
    pub fn batch(&self) -> Option<Batch> {
        let mut batch = Batch::new(Arc::from(format!("process {}", self.from)));
        let mut rest = &self.records[..];
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (normal, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            crate::records::decode(normal).ok()?;
            batch.push_normal(normal);
            rest = after;
        }
        rest.is_empty().then_some(batch)
    }
}

/// What this process has read for the next epoch.
pub struct Gathered {
    /// Names that nobody has met.
    pub names: NewNames,
    /// Members who are to be forgotten.
    pub forgotten: Vec<String>,
    /// How many records there are.
    pub records: usize,
    /// How far each source is read with them.
    pub offsets: Vec<(Arc<str>, Offset)>,
    /// Lines that could not be taken, by source.
    pub rejected: Vec<(Arc<str>, Rejected)>,
    /// By process: the records of its members, each led by its length.
    pub parts: Vec<Vec<u8>>,
}

impl Gathered {
    /// Nothing yet.
    pub fn new(processes: usize) -> Self {
        Gathered {
            names: NewNames::default(),
            forgotten: Vec::new(),
            records: 0,
            offsets: Vec::new(),
            rejected: Vec::new(),
            parts: vec![Vec::new(); processes],
        }
    }

    /// Whether there is nothing to bring.
    pub fn is_empty(&self) -> bool {
        self.records == 0 && self.offsets.is_empty() && self.rejected.is_empty()
    }

    /// Adds a record for its owner, or for all.
    pub fn push(&mut self, owner: Option<usize>, normal: &[u8]) {
        self.records += 1;
        for (process, part) in self.parts.iter_mut().enumerate() {
            if owner.is_none_or(|owner| owner == process) {
                part.extend_from_slice(&(normal.len() as u32).to_be_bytes());
                part.extend_from_slice(normal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Record;

    fn normal(record: &Record<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        crate::records::encode(record, &mut bytes);
        bytes
    }

    #[test]
    fn what_is_brought_arrives_as_it_was_and_what_is_cut_does_not() {
        let forget = normal(&Record::Forget { member: "m1", at: 7 });
        let trim = normal(&Record::Trim { at: 3 });
        let mut gathered = Gathered::new(2);
        gathered.push(Some(1), &forget);
        gathered.push(None, &trim);
        let mut names = NewNames::default();
        names.items.insert("i\"9".into());
        let own = Brought { names, finishing: true, forgotten: vec!["m1".into()], ..Brought::default() };
        let sent = own.encode(&gathered.parts[1]);
        let came = Brought::decode(0, &sent).unwrap();
        assert_eq!(came, Brought { records: gathered.parts[1].clone(), ..own.clone() });
        let batch = came.batch().unwrap();
        assert_eq!((batch.bytes(0), batch.bytes(1), batch.len()), (&forget[..], &trim[..], 2));
        assert_eq!(Brought { records: gathered.parts[0].clone(), ..own }.batch().unwrap().len(), 1);
        assert!(Brought::decode(0, &sent[..sent.len() - 1]).is_none_or(|cut| cut.batch().is_none()));
        assert!(Brought::decode(0, &sent[..20]).is_none());
    }
}
