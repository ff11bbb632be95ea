//! One member's state: live events, sorted and packed, and what may never come back.
//!
//! live = events − retracted − forgotten, whichever came first. The events of a history are live ones only;
//! [`Gone`] remembers what keeps others out. Nothing here knows of time, workers or storage.

use crate::types::{Action, Digest, Event, KNOWN};

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
        if self.retire(actions, effects) {
            self.drop_gone(effects);
        } else {
            self.drop_retracted(actions, effects);
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
        tighten(&mut self.events);
        if let Some(gone) = &mut self.gone {
            gone.events.retain(|(_, happened)| *happened > at);
            tighten(&mut gone.events);
            effects.forgot = true;
        }
    }

    /// Takes in what may never come back; says whether that is more than before, and more than events that are named
    /// in full, which are found without a look at all others.
    fn retire(&mut self, actions: &[(u32, Action)], effects: &mut Effects) -> bool {
        let mut changed = false;
        // Forgets first: they decide which retractions are worth keeping.
        for (_, action) in actions {
            if let Action::Forget(at) = *action {
                let gone = self.gone.get_or_insert_default();
                if at > gone.forgotten {
                    gone.forgotten = at;
                    gone.events.retain(|(_, happened)| *happened > at);
                    tighten(&mut gone.events);
                    effects.forgot = true;
                    changed = true;
                }
            }
        }
        let first = effects.refused.len();
        let (mut ids, mut events) = (Vec::new(), Vec::new());
        for &(seq, action) in actions {
            match action {
                Action::RetractId(id) => ids.push((id, seq)),
                Action::Retract(event) => events.push(((event.digest, event.at()), seq)),
                Action::RetractDigest(digest, at) => events.push(((digest, at), seq)),
                Action::Add(_) | Action::Forget(_) | Action::Trim(_) => {}
            }
        }
        if ids.is_empty() && events.is_empty() {
            return changed;
        }
        let gone = self.gone.get_or_insert_default();
        let forgotten = gone.forgotten;
        events.retain(|((_, at), seq)| {
            let late = *at > forgotten;
            if !late {
                effects.refused.push(*seq);
            }
            late
        });
        changed |= insert_sorted(&mut gone.ids, ids, &mut effects.refused);
        insert_sorted(&mut gone.events, events, &mut effects.refused);
        changed |= actions.iter().any(|(_, action)| matches!(action, Action::RetractDigest(..)));
        effects.refused[first..].sort_unstable();
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
        tighten(&mut self.events);
    }

    /// Takes out the live events that retractions name.
    fn drop_retracted(&mut self, actions: &[(u32, Action)], effects: &mut Effects) {
        let place = |(_, action): &(u32, Action)| match action {
            Action::Retract(event) => self.events.binary_search(event).ok(),
            _ => None,
        };
        let mut places: Vec<usize> = actions.iter().filter_map(place).collect();
        places.sort_unstable();
        places.dedup();
        let Some(&first) = places.first() else { return };
        effects.removed.extend(places.iter().map(|place| self.events[*place]));
        let (mut dead, mut kept) = (places.iter().peekable(), first);
        for place in first..self.events.len() {
            if dead.next_if(|dead| **dead == place).is_none() {
                self.events[kept] = self.events[place];
                kept += 1;
            }
        }
        self.events.truncate(kept);
        tighten(&mut self.events);
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

/// Gives memory back where less than half of it is used.
fn tighten<T>(list: &mut Vec<T>) {
    if list.capacity() > 2 * list.len() + 4 {
        list.shrink_to(list.len() + list.len() / 8);
    }
}

/// Puts values, each with its place in the epoch, into a sorted list; says whether any of them was not there. Those
/// that were, or come twice, are refused. As many as an epoch brings are put in at once: a member may have a great many.
fn insert_sorted<T: Ord + Copy>(
    list: &mut Vec<T>,
    mut values: Vec<(T, u32)>,
    refused: &mut Vec<u32>,
) -> bool {
    // Of the same twice the one stays that was known already: a record that is sent again says nothing new, and is not kept.
    values.sort_unstable_by_key(|(value, seq)| (*value, *seq != KNOWN, *seq));
    let mut last = None;
    values.retain(|&(value, seq)| {
        let news = last != Some(value) && list.binary_search(&value).is_err();
        last = Some(value);
        if !news {
            refused.push(seq);
        }
        news
    });
    let fresh: Vec<T> = values.into_iter().map(|(value, _)| value).collect();
    merge(list, &fresh);
    !fresh.is_empty()
}

/// Merges sorted `fresh` into sorted `events` from the back, in place.
///
/// Room is made for an eighth more than is needed and one: histories are most of the memory of a process.
fn merge<T: Ord + Copy>(events: &mut Vec<T>, fresh: &[T]) {
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
