//! `now`: the newest `at` among all live events.
//!
//! The graph reads no clock; this is what windows and trending count back from. Retracting the newest event
//! moves it back.

use std::collections::BTreeMap;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;

use crate::types::Epoch;

/// Builds the operator: from every worker's newest event to the newest of all, on the first worker, where it
/// changed. `None` where there is no live event left.
pub fn now<'scope>(
    newest: StreamVec<'scope, Epoch, (usize, Option<i64>)>,
) -> StreamVec<'scope, Epoch, Option<i64>> {
    newest.unary_frontier(Exchange::new(|_| 0), "now", |_, _| {
        let mut by_worker: BTreeMap<usize, Option<i64>> = BTreeMap::new();
        let mut sent = None;
        // Invariant: what workers said of epochs that are not over yet.
        let mut pending = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|capability, data| {
                let epoch = *capability.least().expect("a message has a time");
                let entry = pending.entry(epoch).or_insert_with(|| (capability.retain_least(0), Vec::new()));
                entry.1.append(data);
            });
            while let Some(entry) = pending.first_entry() {
                if frontier.less_equal(entry.key()) {
                    break;
                }
                let (capability, said): (_, Vec<(usize, Option<i64>)>) = entry.remove();
                by_worker.extend(said);
                let newest = by_worker.values().copied().max().flatten();
                if newest != sent {
                    sent = newest;
                    let capability = capability.expect("the output is connected to the input");
                    output.session(&capability).give(newest);
                }
            }
        }
    })
}
