//! `performance`: how many live events there are by UTC day, list, variant, position and kind, of those whose context
//! names a list. What lists, positions and variants are compared by: impressions, clicks and plays are kinds like any other.
//!
//! Events without a list are none of it: they are left out before anything is sent. `members` sums the changes of an
//! epoch up by cell, so that what is exchanged is as much as there are cells, however many events there were. A
//! retraction or a forget counts down what its event counted up, and a cell that comes to zero is gone. Every change
//! comes out as what the count is then.

use std::collections::BTreeMap;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;

use crate::spread::Spread;
use crate::types::{Day, Epoch, Event, Kind, List, Placement, Variant, day_of};

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ListCell {
    /// The UTC day of the event.
    pub day: Day,
    /// The list that the item was shown in.
    pub list: List,
    /// The variant that made the list; 0 where the event names none.
    pub variant: Variant,
    /// The item's position in it, from 1 on; 0 where the event names none.
    pub position: u16,
    /// What was done.
    pub kind: Kind,
}

impl ListCell {
    /// The cell of an event that happened there; none where that is no list.
    pub fn of(event: &Event, placement: Placement) -> Option<Self> {
        let Placement { list, variant, position, .. } = placement;
        let cell = || ListCell { day: day_of(event.at()), list, variant, position, kind: event.kind() };
        (list != List(0)).then(cell)
    }
}

/// By how much the count of a cell changed.
pub type ListChange = (ListCell, isize);

/// Builds the operator: the counts that an epoch changed, each once; zero where there are no such events any more.
pub fn performance<'scope>(
    listed: StreamVec<'scope, Epoch, ListChange>,
    spread: Spread,
) -> StreamVec<'scope, Epoch, (ListCell, u64)> {
    let by_cell = Exchange::new(move |(cell, _): &ListChange| spread.by_none(cell));
    listed.unary_frontier(by_cell, "performance", |_, _| {
        // No count is zero.
        let mut counts: BTreeMap<ListCell, i64> = BTreeMap::new();
        // Invariant: changes of epochs that are not over yet.
        let mut pending = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|capability, data| {
                let epoch = *capability.least().expect("a message has a time");
                let entry =
                    pending.entry(epoch).or_insert_with(|| (capability.retain_least(0), BTreeMap::new()));
                for (cell, diff) in data.drain(..) {
                    *entry.1.entry(cell).or_insert(0) += diff as i64;
                }
            });
            while let Some(entry) = pending.first_entry() {
                if frontier.less_equal(entry.key()) {
                    break;
                }
                let (capability, changes): (_, BTreeMap<ListCell, i64>) = entry.remove();
                let changed = changes.into_iter().filter(|(_, diff)| *diff != 0);
                let counted = changed.map(|(cell, diff)| (cell, count(&mut counts, cell, diff)));
                let capability = capability.expect("the output is connected to the input");
                output.session(&capability).give_iterator(counted);
            }
        }
    })
}

/// Adds to a count; says what it is then.
fn count(counts: &mut BTreeMap<ListCell, i64>, cell: ListCell, diff: i64) -> u64 {
    let count = counts.entry(cell).or_insert(0);
    *count += diff;
    let now = *count;
    if now == 0 {
        counts.remove(&cell);
    }
    now as u64
}
