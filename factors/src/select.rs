//! The best items of each member: scored tile by tile and kept at once, so that scores are never written out.
//!
//! Exact: every available item is scored in full by the one score chain. Higher scores first, equal scores by
//! the smaller index.

use std::cmp::Ordering;

use crate::kernels::{MEMBERS, TILE, score_tile};
use crate::side::ItemSide;

/// Tiles that are scored for all members before the next ones: small enough for the second-level cache.
const GROUP: usize = 32;

/// One item and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The item's index.
    pub item: u32,
    /// Its score.
    pub score: f32,
}

/// A set of indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    /// All indexes below `length`.
    pub fn full(length: usize) -> Self {
        Bitmap { words: vec![u64::MAX; length.div_ceil(64)] }
    }

    /// Takes an index out.
    pub fn clear(&mut self, index: u32) {
        if let Some(word) = self.words.get_mut(index as usize / 64) {
            *word &= !(1 << (index % 64));
        }
    }

    /// Whether an index is in.
    pub fn contains(&self, index: u32) -> bool {
        self.words.get(index as usize / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }
}

impl ItemSide {
    /// The best `k` items of each member. `members` are factors, one after the other; `excluded[m]` are the
    /// sorted indexes that member `m` does not get. Items whose score is not a number are never selected.
    pub fn select(
        &self,
        members: &[f32],
        excluded: &[&[u32]],
        available: &Bitmap,
        k: usize,
        out: &mut Vec<Vec<Scored>>,
    ) {
        let rank = self.rank();
        let rows: Vec<&[f32]> = members.chunks_exact(rank).collect();
        let mut keepers: Vec<Keeper<'_>> = excluded.iter().map(|excluded| Keeper::new(k, excluded)).collect();
        let tiles: Vec<&[[f32; TILE]]> = self.tiles.chunks_exact(rank).collect();
        for (group, tiles) in tiles.chunks(GROUP).enumerate() {
            for (four, keepers) in rows.chunks(MEMBERS).zip(keepers.chunks_mut(MEMBERS)) {
                let mut block = [four[0]; MEMBERS];
                block[..four.len()].copy_from_slice(four);
                let mut scores = [[0.0; TILE]; MEMBERS];
                for (place, tile) in tiles.iter().enumerate() {
                    score_tile(self.level, &block, tile, &mut scores);
                    let first = (group * GROUP + place) * TILE;
                    let real = TILE.min(self.items() - first);
                    for (keeper, scores) in keepers.iter_mut().zip(&scores) {
                        keeper.offer(first as u32, &scores[..real], available);
                    }
                }
            }
        }
        out.clear();
        out.extend(keepers.into_iter().map(Keeper::finish));
    }
}

/// The best items of one member so far.
struct Keeper<'a> {
    k: usize,
    excluded: &'a [u32],
    /// Up to 2 k candidates; the best k are among them.
    best: Vec<Scored>,
    /// A score must be above this: items come in the order of their indexes, so a later equal one never wins.
    threshold: f32,
}

impl<'a> Keeper<'a> {
    fn new(k: usize, excluded: &'a [u32]) -> Self {
        Keeper { k, excluded, best: Vec::with_capacity(2 * k.min(4096)), threshold: f32::NEG_INFINITY }
    }

    fn offer(&mut self, first: u32, scores: &[f32], available: &Bitmap) {
        let threshold = self.threshold;
        if self.k == 0 || !scores.iter().fold(false, |any, score| any | (*score > threshold)) {
            return;
        }
        for (lane, score) in scores.iter().enumerate() {
            let item = first + lane as u32;
            if *score > self.threshold
                && available.contains(item)
                && self.excluded.binary_search(&item).is_err()
            {
                self.best.push(Scored { item, score: *score });
                if self.best.len() == 2 * self.k {
                    self.prune();
                }
            }
        }
    }

    fn prune(&mut self) {
        self.best.select_nth_unstable_by(self.k - 1, better);
        self.best.truncate(self.k);
        self.threshold = self.best[self.k - 1].score;
    }

    fn finish(mut self) -> Vec<Scored> {
        self.best.sort_unstable_by(better);
        self.best.truncate(self.k);
        self.best.shrink_to_fit();
        self.best
    }
}

/// Higher scores first, equal ones by the smaller index. Scores are numbers here.
fn better(a: &Scored, b: &Scored) -> Ordering {
    b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal).then(a.item.cmp(&b.item))
}
