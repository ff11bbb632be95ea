//! Cuts what was read of a log into blocks of whole lines or rows.
//!
//! The verdict on each line depends on its bytes alone and never on where reads or blocks happen to end. A line that
//! is too long is passed over without being held in memory.

use super::json::MAX_LINE;
use super::reason::Reason;
use super::{Rejected, raw};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Bytes of a log that are not cut yet.
#[derive(Debug)]
pub struct Cutter {
    /// Filled by whoever reads.
    pub buffer: Vec<u8>,
    /// The delimiter, where columns may be quoted.
    quoting: Option<u8>,
    /// Where the buffer begins.
    place: Place,
    /// The end of the last whole line.
    whole: Place,
    /// Whether lines are taken that may yet change when the log grows.
    frozen: bool,
    /// The line that is being passed over.
    passing: Option<Rejected>,
    rejected: Vec<Rejected>,
}

/// A column without the quotation marks around it.
fn unquoted(column: &[u8]) -> &[u8] {
    column.strip_prefix(b"\"").and_then(|column| column.strip_suffix(b"\"")).unwrap_or(column)
}

/// A place in a log: bytes before it and lines before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Bytes, after decompression.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
}

/// A block of whole lines.
#[derive(Debug)]
pub struct Cut {
    /// The lines.
    pub bytes: Vec<u8>,
    /// Where they begin.
    pub place: Place,
    /// Lines before them that could not be taken.
    pub rejected: Vec<Rejected>,
    /// How much of the log need not be read again.
    pub whole: Place,
}

impl Cutter {
    /// For a log from a place on.
    pub fn new(place: Place) -> Self {
        Cutter {
            buffer: Vec::new(),
            quoting: None,
            place,
            whole: place,
            frozen: false,
            passing: None,
            rejected: Vec::new(),
        }
    }

    /// Says that columns may be quoted, and what separates them.
    pub fn set_quoting(&mut self, quoting: Option<u8>) {
        self.quoting = quoting;
    }

    /// How much of the log need not be read again.
    pub fn whole(&self) -> Place {
        self.whole
    }

    /// The first byte that is not white space.
    pub fn peek(&mut self) -> Option<u8> {
        self.pass_mark();
        self.buffer.iter().copied().find(|byte| !byte.is_ascii_whitespace())
    }

    /// Whether the first line is our own header: it names the columns that an event must have. None where the line has
    /// no end yet.
    pub fn has_own_header(&mut self, last: bool) -> Option<bool> {
        self.pass_mark();
        let text = self.buffer.trim_ascii_start();
        let end = memchr::memchr(b'\n', text).or(last.then_some(text.len()))?;
        let columns: Vec<&[u8]> =
            text[..end].split(|byte| *byte == b',').map(|column| unquoted(column.trim_ascii())).collect();
        Some([&b"member"[..], b"item", b"kind", b"at"].iter().all(|wanted| columns.contains(wanted)))
    }

    /// The first row that is not blank, with its line end. At the end of the log it need not have one.
    pub fn first_row(&mut self, last: bool) -> Option<Vec<u8>> {
        self.pass_mark();
        let mut start = 0;
        while start < self.buffer.len() {
            let rest = &self.buffer[start..];
            let length = row_length(rest, self.quoting).or(last.then_some(rest.len()))?;
            if rest[..length].trim_ascii().is_empty() {
                start += length;
                continue;
            }
            let row = rest[..length].to_vec();
            self.pass(start + length);
            return Some(row);
        }
        None
    }

    /// The whole lines of the buffer. At the end of the log its last line need have no line end.
    pub fn cut(&mut self, last: bool) -> Option<Cut> {
        self.pass_mark();
        loop {
            if self.passing.is_some() {
                if !self.pass_long_line(last) {
                    break;
                }
                continue;
            }
            let (end, open) = whole_lines(&self.buffer, self.quoting);
            if end > 0 {
                return Some(self.take(end));
            }
            self.frozen |= last;
            if self.buffer.is_empty() || !(last || self.buffer.len() >= MAX_LINE) {
                break;
            }
            let line = memchr::memchr(b'\n', &self.buffer).unwrap_or(self.buffer.len());
            if line >= MAX_LINE {
                self.reject(MAX_LINE.min(line), Reason::TooLong, too_long());
                self.passing = self.rejected.pop();
            } else if line < self.buffer.len() || open {
                let detail = "a quotation mark opens a column and no other closes it; inside of a quoted column it is \
                              written twice";
                self.reject(line, Reason::UnclosedQuote, detail.to_owned());
                self.pass((line + 1).min(self.buffer.len()));
            } else {
                return Some(self.take(line));
            }
        }
        (!self.rejected.is_empty()).then(|| self.take(0))
    }

    fn take(&mut self, end: usize) -> Cut {
        let rest = self.buffer.split_off(end);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let place = self.place;
        self.advance(bytes.len(), memchr::memchr_iter(b'\n', &bytes).count());
        Cut { bytes, place, rejected: std::mem::take(&mut self.rejected), whole: self.whole }
    }

    fn reject(&mut self, length: usize, reason: Reason, detail: String) {
        self.rejected.push(Rejected {
            line: self.place.lines + 1,
            offset: self.place.bytes,
            reason,
            detail,
            raw: raw(&self.buffer[..length]),
        });
    }

    /// Passes over bytes of the long line; says whether it is over.
    fn pass_long_line(&mut self, last: bool) -> bool {
        let end = memchr::memchr(b'\n', &self.buffer);
        self.frozen |= last && end.is_none();
        if end.is_some() || last {
            self.rejected.extend(self.passing.take());
        }
        match end {
            Some(end) => self.pass(end + 1),
            None => {
                self.place.bytes += self.buffer.len() as u64;
                self.buffer.clear();
            }
        }
        end.is_some()
    }

    fn pass(&mut self, length: usize) {
        let lines = memchr::memchr_iter(b'\n', &self.buffer[..length]).count();
        self.buffer.drain(..length);
        self.advance(length, lines);
    }

    fn advance(&mut self, bytes: usize, lines: usize) {
        self.place.bytes += bytes as u64;
        self.place.lines += lines as u64;
        if !self.frozen {
            self.whole = self.place;
        }
    }

    /// Passes over the mark that some programs put before UTF-8.
    fn pass_mark(&mut self) {
        if self.place.bytes == 0 && self.buffer.starts_with(BOM) {
            self.pass(BOM.len());
        }
    }
}

/// What is said of a line that is too long.
pub fn too_long() -> String {
    format!("the line has {MAX_LINE} bytes or more; lines are shorter")
}

/// The end of the last whole line or row, none of the rows being too long, and whether a quoted column is open at
/// the end of the bytes.
fn whole_lines(bytes: &[u8], quoting: Option<u8>) -> (usize, bool) {
    let mut rest = bytes;
    if quoting.is_none() || memchr::memchr(b'"', bytes).is_none() {
        return (memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1), false);
    }
    while let Some(length) = row_length(rest, quoting) {
        if length > MAX_LINE {
            return (bytes.len() - rest.len(), false);
        }
        rest = &rest[length..];
    }
    (bytes.len() - rest.len(), ends_open(rest, quoting))
}

/// The length of the first row with its line end, where there is one.
pub fn row_length(bytes: &[u8], quoting: Option<u8>) -> Option<usize> {
    match quoting {
        None => memchr::memchr(b'\n', bytes).map(|at| at + 1),
        Some(delimiter) => walk_row(bytes, delimiter).ok(),
    }
}

fn ends_open(bytes: &[u8], quoting: Option<u8>) -> bool {
    quoting.is_some_and(|delimiter| walk_row(bytes, delimiter) == Err(true))
}

/// The length of the first row, or whether a quoted column is open at the end of the bytes. As the `csv` crate reads
/// rows: a quotation mark opens a column at its very beginning alone.
fn walk_row(bytes: &[u8], delimiter: u8) -> Result<usize, bool> {
    let mut at = 0;
    loop {
        if bytes.get(at) == Some(&b'"') {
            at += 1;
            loop {
                at += memchr::memchr(b'"', &bytes[at..]).ok_or(true)? + 1;
                if bytes.get(at) != Some(&b'"') {
                    break;
                }
                at += 1;
            }
        }
        at += memchr::memchr2(delimiter, b'\n', &bytes[at..]).ok_or(false)? + 1;
        if bytes[at - 1] == b'\n' {
            return Ok(at);
        }
    }
}
