//! `run --listen` and `serve`: the HTTP server over a folder.

#![expect(clippy::print_stderr, reason = "the command line talks to people on standard error")]

use std::sync::Arc;

use super::{Context, Failure};
use crate::config::Config;
use crate::engine::observer::Observer;
use crate::engine::socket::Served;
use crate::serving::Reader;
use crate::serving::http::{self, App, Listening, Options, Pipeline};
use crate::stores::Store;

/// A server beside a pipeline.
pub struct Server {
    app: Arc<App>,
    _listening: Listening,
}

impl Server {
    /// Listens, and says to whoever asks that it is not ready yet.
    pub fn start(address: &str, config: &Config) -> Result<Self, Failure> {
        let app = App::new(Options::default());
        let listening = http::listen(address, config.run.threads(), &app)
            .map_err(|error| Failure::Use(format!("cannot listen at {address}: {error}")))?;
        eprintln!("listening at http://{}", listening.address());
        Ok(Server { app, _listening: listening })
    }

    /// What is to be told of commits.
    pub fn observer(&self) -> Arc<dyn Observer> {
        self.app.feed().clone()
    }

    /// From here on there are answers.
    pub fn ready(
        &self,
        context: &Context,
        config: &Config,
        store: &Arc<dyn Store>,
        served: &Served,
    ) -> Result<(), Failure> {
        let reader = Reader::over(store.clone(), &context.folder, config.clone()).with_catalogue()?;
        let Served { handle, latest_at, adopt, commands } = served.clone();
        let pipeline = Pipeline::start(handle, latest_at, adopt, commands)?;
        self.app.ready(reader, Some(pipeline));
        Ok(())
    }
}
