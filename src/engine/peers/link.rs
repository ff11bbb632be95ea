//! The connections between the processes of a pipeline: made before the graph is, and watched for as long as it runs.
//!
//! Timely ends a thread where a connection breaks, and nobody is told; its workers would wait for ever. So it is given
//! streams of ours, which report what happens to a connection and then keep still.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_channel::Sender;
use socket2::{SockRef, TcpKeepalive};
use timely::communication::allocator::zero_copy::stream::Stream;

use super::parcels::Parcel;
use crate::engine::committed::Committed;
use crate::stores::StoreError;

/// After how long without a sign of life a process counts as gone: of silence, and of what was sent and not acknowledged.
const SILENCE: Duration = Duration::from_secs(6);
/// How often a silent one is asked.
const PROBE: Duration = Duration::from_secs(1);

/// What happened to the connections of this process, shared with whoever must stop then.
#[derive(Default)]
pub struct Watch {
    /// Whether a process is gone that others still need.
    lost: AtomicBool,
    /// Whether all processes have agreed to end.
    ending: AtomicBool,
    committed: OnceLock<Arc<Committed>>,
    arrivals: OnceLock<Sender<Parcel>>,
    workers: Mutex<Vec<Thread>>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Watch {
    /// Whether a process is gone.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// From here on connections may close: all that there is is on disk everywhere.
    pub fn ending(&self) {
        self.ending.store(true, Ordering::Release);
    }

    /// Whether connections may close.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Leaves the others, who must learn it before they take anything for committed that is not: this process has failed.
    pub fn leave(&self) {
        self.lost.store(true, Ordering::Release);
        for stream in &*self.streams.lock().unwrap_or_else(PoisonError::into_inner) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.wake();
    }

    fn wake(&self) {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().for_each(Thread::unpark);
    }

    /// Who is told when a process is gone, besides the workers.
    pub fn tells(&self, committed: &Arc<Committed>, arrivals: Sender<Parcel>) {
        let _ = self.committed.set(committed.clone());
        let _ = self.arrivals.set(arrivals);
    }

    /// The threads that may wait for a process.
    pub fn wakes(&self, workers: Vec<Thread>) {
        *self.workers.lock().unwrap_or_else(PoisonError::into_inner) = workers;
    }

    /// A process is gone: nothing more can be committed here.
    fn lose(&self, process: usize, address: &str, what: &str) {
        if self.lost.swap(true, Ordering::AcqRel) {
            return;
        }
        let gone = StoreError::Gone { process, address: address.to_owned(), what: what.to_owned() };
        tracing::error!(%gone, "the pipeline stops");
        if let Some(committed) = self.committed.get() {
            committed.fail(gone);
        }
        if let Some(arrivals) = self.arrivals.get() {
            // The engine has ended.
            let _ = arrivals.send(Parcel::lost(process));
        }
        self.wake();
    }
}

/// A connection to another process.
pub struct Link {
    stream: TcpStream,
    process: usize,
    address: Arc<str>,
    watch: Arc<Watch>,
    /// How many of the last bytes that were read were zeros: timely ends a stream with a header of zeros.
    zeros: usize,
}

/// The size of a header of timely's.
const HEADER: usize = 48;

impl Link {
    /// Over a connection that was made and greeted.
    pub fn new(stream: TcpStream, process: usize, address: Arc<str>, watch: Arc<Watch>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        let socket = SockRef::from(&stream);
        let keepalive = TcpKeepalive::new().with_time(PROBE).with_interval(PROBE);
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        let keepalive = keepalive.with_retries((SILENCE.as_secs() / PROBE.as_secs()) as u32);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(SILENCE))?;
        watch.streams.lock().unwrap_or_else(PoisonError::into_inner).push(stream.try_clone()?);
        Ok(Link { stream, process, address, watch, zeros: 0 })
    }

    /// Says that the process is gone. Whoever reads or writes keeps still from then on: what is left to do is done by those
    /// who were told, and the program ends without these threads.
    fn gone(&self, what: &str) -> ! {
        self.watch.lose(self.process, &self.address, what);
        loop {
            std::thread::park();
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) if self.zeros >= HEADER && self.watch.is_ending() => return Ok(0),
                Ok(0) => self.gone("it has closed the connection"),
                Ok(read) => {
                    let zeros = buffer[..read].iter().rev().take_while(|byte| **byte == 0).count();
                    self.zeros = if zeros == read { self.zeros + read } else { zeros };
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.gone(&error.to_string()),
            }
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => self.gone(&error.to_string()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Self> {
        let (address, watch) = (self.address.clone(), self.watch.clone());
        Ok(Link { stream: self.stream.try_clone()?, process: self.process, address, watch, zeros: 0 })
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // The other one may have gone away, having nothing left to do.
        let _ = self.stream.shutdown(how);
        Ok(())
    }
}
