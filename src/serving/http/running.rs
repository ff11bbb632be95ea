//! The server on threads of its own: it listens, with TLS or without, and when it is told to stop lets requests come to
//! their end.
//!
//! A connection stays with one thread, which is woken for nothing but its own: to wake another core takes longer than to
//! read a list. Each thread has a runtime of its own, and a new connection goes to the one that has the fewest.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::App;

/// How long requests have to come to their end.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long nothing is accepted where the system has no more files to give.
const BREATH: Duration = Duration::from_millis(50);

/// After so many answers new requests are looked for: a ranking takes half a millisecond, and who has waited longest is
/// next.
const EVENTS: u32 = 8;

/// How a server listens.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where.
    pub address: SocketAddr,
    /// On how many threads.
    pub threads: usize,
    /// How many connections there may be.
    pub connections: usize,
    /// How long a client may take to send the head of a request, and to agree on TLS.
    pub head_within: Duration,
    /// The certificate chain and the private key of TLS, PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// A server that is running; it stops with its owner.
pub struct Listening {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Listening {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        // Where one panicked there is nothing left to stop.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Listens and answers.
pub fn listen(how: &Listen, app: &Arc<App>) -> io::Result<Listening> {
    let listener = TcpListener::bind(how.address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let tls = how.tls.as_ref().map(|(certificate, key)| acceptor(certificate, key)).transpose()?;
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(how.head_within);
    let answering = Answering { builder, router: super::app(app), tls, within: how.head_within };

    let mut listening = Listening { address, stop, threads: Vec::new() };
    let (mut places, mut to_start) = (Vec::new(), Vec::new());
    for _ in 0..how.threads.max(1) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(app.options.reads + 32)
            .thread_name("reads")
            .event_interval(EVENTS)
            .enable_all()
            .build()?;
        let (give, given) = mpsc::unbounded_channel();
        places.push(Place { give, connections: Arc::default() });
        to_start.push((runtime, given));
    }
    let mut accepting = Some((listener, places, how.connections));
    for (runtime, given) in to_start {
        // The first accepts for all.
        let accepting = accepting.take();
        let (answering, stopped) = (answering.clone(), stopped.clone());
        let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
            if let Some((listener, places, most)) = accepting {
                runtime.spawn(accept(listener, places, most, stopped.clone()));
            }
            runtime.block_on(answering.all(given, stopped));
            // Without waiting for a read that a disk holds up.
            Runtime::shutdown_background(runtime);
        })?;
        listening.threads.push(thread);
    }
    Ok(listening)
}

fn acceptor(certificate: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let refuse = |error: &dyn std::fmt::Display| {
        let files = format!("{} and {}", certificate.display(), key.display());
        io::Error::new(io::ErrorKind::InvalidInput, format!("{files} are no certificate and key: {error}"))
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(&error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| refuse(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| refuse(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A thread that answers.
struct Place {
    give: mpsc::UnboundedSender<Held>,
    connections: Arc<AtomicUsize>,
}

/// A connection that was let in, and counts for its place as long as it is held.
struct Held {
    stream: TcpStream,
    one: One,
}

/// One connection of a place.
struct One(Arc<AtomicUsize>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets so many connections in, and closes others at once.
async fn accept(listener: TcpListener, places: Vec<Place>, most: usize, mut stopped: watch::Receiver<bool>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the server cannot listen"),
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        let stream = match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                // Of one connection, or of all as long as there are no more files: neither ends the server.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let of = |place: &Place| place.connections.load(Ordering::Relaxed);
        if places.iter().map(of).sum::<usize>() >= most {
            continue;
        }
        let Some(place) = places.iter().min_by_key(|place| of(place)) else { return };
        place.connections.fetch_add(1, Ordering::Relaxed);
        // One that has ended takes none, and the connection is closed.
        let _ = place.give.send(Held { stream, one: One(place.connections.clone()) });
    }
}

/// How connections are answered.
#[derive(Clone)]
struct Answering {
    builder: Builder<TokioExecutor>,
    router: Router,
    tls: Option<TlsAcceptor>,
    within: Duration,
}

impl Answering {
    /// Answers all connections of a place, until it is told to stop.
    async fn all(self, mut given: mpsc::UnboundedReceiver<Held>, mut stopped: watch::Receiver<bool>) {
        let (under_way, this) = (GracefulShutdown::new(), Arc::new(self));
        loop {
            let held = tokio::select! {
                held = given.recv() => held,
                _ = stopped.wait_for(|stopped| *stopped) => None,
            };
            let Some(Held { stream, one }) = held else { break };
            let (this, watcher) = (this.clone(), under_way.watcher());
            tokio::spawn(async move {
                // What goes wrong with a connection is its client's to notice.
                let _ = this.one(stream, watcher).await;
                drop(one);
            });
        }
        let _ = tokio::time::timeout(PATIENCE, under_way.shutdown()).await;
    }

    async fn one(&self, stream: TcpStream, watcher: Watcher) -> Result<(), Ended> {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => self.requests(stream, watcher).await,
            Some(tls) => {
                let agreed = tokio::time::timeout(self.within, tls.accept(stream)).await?;
                self.requests(agreed?, watcher).await
            }
        }
    }

    async fn requests<S>(&self, stream: S, watcher: Watcher) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(self.router.clone());
        watcher.watch(self.builder.serve_connection(TokioIo::new(stream), service).into_owned()).await
    }
}

/// Why a connection came to its end.
type Ended = Box<dyn std::error::Error + Send + Sync>;
