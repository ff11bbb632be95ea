//! What is held back while a folder is pending: views that change with every epoch, of which only the last counts.

use std::collections::BTreeMap;

use nearline_dataflows::graph::Delta;
use nearline_dataflows::members::Cell;
use nearline_dataflows::performance::ListCell;
use nearline_dataflows::together::ItemPair;

/// The last word on counts, of lists as well, `now` and trending.
#[derive(Default)]
pub struct Held {
    /// Counts in the order in which they came; sorted and thinned out now and then.
    cells: Vec<(Cell, u64)>,
    /// How many were left when they were thinned out last.
    thinned: usize,
    /// The last counts of lists.
    listed: BTreeMap<ListCell, u64>,
    /// Counts of pairs in the order in which they came: once each where lists are left to the last epoch.
    together: Vec<(ItemPair, u32)>,
    /// Who moved between clusters and how these count then, as it came: once each where lists are left to the last epoch.
    clusters: Vec<Delta>,
    now: Option<Delta>,
    trending: Option<Delta>,
}

/// Below this many counts thinning out is not worth it.
const FEW: usize = 1 << 20;

impl Held {
    /// Takes an epoch's changes.
    pub fn hold(&mut self, deltas: Vec<Delta>) {
        for delta in deltas {
            match delta {
                Delta::Popularity(_) => add_cells(&delta, &mut self.cells),
                Delta::Performance(counts) => self.listed.extend(counts),
                Delta::Together(counts) => self.together.extend(counts),
                Delta::Clusters(_) | Delta::ClusterPopularity(_) => self.clusters.push(delta),
                Delta::Now(_) => self.now = Some(delta),
                Delta::Trending(_) => self.trending = Some(delta),
                Delta::Records(_) | Delta::Items(_) | Delta::Progress(..) | Delta::Lists(..) => {}
            }
        }
        if self.cells.len() > FEW.max(2 * self.thinned) {
            self.cells = newest(std::mem::take(&mut self.cells));
            self.thinned = self.cells.len();
        }
    }

    /// How many counts there are; some cells may have several.
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    /// The newest counts, sorted.
    pub fn take_cells(&mut self) -> Vec<(Cell, u64)> {
        self.thinned = 0;
        newest(std::mem::take(&mut self.cells))
    }

    /// The newest counts of lists, sorted.
    pub fn take_listed(&mut self) -> Vec<(ListCell, u64)> {
        std::mem::take(&mut self.listed).into_iter().collect()
    }

    /// Counts of pairs, as they came.
    pub fn take_together(&mut self) -> Vec<(ItemPair, u32)> {
        std::mem::take(&mut self.together)
    }

    /// What changed of clusters, in the order in which it came.
    pub fn take_clusters(&mut self) -> Vec<Delta> {
        std::mem::take(&mut self.clusters)
    }

    /// The newest of the other views.
    pub fn take_views(&mut self) -> Vec<Delta> {
        self.now.take().into_iter().chain(self.trending.take()).collect()
    }
}

/// Appends the counts of a change: what a cell's count is now, or zero where it is no longer.
pub fn add_cells(delta: &Delta, cells: &mut Vec<(Cell, u64)>) {
    let Delta::Popularity(updates) = delta else { return };
    let first = cells.len();
    // A count that changes comes as an update of −1 for what it was and of +1 for what it is.
    cells.extend(
        updates.iter().filter(|(_, _, diff)| *diff > 0).map(|(cell, count, _)| (*cell, *count as u64)),
    );
    if cells.len() - first < updates.len() {
        let mut now: Vec<Cell> = cells[first..].iter().map(|(cell, _)| *cell).collect();
        now.sort_unstable();
        let was = updates.iter().filter(|(_, _, diff)| *diff < 0).map(|(cell, _, _)| *cell);
        cells.extend(was.filter(|cell| now.binary_search(cell).is_err()).map(|cell| (cell, 0)));
    }
}

/// Of several counts of one cell, the last; sorted by kind, hour, item and country.
pub fn newest(mut cells: Vec<(Cell, u64)>) -> Vec<(Cell, u64)> {
    cells.sort_by_key(|(cell, _)| (cell.kind, cell.hour, cell.item, cell.country));
    cells.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = next.1;
        }
        same
    });
    cells
}
