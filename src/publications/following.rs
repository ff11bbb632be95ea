//! A thread that follows one publication.

use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::board::{Board, Happened, Newest, Used};
use super::failed::Failed;
use super::follow::Follower;
use super::in_use::HOLDS;
use super::manifest::{Kind, Latest, Publication};
use super::subscriptions::{Bell, NotTaken, Options, Take, name_of};
use super::{PublicationError, Publications, now_ms};
use crate::config::publications::{Subscription, Use};
use crate::failpoints::reach;

/// After how long something that failed is tried again; each time twice as long, up to the longest.
const AGAIN: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// How often it is looked whether the last attempt to publish failed.
const LOOK_AT_FAILURES: Duration = Duration::from_secs(5);

/// What one thread knows.
pub(super) struct Follows {
    pub subscription: Subscription,
    pub board: Arc<Board>,
    pub options: Options,
    pub take: Take,
    pub bell: Arc<Bell>,
}

impl Follows {
    /// Follows until the bell is stopped.
    pub fn run(&self) {
        let mut backoff = Backoff::default();
        while !self.bell.is_stopped() {
            match Publications::open(&self.subscription.repository, &self.options.access) {
                Ok(publications) => return self.follow(&publications),
                Err(error) => self.failed(error.to_string()),
            }
            backoff.failed();
            self.bell.wait(backoff.left());
        }
    }

    fn follow(&self, publications: &Publications) {
        let poll = if publications.is_folder() { self.options.poll.folder } else { self.options.poll.s3 };
        std::thread::scope(|scope| {
            let mut course = Course::new(self, publications);
            while !self.bell.is_stopped() {
                course.step(scope);
                if self.bell.wait(poll.duration()) {
                    course.at_once();
                }
            }
            course.end();
        });
    }

    fn name(&self) -> &str {
        &self.subscription.name
    }

    /// There is a newer version: it is told.
    fn tell(&self, publications: &Publications, latest: &Latest) -> Result<Publication, PublicationError> {
        let Latest { version, published_at, .. } = latest;
        let publication = publications.find(self.name(), Some(version))?;
        let newest = Newest::of(&publication, *published_at);
        let is_new = self.board.get(self.name()).is_none_or(|known| known.newest.as_ref() != Some(&newest));
        if is_new {
            tracing::info!(publication = self.name(), version, "there is a new version");
            self.board
                .change(self.name(), Some(Happened::Published), |followed| followed.newest = Some(newest));
        }
        Ok(publication)
    }

    /// A version is in use here; of one that is only watched it is known that all is well.
    fn in_use(&self, publication: &Publication, published_at: i64) {
        if self.subscription.used == Use::Watch {
            return self.well();
        }
        let Publication { version, .. } = publication;
        self.board.change(self.name(), Some(Happened::InUse), |followed| {
            // A version that became the newest again is in use since it was.
            let before = followed.in_use.as_ref().filter(|before| before.version == *version);
            let since = before.map_or_else(now_ms, |before| before.since);
            followed.in_use = Some(Used { version: version.clone(), published_at, since });
            followed.failure = None;
        });
        tracing::info!(publication = self.name(), version, "a publication is in use");
    }

    fn well(&self) {
        self.board.change(self.name(), None, |followed| followed.failure = None);
    }

    fn take_over(&self, publications: &Publications, publication: &Publication) -> Result<(), NotTaken> {
        let wanted = match self.subscription.used {
            Use::Model => Kind::Model,
            Use::Lists => Kind::Lists,
            Use::Catalogue => Kind::Catalogue,
            Use::Centres => Kind::Centres,
            Use::Watch => return Ok(()),
        };
        if publication.kind != wanted {
            return Err(NotTaken::for_good(format!(
                "{} {} is of the kind {} and cannot be used as {}: see `use` in [subscriptions.{}]",
                self.name(),
                publication.version,
                publication.kind.as_str(),
                name_of(self.subscription.used),
                self.name()
            )));
        }
        // Before it is fetched: from here on nobody takes it out.
        self.mark_version(publications, &publication.version);
        let folder = self.options.fetched.join(self.name());
        let fetched = std::fs::create_dir_all(&folder).map_err(PublicationError::io("make", &folder));
        let done = fetched
            .and_then(|()| publications.fetch(publication, &folder))
            .map_err(|error| NotTaken::for_now(error.to_string()))
            .and_then(|()| {
                reach("subscription-fetched");
                (self.take)(publication, &folder)
            });
        if let Err(error) = std::fs::remove_dir_all(&folder) {
            tracing::warn!(%error, folder = %folder.display(), "what was fetched of a publication cannot be removed");
        }
        done
    }

    fn is_in_use(&self, version: &str) -> bool {
        let followed = self.board.get(self.name());
        followed.and_then(|followed| followed.in_use).is_some_and(|used| used.version == version)
    }

    fn failed(&self, why: String) {
        tracing::warn!(
            publication = self.name(),
            why,
            "a publication cannot be taken over; what is in use stays"
        );
        self.board.change(self.name(), Some(Happened::Failed), |followed| {
            followed.failure = Some(Failed { at: now_ms(), why });
            followed.failures += 1;
        });
    }

    /// Whether the last attempt to publish failed; where it cannot be known, nothing changes.
    fn look_at_failures(&self, publications: &Publications) {
        let Ok(failure) = publications.failure(self.name()) else { return };
        let known = self.board.get(self.name()).and_then(|followed| followed.publish_failure);
        if known != failure {
            let happened = failure.is_some().then_some(Happened::Failed);
            self.board.change(self.name(), happened, |followed| followed.publish_failure = failure);
        }
    }

    /// Says what is in use here, again; says whether that could be said.
    fn mark(&self, publications: &Publications) -> bool {
        let used = self.board.get(self.name()).and_then(|followed| followed.in_use);
        used.is_none_or(|used| self.mark_version(publications, &used.version))
    }

    /// A repository that we may only read is no reason to take nothing over.
    fn mark_version(&self, publications: &Publications, version: &str) -> bool {
        let said = publications.use_for(self.name(), version, &self.options.who, HOLDS);
        if let Err(error) = &said {
            tracing::warn!(%error, publication = self.name(), "it cannot be said that a version is in use");
        }
        said.is_ok()
    }
}

/// How far a thread is. Taking over may take minutes, so it goes on beside: a version that is published meanwhile is told
/// at once, and taken over next.
struct Course<'scope, 'env> {
    follows: &'env Follows,
    publications: &'env Publications,
    follower: Follower,
    /// What the pointer says, and nobody has been told.
    untold: Untried<Latest>,
    /// What is to be taken over, and when it was published.
    wanted: Untried<(Publication, i64)>,
    /// Set while the repository cannot be looked into.
    away: Untried<()>,
    taking: Option<((Publication, i64), Taking<'scope>)>,
    looked_at_failures: Option<Instant>,
    /// When to say again what is in use.
    next_mark: Instant,
}

type Taking<'scope> = ScopedJoinHandle<'scope, Result<(), NotTaken>>;

impl<'scope, 'env> Course<'scope, 'env> {
    fn new(follows: &'env Follows, publications: &'env Publications) -> Self {
        let known = follows.board.get(follows.name()).and_then(|followed| followed.newest);
        let follower = Follower::since(known.as_ref().map(Newest::pointer));
        // What was not in use yet when the last process ended is taken over now.
        let not_used = known.filter(|newest| !follows.is_in_use(&newest.version));
        Course {
            follows,
            publications,
            follower,
            untold: Untried::new(not_used.map(|newest| newest.pointer())),
            wanted: Untried::new(None),
            away: Untried::new(None),
            taking: None,
            looked_at_failures: None,
            next_mark: Instant::now(),
        }
    }

    fn step(&mut self, scope: &'scope Scope<'scope, 'env>) {
        self.look();
        self.tell();
        self.finish();
        self.begin(scope);
        self.now_and_then();
    }

    /// Whoever rings knows that there is something: nothing waits for its time.
    fn at_once(&mut self) {
        for backoff in [&mut self.untold.backoff, &mut self.wanted.backoff, &mut self.away.backoff] {
            *backoff = Backoff::default();
        }
    }

    fn look(&mut self) {
        match self.follower.look(self.publications, self.follows.name()) {
            Ok(found) => {
                if self.away.what.take().is_some() {
                    self.follows.well();
                }
                if found.is_some() {
                    self.untold = Untried::new(found);
                }
            }
            Err(error) if self.away.is_due() => {
                self.away.what = Some(());
                self.away.failed();
                self.follows.failed(error.to_string());
            }
            Err(_) => {}
        }
    }

    fn tell(&mut self) {
        let Some(latest) = self.untold.due() else { return };
        match self.follows.tell(self.publications, &latest) {
            Ok(publication) => {
                self.untold = Untried::new(None);
                self.wanted = Untried::new(Some((publication, latest.published_at)));
            }
            Err(error) => {
                self.untold.failed();
                self.follows.failed(error.to_string());
            }
        }
    }

    /// What was being taken over, where it has come to its end.
    fn finish(&mut self) {
        let Some((taken, thread)) = self.taking.take_if(|(_, thread)| thread.is_finished()) else { return };
        let panicked = |_| Err(NotTaken::for_now("taking over ended before its time".into()));
        let is_wanted = self.wanted.what.as_ref() == Some(&taken);
        match thread.join().unwrap_or_else(panicked) {
            Ok(()) => {
                self.follows.in_use(&taken.0, taken.1);
                self.next_mark = Instant::now() + HOLDS / 4;
                self.wanted.what.take_if(|_| is_wanted);
            }
            // The pipeline ends: the next one takes it over.
            Err(_) if self.follows.bell.is_stopped() => {}
            Err(NotTaken { why, again }) => {
                self.follows.failed(why);
                if is_wanted {
                    self.wanted.failed();
                    self.wanted.what.take_if(|_| !again);
                }
            }
        }
    }

    /// The pipeline ends: what it still took over is in use.
    fn end(self) {
        if let Some((taken, thread)) = self.taking
            && let Ok(Ok(())) = thread.join()
        {
            self.follows.in_use(&taken.0, taken.1);
        }
    }

    /// Begins to take over what is wanted, where nothing else is being taken over.
    fn begin(&mut self, scope: &'scope Scope<'scope, 'env>) {
        let due = if self.taking.is_none() { self.wanted.due() } else { None };
        let Some((publication, published_at)) = due else { return };
        let (follows, publications) = (self.follows, self.publications);
        if follows.subscription.used == Use::Watch || follows.is_in_use(&publication.version) {
            follows.in_use(&publication, published_at);
            self.wanted.what = None;
            return;
        }
        let taken = (publication.clone(), published_at);
        let thread = std::thread::Builder::new().name("take-over".into());
        match thread.spawn_scoped(scope, move || follows.take_over(publications, &publication)) {
            Ok(thread) => self.taking = Some((taken, thread)),
            Err(error) => {
                self.wanted.failed();
                follows.failed(format!("no thread could be started: {error}"));
            }
        }
    }

    fn now_and_then(&mut self) {
        if self.looked_at_failures.is_none_or(|at| at.elapsed() >= LOOK_AT_FAILURES) {
            self.looked_at_failures = Some(Instant::now());
            self.follows.look_at_failures(self.publications);
        }
        if self.next_mark <= Instant::now() {
            let said = self.follows.mark(self.publications);
            self.next_mark = Instant::now() + if said { HOLDS / 4 } else { LONGEST };
        }
    }
}

/// Something to be done, again and again until it is.
struct Untried<T> {
    what: Option<T>,
    backoff: Backoff,
}

impl<T> Untried<T> {
    fn new(what: Option<T>) -> Self {
        Untried { what, backoff: Backoff::default() }
    }

    fn is_due(&self) -> bool {
        self.backoff.left().is_zero()
    }

    /// What is to be tried now.
    fn due(&self) -> Option<T>
    where
        T: Clone,
    {
        self.what.clone().filter(|_| self.is_due())
    }

    fn failed(&mut self) {
        self.backoff.failed();
    }
}

/// When to try again.
#[derive(Default)]
struct Backoff {
    until: Option<Instant>,
    pause: Duration,
}

impl Backoff {
    fn failed(&mut self) {
        self.pause = if self.pause.is_zero() { AGAIN } else { (2 * self.pause).min(LONGEST) };
        self.until = Some(Instant::now() + self.pause);
    }

    fn left(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}
