//! How far the store is: what the committer says of itself, shared with whoever waits for an epoch.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use nearline_dataflows::types::Epoch;

use super::peers::{Errand, Errands};
use crate::stores::StoreError;

/// Counts of records since the folder was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Live events.
    pub live_events: u64,
    /// Records that were accepted.
    pub accepted: u64,
    /// Accepted records that changed nothing: sent before, retracted or forgotten.
    pub without_effect: u64,
    /// Lines that were rejected.
    pub rejected: u64,
    /// Members that have been met.
    pub members: u64,
}

impl Counts {
    /// The sum of the two: of stores of several processes.
    pub fn and(self, other: Counts) -> Counts {
        Counts {
            live_events: self.live_events + other.live_events,
            accepted: self.accepted + other.accepted,
            without_effect: self.without_effect + other.without_effect,
            rejected: self.rejected + other.rejected,
            members: self.members + other.members,
        }
    }
}

/// How far the committer is: shared with whoever waits for it.
#[derive(Default)]
pub struct Committed {
    state: Mutex<State>,
    changed: Condvar,
    /// Where there are several processes: what is on disk here, and perhaps not in all of them yet.
    gate: OnceLock<Gate>,
}

/// Epochs that are on disk here and wait for the other processes.
struct Gate {
    errands: Errands,
    waiting: Mutex<VecDeque<(Epoch, Counts, After)>>,
}

/// What is done once an epoch is committed.
type After = Option<Box<dyn FnOnce() + Send>>;

#[derive(Debug, Default, Clone)]
struct State {
    epoch: Epoch,
    counts: Counts,
    failure: Option<Arc<StoreError>>,
    ended: bool,
}

impl Committed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest epoch on disk.
    pub fn epoch(&self) -> Epoch {
        self.state().epoch
    }

    /// Counts up to that epoch.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Why nothing is committed any more, where that is so.
    pub fn failure(&self) -> Option<Arc<StoreError>> {
        self.state().failure.clone()
    }

    /// Whether the engine has come to its end: no message is taken any more.
    pub fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// Says that it has.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// Waits until an epoch is on disk, or nothing will be any more.
    pub fn wait_for(&self, epoch: Epoch) -> Result<(), Arc<StoreError>> {
        let mut state = self.state();
        while state.epoch < epoch {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Waits until an epoch is on disk, or for so long; whether it is.
    pub fn wait_at_most(&self, epoch: Epoch, patience: Duration) -> Result<bool, Arc<StoreError>> {
        let waits = |state: &mut State| state.epoch < epoch && state.failure.is_none() && !state.ended;
        let waited = self.changed.wait_timeout_while(self.state(), patience, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &state.failure {
            _ if state.epoch >= epoch => Ok(true),
            Some(failure) => Err(failure.clone()),
            None => Ok(false),
        }
    }

    /// Waits until an epoch after this one is on disk, nothing will be any more, `stop` is set and [`Committed::wake`] called,
    /// or for so long.
    pub fn wait_beyond(&self, epoch: Epoch, stop: &AtomicBool, patience: Duration) {
        let goes_on = |state: &mut State| {
            state.epoch <= epoch && state.failure.is_none() && !state.ended && !stop.load(Ordering::Relaxed)
        };
        drop(self.changed.wait_timeout_while(self.state(), patience, goes_on));
    }

    /// Has whoever waits look whether to stop.
    pub fn wake(&self) {
        // Whoever has looked already, and does not wait yet, holds this.
        drop(self.state());
        self.changed.notify_all();
    }

    /// From here on an epoch is committed once all processes have it; the first worker tells them of this one.
    pub(super) fn with_others(&self, errands: Errands) {
        let _ = self.gate.set(Gate { errands, waiting: Mutex::default() });
    }

    /// Whether an epoch is committed only once several processes have it.
    pub fn is_of_several(&self) -> bool {
        self.gate.get().is_some()
    }

    /// Says that an epoch is on disk here. It is committed then, unless other processes are to have it too.
    pub(super) fn stored(&self, epoch: Epoch, counts: Counts, after: After) {
        let Some(gate) = self.gate.get() else {
            self.publish(epoch, counts);
            return after.into_iter().for_each(|after| after());
        };
        gate.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back((epoch, counts, after));
        gate.errands.send(Errand::Stored(epoch));
    }

    /// Says that all processes have an epoch on disk.
    pub(super) fn stored_by_all(&self, epoch: Epoch) {
        let Some(gate) = self.gate.get() else { return };
        loop {
            let next = {
                let mut waiting = gate.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.front().is_none_or(|(first, _, _)| *first > epoch) {
                    return;
                }
                waiting.pop_front()
            };
            if let Some((epoch, counts, after)) = next {
                self.publish(epoch, counts);
                after.into_iter().for_each(|after| after());
            }
        }
    }

    /// Says that an epoch is committed.
    pub(crate) fn publish(&self, epoch: Epoch, counts: Counts) {
        let mut state = self.state();
        (state.epoch, state.counts) = (epoch, counts);
        self.changed.notify_all();
    }

    /// Says why nothing is committed any more.
    pub(crate) fn fail(&self, failure: StoreError) {
        self.state().failure = Some(Arc::new(failure));
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_others_an_epoch_is_committed_once_all_have_it_and_not_before() {
        let (errand, errands) = crossbeam_channel::unbounded();
        let committed = Committed::default();
        committed.publish(4, Counts::default());
        committed.with_others(Errands::new(errand, std::thread::current()));
        let told = Arc::new(Mutex::new(Vec::new()));
        for epoch in 5..8 {
            let told = told.clone();
            let after: After = Some(Box::new(move || told.lock().unwrap().push(epoch)));
            committed.stored(epoch, Counts { accepted: epoch, ..Counts::default() }, after);
        }
        let sent: Vec<Epoch> = errands
            .try_iter()
            .filter_map(|errand| match errand {
                Errand::Stored(epoch) => Some(epoch),
                Errand::Send(_) => None,
            })
            .collect();
        assert_eq!((sent, committed.epoch()), (vec![5, 6, 7], 4));
        committed.stored_by_all(6);
        assert_eq!((committed.epoch(), committed.counts().accepted), (6, 6));
        assert_eq!(*told.lock().unwrap(), [5, 6]);
        committed.stored_by_all(9);
        assert_eq!((committed.epoch(), &told.lock().unwrap()[2..]), (7, &[7][..]));
    }
}
