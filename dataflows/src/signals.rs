//! `signals`: from the sums of a member's history to the pairs that the model is solved with, and the items that
//! are left out of its list.

use nearline_factors::Pair;

use crate::model::Model;
use crate::profile::ItemState;

/// What fold-in and selection need of one member, by the items' indexes in the model.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Pairs of non-zero signal, sorted by index, which is by item id.
    pub pairs: Vec<Pair>,
    /// Items that are seen, hidden or disliked, sorted.
    pub excluded: Vec<u32>,
    /// Whether there is a positive signal for an item of the model: without one there is no factor.
    pub positive: bool,
}

/// The signals of one member under a model.
pub fn signals(states: &[ItemState], model: &Model) -> Signals {
    let mut signals = Signals::default();
    for state in states {
        let Some(index) = model.index_of(state.item) else { continue };
        if state.signal != 0 {
            let weight = model.transform.weight(state.signal);
            signals.positive |= weight > 0.0;
            signals.pairs.push(Pair::from_signed(index, weight));
        }
        if state.seen || state.never_listed() {
            signals.excluded.push(index);
        }
    }
    signals.pairs.sort_unstable_by_key(|pair| pair.item);
    signals.excluded.sort_unstable();
    signals
}
