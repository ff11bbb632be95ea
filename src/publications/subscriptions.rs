//! A running pipeline that follows publications: a thread for each looks for a newer version, fetches it beside, checks it
//! and hands it over. What fails is tried again, and what was in use stays in use meanwhile.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::board::Board;
use super::following::Follows;
use super::manifest::Publication;
use super::{PublicationError, Publications};
use crate::config::Access;
use crate::config::publications::{Poll, Subscription, Use};

/// Takes over what was fetched into a folder; returns when it is in use, or says why it is not.
pub type Take = Arc<dyn Fn(&Publication, &Path) -> Result<(), NotTaken> + Send + Sync>;

/// Why a publication is not in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// What was said.
    pub why: String,
    /// Whether it is tried again.
    pub again: bool,
}

impl NotTaken {
    /// It is tried again.
    pub fn for_now(why: String) -> Self {
        NotTaken { why, again: true }
    }

    /// Another version is waited for.
    pub fn for_good(why: String) -> Self {
        NotTaken { why, again: false }
    }
}

/// How publications are followed.
#[derive(Clone)]
pub struct Options {
    /// How often to look.
    pub poll: Poll,
    /// How repositories on servers are reached.
    pub access: Access,
    /// Where publications are fetched to, each into a folder of its own.
    pub fetched: PathBuf,
    /// What this pipeline is called where it says what it uses.
    pub who: String,
}

/// Publications that are followed; they are until this goes.
pub struct Subscriptions {
    bells: Vec<(String, Arc<Bell>)>,
    threads: Vec<JoinHandle<()>>,
}

impl Subscriptions {
    /// Begins to follow. A repository that cannot be is refused; one that is away is waited for.
    pub fn start(
        subscriptions: &[Subscription],
        board: &Arc<Board>,
        options: &Options,
        take: &Take,
    ) -> Result<Self, PublicationError> {
        let wanted: Vec<_> = subscriptions
            .iter()
            .map(|one| (one.name.clone(), name_of(one.used).to_owned(), one.repository.clone()))
            .collect();
        board.follow(&wanted);
        // What a crash left of a fetch.
        let _ = std::fs::remove_dir_all(&options.fetched);
        let mut started = Subscriptions { bells: Vec::new(), threads: Vec::new() };
        for subscription in subscriptions {
            match Publications::open(&subscription.repository, &options.access) {
                Err(error) if error.is_bad_use() => return Err(error),
                _ => {}
            }
            let bell = Arc::new(Bell::default());
            let follows = Follows {
                subscription: subscription.clone(),
                board: board.clone(),
                options: options.clone(),
                take: take.clone(),
                bell: bell.clone(),
            };
            let thread = std::thread::Builder::new()
                .name("subscription".into())
                .spawn(move || follows.run())
                .map_err(PublicationError::io("start a thread for", Path::new(&subscription.name)))?;
            started.bells.push((subscription.name.clone(), bell));
            started.threads.push(thread);
        }
        Ok(started)
    }

    /// A way to say that there is something new.
    pub fn bells(&self) -> Vec<(String, Arc<Bell>)> {
        self.bells.clone()
    }

    /// Looks no more, and takes over no more. What is being taken over goes on.
    pub fn stop(&self) {
        self.bells.iter().for_each(|(_, bell)| bell.stop());
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.stop();
        for thread in self.threads.drain(..) {
            // One that panicked follows nothing any more.
            let _ = thread.join();
        }
    }
}

/// What a use is called.
pub(super) fn name_of(used: Use) -> &'static str {
    match used {
        Use::Watch => "watch",
        Use::Model => "model",
        Use::Lists => "lists",
        Use::Catalogue => "catalogue",
        Use::Centres => "centres",
    }
}

/// Wakes whoever waits for the next look.
#[derive(Debug, Default)]
pub struct Bell {
    state: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Rung {
    rung: bool,
    stopped: bool,
}

impl Bell {
    /// There is something new.
    pub fn ring(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rung = true;
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped
    }

    /// Waits until it is rung, or for so long; says whether it was.
    pub(super) fn wait(&self, longest: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |state: &mut Rung| !state.rung && !state.stopped;
        let waited = self.changed.wait_timeout_while(state, longest, quiet);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.rung)
    }
}
