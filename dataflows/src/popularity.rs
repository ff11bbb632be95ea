//! `popularity`: how many live events there are by item, kind, country and UTC hour.
//!
//! A count of a differential collection, so retractions and forgets count down. Events of several places in one country
//! are of one cell: `members` looks the country up. Windows and rankings are made
//! from these counts when they are read.

use differential_dataflow::VecCollection;
use differential_dataflow::operators::CountTotal;

use crate::members::Cell;
use crate::types::Epoch;

/// A cell with its count; cells whose count is zero are absent.
pub type Counted<'scope> = VecCollection<'scope, Epoch, (Cell, isize), isize>;

/// Builds the view.
pub fn popularity<'scope>(changes: VecCollection<'scope, Epoch, Cell, isize>) -> Counted<'scope> {
    changes.count_total()
}
