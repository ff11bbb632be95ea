//! A model of numbered items, trained on pairs as they stand and kept in memory: the published protocols know no kinds,
//! no ids of ours and no time. Training, fold-in and selection are the product's own.

use nearline_factors::{Bitmap, ItemSide, Matrix, Pair, Regularisation, Scored, Scratch};

use super::{EvaluateError, Stage};
use crate::config::Train;
use crate::offline::manifest::Counts;
use crate::offline::train::{TrainError, train_factors};

/// The pairs of members (rows) and items (by number), as [`Matrix::from_rows`] takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// How many items there are.
    pub items: usize,
    /// Where each member's entries begin, and where the last one's end.
    pub offsets: Vec<usize>,
    /// An item and its signed weight for every pair, each member's ascending.
    pub entries: Vec<(u32, f32)>,
}

/// A model, and how popular its items are in what it was trained on.
pub struct Fitted {
    side: ItemSide,
    available: Bitmap,
    /// How many members have the item with positive weight.
    counts: Vec<u32>,
    /// The items by that, most first, ties by number.
    popular: Vec<u32>,
    trained: Counts,
}

impl Fitted {
    /// Trains on pairs that came from so many events.
    pub fn train(
        training: Training,
        events: u64,
        options: &Train,
        progress: &mut dyn FnMut(Stage),
    ) -> Result<Fitted, EvaluateError> {
        let Training { items, offsets, entries } = training;
        let mut counts = vec![0; items];
        entries.iter().filter(|(_, weight)| *weight > 0.0).for_each(|(item, _)| counts[*item as usize] += 1);
        let mut popular: Vec<u32> = (0..items as u32).collect();
        popular.sort_by_key(|item| std::cmp::Reverse(counts[*item as usize]));
        let matrix = Matrix::from_rows(items, offsets, entries).map_err(TrainError::from)?;
        let factors = train_factors(&matrix, options, &mut |done| progress(Stage::Training(done)))?.items;
        let regularisation =
            Regularisation::new(options.alpha0, options.lambda, options.nu).map_err(TrainError::from)?;
        Ok(Fitted {
            side: ItemSide::new(factors, regularisation),
            available: Bitmap::full(items),
            counts,
            popular,
            trained: Counts {
                members: matrix.members() as u64,
                items: items as u64,
                pairs: matrix.nnz() as u64,
                events,
            },
        })
    }

    /// What the model was trained on.
    pub fn trained(&self) -> Counts {
        self.trained
    }

    /// The factor of a member with these signed weights, ascending by item; none where none is positive.
    pub fn factor(&self, folded: &[(u32, f32)]) -> Option<Vec<f32>> {
        if folded.iter().all(|(_, weight)| *weight <= 0.0) {
            return None;
        }
        let pairs: Vec<Pair> =
            folded.iter().map(|(item, weight)| Pair::from_signed(*item, *weight)).collect();
        let mut factor = vec![0.0; self.side.items().rank()];
        self.side.fold_in(&pairs, &mut Scratch::new(), &mut factor);
        Some(factor)
    }

    /// The best `k` items of each member but for those folded in; none for a member without a factor.
    pub fn lists(&self, folded: &[&[(u32, f32)]], k: usize) -> Vec<Option<Vec<u32>>> {
        let factors: Vec<Option<Vec<f32>>> = folded.iter().map(|folded| self.factor(folded)).collect();
        let with_factor = || folded.iter().zip(&factors).filter(|(_, factor)| factor.is_some());
        let own: Vec<Vec<u32>> =
            with_factor().map(|(folded, _)| folded.iter().map(|(item, _)| *item).collect()).collect();
        let excluded: Vec<&[u32]> = own.iter().map(Vec::as_slice).collect();
        let members: Vec<f32> = factors.iter().flatten().flatten().copied().collect();
        let mut selected: Vec<Vec<Scored>> = Vec::new();
        self.side.select(&members, &excluded, &self.available, k, &mut selected);
        let mut selected = selected.into_iter();
        let items = |list: Vec<Scored>| list.iter().map(|entry| entry.item).collect();
        factors.iter().map(|factor| factor.as_ref().and_then(|_| selected.next()).map(items)).collect()
    }

    /// The `k` most popular items but for those folded in.
    pub fn popularity(&self, folded: &[(u32, f32)], k: usize) -> Vec<u32> {
        let is_folded = |item: &u32| folded.binary_search_by_key(item, |(item, _)| *item).is_ok();
        self.popular.iter().copied().filter(|item| !is_folded(item)).take(k).collect()
    }

    /// An item's score; 0 where training never saw it, as its factor would be.
    pub fn score(&self, factor: &[f32], item: Option<u32>) -> f32 {
        item.map_or(0.0, |item| self.side.score(factor, item))
    }

    /// How many members of the training part have the item.
    pub fn count(&self, item: Option<u32>) -> u32 {
        item.map_or(0, |item| self.counts[item as usize])
    }
}
