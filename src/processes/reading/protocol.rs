//! What is said on a connection on which a store is read: frames of a length and as many bytes.
//!
//! Integers are big-endian, bytes are led by their length (`u32`). Whoever asks says first which pipeline and process it
//! means, so that a wrong address is told and not read.

use std::io::{self, Read, Write};

use crate::stores::Table;

/// The version of this; another one is refused.
const VERSION: u8 = 1;
/// The most bytes of a request: a key of a table has some hundreds.
pub const REQUEST: usize = 64 << 10;
/// The most bytes of an answer: a page, whose last entry may be large.
pub const ANSWER: usize = 256 << 20;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Are you this process of this pipeline?
    Hello { pipeline: String, process: u64 },
    /// Hold a moment of this epoch or a later one.
    Moment { at_least: u64 },
    /// The value of a key.
    Get { table: Table, key: Vec<u8> },
    /// So many entries at most whose keys begin with `prefix`, from one on.
    Page { table: Table, prefix: Vec<u8>, from: Vec<u8>, most: u64 },
    /// Let go of the moment.
    Release,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Yes, or done.
    Yes,
    /// A moment of this epoch is held.
    Moment { epoch: u64 },
    /// There is no such epoch yet; the newest is this.
    NotYet { epoch: u64 },
    /// The value; none where there is no such key.
    Value(Option<Vec<u8>>),
    /// Entries, and whether there may be more.
    Page { entries: Vec<(Vec<u8>, Vec<u8>)>, more: bool },
    /// What was asked cannot be answered, and why.
    No(String),
}

/// Writes a frame.
pub fn write(to: &mut impl Write, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| too_long(body.len()))?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(body)?;
    to.flush()
}

/// Reads a frame of so many bytes at most; none at the end of the connection.
pub fn read(from: &mut impl Read, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > most {
        return Err(too_long(length));
    }
    // As it comes: a length alone takes no memory.
    let mut body = Vec::new();
    from.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Some(body)) }
}

fn too_long(length: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes is none of a store's"))
}

/// What is not understood.
pub fn garbled() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a message cannot be understood: start all processes with the same nearline",
    )
}

fn bytes(part: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(part.len() as u32).to_be_bytes());
    out.extend_from_slice(part);
}

/// A table by its place: `Table::ALL` only grows at its end.
fn place(table: Table) -> u8 {
    Table::ALL.iter().position(|known| *known == table).unwrap_or_default() as u8
}

impl Request {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Request::Hello { pipeline, process } => {
                out.extend_from_slice(&[b'h', VERSION]);
                out.extend_from_slice(&process.to_be_bytes());
                bytes(pipeline.as_bytes(), &mut out);
            }
            Request::Moment { at_least } => {
                out.push(b'm');
                out.extend_from_slice(&at_least.to_be_bytes());
            }
            Request::Get { table, key } => {
                out.extend_from_slice(&[b'g', place(*table)]);
                bytes(key, &mut out);
            }
            Request::Page { table, prefix, from, most } => {
                out.extend_from_slice(&[b'p', place(*table)]);
                out.extend_from_slice(&most.to_be_bytes());
                bytes(prefix, &mut out);
                bytes(from, &mut out);
            }
            Request::Release => out.push(b'r'),
        }
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut rest = Rest(body);
        let request = match rest.u8()? {
            b'h' if rest.u8()? == VERSION => {
                let process = rest.u64()?;
                Request::Hello { pipeline: String::from_utf8(rest.bytes()?).ok()?, process }
            }
            b'm' => Request::Moment { at_least: rest.u64()? },
            b'g' => Request::Get { table: rest.table()?, key: rest.bytes()? },
            b'p' => {
                let (table, most) = (rest.table()?, rest.u64()?);
                Request::Page { table, prefix: rest.bytes()?, from: rest.bytes()?, most }
            }
            b'r' => Request::Release,
            _ => return None,
        };
        rest.0.is_empty().then_some(request)
    }
}

impl Answer {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Answer::Yes => out.push(b'y'),
            Answer::Moment { epoch } | Answer::NotYet { epoch } => {
                out.push(if matches!(self, Answer::Moment { .. }) { b'm' } else { b'n' });
                out.extend_from_slice(&epoch.to_be_bytes());
            }
            Answer::Value(None) => out.push(b'a'),
            Answer::Value(Some(value)) => {
                out.push(b'v');
                bytes(value, &mut out);
            }
            Answer::Page { entries, more } => {
                out.extend_from_slice(&[b'p', u8::from(*more)]);
                for (key, value) in entries {
                    bytes(key, &mut out);
                    bytes(value, &mut out);
                }
            }
            Answer::No(why) => {
                out.push(b'f');
                bytes(why.as_bytes(), &mut out);
            }
        }
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut rest = Rest(body);
        let answer = match rest.u8()? {
            b'y' => Answer::Yes,
            b'm' => Answer::Moment { epoch: rest.u64()? },
            b'n' => Answer::NotYet { epoch: rest.u64()? },
            b'a' => Answer::Value(None),
            b'v' => Answer::Value(Some(rest.bytes()?)),
            b'p' => {
                let more = rest.u8()? != 0;
                let mut entries = Vec::new();
                while !rest.0.is_empty() {
                    entries.push((rest.bytes()?, rest.bytes()?));
                }
                Answer::Page { entries, more }
            }
            b'f' => Answer::No(String::from_utf8_lossy(&rest.bytes()?).into_owned()),
            _ => return None,
        };
        rest.0.is_empty().then_some(answer)
    }
}

/// What is still to be read of a message.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (bytes, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }

    fn table(&mut self) -> Option<Table> {
        Table::ALL.get(usize::from(self.u8()?)).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_said_reads_back_and_what_is_cut_off_is_not_understood() {
        let key = b"k\0\xff".to_vec();
        let requests = [
            Request::Hello { pipeline: "0f".repeat(16), process: 2 },
            Request::Moment { at_least: u64::MAX },
            Request::Get { table: Table::StandbyClusterPopularity, key: key.clone() },
            Request::Page { table: Table::Meta, prefix: Vec::new(), from: key.clone(), most: 16 },
            Request::Release,
        ];
        for request in requests {
            let bytes = request.encode();
            assert_eq!(Request::decode(&bytes).as_ref(), Some(&request));
            assert!(
                (0..bytes.len()).all(|length| Request::decode(&bytes[..length]).is_none()),
                "{request:?}"
            );
            assert!(Request::decode(&[&bytes[..], &[0]].concat()).is_none());
        }
        let answers = [
            Answer::Yes,
            Answer::Moment { epoch: 7 },
            Answer::NotYet { epoch: 6 },
            Answer::Value(None),
            Answer::Value(Some(Vec::new())),
            Answer::Page { entries: vec![(key.clone(), Vec::new()), (Vec::new(), key)], more: true },
            Answer::No("why".into()),
        ];
        for answer in answers {
            assert_eq!(Answer::decode(&answer.encode()).as_ref(), Some(&answer));
        }
        let mut other = Request::Hello { pipeline: String::new(), process: 0 }.encode();
        other[1] += 1;
        assert_eq!(Request::decode(&other), None);
    }

    #[test]
    fn a_frame_is_no_longer_than_it_may_be_and_whole() {
        let mut framed = Vec::new();
        write(&mut framed, b"four").unwrap();
        assert_eq!(read(&mut &framed[..], 4).unwrap().unwrap(), b"four");
        assert!(read(&mut &framed[..], 3).is_err());
        assert!(read(&mut &framed[..7], 4).is_err());
        assert_eq!(read(&mut &framed[..0], 4).unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (Request::decode(&body), Answer::decode(&body), read(&mut &body[..], 32));
        }
    }
}
