//! What is held back while a folder is pending: views that change with every epoch, of which only the last counts.

use std::collections::BTreeMap;

use nearline_dataflows::graph::Delta;
use nearline_dataflows::performance::ListCell;
use nearline_dataflows::popularity::Counted;
use nearline_dataflows::together::ItemPair;

/// The last word on counts, of lists as well, `now` and trending.
#[derive(Default)]
pub struct Held {
    /// Counts in the order in which they came: once each where they are put off to the last epoch.
    cells: Vec<Counted>,
    /// The last counts of lists.
    listed: BTreeMap<ListCell, u64>,
    /// Counts of pairs in the order in which they came: once each where lists are left to the last epoch.
    together: Vec<(ItemPair, u32)>,
    /// Who moved between clusters and how these count then, as it came: once each where lists are left to the last epoch.
    clusters: Vec<Delta>,
    now: Option<Delta>,
    trending: Option<Delta>,
}

impl Held {
    /// Takes an epoch's changes.
    pub fn hold(&mut self, deltas: Vec<Delta>) {
        for delta in deltas {
            match delta {
                Delta::Popularity(counts) => self.cells.extend(counts),
                Delta::Performance(counts) => self.listed.extend(counts),
                Delta::Together(counts) => self.together.extend(counts),
                Delta::Clusters(_) | Delta::ClusterPopularity(_) => self.clusters.push(delta),
                Delta::Now(_) => self.now = Some(delta),
                Delta::Trending(_) => self.trending = Some(delta),
                Delta::Records(_) | Delta::Items(_) | Delta::Progress(..) | Delta::Lists(..) => {}
            }
        }
    }

    /// How many counts there are; some cells may have several.
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    /// The newest counts, sorted.
    pub fn take_cells(&mut self) -> Vec<Counted> {
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

/// Of several counts of one cell, the last; sorted by kind, hour, item and country, as the store has them but for ids.
pub fn newest(mut cells: Vec<Counted>) -> Vec<Counted> {
    cells.sort_by_key(|counted| counted.cell);
    cells.dedup_by(|next, kept| {
        let same = next.cell == kept.cell;
        if same {
            kept.count = next.count;
        }
        same
    });
    cells
}
