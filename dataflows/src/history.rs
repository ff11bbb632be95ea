//! One member's state: live events, sorted and packed, and what may never come back.
//!
//! live = events − retracted − forgotten, whichever came first. The events of a history are live ones only;
//! [`Gone`] remembers what keeps others out. Nothing here knows of time, workers or storage.

use crate::types::{Action, Digest, Event};

/// A member's live events and what keeps others from joining them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// In the order of [`Event`], which starts with the item.
    events: Vec<Event>,
    gone: Option<Box<Gone>>,
}

/// What may never come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Everything up to this millisecond; −1 where nothing is forgotten.
    pub forgotten: i64,
    /// Digests of the ids that were retracted, sorted.
    pub ids: Vec<u64>,
    /// Digests of the events that were retracted and when these happened, sorted. Those that `forgotten` covers
    /// are left out.
    pub events: Vec<(Digest, i64)>,
}

impl Default for Gone {
    fn default() -> Self {
        Gone { forgotten: -1, ids: Vec::new(), events: Vec::new() }
    }
}

impl Gone {
    fn covers(&self, event: &Event) -> bool {
        event.at() <= self.forgotten
            || (event.id != 0 && self.ids.binary_search(&event.id).is_ok())
            || self.events.binary_search(&(event.digest, event.at())).is_ok()
    }

    /// Remembers a retraction by fields; says whether that is news.
    fn retract(&mut self, digest: Digest, at: i64) -> bool {
        at > self.forgotten && insert_sorted(&mut self.events, (digest, at))
    }
}

/// What applying the records of one epoch did to a history.
#[derive(Debug, Default)]
pub struct Effects {
    /// Live from now on.
    pub added: Vec<Event>,
    /// Live until now.
    pub removed: Vec<Event>,
    /// Places in the epoch of records that changed nothing and need not be kept.
    pub refused: Vec<u32>,
    /// Whether a forget or a trim moved `forgotten`.
    pub forgot: bool,
    /// Room to sort what is added, used again.
    fresh: Vec<(Event, u32)>,
}

impl Effects {
    /// Empties the lists, keeping their memory.
    pub fn clear(&mut self) {
        self.added.clear();
        self.removed.clear();
        self.refused.clear();
        self.forgot = false;
    }
}

impl History {
    /// A history of nothing.
    pub const NONE: History = History { events: Vec::new(), gone: None };

    /// The live events, in the order of [`Event`].
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What may not come back, where there is anything.
    pub fn gone(&self) -> Option<&Gone> {
        self.gone.as_deref()
    }

    /// Applies the records of one epoch, each with its place in the epoch. The order among them does not matter.
    pub fn apply(&mut self, actions: &[(u32, Action)], effects: &mut Effects) {
        let gone_changed = self.retire(actions, effects);
        if gone_changed {
            self.drop_gone(effects);
        }
        self.add(actions, effects);
    }

    /// Takes out everything up to `at`, as part of a trim of all members, which is remembered once for all of them.
    pub fn trim(&mut self, at: i64, effects: &mut Effects) {
        self.events.retain(|event| {
            let dead = event.at() <= at;
            if dead {
                effects.removed.push(*event);
            }
            !dead
        });
        if let Some(gone) = &mut self.gone {
            gone.events.retain(|(_, happened)| *happened > at);
            effects.forgot = true;
        }
    }

    /// Takes in what may never come back; says whether that is more than before.
    fn retire(&mut self, actions: &[(u32, Action)], effects: &mut Effects) -> bool {
        let mut changed = false;
        // Forgets first: they decide which retractions are worth keeping.
        for (_, action) in actions {
            if let Action::Forget(at) = *action {
                let gone = self.gone.get_or_insert_default();
                if at > gone.forgotten {
                    gone.forgotten = at;
                    gone.events.retain(|(_, happened)| *happened > at);
                    effects.forgot = true;
                    changed = true;
                }
            }
        }
        for &(seq, action) in actions {
            let gone = match action {
                Action::Retract(_) | Action::RetractDigest(..) | Action::RetractId(_) => {
                    self.gone.get_or_insert_default()
                }
                Action::Add(_) | Action::Forget(_) | Action::Trim(_) => continue,
            };
            let inserted = match action {
                Action::RetractId(id) => insert_sorted(&mut gone.ids, id),
                Action::Retract(event) => gone.retract(event.digest, event.at()),
                Action::RetractDigest(digest, at) => gone.retract(digest, at),
                Action::Add(_) | Action::Forget(_) | Action::Trim(_) => false,
            };
            if inserted {
                changed = true;
            } else {
                effects.refused.push(seq);
            }
        }
        changed
    }

    fn drop_gone(&mut self, effects: &mut Effects) {
        let Some(gone) = &self.gone else { return };
        self.events.retain(|event| {
            let dead = gone.covers(event);
            if dead {
                effects.removed.push(*event);
            }
            !dead
        });
    }

    fn add(&mut self, actions: &[(u32, Action)], effects: &mut Effects) {
        let first = effects.added.len();
        let mut fresh = std::mem::take(&mut effects.fresh);
        fresh.clear();
        for &(seq, action) in actions {
            if let Action::Add(event) = action {
                let dead = self.gone.as_ref().is_some_and(|gone| gone.covers(&event));
                if dead || self.events.binary_search(&event).is_ok() {
                    effects.refused.push(seq);
                } else {
                    fresh.push((event, seq));
                }
            }
        }
        fresh.sort_unstable();
        fresh.dedup_by(|(event, seq), (kept, _)| {
            let same = event == kept;
            if same {
                effects.refused.push(*seq);
            }
            same
        });
        effects.added.extend(fresh.iter().map(|(event, _)| event));
        merge(&mut self.events, &effects.added[first..]);
        effects.fresh = fresh;
    }
}

/// Puts `value` into a sorted list; says whether it was not there.
fn insert_sorted<T: Ord>(list: &mut Vec<T>, value: T) -> bool {
    match list.binary_search(&value) {
        Ok(_) => false,
        Err(place) => {
            list.insert(place, value);
            true
        }
    }
}

/// Merges sorted `fresh` into sorted `events` from the back, in place.
///
/// Room is made for an eighth more than is needed and one: histories are most of the memory of a process.
fn merge(events: &mut Vec<Event>, fresh: &[Event]) {
    let Some(filler) = fresh.first().copied() else { return };
    let old = events.len();
    let total = old + fresh.len();
    if events.capacity() < total {
        events.reserve_exact(fresh.len() + total / 8 + 1);
    }
    events.resize(total, filler);
    let (mut read, mut write, mut left) = (old, total, fresh.len());
    while left > 0 {
        write -= 1;
        if read > 0 && events[read - 1] > fresh[left - 1] {
            read -= 1;
            events[write] = events[read];
        } else {
            left -= 1;
            events[write] = fresh[left];
        }
    }
}
