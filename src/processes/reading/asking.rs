//! Another process's store, read over a few connections that are kept.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::TAG;
use super::protocol::{self, ANSWER, Answer, Request};
use crate::stores::{StoreError, Table, Tables};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an answer may take: also one that waits for an epoch.
const WITHIN: Duration = Duration::from_secs(5);
/// How many connections are kept that nobody reads from.
const KEPT: usize = 8;
/// How many entries the first page of a scan has, and how many a later one at most.
const FIRST: u64 = 64;
const MOST: u64 = 4096;

/// Another process's store.
#[derive(Debug)]
pub struct Remote {
    address: String,
    pipeline: String,
    process: usize,
    kept: Mutex<Vec<TcpStream>>,
}

impl Remote {
    /// The store of a process of a pipeline, which listens at `HOST:PORT`. Nothing is asked yet.
    pub fn new(address: String, pipeline: String, process: usize) -> Self {
        Remote { address, pipeline, process, kept: Mutex::default() }
    }

    /// Which process's it is.
    pub fn process(&self) -> usize {
        self.process
    }

    /// Holds a moment of this epoch or a later one, until it is dropped.
    pub fn moment(&self, at_least: u64) -> Result<RemoteMoment<'_>, StoreError> {
        let request = Request::Moment { at_least };
        // A connection that was kept may have ended long ago; a new one says what is wrong.
        let kept = self.kept().pop();
        let asked = kept.and_then(|stream| ask(&stream, &request).ok().map(|answer| (stream, answer)));
        let (stream, answer) = match asked {
            Some(asked) => asked,
            None => self
                .connected()
                .and_then(|stream| ask(&stream, &request).map(|answer| (stream, answer)))
                .map_err(|error| self.failed(&error.to_string()))?,
        };
        match answer {
            Answer::Moment { epoch } => {
                Ok(RemoteMoment { remote: self, stream: Mutex::new(Some(stream)), epoch })
            }
            Answer::NotYet { epoch } => {
                self.keep(stream);
                Err(self.failed(&format!("it is at epoch {epoch}, and {at_least} was asked for")))
            }
            Answer::No(why) => Err(self.failed(&why)),
            _ => Err(self.failed(&protocol::garbled().to_string())),
        }
    }

    fn connected(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => return self.greeted(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn greeted(&self, mut stream: TcpStream) -> io::Result<TcpStream> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WITHIN))?;
        stream.set_write_timeout(Some(WITHIN))?;
        stream.write_all(&[TAG])?;
        let hello = Request::Hello { pipeline: self.pipeline.clone(), process: self.process as u64 };
        match ask(&stream, &hello)? {
            Answer::Yes => Ok(stream),
            Answer::No(why) => Err(io::Error::other(why)),
            _ => Err(protocol::garbled()),
        }
    }

    fn keep(&self, stream: TcpStream) {
        let mut kept = self.kept();
        if kept.len() < KEPT {
            kept.push(stream);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, message: &str) -> StoreError {
        StoreError::Elsewhere {
            process: self.process,
            address: self.address.clone(),
            message: message.to_owned(),
        }
    }
}

/// Asks, and waits for the answer.
fn ask(mut stream: &TcpStream, request: &Request) -> io::Result<Answer> {
    protocol::write(&mut stream, &request.encode())?;
    match protocol::read(&mut stream, ANSWER) {
        Ok(Some(body)) => Answer::decode(&body).ok_or_else(protocol::garbled),
        Ok(None) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has closed the connection")),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            let late = format!("there was no answer within {} s", WITHIN.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, late))
        }
        Err(error) => Err(error),
    }
}

/// A moment of another process's store; let go of when it is dropped.
#[derive(Debug)]
pub struct RemoteMoment<'a> {
    remote: &'a Remote,
    /// None once something went wrong on it.
    stream: Mutex<Option<TcpStream>>,
    /// The epoch that it is of.
    pub epoch: u64,
}

impl RemoteMoment<'_> {
    fn ask(&self, request: &Request) -> Result<Answer, StoreError> {
        let mut held = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = held.as_ref() else {
            return Err(self.remote.failed("the connection was lost while a moment of it was read"));
        };
        match ask(stream, request) {
            Ok(Answer::No(why)) => Err(self.remote.failed(&why)),
            Ok(answer) => Ok(answer),
            Err(error) => {
                *held = None;
                Err(self.remote.failed(&error.to_string()))
            }
        }
    }

    fn garbled(&self) -> StoreError {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.remote.failed(&protocol::garbled().to_string())
    }
}

impl Tables for RemoteMoment<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.ask(&Request::Get { table, key: key.to_vec() })? {
            Answer::Value(value) => Ok(value),
            _ => Err(self.garbled()),
        }
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (mut from, mut most) = (from.to_vec(), FIRST);
        loop {
            let page = Request::Page { table, prefix: prefix.to_vec(), from: from.clone(), most };
            let Answer::Page { entries, more } = self.ask(&page)? else { return Err(self.garbled()) };
            for (key, value) in &entries {
                if show(key, value).is_break() {
                    return Ok(());
                }
            }
            let Some((last, _)) = entries.last().filter(|_| more) else { return Ok(()) };
            // The least key after it.
            from = [&last[..], &[0]].concat();
            most = (most * 4).min(MOST);
        }
    }
}

impl Drop for RemoteMoment<'_> {
    fn drop(&mut self) {
        let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // One that does not let go in order is closed, which lets go as well.
        if let Some(stream) =
            stream.filter(|stream| matches!(ask(stream, &Request::Release), Ok(Answer::Yes)))
        {
            self.remote.keep(stream);
        }
    }
}
