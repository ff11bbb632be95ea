//! Blocks decoded on several threads and delivered in their order.
//!
//! Each block takes its place in the queue as it is read; whichever thread decodes it fills that place. So a lone
//! block is delivered as soon as it is decoded, and many are decoded at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::csv::Plan;
use super::cutter::{Cut, Place};
use super::files::SourceError;
use super::json::Decoder;
use super::reason::{Problem, Reason};
use super::{Batch, Offset, Rejected, Source, raw};

/// How often a source that waits looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// What the lines of a log are.
#[derive(Debug, Clone)]
pub enum Format {
    /// JSON, one record a line.
    Json,
    /// Rows of columns.
    Rows(Arc<Plan>),
    /// Messages of a topic, one record of JSON each.
    Messages(Messages),
}

/// Where messages lie in a block. Behind each there is a line end, so that where the block is UTF-8 each of them is.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    /// The offset that the others are counted from.
    pub first: u64,
    /// Of each message the end of its bytes, and its offset behind the first.
    pub ends: Vec<(u32, u32)>,
}

/// Lines of a log that wait to be decoded.
pub struct Block {
    /// The log.
    pub source: Arc<str>,
    /// What its lines are.
    pub format: Format,
    /// The lines.
    pub cut: Cut,
    /// How far the log is read with them.
    pub offset: Option<Offset>,
    /// How many bytes, as stored, they took.
    pub bytes_read: u64,
    /// The latest event that is taken.
    pub latest_at: i64,
}

/// A place in the queue.
enum Turn {
    Batch(Receiver<Batch>),
    Failed(SourceError),
}

/// Where a reader puts its blocks.
pub struct Feed {
    turns: Sender<Turn>,
    blocks: Sender<(Block, Sender<Batch>)>,
    quit: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

/// Nobody waits for batches any more.
pub struct Closed;

impl Feed {
    /// Puts a block into the queue.
    pub fn block(&self, block: Block) -> Result<(), Closed> {
        let (fill, filled) = bounded(1);
        self.turns.send(Turn::Batch(filled)).map_err(|_| Closed)?;
        self.blocks.send((block, fill)).map_err(|_| Closed)
    }

    /// Tells of an error, after the blocks before it.
    pub fn failed(&self, error: SourceError) -> Result<(), Closed> {
        self.turns.send(Turn::Failed(error)).map_err(|_| Closed)
    }

    /// Whether reading is to end.
    pub fn is_over(&self) -> bool {
        self.quit.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed)
    }
}

/// A source whose logs are read by one thread and decoded by others.
pub struct Decoding {
    name: String,
    total: u64,
    turns: Receiver<Turn>,
    quit: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Decoding {
    /// Starts the threads; `read` feeds the blocks.
    pub fn start(
        name: String,
        threads: usize,
        stop: Arc<AtomicBool>,
        read: impl FnOnce(Feed) + Send + 'static,
    ) -> Result<Decoding, SourceError> {
        let threads = threads.max(1);
        let (turn_in, turns) = bounded(threads * 2);
        let (block_in, blocks) = bounded::<(Block, Sender<Batch>)>(threads);
        let quit = Arc::new(AtomicBool::new(false));
        let spawn = |what: &str, work: Box<dyn FnOnce() + Send>| {
            let spawned = thread::Builder::new().name(what.to_owned()).spawn(work);
            spawned.map(drop).map_err(|source| SourceError::Thread { source })
        };
        for _ in 0..threads {
            let blocks = blocks.clone();
            let work = move || {
                let mut decoder = Decoder::default();
                for (block, fill) in blocks {
                    // Where nobody waits, the batch is dropped.
                    let _ = fill.send(decode(block, &mut decoder));
                }
            };
            spawn("decode", Box::new(work))?;
        }
        let feed = Feed { turns: turn_in, blocks: block_in, quit: quit.clone(), stop: stop.clone() };
        spawn("read", Box::new(move || read(feed)))?;
        Ok(Decoding { name, total: 0, turns, quit, stop })
    }

    /// The same, with how much there is to read.
    pub fn of_total(mut self, total: u64) -> Decoding {
        self.total = total;
        self
    }

    /// Waits, but not once it is to stop.
    fn wait<T>(&self, receiver: &Receiver<T>) -> Option<T> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            match receiver.recv_timeout(LOOK) {
                Ok(received) => return Some(received),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }
}

impl Source for Decoding {
    fn name(&self) -> &str {
        &self.name
    }

    fn total(&self) -> u64 {
        self.total
    }

    fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        match self.wait(&self.turns) {
            None => Ok(None),
            Some(Turn::Failed(error)) => Err(error),
            Some(Turn::Batch(filled)) => match self.wait(&filled) {
                Some(batch) => Ok(Some(batch)),
                None if self.stop.load(Ordering::Relaxed) => Ok(None),
                None => Err(SourceError::Decoder { name: self.name.clone() }),
            },
        }
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Relaxed);
    }
}

/// The batch of a block.
fn decode(block: Block, decoder: &mut Decoder) -> Batch {
    let Block { source, format, cut, offset, bytes_read, latest_at } = block;
    let mut batch = Batch::new(source);
    batch.offset = offset;
    batch.bytes_read = bytes_read;
    batch.rejected = cut.rejected;
    if cut.bytes.is_empty() {
        return batch;
    }
    batch.reserve(cut.bytes.len());
    match format {
        Format::Json => decode_lines(&cut.bytes, cut.place, latest_at, decoder, &mut batch),
        Format::Rows(plan) => plan.decode(&cut.bytes, cut.place, latest_at, &mut batch),
        Format::Messages(messages) => decode_messages(&cut.bytes, &messages, latest_at, decoder, &mut batch),
    }
    batch
}

/// Appends the records of lines of JSON to a batch, and the lines that could not be taken. `place` is where the
/// first of them begins in its log; events later than `latest_at` are refused.
///
/// ```
/// use nearline::sources::{Batch, Place, decode_lines, json::Decoder};
/// let mut batch = Batch::new("body".into());
/// let lines = b"{\"type\":\"trim\",\"at\":7}\nno record\n";
/// decode_lines(lines, Place::default(), i64::MAX, &mut Decoder::default(), &mut batch);
/// assert_eq!((batch.len(), batch.rejected[0].line), (1, 2));
/// ```
pub fn decode_lines(lines: &[u8], place: Place, latest_at: i64, decoder: &mut Decoder, batch: &mut Batch) {
    // Where the block is UTF-8, so is each of its lines: a line end is no part of another character.
    let text = std::str::from_utf8(lines).ok();
    let mut start = 0;
    for (number, end) in memchr::memchr_iter(b'\n', lines).chain([lines.len()]).enumerate() {
        if start < end {
            let outcome = match text {
                Some(text) if end - start < super::json::MAX_LINE => {
                    decoder.decode_text(&text[start..end], latest_at, batch)
                }
                _ => decoder.decode(&lines[start..end], latest_at, batch),
            };
            if let Err(problem) = outcome {
                batch.rejected.push(Rejected {
                    line: place.lines + 1 + number as u64,
                    offset: place.bytes + start as u64,
                    reason: problem.reason,
                    detail: problem.detail,
                    raw: raw(&lines[start..end]),
                });
            }
        }
        start = end + 1;
    }
}

/// The same of messages, each of which may have several lines.
fn decode_messages(
    bytes: &[u8],
    messages: &Messages,
    latest_at: i64,
    decoder: &mut Decoder,
    batch: &mut Batch,
) {
    let text = std::str::from_utf8(bytes).ok();
    let mut start = 0;
    for (end, behind) in &messages.ends {
        let end = *end as usize;
        let message = &bytes[start..end];
        let before = batch.len();
        let outcome = match text {
            Some(text) if message.len() < super::json::MAX_LINE => {
                decoder.decode_text(&text[start..end], latest_at, batch)
            }
            _ => decoder.decode(message, latest_at, batch),
        };
        let outcome = match outcome {
            Ok(()) if batch.len() == before => {
                Err(Problem::new(Reason::NoPayload, super::reason::NO_PAYLOAD))
            }
            outcome => outcome,
        };
        if let Err(problem) = outcome {
            batch.rejected.push(Rejected {
                line: 0,
                offset: messages.first + u64::from(*behind),
                reason: problem.reason,
                detail: problem.detail,
                raw: raw(message),
            });
        }
        start = end + 1;
    }
    // Those without a payload were rejected before.
    batch.rejected.sort_by_key(|rejected| rejected.offset);
}
