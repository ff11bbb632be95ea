//! `run --listen` and `serve`: the HTTP server over a folder.

#![expect(clippy::print_stderr, reason = "the command line talks to people on standard error")]

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::args::ListenArgs;
use super::processes::Joined;
use super::subscriptions::Following;
use super::{Context, Failure, pipe};
use crate::archive::Archive;
use crate::config::{Config, Mirror};
use crate::engine::observer::Observer;
use crate::engine::socket::Served;
use crate::mirrors::Mirrors;
use crate::serving::http::{self, App, Listen, Listening, Mirrored, Options, Peers, Pipeline};
use crate::serving::{Reader, ServingError};
use crate::sources::kafka::Lags;
use crate::stores::rocks::{BlockCache, acknowledged};
use crate::stores::{Store, StoreError};
use crate::traces::Traces;

/// How often a replica looks whether there is something new.
const LOOK: Duration = Duration::from_millis(200);

/// A server over a folder.
pub struct Server {
    app: Arc<App>,
    url: String,
    _listening: Listening,
}

impl Server {
    /// Listens, and says to whoever asks that it is not ready yet.
    pub fn start(given: &ListenArgs, config: &Config) -> Result<Option<Self>, Failure> {
        let Some(address) = &given.listen else { return Ok(None) };
        let (address, serve) = (resolved(address)?, &config.serve);
        let loopback = address.ip().is_loopback();
        if !loopback && serve.tokens.is_empty() && !given.open {
            return Err(Failure::Use(format!(
                "whoever reaches {address} could read, change and forget everything: give the server tokens \
                 ([serve.tokens] in the config), or say --open"
            )));
        }
        let app = App::new(Options::of(serve, loopback, Traces::start(&config.traces)));
        let listen = Listen {
            address,
            threads: config.run.threads(),
            connections: serve.connections,
            head_within: serve.head_within,
            tls: serve.tls.clone(),
        };
        let listening = http::listen(&listen, &app)
            .map_err(|error| Failure::Use(format!("cannot listen at {address}: {error}")))?;
        let scheme = if serve.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listening.address());
        eprintln!("listening at {url}");
        Ok(Some(Server { app, url, _listening: listening }))
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// From here on it is the server of one process of several.
    pub fn joins(&self, Joined { share, http, whole }: Joined) -> Result<(), Failure> {
        self.app.joins(Peers { share, http, whole }).map_err(Failure::Failed)
    }

    /// What is to be told of commits.
    pub fn observer(&self) -> Arc<dyn Observer> {
        self.app.feed().clone()
    }

    /// From here on there are answers, and changes go to the engine.
    pub fn ready(
        &self,
        context: &Context,
        config: &Config,
        store: &Arc<dyn Store>,
        served: &Served,
        (lags, archive, mirrors): (&Lags, Option<&Arc<Archive>>, Option<&Arc<Mirrors>>),
        following: Option<&Following>,
    ) -> Result<(), Failure> {
        let reader = Reader::over(store.clone(), &context.folder, config.clone()).with_catalogue()?;
        let committed = served.handle.committed();
        let reader = if committed.is_of_several() { reader.behind(committed.clone()) } else { reader };
        let Served { handle, latest_at, adopt, commands } = served.clone();
        let pipeline = Pipeline::start(handle, latest_at, adopt, commands)?;
        self.app.reads_topics(lags.clone());
        if let Some(archive) = archive {
            self.app.archives(archive.clone());
        }
        if let Some(mirrors) = mirrors {
            self.app.mirrors(mirrors.clone());
        }
        if let Some(following) = following {
            self.app.follows(following.board.clone(), following.raised());
        }
        self.app.ready(reader, Some(pipeline));
        Ok(())
    }
}

impl Server {
    /// From here on there are metrics of jobs.
    pub fn does_jobs(&self, board: &Arc<crate::jobs::board::Board>) {
        self.app.does_jobs(board.clone());
    }
}

/// The first address of a name.
fn resolved(address: &str) -> Result<SocketAddr, Failure> {
    let wrong = |why: &str| {
        Failure::Use(format!("{address} is no address to listen at: {why}, such as 127.0.0.1:7070"))
    };
    let mut found = address.to_socket_addrs().map_err(|_| wrong("give a host and a port"))?;
    found.next().ok_or_else(|| wrong("the name has no address; give another"))
}

/// `nearline serve --from`: lists from a mirror, without a folder.
fn serve_from(context: &Context, server: &Server, from: &str, stop: &AtomicBool) -> Result<(), Failure> {
    let mirror = Mirror::at(from, &context.config.mirrors).map_err(|wanted| {
        Failure::Use(format!("--from {from}: {wanted}, or the name of a mirror in the config"))
    })?;
    server.app.answers_from(Mirrored::open(mirror)?);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// `nearline serve`: a replica, which reads what another process writes.
pub fn serve(context: &Context, given: &ListenArgs, from: Option<&str>) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let given =
        ListenArgs { listen: given.listen.clone().or_else(|| Some("127.0.0.1:7070".into())), ..*given };
    let Some(server) = Server::start(&given, &context.config)? else { return Ok(()) };
    pipe::stop_on_signal(stop.clone())?;
    if let Some(from) = from {
        return serve_from(context, &server, from, &stop);
    }
    let (mut shown, cache) = (None, BlockCache::for_answers(context.config.serve.cache));
    while !stop.load(Ordering::Relaxed) {
        let newest = acknowledged(context.folder.path())?;
        if shown != Some(newest) {
            match open(context, &cache) {
                Ok(reader) if shown.is_none() => server.app.ready(reader, None),
                Ok(reader) => server.app.renew(reader),
                // There may be something soon.
                Err(ServingError::Store(StoreError::Empty(_))) if shown.is_none() => {
                    std::thread::sleep(LOOK);
                    continue;
                }
                Err(error) if shown.is_none() => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "the folder cannot be read anew; answers stay as they are")
                }
            }
            shown = Some(newest);
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn open(context: &Context, cache: &BlockCache) -> Result<Reader, ServingError> {
    Reader::open_cached(&context.folder, context.config.clone(), cache)?.with_catalogue()
}
