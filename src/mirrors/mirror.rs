//! One mirror: a piece of its work at a time, from the store to its server.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::entries::{self, About, Body, Entry, Key};
use super::state::{Filling, MirrorState};
use super::targets::{self, Target};
use super::{MirrorError, filling};
use crate::config::{self, Span};
use crate::engine::recover::Standing;
use crate::failpoints::reach;
use crate::stores::formats::{self, meta};
use crate::stores::mirrored::{self, View};
use crate::stores::{Store, StoreError, Table, Tables};

/// About so many changed entries are written at a time; an epoch is not parted.
const AT_ONCE: usize = 8_192;

/// A mirror, and how far it is.
pub struct Mirror {
    pub(super) config: config::Mirror,
    pub(super) store: Arc<dyn Store>,
    state: Mutex<MirrorState>,
    /// The connection, where there is one; whoever holds it is the one at work.
    target: Mutex<Option<Box<dyn Target>>>,
    /// When the store was read that the server has acknowledged everything of; none where nothing has been committed since.
    fresh: Mutex<Option<Instant>>,
    failures: AtomicU64,
    written: AtomicU64,
}

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is.
    More,
    /// The mirror is as the store was when it was read.
    Whole,
    /// The store cannot be mirrored yet: its views are being made anew.
    Waits,
}

/// What changed, as a store has it at one moment.
#[derive(Default)]
struct Changes {
    standing: Standing,
    /// The last epoch of which there was reason to fill the mirror anew.
    anew: u64,
    /// The entries that changed, as they are.
    entries: Vec<Entry>,
    /// The epoch up to which these are all.
    up_to: u64,
}

impl Mirror {
    pub(super) fn new(config: config::Mirror, store: Arc<dyn Store>, state: MirrorState) -> Mirror {
        Mirror {
            config,
            store,
            state: Mutex::new(state),
            target: Mutex::new(None),
            fresh: Mutex::new(Some(Instant::now())),
            failures: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.config.url
    }

    /// How far it is.
    pub fn state(&self) -> MirrorState {
        self.locked().clone()
    }

    /// How long ago the store was read of which the server has everything; nothing where it is as it was then, or empty.
    pub fn behind(&self) -> Duration {
        self.fresh().map_or(Duration::ZERO, |fresh| fresh.elapsed())
    }

    /// How often the server could not be used.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How many entries were written since the process started.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn acked(&self) -> u64 {
        self.locked().acked
    }

    fn locked(&self) -> MutexGuard<'_, MirrorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the mirror filled anew.
    pub fn fill_anew(&self) -> Result<(), MirrorError> {
        let _held = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let state = MirrorState { filling: Some(Filling::default()), ..self.state() };
        self.note(state)
    }

    /// Does a piece of work. A connection on which something failed is not used again.
    pub(super) fn step(&self) -> Result<Step, MirrorError> {
        let mut held = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let mut work = || {
            let mut target = match held.take() {
                Some(target) => target,
                None => self.connect()?,
            };
            let done = self.work(&mut *target)?;
            *held = Some(target);
            Ok(done)
        };
        let done = work();
        if let Err(error) = &done {
            self.failures.fetch_add(1, Ordering::Relaxed);
            if matches!(error, MirrorError::Forgotten { .. }) {
                self.note(MirrorState { filling: Some(Filling::default()), ..self.state() })?;
            }
        }
        done
    }

    /// A connection. A server that knows nothing of the mirror any more, or not all that it has acknowledged, is filled anew.
    fn connect(&self) -> Result<Box<dyn Target>, MirrorError> {
        let mut target = targets::open(&self.config)?;
        let state = self.state();
        // What it says of itself is written before it is noted here.
        if state.filling.is_none() && target.about()?.is_none_or(|about| about.epoch < state.acked) {
            tracing::warn!(
                mirror = self.name(),
                "the server has forgotten the mirror, or some of it: it is filled anew"
            );
            self.note(MirrorState { filling: Some(Filling::default()), ..state })?;
        }
        Ok(target)
    }

    fn work(&self, target: &mut dyn Target) -> Result<Step, MirrorError> {
        let mut state = self.state();
        let read_at = Instant::now();
        let Changes { standing, anew, entries, up_to } = self.changes(&state)?;
        if standing.pending || standing.epoch == 0 {
            if standing.epoch == 0 {
                self.is_level();
            }
            return Ok(Step::Waits);
        }
        self.may_lack();
        let now = jiff::Timestamp::now().as_millisecond();
        // Entries that do not change must not run out.
        let refresh = |expiry: Span| {
            state.filling.is_none() && state.filled.is_none_or(|filled| now - filled > expiry.ms() / 2)
        };
        if self.config.expiry.is_some_and(refresh) {
            (state.filling, state.filled) = (Some(Filling::default()), Some(now));
        }
        if anew > state.anew {
            (state.anew, state.filling) = (anew, Some(Filling::default()));
        }
        let is_whole = up_to == standing.epoch && state.filling.is_none();
        if is_whole && state.whole && entries.is_empty() && up_to == state.acked {
            self.is_fresh(read_at);
            return Ok(Step::Whole);
        }
        target.stamp(&mut state.stamp);
        target.write(&entries)?;
        reach("mirror-written");
        self.written.fetch_add(entries.len() as u64, Ordering::Relaxed);
        if let Some(at) = state.filling.take() {
            state.filling = filling::go_on(self, at, target)?;
        }
        (state.acked, state.whole) = (up_to, is_whole);
        // Whole only with what was written: another piece may be missing still.
        let about = About { epoch: up_to, as_of: standing.now, whole: is_whole };
        let about = Body::About(serde_json::to_string(&about).unwrap_or_default());
        target.write(&[Entry { key: Key::About, body: Some(about) }])?;
        state.at = Some(now);
        self.note(state)?;
        reach("mirror-noted");
        if is_whole {
            self.is_fresh(read_at);
        }
        // Once more, at least: what came meanwhile, or what is left to fill.
        Ok(if is_whole { Step::Whole } else { Step::More })
    }

    fn fresh(&self) -> MutexGuard<'_, Option<Instant>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_fresh(&self, read_at: Instant) {
        *self.fresh() = Some(read_at);
    }

    /// Says that nothing has been committed that the server has not acknowledged.
    pub(super) fn is_level(&self) {
        *self.fresh() = None;
    }

    /// Says that from now on something may have been.
    pub(super) fn may_lack(&self) {
        self.fresh().get_or_insert_with(Instant::now);
    }

    /// Keeps a state; what a crash takes of it is done again.
    fn note(&self, state: MirrorState) -> Result<(), MirrorError> {
        let mut change = self.store.begin();
        state.put(self.name(), &mut *change);
        change.commit(false)?;
        *self.locked() = state;
        Ok(())
    }

    /// Where more is queued than the mirror takes one by one, it lets go of the queue and is filled anew instead: a server
    /// that is away must not fill the disk here.
    pub(super) fn let_go_of_too_much(&self) -> Result<(), MirrorError> {
        let _held = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state();
        let mut waiting = 0;
        let from = mirrored::from_epoch(state.acked.saturating_add(1));
        self.store.scan(Table::MirrorQueue, &[], &from, &mut |_, _| {
            waiting += 1;
            if waiting > self.config.queue { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if waiting <= self.config.queue {
            return Ok(());
        }
        let acked = Standing::of(&*self.store)?.epoch;
        tracing::warn!(mirror = self.name(), "too much is queued for the mirror: it will be filled anew");
        self.note(MirrorState { acked, filling: Some(Filling::default()), ..state })
    }

    /// What changed since the mirror's epoch, as the store has it now.
    fn changes(&self, state: &MirrorState) -> Result<Changes, StoreError> {
        let mut outcome = Ok(Changes::default());
        self.store.at_one_moment(&mut |tables| outcome = self.read(tables, state))?;
        outcome
    }

    fn read(&self, tables: &dyn Tables, state: &MirrorState) -> Result<Changes, StoreError> {
        let standing = Standing::of(tables)?;
        if standing.pending {
            return Ok(Changes { standing, ..Changes::default() });
        }
        let anew = tables.get(Table::Meta, meta::MIRRORS_ANEW)?;
        let anew = anew.map(|value| formats::decode_i64(meta::MIRRORS_ANEW, &value)).transpose()?;
        let (changed, up_to) = changed(tables, state, standing.epoch)?;
        let mut entries = Vec::with_capacity(changed.len());
        for (view, key) in changed {
            entries.push(entries::stored(tables, &standing, view, &key)?);
        }
        Ok(Changes { standing, anew: anew.map_or(0, |epoch| epoch as u64), entries, up_to })
    }
}

/// The entries that changed after the mirror's epoch, of about as many as are written at a time, and the epoch up to which these
/// are all.
fn changed(
    tables: &dyn Tables,
    state: &MirrorState,
    epoch: u64,
) -> Result<(BTreeSet<(View, Vec<u8>)>, u64), StoreError> {
    let (mut changed, mut up_to) = (BTreeSet::new(), state.acked);
    let mut damage = None;
    let mut cut = false;
    let from = mirrored::from_epoch(state.acked.saturating_add(1));
    tables.scan(Table::MirrorQueue, &[], &from, &mut |key, _| {
        match mirrored::decode_queue_key(key) {
            Ok((of, view, entry)) => {
                cut = of > up_to && changed.len() >= AT_ONCE;
                if !cut {
                    up_to = of;
                    if state.views.contains(&view) {
                        changed.insert((view, entry.to_vec()));
                    }
                }
            }
            Err(error) => damage = Some(error),
        }
        if damage.is_some() || cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    damage.map_or(Ok((changed, if cut { up_to } else { epoch })), Err)
}
