//! Finding the other processes: each listens at its address and calls those of lesser numbers.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::hello::{Discord, Hello, agree};
use super::link::{Link, Watch};
use super::{Peers, Said};
use crate::processes::Hosts;

/// The first byte on a connection between engines.
const ENGINE: u8 = b'P';
/// How long a call may take, and an answer to it.
const CALL: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(5);
/// How long to wait before the next call, and between looks at who has called.
const AGAIN: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(5);
/// After how long to say who is missing, and how often.
const SOON: Duration = Duration::from_secs(2);
const SAY: Duration = Duration::from_secs(10);
/// The most that a greeting has.
const GREETING: u32 = 1 << 20;

/// Why the other processes were not found.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The address cannot be listened at.
    #[error("process {process} cannot listen at {address}, which the hosts give it: {message}")]
    Listen {
        /// This process.
        process: usize,
        /// Its address.
        address: String,
        /// What was said.
        message: String,
    },
    /// What was said does not go together.
    #[error(transparent)]
    Discord(#[from] Discord),
    /// A connection failed that was made.
    #[error("the connection to process {process} failed: {message}")]
    Failed {
        /// The other process.
        process: usize,
        /// What was said.
        message: String,
    },
    /// It was told to stop.
    #[error("it was interrupted before all processes were there")]
    Interrupted,
}

/// Waits until all processes are connected and agree, or it is told to stop.
pub fn connect(hosts: &Hosts, own: Hello, stop: &Arc<AtomicBool>) -> Result<Peers, PeersError> {
    let (process, processes) = (own.share.process, own.share.processes);
    let address = &hosts.0[process];
    let listen = |error: io::Error| PeersError::Listen {
        process,
        address: address.clone(),
        message: error.to_string(),
    };
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let mut found: Vec<Option<(TcpStream, Hello)>> = (0..processes).map(|_| None).collect();
    let mut said: Vec<String> = vec![String::new(); processes];
    let (mut next_call, mut next_word) = (Instant::now(), Instant::now() + SOON);
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(PeersError::Interrupted);
        }
        while let Ok((stream, from)) = listener.accept() {
            match answer(stream, &own) {
                // Who calls again was begun anew.
                Ok((stream, hello)) => {
                    let place = hello.share.process;
                    found[place] = Some((stream, hello));
                }
                Err(error) => {
                    tracing::warn!(%from, %error, "somebody who called is no process of this pipeline")
                }
            }
        }
        if Instant::now() >= next_call {
            for lesser in (0..process).filter(|lesser| found[*lesser].is_none()).collect::<Vec<_>>() {
                match call(&hosts.0[lesser], lesser, &own) {
                    Ok(called) => found[lesser] = Some(called),
                    Err(error) => said[lesser] = format!(": {error}"),
                }
            }
            next_call = Instant::now() + AGAIN;
        }
        let missing: Vec<usize> =
            (0..processes).filter(|other| *other != process && found[*other].is_none()).collect();
        if missing.is_empty() {
            break;
        }
        if Instant::now() >= next_word {
            let names: Vec<String> = missing
                .iter()
                .map(|other| format!("{other} ({}{})", hosts.0[*other], said[*other]))
                .collect();
            tracing::warn!(missing = names.join(", "), "waiting for other processes of the pipeline");
            next_word = Instant::now() + SAY;
        }
        std::thread::sleep(LOOK);
    }
    listener.set_nonblocking(false).map_err(listen)?;
    together(hosts, own, found, (stop, listener))
}

/// What follows once all are there.
fn together(
    hosts: &Hosts,
    own: Hello,
    found: Vec<Option<(TcpStream, Hello)>>,
    (stop, listener): (&Arc<AtomicBool>, TcpListener),
) -> Result<Peers, PeersError> {
    let (process, share, workers) = (own.share.process, own.share, own.workers);
    let watch = Arc::new(Watch::default());
    let (mut links, mut said) = (Vec::new(), Vec::new());
    for (other, found) in found.into_iter().enumerate() {
        let Some((stream, hello)) = found else {
            links.push(None);
            said.push(own.clone());
            continue;
        };
        let link = Link::new(stream, other, hosts.0[other].as_str().into(), watch.clone());
        let failed = |error: io::Error| PeersError::Failed { process: other, message: error.to_string() };
        links.push(Some(link.map_err(failed)?));
        said.push(hello);
    }
    let agreed = agree(&said, process)?;
    let http = said.into_iter().map(|hello| hello.http).collect();
    Ok(Peers {
        share,
        workers,
        agreed,
        links,
        watch,
        stop: stop.clone(),
        said: Said { http },
        listener: Some(listener),
    })
}

/// Takes a call of a process of a greater number.
fn answer(mut stream: TcpStream, own: &Hello) -> io::Result<(TcpStream, Hello)> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let mut tag = [0];
    stream.read_exact(&mut tag)?;
    if tag != [ENGINE] {
        return Err(invalid("it does not speak as one".into()));
    }
    let hello = read(&mut stream)?;
    write(&mut stream, own)?;
    let (theirs, ours) = (hello.share, own.share);
    if theirs.process >= ours.processes || theirs.process <= ours.process {
        let said = format!("it says that it is process {} of {}", theirs.process, theirs.processes);
        return Err(invalid(said));
    }
    Ok((stream, hello))
}

/// Calls a process of a lesser number.
fn call(address: &str, process: usize, own: &Hello) -> io::Result<(TcpStream, Hello)> {
    let mut last = invalid("it names no address".into());
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CALL) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(ANSWER))?;
                stream.set_write_timeout(Some(ANSWER))?;
                stream.write_all(&[ENGINE])?;
                write(&mut stream, own)?;
                let hello = read(&mut stream)?;
                if hello.share.process != process {
                    let said = format!("it is process {}", hello.share.process);
                    return Err(invalid(said));
                }
                return Ok((stream, hello));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn write(stream: &mut TcpStream, hello: &Hello) -> io::Result<()> {
    let bytes = serde_json::to_vec(hello)?;
    stream.write_all(&(bytes.len() as u32).to_be_bytes())?;
    stream.write_all(&bytes)
}

fn read(stream: &mut TcpStream) -> io::Result<Hello> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > GREETING {
        return Err(invalid(format!("its greeting has {length} bytes")));
    }
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(|error| invalid(format!("its greeting cannot be read: {error}")))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
