//! One member's state: live events, sorted and packed, and what may never come back.
//!
//! live = events − retracted − forgotten, whichever came first. The events of a history are live ones only;
//! [`Gone`] remembers what keeps others out. Nothing here knows of time, workers or storage.
//!
//! Most events are kept narrow, in sixteen bytes and without a digest (`narrow.rs`); the others as they are.

use nearline_factors::fetch_soon;

use crate::narrow::Narrow;
use crate::types::{Action, Digest, Event, KNOWN};

/// A member's live events and what keeps others from joining them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Those that fit, in their order, which starts with the item.
    narrow: Vec<Narrow>,
    /// Nothing where all fit and nothing may not come back, as with most members.
    rest: Option<Box<Rest>>,
}

// As many as there are members.
const _: () = assert!(size_of::<History>() == 32);

/// What few members have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rest {
    /// Live events that are kept as they are, in the order of [`Event`], which starts with the item.
    wide: Vec<Event>,
    gone: Option<Gone>,
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
            || self.retracted(event.digest, event.at())
    }

    fn retracted(&self, digest: Digest, at: i64) -> bool {
        self.events.binary_search(&(digest, at)).is_ok()
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
    narrow: Vec<Narrow>,
    wide: Vec<Event>,
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
    pub const NONE: History = History { narrow: Vec::new(), rest: None };

    /// The live events, sorted by item. Those that are kept narrow come without their digests.
    pub fn events(&self) -> Events<'_> {
        Events { narrow: &self.narrow, wide: self.wide() }
    }

    /// How many events are live.
    pub fn len(&self) -> usize {
        self.narrow.len() + self.wide().len()
    }

    /// Whether no event is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has at most so many of the events fetched from memory, which will be looked into soon.
    pub fn fetch(&self, most: usize) {
        fetch_soon(&self.narrow[..self.narrow.len().min(most)]);
        fetch_soon(&self.wide()[..self.wide().len().min(most / 3)]);
    }

    /// What may not come back, where there is anything.
    pub fn gone(&self) -> Option<&Gone> {
        self.rest.as_ref()?.gone.as_ref()
    }

    fn wide(&self) -> &[Event] {
        self.rest.as_ref().map_or(&[], |rest| &rest.wide)
    }

    /// Applies the records of one epoch, each with its place in the epoch. The order among them does not matter. `digest` makes
    /// the digest of one of the member's events that is kept without.
    pub fn apply(
        &mut self,
        actions: &[(u32, Action)],
        digest: impl Fn(&Event) -> Digest,
        effects: &mut Effects,
    ) {
        if self.retire(actions, effects) {
            self.drop_gone(digest, effects);
        } else {
            self.drop_retracted(actions, effects);
        }
        self.add(actions, effects);
    }

    /// Takes out everything up to `at`, as part of a trim of all members, which is remembered once for all of them.
    pub fn trim(&mut self, at: i64, effects: &mut Effects) {
        take_out(&mut self.narrow, |narrow| narrow.at() <= at, |narrow| effects.removed.push(narrow.event()));
        let Some(rest) = &mut self.rest else { return };
        take_out(&mut rest.wide, |event| event.at() <= at, |event| effects.removed.push(*event));
        if let Some(gone) = &mut rest.gone {
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
                let gone = self.rest.get_or_insert_default().gone.get_or_insert_default();
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
        let gone = self.rest.get_or_insert_default().gone.get_or_insert_default();
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

    fn drop_gone(&mut self, digest: impl Fn(&Event) -> Digest, effects: &mut Effects) {
        let Some(Rest { wide, gone: Some(gone) }) = self.rest.as_deref_mut() else { return };
        // A digest costs more than a look, so it is made where something was retracted that happened at that time.
        let mut times: Vec<i64> = gone.events.iter().map(|(_, at)| *at).collect();
        times.sort_unstable();
        let covers = |narrow: &Narrow| {
            let at = narrow.at();
            at <= gone.forgotten
                || times.binary_search(&at).is_ok() && gone.retracted(digest(&narrow.event()), at)
        };
        take_out(&mut self.narrow, covers, |narrow| effects.removed.push(narrow.event()));
        take_out(wide, |event| gone.covers(event), |event| effects.removed.push(*event));
    }

    /// Takes out the live events that retractions name.
    fn drop_retracted(&mut self, actions: &[(u32, Action)], effects: &mut Effects) {
        let (mut narrow, mut wide) = (Vec::new(), Vec::new());
        for (_, action) in actions {
            if let Action::Retract(event) = action {
                match Narrow::of(event) {
                    Some(event) => narrow.extend(self.narrow.binary_search(&event)),
                    None => wide.extend(self.wide().binary_search(event)),
                }
            }
        }
        take_out_places(&mut self.narrow, narrow, |narrow| effects.removed.push(narrow.event()));
        if let Some(rest) = &mut self.rest {
            take_out_places(&mut rest.wide, wide, |event| effects.removed.push(*event));
        }
    }

    fn add(&mut self, actions: &[(u32, Action)], effects: &mut Effects) {
        let first = effects.added.len();
        let Effects { fresh, narrow, wide, .. } = effects;
        fresh.clear();
        for &(seq, action) in actions {
            if let Action::Add(event) = action {
                let dead = self.gone().is_some_and(|gone| gone.covers(&event));
                if dead || self.has(&event) {
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
        narrow.clear();
        wide.clear();
        for event in &effects.added[first..] {
            match Narrow::of(event) {
                Some(event) => narrow.push(event),
                None => wide.push(*event),
            }
        }
        // Values of different scales are in an order of their own.
        narrow.sort_unstable();
        merge(&mut self.narrow, narrow);
        if !wide.is_empty() {
            merge(&mut self.rest.get_or_insert_default().wide, wide);
        }
    }

    fn has(&self, event: &Event) -> bool {
        match Narrow::of(event) {
            Some(narrow) => self.narrow.binary_search(&narrow).is_ok(),
            None => self.wide().binary_search(event).is_ok(),
        }
    }
}

/// Live events, sorted by item.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    narrow: &'a [Narrow],
    wide: &'a [Event],
}

impl Iterator for Events<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        match (self.narrow.split_first(), self.wide.split_first()) {
            (Some((narrow, rest)), wide) if wide.is_none_or(|(wide, _)| narrow.item() <= wide.item) => {
                self.narrow = rest;
                Some(narrow.event())
            }
            (_, Some((wide, rest))) => {
                self.wide = rest;
                Some(*wide)
            }
            _ => None,
        }
    }
}

/// Takes out what is dead, and shows it.
fn take_out<T>(live: &mut Vec<T>, dead: impl Fn(&T) -> bool, mut show: impl FnMut(&T)) {
    live.retain(|event| {
        let dead = dead(event);
        if dead {
            show(event);
        }
        !dead
    });
    tighten(live);
}

/// Takes out what is at these places, and shows it.
fn take_out_places<T: Copy>(live: &mut Vec<T>, mut places: Vec<usize>, show: impl FnMut(&T)) {
    places.sort_unstable();
    places.dedup();
    let Some(&first) = places.first() else { return };
    places.iter().map(|place| &live[*place]).for_each(show);
    let (mut dead, mut kept) = (places.iter().peekable(), first);
    for place in first..live.len() {
        if dead.next_if(|dead| **dead == place).is_none() {
            live[kept] = live[place];
            kept += 1;
        }
    }
    live.truncate(kept);
    tighten(live);
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
