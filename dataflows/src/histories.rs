//! The histories of all members of one worker, and what applying an epoch's records to them did.

use std::sync::Arc;

use crate::history::{Effects, Gone, History};
use crate::types::{Action, Digest, Digests, Event, Item, Kind, Member, Op};

/// What the store must know about an epoch's records besides the records themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordEffect {
    /// The record at this place in the epoch changed nothing and is not kept: sent before, retracted or forgotten.
    Refused(u32),
    /// A live event is no more.
    Removed(Member, Digest),
    /// A forget or a trim: of the member's retractions only these digests stay.
    Forgot(Member, Box<Gone>),
}

/// The newest live event: what sets *now*. Of several at one millisecond, the one of the greatest numbers; only
/// `at` has meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Newest {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Whose.
    pub member: Member,
    /// On what.
    pub item: Item,
    /// What.
    pub kind: Kind,
    /// The worker that has the member; a member's number says whose it is only there.
    pub worker: usize,
}

impl Newest {
    fn of(member: Member, event: &Event) -> Self {
        Newest { at: event.at(), member, item: event.item, kind: event.kind(), worker: 0 }
    }
}

/// One worker's members.
pub struct Histories {
    /// By member number; empty for members of other workers.
    histories: Vec<History>,
    /// Every member's events up to here are forgotten; −1 where none are.
    trimmed: i64,
    /// The newest of the live events.
    newest: Option<Newest>,
    effects: Effects,
    digests: Arc<dyn Digests>,
}

/// What one epoch's records did to all members of a worker.
#[derive(Debug, Default)]
pub struct Applied {
    /// Events that became live, with their members.
    pub added: Vec<(Member, Event)>,
    /// Events that ceased to be live.
    pub removed: Vec<(Member, Event)>,
    /// Members whose live events changed, each once, in order.
    pub changed: Vec<Member>,
    /// For the store.
    pub effects: Vec<RecordEffect>,
}

/// How many members ahead histories are fetched.
const AHEAD: usize = 8;
/// How many events of a history are fetched at most.
const FETCHED: usize = 768;

/// Where an op lies in its epoch.
struct OpPlace {
    member: Member,
    seq: u32,
    index: u32,
}

/// The places of ops in the order of members: these are sorted instead of the ops, which are six times as large.
fn by_member(ops: &[Op]) -> Vec<OpPlace> {
    let place = |(op, index): (&Op, u32)| OpPlace { member: op.member, seq: op.seq, index };
    let mut order: Vec<OpPlace> = ops.iter().zip(0..).map(place).collect();
    order.sort_unstable_by_key(|place| u64::from(place.member.0) << 32 | u64::from(place.seq));
    order
}

impl Histories {
    /// Of no members yet.
    pub fn new(digests: Arc<dyn Digests>) -> Self {
        Histories { histories: Vec::new(), trimmed: -1, newest: None, effects: Effects::default(), digests }
    }

    /// The history of a member.
    pub fn get(&self, member: Member) -> &History {
        static NONE: History = History::NONE;
        self.histories.get(member.index()).unwrap_or(&NONE)
    }

    /// The members that have live events, in order.
    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        let live = self.histories.iter().enumerate().filter(|(_, history)| !history.is_empty());
        live.map(|(number, _)| Member(number as u32))
    }

    /// Those of them from one number on to before another.
    pub fn between(&self, from: Member, to: Member) -> impl Iterator<Item = Member> + '_ {
        let live = |number: &usize| !self.histories[*number].is_empty();
        let to = to.index().min(self.histories.len());
        (from.index().min(to)..to).filter(live).map(|number| Member(number as u32))
    }

    /// The newest of the live events.
    pub fn newest(&self) -> Option<Newest> {
        self.newest
    }

    /// Applies the records of one epoch; the order among them does not matter.
    pub fn apply(&mut self, ops: &mut Vec<Op>) -> Applied {
        let mut applied = Applied::default();
        let trimmed = self.refuse_trimmed(ops, &mut applied);
        let order = by_member(ops);
        let of_members = || order.chunk_by(|a, b| a.member == b.member);
        let mut ahead = of_members();
        ahead.by_ref().take(AHEAD).for_each(|of_member| self.fetch(of_member[0].member));
        let mut actions: Vec<(u32, Action)> = Vec::new();
        for of_member in of_members() {
            if let Some(coming) = ahead.next() {
                self.fetch(coming[0].member);
            }
            actions.clear();
            let ops = of_member.iter().map(|place| &ops[place.index as usize]);
            actions.extend(ops.map(|op| (op.seq, op.action)));
            let member = of_member[0].member;
            if self.histories.len() <= member.index() {
                self.histories.resize_with(member.index() + 1, History::default);
            }
            let digest = |event: &Event| self.digests.digest(member, event);
            self.histories[member.index()].apply(&actions, digest, &mut self.effects);
            self.note(member, &mut applied);
        }
        // Last, so that what a trim tells the store of a member holds all that the epoch retracts.
        self.trim(trimmed, &mut applied);
        applied.changed.sort_unstable();
        applied.changed.dedup();
        self.move_newest(&applied);
        applied
    }

    /// Has a history fetched that will be looked into some members later: they lie all over the memory of a process.
    fn fetch(&self, member: Member) {
        self.get(member).fetch(FETCHED);
    }

    /// Takes the trims out of `ops`, and refuses what they cover; says up to where everything is forgotten.
    fn refuse_trimmed(&self, ops: &mut Vec<Op>, applied: &mut Applied) -> i64 {
        let trims = ops.iter().filter_map(|op| match op.action {
            Action::Trim(at) => Some(at),
            _ => None,
        });
        let trimmed = trims.fold(self.trimmed, i64::max);
        ops.retain(|op| match op.action {
            Action::Trim(_) => false,
            Action::Add(event) | Action::Retract(event) if event.at() <= trimmed => {
                applied.effects.push(RecordEffect::Refused(op.seq));
                false
            }
            Action::RetractDigest(_, at) => at > trimmed,
            _ => true,
        });
        trimmed
    }

    /// Takes out what a trim covers.
    fn trim(&mut self, at: i64, applied: &mut Applied) {
        if at > self.trimmed {
            self.trimmed = at;
            for number in 0..self.histories.len() {
                self.histories[number].trim(at, &mut self.effects);
                self.note(Member(number as u32), applied);
            }
        }
    }

    /// Moves what happened to one history into what happened to all.
    fn note(&mut self, member: Member, applied: &mut Applied) {
        let effects = &mut self.effects;
        if !effects.added.is_empty() || !effects.removed.is_empty() {
            applied.changed.push(member);
        }
        applied.added.extend(effects.added.iter().map(|event| (member, *event)));
        applied.removed.extend(effects.removed.iter().map(|event| (member, *event)));
        applied.effects.extend(effects.refused.iter().map(|seq| RecordEffect::Refused(*seq)));
        let removed = |event: &Event| RecordEffect::Removed(member, event.digest_of(member, &*self.digests));
        applied.effects.extend(effects.removed.iter().map(removed));
        if effects.forgot {
            let gone = self.histories[member.index()].gone().cloned().unwrap_or_default();
            applied.effects.push(RecordEffect::Forgot(member, Box::new(gone)));
        }
        effects.clear();
    }

    /// Keeps `newest` true. It is searched for anew only where the newest event itself is gone.
    fn move_newest(&mut self, applied: &Applied) {
        let lost =
            applied.removed.iter().any(|(_, event)| Some(event.at()) == self.newest.map(|newest| newest.at));
        let of = |(member, event): &(Member, Event)| Newest::of(*member, event);
        let newest_added = applied.added.iter().map(of).max();
        self.newest = if lost {
            let members = self.histories.iter().enumerate();
            let events = members.flat_map(|(number, history)| {
                history.events().map(move |event| Newest::of(Member(number as u32), &event))
            });
            events.max()
        } else {
            self.newest.max(newest_added)
        };
    }
}
