//! `together`: of how many members two items are among what they have seen last.
//!
//! Each member has a *basket*: the items that the member has seen and does not hide, by the newest event of a kind that
//! marks them as seen, as many of the newest as a basket holds; of one moment those with the lesser ids. For each two
//! items the view counts the baskets that hold both, and for each item those that hold it.
//!
//! A basket is a function of the member's profile, and no model has a say in it. Work is by changed member: the operator
//! keeps each member's last basket and sends the difference, summed up by epoch before it is exchanged; so what is sent is
//! as much as there are pairs, however many events there were. A retraction or a forget takes out what its event put in, and
//! a count that comes to zero is gone. Every change comes out as what the count is then.
//!
//! ```
//! use nearline_dataflows::together::ItemPair;
//! use nearline_dataflows::types::Item;
//!
//! // Unordered; an item with itself stands for the baskets that hold it.
//! assert_eq!(ItemPair::of(Item(7), Item(2)), ItemPair::of(Item(2), Item(7)));
//! assert_eq!(ItemPair::of(Item(7), Item(2)).items(), (Item(2), Item(7)));
//! ```

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::{Capability, Operator};

use crate::counts::Counts;
use crate::members::{Control, Role, Touched};
use crate::profile::ItemState;
use crate::runs::sum_up;
use crate::spread::Spread;
use crate::types::{Epoch, Ids, Item, Member};

/// Two items, in no order; or one, with itself.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ItemPair {
    lesser: Item,
    greater: Item,
}

impl ItemPair {
    /// The pair of two items.
    pub fn of(one: Item, other: Item) -> Self {
        ItemPair { lesser: one.min(other), greater: one.max(other) }
    }

    /// The two, the one with the lesser number first.
    pub fn items(self) -> (Item, Item) {
        (self.lesser, self.greater)
    }
}

/// What the view is made with.
#[derive(Clone)]
pub struct TogetherOptions {
    /// How many items a basket holds at most; 0 turns the view off.
    pub basket: usize,
    /// For ties.
    pub ids: Ids,
}

/// A member's basket, in the order of the items' numbers. `order` is that of the items' ids.
pub fn basket(states: &[ItemState], size: usize, order: impl Fn(Item, Item) -> Ordering) -> Vec<Item> {
    let seen = states.iter().filter(|state| state.seen && !state.hidden);
    let mut seen: Vec<(i64, Item)> = seen.map(|state| (state.seen_at, state.item)).collect();
    if seen.len() > size {
        seen.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| order(a.1, b.1)));
        seen.truncate(size);
    }
    let mut items: Vec<Item> = seen.into_iter().map(|(_, item)| item).collect();
    items.sort_unstable();
    items
}

/// By how much the count of a pair changed.
type PairChange = (ItemPair, i32);

/// Builds the operators: the counts that an epoch changed, each once; zero where no basket holds the pair any more.
pub fn together<'scope>(
    touched: StreamVec<'scope, Epoch, Rc<Touched>>,
    controls: StreamVec<'scope, Epoch, Control>,
    options: TogetherOptions,
    spread: Spread,
) -> StreamVec<'scope, Epoch, (ItemPair, u32)> {
    counts(baskets(touched, options), controls, spread)
}

/// How the pairs of the members' baskets change.
fn baskets<'scope>(
    touched: StreamVec<'scope, Epoch, Rc<Touched>>,
    options: TogetherOptions,
) -> StreamVec<'scope, Epoch, PairChange> {
    type Builder = CapacityContainerBuilder<Vec<PairChange>>;
    touched.unary_frontier::<Builder, _, _, _>(Pipeline, "baskets", |_, _| {
        // By member number; empty for members of other workers.
        let mut baskets: Vec<Box<[Item]>> = Vec::new();
        // Invariant: changes of epochs that are not over yet.
        let mut pending = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|capability, data| {
                if options.basket == 0 {
                    return;
                }
                let epoch = *capability.least().expect("a message has a time");
                let entry =
                    pending.entry(epoch).or_insert_with(|| (capability.retain_least(0), Sums::default()));
                for batch in data.drain(..).filter(|batch| batch.role == Role::Live) {
                    for (member, states) in &batch.members {
                        let new = basket(states, options.basket, |a, b| options.ids.order(a, b));
                        replace(&mut baskets, *member, new, &mut entry.1);
                    }
                }
            });
            while let Some(entry) = pending.first_entry() {
                if frontier.less_equal(entry.key()) {
                    break;
                }
                let (capability, mut sums): (_, Sums) = entry.remove();
                let capability = capability.expect("the output is connected to the input");
                sums.sum_up();
                output.session(&capability).give_iterator(sums.changes.into_iter());
            }
        }
    })
}

/// Puts a member's basket in the place of the last one, and the difference into `sums`.
fn replace(baskets: &mut Vec<Box<[Item]>>, member: Member, new: Vec<Item>, sums: &mut Sums) {
    if baskets.len() <= member.index() {
        if new.is_empty() {
            return;
        }
        baskets.resize_with(member.index() + 1, Box::default);
    }
    let old = &mut baskets[member.index()];
    if **old == *new {
        return;
    }
    let without = |from: &[Item], other: &[Item]| -> Vec<Item> {
        from.iter().filter(|item| other.binary_search(item).is_err()).copied().collect()
    };
    let (gone, come) = (without(old, &new), without(&new, old));
    let kept = without(old, &gone);
    for (items, diff) in [(gone, -1), (come, 1)] {
        for (place, item) in items.iter().enumerate() {
            let with = items[place..].iter().chain(&kept);
            sums.changes.extend(with.map(|other| (ItemPair::of(*item, *other), diff)));
        }
    }
    sums.keep_small();
    *old = new.into();
}

/// How many counts are worked out at a time.
const SLICE: usize = 65_536;

/// Changes that are summed up by pair now and then.
#[derive(Default)]
struct Sums {
    changes: Vec<PairChange>,
    /// How many were left when they were summed up last.
    left: usize,
}

/// Below this many changes summing up is not worth it.
const FEW: usize = 1 << 18;

impl Sums {
    fn keep_small(&mut self) {
        if self.changes.len() > FEW.max(2 * self.left) {
            self.sum_up();
        }
    }

    /// One change of each pair, in order; none of zero.
    fn sum_up(&mut self) {
        sum_up(&mut self.changes);
        self.left = self.changes.len();
    }
}

/// What arrived for an epoch that is not over yet.
struct Pending {
    changes: Vec<PairChange>,
    clean: bool,
    capability: Capability<Epoch>,
}

impl Pending {
    fn new(capability: Capability<Epoch>) -> Self {
        Pending { changes: Vec::new(), clean: false, capability }
    }
}

/// What the pairs count then. The worker that a pair belongs to keeps its count. Of records that are read back
/// ([`Control::Clean`]) nothing is told: their pairs are put off up to an epoch that brings none.
fn counts<'scope>(
    changes: StreamVec<'scope, Epoch, PairChange>,
    controls: StreamVec<'scope, Epoch, Control>,
    spread: Spread,
) -> StreamVec<'scope, Epoch, (ItemPair, u32)> {
    let by_pair = Exchange::new(move |(pair, _): &PairChange| spread.by_pair(pair.items(), pair));
    type Builder = CapacityContainerBuilder<Vec<(ItemPair, u32)>>;
    changes.binary_frontier::<_, Builder, _, _, _, _>(controls, by_pair, Pipeline, "together", |_, _| {
        let mut counts = Counts::default();
        // Invariant: what arrived for epochs that are not over yet.
        let mut pending: BTreeMap<Epoch, Pending> = BTreeMap::new();
        move |(changes, changes_frontier), (controls, controls_frontier), output| {
            changes.for_each(|capability, data| {
                let Some(capability) = capability.retain_least(0) else { return };
                let epoch = *capability.time();
                let entry = pending.entry(epoch).or_insert_with(|| Pending::new(capability));
                entry.changes.append(data);
            });
            controls.for_each(|capability, data| {
                let Some(capability) = capability.retain_least(0) else { return };
                let epoch = *capability.time();
                let entry = pending.entry(epoch).or_insert_with(|| Pending::new(capability));
                entry.clean |= data.iter().any(|control| matches!(control, Control::Clean));
            });
            while let Some(entry) = pending.first_entry() {
                if changes_frontier.less_equal(entry.key()) || controls_frontier.less_equal(entry.key()) {
                    break;
                }
                let Pending { changes, clean, capability } = entry.remove();
                match (clean, changes.is_empty()) {
                    (true, true) => counts.settle(),
                    (true, false) => counts.put_off(changes),
                    (false, _) => counts.begin(changes),
                }
                let mut session = output.session(&capability);
                loop {
                    let told = counts.tell(SLICE);
                    if told.is_empty() {
                        break;
                    }
                    session.give_iterator(told.into_iter().map(|(pair, count, _)| (pair, count)));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(item: u32, at: i64) -> ItemState {
        ItemState { item: Item(item), signal: 0, seen: true, seen_at: at, hidden: false, newest: None }
    }

    #[test]
    fn a_basket_holds_the_newest_and_of_one_moment_those_with_the_lesser_ids() {
        let mut states = vec![seen(1, 10), seen(2, 30), seen(3, 20), seen(4, 20), seen(5, 40), seen(6, 50)];
        states[4].hidden = true;
        states[5].seen = false;
        // Ids the other way round than numbers.
        let of = |size| basket(&states, size, |a, b| b.cmp(&a));
        assert_eq!(of(2), [Item(2), Item(4)]);
        assert_eq!(of(3), [Item(2), Item(3), Item(4)]);
        assert_eq!(of(9), [Item(1), Item(2), Item(3), Item(4)]);
        assert_eq!(of(0), []);
    }

    #[test]
    fn a_new_basket_changes_the_pairs_of_what_came_and_went_and_no_other() {
        let (mut baskets, mut sums) = (Vec::new(), Sums::default());
        let items = |numbers: &[u32]| numbers.iter().copied().map(Item).collect::<Vec<_>>();
        replace(&mut baskets, Member(3), items(&[1, 2]), &mut sums);
        sums.changes.clear();
        replace(&mut baskets, Member(3), items(&[2, 5]), &mut sums);
        sums.sum_up();
        let pair = |one, other| ItemPair::of(Item(one), Item(other));
        assert_eq!(sums.changes, [(pair(1, 1), -1), (pair(1, 2), -1), (pair(2, 5), 1), (pair(5, 5), 1)]);
        sums.changes.clear();
        replace(&mut baskets, Member(3), items(&[2, 5]), &mut sums);
        assert_eq!(sums.changes, []);
        replace(&mut baskets, Member(9), Vec::new(), &mut sums);
        assert_eq!((sums.changes.len(), baskets.len()), (0, 4));
    }
}
