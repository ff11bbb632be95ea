//! The best k of a stream of scores that comes in order of item. It is shown only what may still count, by its
//! bar; leaving items out is its business as well, since few come this far.

use crate::bitmap::Bitmap;
use crate::lanes::{LANES, Lanes};

/// An item and its score for one member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// Index of the item's row in the item factors.
    pub item: u32,
    /// x·y; never NaN, and never −0.
    pub score: f32,
}

/// Keeps the best `k` items of one member: by score, the greater first, then by item, the smaller first.
///
/// An entry is one integer whose order is that order: the score's bits made monotone above the item's
/// complement. Up to `2k` entries gather before the worse half is dropped.
pub(crate) struct Keeper<'a> {
    /// A score below it cannot be among the best k. Items come in ascending order, so neither can one that
    /// equals the k-th best so far: the bar is the next number above that.
    pub(crate) bar: f32,
    k: usize,
    entries: Vec<u64>,
    excluded: &'a [u32],
}

impl<'a> Keeper<'a> {
    /// `excluded` in ascending order; `k` at least 1.
    pub(crate) fn new(k: usize, excluded: &'a [u32]) -> Self {
        Keeper { bar: f32::NEG_INFINITY, k, entries: Vec::with_capacity(2 * k), excluded }
    }

    /// Takes the scores of items `first` to `first + 15`, of which only `available` ones count.
    pub(crate) fn offer(&mut self, first: u32, scores: &Lanes<f32>, available: &Bitmap) {
        for l in 0..LANES {
            let (item, score) = (first + l as u32, scores.0[l]);
            // False for NaN.
            if score >= self.bar && available.contains(item) && !self.is_excluded(item) {
                self.entries.push(entry(item, score));
                if self.entries.len() == 2 * self.k {
                    self.drop_worse();
                }
            }
        }
    }

    /// Walks on in `excluded` to `item`: items come in ascending order.
    fn is_excluded(&mut self, item: u32) -> bool {
        let passed = self.excluded.partition_point(|&other| other < item);
        self.excluded = &self.excluded[passed..];
        self.excluded.first() == Some(&item)
    }

    fn drop_worse(&mut self) {
        let (_, &mut last, _) = self.entries.select_nth_unstable_by(self.k - 1, |x, y| y.cmp(x));
        self.entries.truncate(self.k);
        self.bar = scored(last).score.next_up();
    }

    /// Writes the best, best first, into `list`.
    pub(crate) fn finish(mut self, list: &mut Vec<Scored>) {
        best(&mut self.entries, self.k, list);
    }
}

/// Writes the best `k` of some entries, best first, into `list`; `k` at least 1.
pub(crate) fn best(entries: &mut Vec<u64>, k: usize, list: &mut Vec<Scored>) {
    if entries.len() > k {
        entries.select_nth_unstable_by(k - 1, |x, y| y.cmp(x));
        entries.truncate(k);
    }
    entries.sort_unstable_by(|x, y| y.cmp(x));
    list.clear();
    list.extend(entries.iter().map(|&entry| scored(entry)));
}

/// Greater for a greater score, then for a smaller item.
pub(crate) fn entry(item: u32, score: f32) -> u64 {
    // Adding zero makes −0 into 0.
    let bits = (score + 0.0).to_bits();
    let monotone = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(monotone) << 32 | u64::from(!item)
}

/// The inverse of [`entry`].
fn scored(entry: u64) -> Scored {
    let monotone = (entry >> 32) as u32;
    let bits = if monotone >> 31 == 1 { monotone & !(1 << 31) } else { !monotone };
    Scored { item: !(entry as u32), score: f32::from_bits(bits) }
}
