//! `catalogue`: the winning version of every item, and which items may no longer be listed.
//!
//! Of the versions of an item the one with the greatest `at` wins, at equal `at` the greater normal form as
//! bytes; so the order of arrival does not matter. An item without a version is available.

use std::collections::BTreeMap;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::spread::Spread;
use crate::types::{Epoch, Item, ItemVersion};

/// An item that was withdrawn, or is no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Availability {
    /// Which item.
    pub item: Item,
    /// Whether it may no longer be listed.
    pub withdrawn: bool,
}

/// The version that holds, for each item of this worker.
#[derive(Debug, Default)]
struct Versions(BTreeMap<Item, ItemVersion>);

impl Versions {
    /// Takes the winner of an epoch's versions of one item; says whether availability changed. `None` where the
    /// version that held still does.
    fn offer(&mut self, version: &ItemVersion) -> Option<bool> {
        let held = self.0.get(&version.item);
        if held.is_some_and(|held| (held.at, &held.body) >= (version.at, &version.body)) {
            return None;
        }
        let was_withdrawn = held.is_some_and(|held| held.withdrawn);
        self.0.insert(version.item, version.clone());
        Some(was_withdrawn != version.withdrawn)
    }
}

/// Builds the operator. Every process is given all versions, and keeps them. The first output is the versions that took
/// over, each on one worker of each process; the second the changes of availability, on every worker.
pub fn catalogue<'scope>(
    versions: StreamVec<'scope, Epoch, ItemVersion>,
    spread: Spread,
) -> (StreamVec<'scope, Epoch, ItemVersion>, StreamVec<'scope, Epoch, Availability>) {
    let mut builder = OperatorBuilder::new("catalogue".to_owned(), versions.scope());
    let own = spread.clone();
    let exchange = Exchange::new(move |version: &ItemVersion| own.own(version.item.0.into()));
    let mut input = builder.new_input(versions, exchange);
    let (winners_out, winners) = builder.new_output();
    let (changes_out, changes) = builder.new_output();
    let mut winners_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<ItemVersion>>>::from(winners_out);
    let mut changes_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<Availability>>>::from(changes_out);
    builder.build(move |capabilities| {
        drop(capabilities);
        let mut held = Versions::default();
        // Invariant: versions of epochs that are not over yet. Several of one item may come in one epoch, so
        // nothing is said before it ends.
        let mut pending = BTreeMap::new();
        move |frontiers| {
            input.for_each(|capability, data| {
                let epoch = *capability.least().expect("a message has a time");
                let entry = pending.entry(epoch).or_insert_with(|| {
                    let capabilities: Vec<_> =
                        (0..2).filter_map(|port| capability.retain_least(port)).collect();
                    (capabilities, Vec::new())
                });
                entry.1.append(data);
            });
            let (mut winners_out, mut changes_out) = (winners_out.activate(), changes_out.activate());
            while let Some(entry) = pending.first_entry() {
                if frontiers[0].less_equal(entry.key()) {
                    break;
                }
                let (capabilities, mut versions): (_, Vec<ItemVersion>) = entry.remove();
                versions.sort_unstable_by(|a, b| (a.item, a.at, &a.body).cmp(&(b.item, b.at, &b.body)));
                for of_item in versions.chunk_by(|a, b| a.item == b.item) {
                    let Some(winner) = of_item.last() else { continue };
                    let Some(availability_changed) = held.offer(winner) else { continue };
                    winners_out.session(&capabilities[0]).give(winner.clone());
                    if availability_changed {
                        let change = Availability { item: winner.item, withdrawn: winner.withdrawn };
                        changes_out.session(&capabilities[1]).give(change);
                    }
                }
            }
        }
    });
    (winners, spread.to_own_workers(changes, "availability"))
}
