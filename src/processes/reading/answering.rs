//! Our store, read by the other processes: a thread for each connection.

use std::io;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::protocol::{self, ANSWER, Answer, REQUEST, Request};
use crate::processes::Part;
use crate::stores::formats::{self, meta};
use crate::stores::{Store, StoreError, Table, Tables};

/// For how long a moment is held of which nothing is read.
const HELD: Duration = Duration::from_secs(10);
/// How long an answer may take to be taken.
const TAKEN: Duration = Duration::from_secs(10);
/// For how long an epoch is waited for, and how often the store is asked for it.
const EPOCH: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(1);
/// How many bytes of a page are gathered.
const PAGE: usize = 1 << 20;

/// Answers a connection, whose first byte has been read, on a thread of its own, until it ends. The store is not kept
/// open for it: a connection that nobody reads from ends with the process.
pub fn answer(stream: TcpStream, store: &Arc<dyn Store>, part: &Part) -> io::Result<()> {
    let (store, part) = (Arc::downgrade(store), part.clone());
    std::thread::Builder::new().name("read-by-others".into()).spawn(move || {
        let from = stream.peer_addr();
        if let Err(error) = (Answering { stream, store, part }).run() {
            tracing::debug!(?from, %error, "a connection of another process ended");
        }
    })?;
    Ok(())
}

/// How a moment came to its end: let go of by whoever read, who is to be told, or without anything left to say.
enum Let {
    Released,
    Unsaid,
}

struct Answering {
    stream: TcpStream,
    store: Weak<dyn Store>,
    part: Part,
}

impl Answering {
    fn run(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_write_timeout(Some(TAKEN))?;
        let Some(hello) = self.next(Some(TAKEN))? else { return Ok(()) };
        let Request::Hello { pipeline, process } = hello else { return Err(protocol::garbled()) };
        if pipeline != self.part.pipeline || process != self.part.share.process as u64 {
            // Whoever does not know the pipeline's name is not told it.
            let own = self.part.share.process;
            let why =
                format!("process {own} listens there, of this pipeline or of another, and was not meant");
            return self.say(&Answer::No(why));
        }
        self.say(&Answer::Yes)?;
        // Between moments a connection waits for as long as it likes.
        while let Some(request) = self.next(None)? {
            let Request::Moment { at_least } = request else { return Err(protocol::garbled()) };
            self.moment(at_least)?;
        }
        Ok(())
    }

    /// The next request; none at the end of the connection.
    fn next(&mut self, within: Option<Duration>) -> io::Result<Option<Request>> {
        self.stream.set_read_timeout(within)?;
        let Some(body) = protocol::read(&mut self.stream, REQUEST)? else { return Ok(None) };
        Request::decode(&body).ok_or_else(protocol::garbled).map(Some)
    }

    fn say(&mut self, answer: &Answer) -> io::Result<()> {
        let body = answer.encode();
        if body.len() > ANSWER {
            let why = format!("an entry has more than {ANSWER} bytes");
            return protocol::write(&mut self.stream, &Answer::No(why).encode());
        }
        protocol::write(&mut self.stream, &body)
    }

    /// Shows one moment, until it is let go of.
    fn moment(&mut self, at_least: u64) -> io::Result<()> {
        let Some(store) = self.store.upgrade() else {
            return self.say(&Answer::No("the process is coming to its end".into()));
        };
        match wait_for(&*store, at_least) {
            Ok(epoch) if epoch < at_least => return self.say(&Answer::NotYet { epoch }),
            Ok(_) => {}
            Err(error) => return self.say(&Answer::No(error.to_string())),
        }
        let mut shown = Ok(Let::Unsaid);
        let held = store.at_one_moment(&mut |tables| shown = self.show(tables));
        // It is said when it is true: whoever was told holds no moment here, and keeps no store open.
        drop(store);
        match held {
            Ok(()) => match shown? {
                Let::Unsaid => Ok(()),
                Let::Released => self.say(&Answer::Yes),
            },
            Err(error) => self.say(&Answer::No(error.to_string())),
        }
    }

    fn show(&mut self, tables: &dyn Tables) -> io::Result<Let> {
        match epoch_of(tables) {
            Ok(epoch) => self.say(&Answer::Moment { epoch })?,
            Err(error) => return self.say(&Answer::No(error.to_string())).map(|()| Let::Unsaid),
        }
        loop {
            let answer = match self.next(Some(HELD))? {
                // Whoever read has gone away.
                None => return Ok(Let::Unsaid),
                Some(Request::Release) => return Ok(Let::Released),
                Some(Request::Get { table, key }) => tables.get(table, &key).map(Answer::Value),
                Some(Request::Page { table, prefix, from, most }) => {
                    page(tables, table, (&prefix, &from), most)
                }
                Some(Request::Hello { .. } | Request::Moment { .. }) => return Err(protocol::garbled()),
            };
            self.say(&answer.unwrap_or_else(|error| Answer::No(error.to_string())))?;
        }
    }
}

/// The epoch that tables are of.
pub(super) fn epoch_of(tables: &dyn Tables) -> Result<u64, StoreError> {
    let epoch = tables.get(Table::Meta, meta::EPOCH)?;
    Ok(epoch
        .map(|value| formats::decode_i64(meta::EPOCH, &value))
        .transpose()?
        .map_or(0, |epoch| epoch as u64))
}

/// Waits until the store has an epoch, for a while; says which it has.
pub(super) fn wait_for(store: &dyn Store, at_least: u64) -> Result<u64, StoreError> {
    let began = Instant::now();
    loop {
        let epoch = epoch_of(store)?;
        if epoch >= at_least || began.elapsed() >= EPOCH {
            return Ok(epoch);
        }
        std::thread::sleep(LOOK);
    }
}

fn page(
    tables: &dyn Tables,
    table: Table,
    (prefix, from): (&[u8], &[u8]),
    most: u64,
) -> Result<Answer, StoreError> {
    let (mut entries, mut size, mut more) = (Vec::new(), 0, false);
    tables.scan(table, prefix, from, &mut |key, value| {
        size += key.len() + value.len();
        entries.push((key.to_vec(), value.to_vec()));
        more = entries.len() as u64 >= most || size >= PAGE;
        if more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(Answer::Page { entries, more })
}
