//! A model, or a line-up of variants with theirs, takes over without a seam: its lists are built beside the live ones, in slices between epochs, while live
//! events refresh both; then the pointer moves in one commit.
//!
//! The lists of the model before stay for a while, fresh, so that it can take over again at once; then they go. What
//! a crash leaves of a set that was being built is cleared and built from the start.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;
use nearline_dataflows::line_up::LineUp;
use nearline_dataflows::members::Control;
use nearline_dataflows::types::{Epoch, Member};

use super::messages::{Mode, ToCommit};
use super::pipeline::Pipeline;
use super::recover::Standing;
use super::{Beside, EngineError, GivenLineUp};
use crate::failpoints::reach;
use crate::stores::formats::Standby;
use crate::variants::MadeWith;

/// How long a slice is to take: less than a small epoch, since an event may have to wait for one.
const PACE: Duration = Duration::from_micros(800);
/// While the store writes out what it holds, which takes a core, slices wait: so often it is looked at, and so long they
/// wait at most.
const WAIT: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(100);
/// While events come in, a slice is followed by a rest of so many times what it took, and of at most so long: what is
/// built has to be written out in the end, and the less of that there is in a second, the fewer events meet it.
const RESTS: u32 = 5;
const LONGEST_REST: Duration = Duration::from_millis(40);
/// For how long after an event more are thought to be coming.
const LATELY: Duration = Duration::from_secs(1);
/// How many members a slice has at least, however long that takes where others use the processor as well: some tenths
/// of a millisecond's work.
const LEAST: u32 = 16;
/// The most members of a slice where nothing else is to be done: some tens of megabytes of lists.
const LARGE: u32 = 8_192;

/// What came of asking for a model.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TakenOver {
    /// The version of the model that is live now.
    pub model: String,
    /// The variant that every member has now, where one was promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The version of the one that was live before; none where nothing changed, or there was none.
    pub previous: Option<String>,
    /// The epoch from which on that is so.
    pub epoch: Epoch,
}

/// Why no model took over.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// Another one was asked for before its lists were built.
    #[error("{0} was asked for before the lists were built; they were given up")]
    Replaced(String),
    /// The pipeline ended before its lists were built.
    #[error("the pipeline is ending; the lists are built when it runs again")]
    Ending,
    /// There is no model to go back to.
    #[error(
        "there is no model to go back to: the lists of the one before are kept for a while only (`run.keep_previous` \
         in the config); build them anew with `nearline model use DIR`"
    )]
    NoPrevious,
    /// A bulk load has no lists to build beside.
    #[error("a bulk load is under way; its lists are made at its end: ask again then")]
    Loading,
    /// There are several processes.
    #[error(
        "a pipeline of several processes takes over a model when it starts: stop it, and start every process with --model"
    )]
    SeveralProcesses,
    /// Its files cannot be kept.
    #[error("the model cannot be kept in the data folder: {0}")]
    NotKept(String),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Where the answer goes.
pub(super) type Answer = Sender<Result<TakenOver, TakeoverError>>;

impl TakenOver {
    /// What is live from an epoch on, and what was before.
    pub fn new(live: &MadeWith, previous: Option<&MadeWith>, epoch: Epoch) -> Self {
        let version = |lists: &MadeWith| lists.model.clone().unwrap_or_default();
        let variant = live.promoted().map(str::to_owned);
        TakenOver { model: version(live), variant, previous: previous.map(version), epoch }
    }
}

/// The line-ups in use.
#[derive(Default)]
pub(super) struct Models {
    /// The live one.
    pub(super) live: MadeWith,
    standby: Option<StandingBy>,
}

/// The line-up beside the live one.
struct StandingBy {
    lists: MadeWith,
    phase: Phase,
}

enum Phase {
    /// Its lists are being built.
    Building {
        /// The first member whose lists are not built yet.
        next: u32,
        /// Members of greater numbers were met later, and have their lists from live events.
        members: u32,
        /// How many members the next slice has.
        slice: u32,
        /// The newest epoch when the last slice was built.
        sliced: Epoch,
        /// When that was.
        at: Instant,
        /// How long it took.
        took: Duration,
        /// After how long to look again whether it is time for the next one.
        wait: Duration,
        /// Who waits for it to take over.
        asked: Vec<Answer>,
    },
    /// Its lists are whole and fresh.
    Ready {
        /// When this process came to know it.
        since: Instant,
        /// For how long it was to be kept then.
        left: Duration,
    },
}

impl Models {
    fn building(&self) -> bool {
        matches!(&self.standby, Some(StandingBy { phase: Phase::Building { .. }, .. }))
    }

    /// What stands by.
    pub(super) fn beside(&self) -> Option<&MadeWith> {
        self.standby.as_ref().map(|standby| &standby.lists)
    }

    /// After how long there is something to do where no record waits.
    pub(super) fn time_left(&self) -> Option<Duration> {
        match &self.standby.as_ref()?.phase {
            Phase::Building { wait, .. } => Some(*wait),
            Phase::Ready { since, left } => Some(left.saturating_sub(since.elapsed())),
        }
    }
}

impl Pipeline<'_> {
    /// At the start: what stands by as the store says, and the line-up whose lists are to be built now.
    ///
    /// In a bulk load nothing is refreshed beside, so whole lists of a standby line-up go, and half-built ones wait
    /// for the next start.
    pub(super) fn stand_by(
        &mut self,
        beside: Option<Beside>,
        standing: &Standing,
        rebuild: bool,
    ) -> Result<(Option<LineUp>, Option<GivenLineUp>), EngineError> {
        let bulk = self.options.bulk;
        match beside {
            Some(Beside { line_up, ready: Some(age) }) if !bulk && !rebuild => {
                let lists = line_up.made_with().clone();
                let left = self.options.keep_previous.saturating_sub(age);
                self.models.standby =
                    Some(StandingBy { lists, phase: Phase::Ready { since: Instant::now(), left } });
                Ok((Some(line_up.numbered(&mut |id| self.ingest.item(id))), None))
            }
            Some(Beside { line_up, ready: None }) => {
                self.send(ToCommit::Standby(Some(self.mark(line_up.made_with()))))?;
                Ok((None, (!bulk).then_some(line_up)))
            }
            _ => {
                // Also where there is no mark: a crash may have taken it and left the lists.
                let known = standing.epoch > 0;
                if known {
                    self.send(ToCommit::Standby(None))?;
                }
                Ok((None, None))
            }
        }
    }

    fn mark(&self, lists: &MadeWith) -> Standby {
        let members = self.ingest.members_met() as u32;
        Standby { members, ..Standby::of(lists.clone()) }
    }

    /// Begins to build a line-up's lists beside the live ones.
    pub(super) fn begin(&mut self, line_up: GivenLineUp) -> Result<(), EngineError> {
        self.close_live()?;
        self.settled()?;
        let lists = line_up.made_with().clone();
        let mark = self.mark(&lists);
        let members = mark.members;
        self.send(ToCommit::Standby(Some(mark)))?;
        let line_up = line_up.numbered(&mut |id| self.ingest.item(id));
        self.close(Mode::Whole, vec![Control::Standby(Some(line_up))])?;
        let (slice, sliced, at, none) = (LEAST, self.epoch, Instant::now(), Duration::ZERO);
        let asked = Vec::new();
        let phase = Phase::Building { next: 0, members, slice, sliced, at, took: none, wait: none, asked };
        self.models.standby = Some(StandingBy { lists, phase });
        Ok(())
    }

    /// Lets a line-up take over: at once where its lists are there, else once they are built.
    pub(super) fn use_line_up(&mut self, line_up: GivenLineUp, answer: Answer) -> Result<(), EngineError> {
        if self.options.bulk {
            tell(&answer, Err(TakeoverError::Loading));
            return Ok(());
        }
        let lists = line_up.made_with().clone();
        if self.models.live == lists {
            self.give_up(&lists)?;
            tell(&answer, Ok(TakenOver::new(&lists, None, self.epoch)));
            return Ok(());
        }
        match &mut self.models.standby {
            Some(StandingBy { lists: known, phase }) if *known == lists => match phase {
                Phase::Building { asked, .. } => asked.push(answer),
                Phase::Ready { .. } => self.turn(vec![answer])?,
            },
            _ => {
                self.drop_standby(&lists.to_string())?;
                // Only now: it may have been on its way when the one that was dropped went, and be the same.
                if let Err(why) = line_up.keep() {
                    tell(&answer, Err(TakeoverError::NotKept(why)));
                    return Ok(());
                }
                self.begin(line_up)?;
                if let Some(StandingBy { phase: Phase::Building { asked, .. }, .. }) =
                    &mut self.models.standby
                {
                    asked.push(answer);
                }
            }
        }
        Ok(())
    }

    /// Lets the line-up before take over again, or gives up what is being built.
    pub(super) fn roll_back(&mut self, answer: Answer) -> Result<(), EngineError> {
        match &self.models.standby {
            Some(StandingBy { phase: Phase::Ready { .. }, .. }) => self.turn(vec![answer])?,
            Some(_) if !self.models.live.is_nothing() => {
                let live = self.models.live.clone();
                self.give_up(&live)?;
                tell(&answer, Ok(TakenOver::new(&live, None, self.epoch)));
            }
            _ => tell(&answer, Err(TakeoverError::NoPrevious)),
        }
        Ok(())
    }

    /// Gives up what is being built; lists that are whole stay.
    fn give_up(&mut self, asked_for: &MadeWith) -> Result<(), EngineError> {
        if self.models.building() { self.drop_standby(&asked_for.to_string()) } else { Ok(()) }
    }

    /// What is to be done between epochs: after each that was closed, and whenever nothing waits, another slice; and
    /// the lists of the model before go in their time.
    pub(super) fn between_epochs(&mut self) -> Result<(), EngineError> {
        let (epoch, open) = (self.epoch, self.is_open());
        match &mut self.models.standby {
            Some(StandingBy { phase: Phase::Building { sliced, at, took, wait, .. }, .. }) => {
                let since = at.elapsed();
                let busy = self.taken_at.is_some_and(|taken| taken.elapsed() < LATELY);
                let rest = if busy { (RESTS * *took).min(LONGEST_REST) } else { Duration::ZERO };
                let flushing = since < LONGEST && self.store.is_flushing();
                *wait = rest.saturating_sub(since).max(if flushing { WAIT } else { Duration::ZERO });
                let now = wait.is_zero() && !(open && epoch == *sliced);
                if now { self.slice(PACE) } else { Ok(()) }
            }
            Some(StandingBy { phase: Phase::Ready { since, left }, .. })
                if !open && since.elapsed() >= *left =>
            {
                self.drop_standby("")
            }
            _ => Ok(()),
        }
    }

    /// Builds on with nothing in between, until the model takes over or `stop` is set.
    pub(super) fn build_on(&mut self, stop: &AtomicBool) -> Result<(), EngineError> {
        self.close_live()?;
        while self.models.building() && !stop.load(Ordering::Relaxed) {
            self.slice(Duration::MAX)?;
        }
        Ok(())
    }

    /// Builds the lists of some more members; of as many as take about `pace`.
    fn slice(&mut self, pace: Duration) -> Result<(), EngineError> {
        let paced = pace < Duration::MAX;
        // Records go first, in an epoch of their own: that of a slice writes none.
        self.close_live()?;
        if paced {
            self.settled()?;
        }
        let Some(StandingBy { phase: Phase::Building { next, members, slice, .. }, .. }) =
            &self.models.standby
        else {
            return Ok(());
        };
        let (from, members) = (*next, *members);
        let to = members.min(from + if paced { *slice } else { LARGE });
        let started = Instant::now();
        self.close(Mode::Slice { built: to, members }, vec![Control::Build(Member(from), Member(to))])?;
        if paced {
            self.settled()?
        } else {
            self.nearly_settled()?
        }
        let (spent, epoch) = (started.elapsed(), self.epoch);
        if let Some(StandingBy { phase: Phase::Building { next, slice, sliced, at, took, .. }, .. }) =
            &mut self.models.standby
        {
            (*next, *sliced, *at, *took) = (to, epoch, Instant::now(), spent);
            if paced {
                let fits = f64::from(to - from) * pace.as_secs_f64() / spent.as_secs_f64().max(1e-6);
                *slice = (fits as u32).clamp(*slice / 2, 2 * *slice).clamp(LEAST, LARGE);
            }
        }
        if to == members { self.turn(Vec::new()) } else { Ok(()) }
    }

    /// Moves the pointer: the standby lists are the live ones, and the other way round, from one epoch on.
    fn turn(&mut self, also_asked: Vec<Answer>) -> Result<(), EngineError> {
        self.close_live()?;
        reach("built");
        let Some(taking) = self.models.standby.take() else { return Ok(()) };
        let before = std::mem::replace(&mut self.models.live, taking.lists.clone());
        let previous = Some(before).filter(|before| !before.is_nothing());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let mark = |lists| Standby { ready: true, since, ..Standby::of(lists) };
        let standby = previous.clone().map(mark);
        self.send(ToCommit::Turn { live: taking.lists.clone(), standby })?;
        self.close(Mode::Turn, vec![Control::Turn])?;
        self.settled()?;
        reach("taken-over");
        let taken = TakenOver::new(&taking.lists, previous.as_ref(), self.epoch);
        tracing::info!(lists = %taking.lists, epoch = taken.epoch, "a model has taken over");
        let asked = match taking.phase {
            Phase::Building { asked, .. } => asked,
            Phase::Ready { .. } => Vec::new(),
        };
        asked.iter().chain(&also_asked).for_each(|answer| tell(answer, Ok(taken.clone())));
        match previous {
            Some(lists) => {
                let phase = Phase::Ready { since: Instant::now(), left: self.options.keep_previous };
                self.models.standby = Some(StandingBy { lists, phase });
                Ok(())
            }
            // Before there was a model there were no lists to go back to.
            None => {
                self.close(Mode::Whole, vec![Control::Standby(None)])?;
                self.settled()?;
                self.send(ToCommit::Standby(None))
            }
        }
    }

    /// Lets the standby lists go, whole or not, for `asked_for`.
    fn drop_standby(&mut self, asked_for: &str) -> Result<(), EngineError> {
        let Some(dropped) = self.models.standby.take() else { return Ok(()) };
        if let Phase::Building { asked, .. } = dropped.phase {
            let replaced = || Err(TakeoverError::Replaced(asked_for.to_owned()));
            asked.iter().for_each(|answer| tell(answer, replaced()));
        }
        self.close_live()?;
        self.close(Mode::Whole, vec![Control::Standby(None)])?;
        self.settled()?;
        self.send(ToCommit::Standby(None))?;
        if let Some(drop_model) = &self.options.drop_model {
            let (dropped, live) = (dropped.lists.models(), self.models.live.models());
            dropped.difference(&live).for_each(|version| drop_model(version));
        }
        Ok(())
    }
}

fn tell(answer: &Answer, what: Result<TakenOver, TakeoverError>) {
    // Whoever asked has gone away; it takes over all the same.
    let _ = answer.send(what);
}
