//! The best k of a stream of scores, in whatever order they come. It is shown only what may still count, by its bar;
//! leaving items out is its business as well, since few come this far.

use crate::bitmap::Bitmap;
use crate::lanes::Lanes;

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
    /// The k-th best score so far: one below it is not among the best.
    pub(crate) bar: f32,
    k: usize,
    entries: Vec<u64>,
    excluded: Excluded<'a>,
}

/// Items that are left out.
pub(crate) struct Excluded<'a> {
    /// In ascending order.
    items: &'a [u32],
    /// Says of most others at once that they are not among them: the bits of their numbers' ends.
    marks: [u64; MARKS / 64],
}

const MARKS: usize = 4096;

impl<'a> Excluded<'a> {
    /// `items` in ascending order.
    pub(crate) fn new(items: &'a [u32]) -> Self {
        let mut marks = [0; MARKS / 64];
        for &item in items {
            marks[item as usize % MARKS / 64] |= 1 << (item % 64);
        }
        Excluded { items, marks }
    }

    pub(crate) fn contains(&self, item: u32) -> bool {
        self.marks[item as usize % MARKS / 64] >> (item % 64) & 1 == 1
            && self.items.binary_search(&item).is_ok()
    }
}

impl<'a> Keeper<'a> {
    /// `excluded` in ascending order; `k` at least 1.
    pub(crate) fn new(k: usize, excluded: &'a [u32]) -> Self {
        Keeper {
            bar: f32::NEG_INFINITY,
            k,
            entries: Vec::with_capacity(2 * k),
            excluded: Excluded::new(excluded),
        }
    }

    /// Takes those of up to sixteen items whose bit is set in `reaching`: they were at or above the bar. Of them only
    /// `available` ones count.
    pub(crate) fn offer(
        &mut self,
        items: &[u32],
        mut reaching: u32,
        scores: &Lanes<f32>,
        available: &Bitmap,
    ) {
        while reaching != 0 {
            let l = reaching.trailing_zeros() as usize;
            reaching &= reaching - 1;
            // What stands past the end is no item.
            let (Some(&item), score) = (items.get(l), scores.0[l]) else { return };
            // The bar may have risen meanwhile.
            if score >= self.bar && available.contains(item) && !self.excluded.contains(item) {
                self.entries.push(entry(item, score));
                if self.entries.len() == 2 * self.k {
                    self.drop_worse();
                }
            }
        }
    }

    fn drop_worse(&mut self) {
        let (_, &mut last, _) = self.entries.select_nth_unstable_by(self.k - 1, |x, y| y.cmp(x));
        self.entries.truncate(self.k);
        self.bar = scored(last).score;
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
