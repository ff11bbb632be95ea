//! What a choice is made on: one part of a log trains, and the lists that another part asks for say how well.
//!
//! The lists are those of `evaluate`, of nearline alone: every event before a moment is folded in, and a member without a
//! positive signal has popularity. What is to be found depends on the config that the choice began with and on
//! nothing that is tried, so that all that is tried is measured against the same.

use nearline_dataflows::types::{Event, Item, Member};

use super::evaluate::EvaluateError;
use super::evaluate::alike::Alike;
use super::evaluate::lists::{Lists, by_popularity};
use super::evaluate::members::{ONE_IN, divide, hash};
use super::evaluate::moments::{Moment, moments};
use super::evaluate::spread::spread;
use super::evaluate::tally::{Tally, Weighing};
use super::evaluate::time::{something_trains, split_at};
use super::evaluate::{Protocol, Split};
use super::live::LiveSet;
use super::model::Model;
use crate::config::KindTable;

/// At most so many members are tested: what that leaves of chance is less than what one log differs from another.
const MOST_TESTED: usize = 10_000;

/// Which lists are looked at, and what trains.
pub struct Validation<'a> {
    live: &'a LiveSet,
    table: &'a KindTable,
    part: Part,
    /// Who is tested.
    members: Vec<Member>,
    /// Items by their popularity in the part that trains.
    popular: Vec<Item>,
}

/// How a log is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Events before `split` train; those from then on, and before `until`, are to be found.
    Time { split: i64, until: i64 },
    /// Members are dealt to five folds by a hash; those of `tested` are tested, and all but these and `left_out` train.
    Members { seed: u64, tested: u64, left_out: Option<u64> },
}

/// What of a log may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// All of it: a fifth validates.
    All,
    /// All but a fifth that is held back for the last look, and of the rest a fifth validates.
    HoldingBack,
    /// The last look, at the fifth that was held back: the test part of `evaluate`.
    Last,
}

/// By time, split at this part.
const SPLIT: f64 = 0.8;

impl<'a> Validation<'a> {
    /// Divides a log as a protocol does; of a protocol by time, the split is not asked.
    pub fn new(
        live: &'a LiveSet,
        table: &'a KindTable,
        protocol: Protocol,
        look: Look,
    ) -> Result<Self, EvaluateError> {
        let at = |part| split_at(live, Split::Quantile(part));
        let part = match (protocol, look) {
            (Protocol::Time(_), Look::All | Look::Last) => Part::Time { split: at(SPLIT)?, until: i64::MAX },
            (Protocol::Time(_), Look::HoldingBack) => {
                Part::Time { split: at(SPLIT * SPLIT)?, until: at(SPLIT)? }
            }
            (Protocol::Members { seed }, Look::All) => Part::Members { seed, tested: 1, left_out: None },
            (Protocol::Members { seed }, Look::HoldingBack) => {
                Part::Members { seed, tested: 1, left_out: Some(0) }
            }
            (Protocol::Members { seed }, Look::Last) => Part::Members { seed, tested: 0, left_out: None },
        };
        if let Part::Time { split, .. } = part {
            something_trains(live, split)?;
        }
        let mut validation = Validation { live, table, part, members: Vec::new(), popular: Vec::new() };
        validation.members = validation.tested();
        validation.popular =
            by_popularity(live, &table.kinds, |member, event| validation.trains(member, event));
        if validation.members.is_empty() {
            let why = match part {
                Part::Time { .. } => {
                    "in the part that validates no member has a first event of positive weight for \
                                      any item; validate on held-out members instead"
                }
                Part::Members { .. } => {
                    "no held-out member has two items with one of positive weight to be found; more \
                                         members are needed"
                }
            };
            return Err(EvaluateError::NothingToFind(why.into()));
        }
        Ok(validation)
    }

    /// The records that this is a part of.
    pub fn live(&self) -> &'a LiveSet {
        self.live
    }

    /// Whether an event is in the part that trains.
    pub fn trains(&self, member: Member, event: &Event) -> bool {
        match self.part {
            Part::Time { split, .. } => event.at() < split,
            Part::Members { tested, left_out, .. } => {
                let fold = self.fold(member);
                fold != Some(tested) && (left_out.is_none() || fold != left_out)
            }
        }
    }

    /// Whose every list, or who, counts the same: as the lists come, or one list a member.
    pub fn weighing(&self) -> Weighing {
        match self.part {
            Part::Time { .. } => Weighing::Lists,
            Part::Members { .. } => Weighing::Members,
        }
    }

    /// How many members are tested.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// The lists of a model that was trained on the part that trains, and how alike those of different members are.
    /// `table` has the kinds it was trained with.
    pub fn measure(&self, model: &Model, table: &KindTable) -> (Tally, Alike) {
        let number = |id: &str| Item(self.live.items.get(id).expect("the model was trained on these items"));
        let lists = Lists::new(model.for_graph(table, number), table.kinds.clone(), self.popular.clone());
        let each = |member: &Member| {
            let member = *member;
            let (mut tally, mut alike) = (Tally::default(), None);
            lists.show(&self.moments(member), None, |moment, shown| {
                tally.add(shown.nearline.as_ref().unwrap_or(&shown.popularity), &moment.relevant);
                // One list of each member: its first from a factor of its own.
                if let (None, Some(own)) = (&alike, &shown.nearline) {
                    let mut first = Alike::default();
                    first.add(own, &shown.popularity, lists.items_in_model());
                    alike = Some(first);
                }
            });
            tally.end_member();
            (tally, alike)
        };
        let (mut all, mut alike) = (Tally::default(), Alike::default());
        spread(&self.members, &each, &mut |(tally, own), _| {
            all.merge(tally);
            own.iter().for_each(|own| alike.merge(own));
        });
        (all, alike)
    }

    fn moments(&self, member: Member) -> Vec<Moment> {
        let events = self.live.events(member);
        match self.part {
            Part::Time { split, until } => {
                let events: Vec<Event> = events.iter().filter(|event| event.at() < until).copied().collect();
                moments(&events, &self.table.kinds, split)
            }
            Part::Members { seed, .. } => divide(self.live, member, self.table, seed).into_iter().collect(),
        }
    }

    /// Those with something to be found; of too many, those of them with the smallest hashes.
    fn tested(&self) -> Vec<Member> {
        let may = |member: &Member| match self.part {
            Part::Time { split, until } => {
                self.live.events(*member).iter().any(|event| (split..until).contains(&event.at()))
            }
            Part::Members { tested, .. } => self.fold(*member) == Some(tested),
        };
        let mut members: Vec<Member> = self.live.members_by_id().into_iter().filter(may).collect();
        let seed = if let Part::Members { seed, .. } = self.part { seed } else { 0 };
        members.sort_by_cached_key(|member| hash(seed, self.live.members.name(member.0), "tested"));
        let asks = |member: &Member| !self.moments(*member).is_empty();
        let mut members: Vec<Member> = members.into_iter().filter(asks).take(MOST_TESTED).collect();
        members.sort_unstable_by_key(|member| self.live.members.name(member.0).as_bytes());
        members
    }

    fn fold(&self, member: Member) -> Option<u64> {
        let Part::Members { seed, .. } = self.part else { return None };
        Some(hash(seed, self.live.members.name(member.0), "") % ONE_IN)
    }
}

#[cfg(test)]
#[path = "validation_tests.rs"]
mod tests;
