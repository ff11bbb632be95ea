//! The server as a thread of its own: it listens, answers, and lets requests come to their end when it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::App;

/// How many threads read the store for requests at most.
const READERS: usize = 160;

/// How long requests have to come to their end.
const PATIENCE: Duration = Duration::from_secs(1);

/// A server that is running; it stops with its owner.
pub struct Listening {
    address: SocketAddr,
    stop: watch::Sender<bool>,
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
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // Where it panicked there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

/// Listens and answers, on threads of its own.
pub fn listen(address: &str, threads: usize, app: &Arc<App>) -> io::Result<Listening> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(READERS)
        .thread_name("http")
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind(address))?;
    let address = listener.local_addr()?;
    let (stop, closing) = watch::channel(false);
    let router = super::app(app);
    let late = closing.clone();
    let thread = std::thread::Builder::new().name("server".into()).spawn(move || {
        let served = runtime.block_on(async {
            let serving = axum::serve(listener, router).with_graceful_shutdown(told(closing));
            tokio::select! {
                served = serving => served,
                // Who listens for changes never comes to an end.
                () = async { told(late).await; tokio::time::sleep(PATIENCE).await } => Ok(()),
            }
        });
        if let Err(error) = served {
            tracing::error!(%error, "the server has ended");
        }
        runtime.shutdown_background();
    })?;
    Ok(Listening { address, stop, thread: Some(thread) })
}

/// Waits until it is told to stop, or its owner has gone away.
async fn told(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
