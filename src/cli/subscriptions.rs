//! A running pipeline that follows publications, as the config says.

use std::sync::Arc;

use super::opening::Opened;
use super::publish::taking;
use super::{Context, Failure};
use crate::config::Config;
use crate::engine::socket::{Adopt, LatestAt};
use crate::jobs;
use crate::publications::alerts::{Alerts, RaisedNow};
use crate::publications::board::Board;
use crate::publications::subscriptions::{Bell, Options, Subscriptions};

/// What is followed, for as long as this is there.
pub struct Following {
    pub board: Arc<Board>,
    subscriptions: Subscriptions,
    alerts: Alerts,
}

impl Following {
    /// Begins to follow.
    pub fn start(
        context: &Context,
        config: &Config,
        opened: &Opened,
        adopt: Adopt,
        latest_at: LatestAt,
        jobs: Option<&Arc<jobs::board::Board>>,
    ) -> Result<Self, Failure> {
        let folder = &context.folder;
        let board = Arc::new(Board::kept_in(folder.subscriptions()));
        let options = Options {
            poll: config.publications.poll,
            access: config.access.clone(),
            fetched: folder.publications(),
            who: taking::who(folder.path()),
        };
        let take = taking::taking(
            adopt,
            (folder.clone(), opened.engine.handle()),
            opened.batches.clone(),
            latest_at,
        );
        let subscriptions = Subscriptions::start(&config.subscriptions, &board, &options, &take)?;
        let alerts = Alerts::start(&config.alerts, &board, jobs, folder.alerts())?;
        Ok(Following { board, subscriptions, alerts })
    }

    /// Ways to say that there is something new, by publication.
    pub fn bells(&self) -> Vec<(String, Arc<Bell>)> {
        self.subscriptions.bells()
    }

    /// Which alerts are raised.
    pub fn raised(&self) -> RaisedNow {
        self.alerts.raised()
    }

    /// Takes nothing over any more.
    pub fn stop(&self) {
        self.subscriptions.stop();
    }
}
