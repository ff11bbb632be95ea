//! The walk through a log: which lists are asked for, by whom, and what is known just then. It makes no list but those
//! of popularity, which change with every event; the others depend on nothing but what is handed on with them.

use nearline_dataflows::kinds::Kinds;
use nearline_dataflows::profile::profile;
use nearline_dataflows::signals::Signals;
use nearline_dataflows::types::{Event, Item};

use super::popular::Popular;
use crate::offline::evaluate::EvaluateError;
use crate::offline::evaluate::lists::Picks;
use crate::offline::evaluate::moments::Past;
use crate::offline::live::LiveSet;

/// Where to walk.
pub struct Route {
    /// The first moment at which lists are asked for.
    pub start: i64,
    /// The time from one refresh to the next; the first is at the start.
    pub refresh: i64,
    /// The time from one model to the next, the first being there at the start; without, that one is the only one.
    pub retrain: Option<i64>,
    /// The length of lists.
    pub k: usize,
}

/// A member was about to do something, and a list was asked for.
pub struct Asked {
    /// The moment.
    pub at: i64,
    /// The member, by its place in the order of ids.
    pub member: u32,
    /// The items to be found, in the order of their ids.
    pub wanted: Vec<Item>,
    /// What is known of the member.
    pub signals: Signals,
    /// What was known at the last refresh; none where nothing has come since.
    pub stale: Option<Signals>,
    /// The most popular items.
    pub popularity: Vec<Item>,
}

/// So many asked lists are handed on at once: they are made by all cores before the walk goes on.
const HANDED_ON: usize = 1024;

/// An event after the start, in the order of the walk.
type Step = (i64, u32, Event);

/// What the walk is for.
pub trait Walker {
    /// The model as of a moment: of the start, and then as often as the route says.
    fn model_at(&mut self, at: i64) -> Result<Picks, EvaluateError>;

    /// Some asked lists, all of one model, in the order of time and then of members' ids, with how many events were
    /// passed and how many there are.
    fn take(&mut self, picks: &Picks, asked: &[Asked], passed: usize, of: usize);
}

/// Walks from the start on. Returns the moments of the first and the last event there.
pub fn walk(
    live: &LiveSet,
    kinds: &Kinds,
    route: &Route,
    walker: &mut dyn Walker,
) -> Result<Option<(i64, i64)>, EvaluateError> {
    let picks = walker.model_at(route.start)?;
    let mut world =
        World { kinds, picks, route, pasts: Vec::new(), popular: Popular::new(items_by_id(live)) };
    let steps = world.begin(live);
    let (mut asked, mut passed) = (Vec::new(), 0);
    let mut trained_at = route.start;
    // Events of one millisecond know nothing of each other: all their lists are asked for before any is learnt from.
    for moment in steps.chunk_by(|a, b| a.0 == b.0) {
        let due = route.retrain.map_or(trained_at, |every| latest(route.start, moment[0].0, every));
        if due > trained_at {
            trained_at = due;
            walker.take(&world.picks, &std::mem::take(&mut asked), passed, steps.len());
            world.picks = walker.model_at(due)?;
        }
        let of_members = || moment.chunk_by(|a, b| a.1 == b.1).map(|steps| (steps[0].1, events(steps)));
        asked.extend(of_members().filter_map(|(member, now)| world.ask(member, &now)));
        of_members().for_each(|(member, now)| world.learn(member, &now));
        passed += moment.len();
        if asked.len() >= HANDED_ON {
            walker.take(&world.picks, &std::mem::take(&mut asked), passed, steps.len());
        }
    }
    walker.take(&world.picks, &asked, passed, steps.len());
    Ok(steps.first().zip(steps.last()).map(|(first, last)| (first.0, last.0)))
}

/// The latest of the moments `start`, `start + every` and so on that is not after `at`.
fn latest(start: i64, at: i64, every: i64) -> i64 {
    start + (at - start) / every * every
}

struct World<'a> {
    kinds: &'a Kinds,
    /// The newest model.
    picks: Picks,
    route: &'a Route,
    /// What each member did so far, by its place.
    pasts: Vec<Past>,
    popular: Popular,
}

impl World<'_> {
    /// Learns what came before the start, and returns the rest in the order of time, then of members' ids.
    fn begin(&mut self, live: &LiveSet) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for (member, place) in live.members_by_id().into_iter().zip(0..) {
            let (before, after): (Vec<Event>, Vec<Event>) =
                live.events(member).iter().partition(|event| event.at() < self.route.start);
            let mut past = Past::default();
            past.learn(&before, self.kinds);
            self.popular.learn(&before, self.kinds);
            self.pasts.push(past);
            steps.extend(after.into_iter().map(|event| (event.at(), place, event)));
        }
        steps.sort_unstable();
        steps
    }

    fn ask(&self, member: u32, now: &[Event]) -> Option<Asked> {
        let past = &self.pasts[member as usize];
        let mut wanted = past.wanted(now, self.kinds);
        if wanted.is_empty() {
            return None;
        }
        wanted.sort_unstable_by_key(|item| self.popular.order(*item));
        let at = now[0].at();
        let Route { start, refresh, k, .. } = *self.route;
        let refreshed_at = latest(start, at, refresh);
        let early: Vec<Event> =
            past.events.iter().filter(|event| event.at() < refreshed_at).copied().collect();
        let states = profile(&past.events, self.kinds);
        Some(Asked {
            at,
            member,
            wanted,
            signals: self.picks.signals(&states),
            stale: (early.len() < past.events.len())
                .then(|| self.picks.signals(&profile(&early, self.kinds))),
            popularity: self.popular.list(&states, k),
        })
    }

    fn learn(&mut self, member: u32, now: &[Event]) {
        self.pasts[member as usize].learn(now, self.kinds);
        self.popular.learn(now, self.kinds);
    }
}

/// The events of some steps, in the order of a history.
fn events(steps: &[Step]) -> Vec<Event> {
    steps.iter().map(|(_, _, event)| *event).collect()
}

fn items_by_id(live: &LiveSet) -> Vec<Item> {
    let mut items: Vec<Item> = (0..live.items.len() as u32).map(Item).collect();
    items.sort_unstable_by(|a, b| live.items.name(a.0).as_bytes().cmp(live.items.name(b.0).as_bytes()));
    items
}
