//! One log being read: its stored bytes, decompressed, and cut into blocks.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::compressed::{Counted, Stored};
use super::cutter::{Cut, Cutter, Place};

/// How much one read of a pipe takes at most.
const PIPE: usize = 1 << 16;

/// A log being read.
pub struct Reading {
    stream: Box<dyn Read + Send>,
    cutter: Cutter,
    stored: Arc<AtomicU64>,
    told: u64,
    block: usize,
    /// Whether a block is what one read returned.
    pipe: Option<Box<[u8]>>,
    failed: Option<io::Error>,
    ended: bool,
}

impl Reading {
    /// Reads a log whose stored bytes come from `stored`. `pipe`: blocks are passed on as they come.
    pub fn new(
        how: Stored,
        stored: impl Read + Send + 'static,
        place: Place,
        block: usize,
        pipe: bool,
    ) -> io::Result<Reading> {
        let count = Arc::new(AtomicU64::new(0));
        Ok(Reading {
            stream: how.open(Counted::new(stored, count.clone()))?,
            cutter: Cutter::new(place),
            stored: count,
            told: 0,
            block: block.max(1),
            pipe: pipe.then(|| vec![0; PIPE].into_boxed_slice()),
            failed: None,
            ended: false,
        })
    }

    /// Says that columns may be quoted, and what separates them.
    pub fn set_quoting(&mut self, quoting: Option<u8>) {
        self.cutter.set_quoting(quoting);
    }

    /// How much of the log need not be read again.
    pub fn whole(&self) -> Place {
        self.cutter.whole()
    }

    /// Stored bytes that were read.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Stored bytes that were read since this was last asked.
    pub fn newly_stored(&mut self) -> u64 {
        let stored = self.stored();
        stored - std::mem::replace(&mut self.told, stored)
    }

    /// The first byte that is not white space; none where the log has none.
    pub fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.cutter.peek() {
                None if self.read_more()? => {}
                found => return Ok(found),
            }
        }
    }

    /// Whether the log begins with our own header. Reads no further than the first line.
    pub fn has_own_header(&mut self) -> io::Result<bool> {
        loop {
            if let Some(found) = self.cutter.has_own_header(false) {
                return Ok(found);
            }
            if !self.read_more()? {
                return Ok(self.cutter.has_own_header(true).unwrap_or(false));
            }
        }
    }

    /// The first row that is not blank. `whole`: only with its line end.
    pub fn first_row(&mut self, whole: bool) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(row) = self.cutter.first_row(false) {
                return Ok(Some(row));
            }
            if self.cutter.buffer.len() > 2 * super::json::MAX_LINE {
                return Err(io::Error::other("its first row has no end"));
            }
            if !self.read_more()? {
                return Ok(if whole { None } else { self.cutter.first_row(true) });
            }
        }
    }

    /// Passes over bytes, of which the last `tail` are returned; none where the log ends before.
    pub fn skip(&mut self, bytes: u64, tail: u64) -> io::Result<Option<Vec<u8>>> {
        let skipped = io::copy(&mut (&mut self.stream).take(bytes - tail), &mut io::sink())?;
        let mut last = Vec::new();
        (&mut self.stream).take(tail).read_to_end(&mut last)?;
        Ok((skipped + last.len() as u64 == bytes).then_some(last))
    }

    /// The next block; none at the end. What was read before an error comes first. `finish`: a last line without
    /// a line end is taken.
    pub fn next(&mut self, finish: bool) -> io::Result<Option<Cut>> {
        loop {
            if let Some(cut) = self.cutter.cut(false) {
                return Ok(Some(cut));
            }
            if !self.read_more()? {
                return Ok(if finish { self.cutter.cut(true) } else { None });
            }
        }
    }

    /// Reads into the buffer; whether anything came.
    fn read_more(&mut self) -> io::Result<bool> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.ended {
            return Ok(false);
        }
        let buffer = &mut self.cutter.buffer;
        let before = buffer.len();
        let read = match &mut self.pipe {
            Some(pipe) => {
                read_once(&mut self.stream, pipe).map(|length| buffer.extend_from_slice(&pipe[..length]))
            }
            None => {
                buffer.reserve(self.block);
                (&mut self.stream).take(self.block as u64).read_to_end(buffer).map(drop)
            }
        };
        let came = buffer.len() > before;
        match read {
            Err(error) if came => self.failed = Some(error),
            Err(error) => return Err(error),
            Ok(()) => self.ended = !came,
        }
        Ok(came)
    }
}

fn read_once(stream: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
