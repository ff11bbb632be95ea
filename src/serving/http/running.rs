//! The server on threads of its own: it listens, with TLS or without, and when it is told to stop lets requests come to
//! their end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use axum_server::Handle;
use axum_server::accept::{Accept, NoDelayAcceptor};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;

/// How long requests have to come to their end.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a server listens.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where.
    pub address: SocketAddr,
    /// On how many threads.
    pub threads: usize,
    /// How many connections there may be.
    pub connections: usize,
    /// How long a client may take to send the head of a request.
    pub head_within: Duration,
    /// The certificate chain and the private key of TLS, PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// A server that is running; it stops with its owner.
pub struct Listening {
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.handle.graceful_shutdown(Some(PATIENCE));
        if let Some(thread) = self.thread.take() {
            // Where it panicked there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

/// Listens and answers.
pub fn listen(how: &Listen, app: &Arc<App>) -> io::Result<Listening> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(how.threads)
        .max_blocking_threads(app.options.reads + 32)
        .thread_name("http")
        .enable_all()
        .build()?;
    let listener = TcpListener::bind(how.address)?;
    let (address, handle) = (listener.local_addr()?, Handle::new());
    let service = super::app(app).into_make_service();
    let free = Arc::new(Semaphore::new(how.connections));
    let tls = how.tls.clone().map(|(certificate, key)| {
        let config = runtime.block_on(RustlsConfig::from_pem_file(&certificate, &key));
        config.map_err(|error| {
            let files = format!("{} and {}", certificate.display(), key.display());
            io::Error::new(error.kind(), format!("{files} are no certificate and key: {error}"))
        })
    });
    let tls = tls.transpose()?;
    let (own, head_within) = (handle.clone(), how.head_within);
    let thread = std::thread::Builder::new().name("server".into()).spawn(move || {
        let served = runtime.block_on(async move {
            let mut server = axum_server::from_tcp(listener)?.handle(own);
            server.http_builder().http1().header_read_timeout(head_within);
            match tls {
                None => server.acceptor(Limited { inner: NoDelayAcceptor::new(), free }).serve(service).await,
                Some(config) => {
                    let inner = RustlsAcceptor::new(config).acceptor(NoDelayAcceptor::new());
                    server.acceptor(Limited { inner, free }).serve(service).await
                }
            }
        });
        if let Err(error) = served {
            tracing::error!(%error, "the server has ended");
        }
        // Without waiting for a read that a disk holds up.
        runtime.shutdown_background();
    })?;
    Ok(Listening { address, handle, thread: Some(thread) })
}

/// Lets so many connections in, and closes others at once.
#[derive(Clone)]
struct Limited<A> {
    inner: A,
    free: Arc<Semaphore>,
}

/// A connection that is let in.
struct Held<S> {
    stream: S,
    _place: OwnedSemaphorePermit,
}

impl<I, S, A> Accept<I, S> for Limited<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Held<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let place = self.free.clone().try_acquire_owned();
        let accepted = self.inner.accept(stream, service);
        Box::pin(async move {
            let _place = place.map_err(|_| io::Error::other("there are too many connections"))?;
            let (stream, service) = accepted.await?;
            Ok((Held { stream, _place }, service))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
