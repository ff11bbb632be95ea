//! Rows that will be needed soon, fetched while the matrix takes up those before them: they lie all over a table that
//! no cache holds, and waiting for them would take as long as the sums. Never more than a hint.

use crate::basis::Basis;
use crate::pair::Pair;

/// The rows of some pairs to come.
pub(crate) struct Ahead<'a>(Option<(&'a Basis, &'a [Pair])>);

impl<'a> Ahead<'a> {
    /// Nothing is known of what comes.
    pub(crate) const NONE: Self = Ahead(None);

    /// The rows of these pairs.
    pub(crate) fn of(basis: &'a Basis, pairs: &'a [Pair]) -> Self {
        Ahead(Some((basis, pairs)))
    }

    /// Where to begin, and how many rows to fetch in each of so many parts.
    #[inline(always)]
    pub(crate) fn shared_out(&self, parts: usize) -> (usize, usize) {
        (0, self.0.map_or(0, |(_, pairs)| pairs.len().div_ceil(parts)))
    }

    /// Fetches `count` rows from `first` on; returns what follows.
    #[inline(always)]
    pub(crate) fn fetch(&self, first: usize, count: usize) -> usize {
        if let Some((basis, pairs)) = self.0 {
            let last = (first + count).min(pairs.len());
            for pair in &pairs[first.min(last)..last] {
                basis.row(pair.item).iter().for_each(fetch);
            }
        }
        first + count
    }
}

/// Tells the processor that `lanes` will be read.
#[inline(always)]
#[expect(unsafe_code, reason = "a hint to the processor")]
pub(crate) fn fetch<T>(lanes: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has it, and it reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(lanes).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = lanes;
}

/// Tells the processor that a row will be read.
#[inline(always)]
pub(crate) fn fetch_row(row: &[f32]) {
    row.iter().step_by(16).for_each(fetch);
    row.last().into_iter().for_each(fetch);
}

/// Tells the processor that `values` will be read soon, all of them: for tables that no cache holds, of which somebody knows
/// some steps ahead where they will be read. No more than a hint.
#[inline]
pub fn fetch_soon<T>(values: &[T]) {
    values.iter().step_by((LINE / size_of::<T>().max(1)).max(1)).for_each(fetch);
    values.last().into_iter().for_each(fetch);
}

/// How many bytes come at a time.
const LINE: usize = 64;
