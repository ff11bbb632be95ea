//! `popularity`: how many live events there are by item, kind, country and UTC hour.
//!
//! Changes are exchanged by cell, and the worker that a cell belongs to keeps its count. Retractions and forgets count
//! down, and a cell that comes to zero is gone. Events of several places in one country are of one cell: `members` looks
//! the country up. Every change comes out as what the count is then. Windows and rankings are made from these counts when
//! they are read.
//!
//! In epochs that put things off ([`Control::Later`]), as all of a bulk load but the last, changes are only kept; the next
//! epoch that does not counts them all in one pass and tells each cell once, in order (`counts.rs`). Counts and what was put off
//! are packed (`packed.rs`): four bytes a cell, where there is a cell for most events.
//! The same goes for records that are read back ([`Control::Clean`]), up to an epoch that brings none.
//!
//! ```
//! use nearline_dataflows::members::Cell;
//! use nearline_dataflows::popularity::{Counted, Counts};
//! use nearline_dataflows::types::{Country, Item, Kind};
//!
//! let cell = |item| Cell { kind: Kind(0), hour: 7, item: Item(item), country: Country(0) };
//! let counted = |item, count, diff| Counted { cell: cell(item), count, diff };
//! let mut counts = Counts::default();
//! assert_eq!(counts.count(vec![(cell(2), 3), (cell(1), 1)]), [counted(1, 1, 1), counted(2, 3, 3)]);
//! assert_eq!(counts.count(vec![(cell(1), -1)]), [counted(1, 0, -1)]);
//! ```

use std::collections::BTreeMap;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;

use crate::counts;
use crate::members::{Cell, CellChange, Control};
use crate::spread::Spread;
use crate::types::Epoch;

/// A cell whose count has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Which cell.
    pub cell: Cell,
    /// What it counts now; zero where there are no such events any more. Four billion events of one hour would not fit any
    /// memory.
    pub count: u32,
    /// By how much that is more than before.
    pub diff: i32,
}

/// How many counts are told at a time, before other operators get a turn.
const SLICE: usize = 16_384;

/// What arrived for an epoch that is not over yet.
struct Pending {
    changes: Vec<CellChange>,
    later: bool,
    clean: bool,
    capability: Capability<Epoch>,
}

/// Builds the operator.
pub fn popularity<'scope>(
    changes: StreamVec<'scope, Epoch, CellChange>,
    controls: StreamVec<'scope, Epoch, Control>,
    spread: Spread,
) -> StreamVec<'scope, Epoch, Counted> {
    let by_cell = Exchange::new(move |(cell, _): &CellChange| spread.by_item(cell.item, cell));
    let scope = changes.scope();
    type Builder = CapacityContainerBuilder<Vec<Counted>>;
    changes.binary_frontier::<_, Builder, _, _, _, _>(controls, by_cell, Pipeline, "popularity", |_, info| {
        let activator = scope.activator_for(info.address);
        let mut counts = Counts::default();
        // Invariant: what arrived for epochs that are not over yet.
        let mut pending: BTreeMap<Epoch, Pending> = BTreeMap::new();
        // Counts are being told at the epoch of the capability.
        let mut telling: Option<Capability<Epoch>> = None;
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
                for control in data.drain(..) {
                    entry.later |= matches!(control, Control::Later);
                    entry.clean |= matches!(control, Control::Clean);
                }
            });
            loop {
                if let Some(capability) = &telling {
                    let mut slice = counts.tell(SLICE);
                    let more = slice.len() == SLICE;
                    output.session(capability).give_container(&mut slice);
                    if more {
                        activator.activate();
                        return;
                    }
                    telling = None;
                }
                let Some(entry) = pending.first_entry() else { break };
                if changes_frontier.less_equal(entry.key()) || controls_frontier.less_equal(entry.key()) {
                    break;
                }
                let Pending { changes, later, clean, capability } = entry.remove();
                if later || clean && !changes.is_empty() {
                    counts.put_off(changes);
                } else {
                    counts.0.begin(changes);
                    telling = Some(capability);
                }
            }
        }
    })
}

impl Pending {
    fn new(capability: Capability<Epoch>) -> Self {
        Pending { changes: Vec::new(), later: false, clean: false, capability }
    }
}

/// The counts of one worker's cells.
#[derive(Debug, Default)]
pub struct Counts(counts::Counts<Cell>);

impl Counts {
    /// Keeps changes until they are to be told.
    pub fn put_off(&mut self, changes: Vec<CellChange>) {
        self.0.put_off(changes);
    }

    /// Counts changes and all that were put off; all cells that changed, sorted.
    pub fn count(&mut self, changes: Vec<CellChange>) -> Vec<Counted> {
        self.0.begin(changes);
        self.tell(usize::MAX)
    }

    /// The next so many cells that changed, sorted; nothing where all are told.
    fn tell(&mut self, most: usize) -> Vec<Counted> {
        self.0.tell(most).into_iter().map(|(cell, count, diff)| Counted { cell, count, diff }).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{Country, Item, Kind};

    fn cell((hour, item): (u32, u32)) -> Cell {
        Cell { kind: Kind(0), hour, item: Item(item), country: Country(0) }
    }

    proptest! {
        /// Events come and go; epochs are told or put off.
        #[test]
        fn what_is_told_is_what_there_is_however_it_was_put_off(
            epochs in prop::collection::vec(
                (any::<bool>(), prop::collection::vec((0..3_u32, 0..20_u32, 1..4_i32, any::<bool>()), 0..40)),
                1..12,
            ),
        ) {
            let mut counts = Counts::default();
            let mut live: BTreeMap<Cell, i32> = BTreeMap::new();
            let mut stored: BTreeMap<Cell, i32> = BTreeMap::new();
            for (later, events) in epochs {
                let mut changes = Vec::new();
                for (hour, item, times, gone) in events {
                    let cell = cell((hour, item));
                    let count = live.entry(cell).or_default();
                    let diff = if gone { -times.min(*count) } else { times };
                    *count += diff;
                    changes.push((cell, diff));
                }
                live.retain(|_, count| *count != 0);
                if later {
                    counts.put_off(changes);
                    continue;
                }
                for Counted { cell, count, diff } in counts.count(changes) {
                    let was = stored.insert(cell, count as i32).unwrap_or(0);
                    prop_assert_eq!(was + diff, count as i32);
                }
                stored.retain(|_, count| *count != 0);
                prop_assert_eq!(&stored, &live);
            }
        }
    }
}
