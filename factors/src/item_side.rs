//! A model's item side, ready to serve: fold members in, score, select, explain. It is made once per model and
//! never changes; what is known of members is the caller's.

use std::sync::OnceLock;

use crate::bitmap::Bitmap;
use crate::factors::Factors;
use crate::keeper::Scored;
use crate::level::Level;
use crate::pair::Pair;
use crate::regularisation::Regularisation;
use crate::shelf::{Request, Shelf, Way};
use crate::side::{Scratch, Side};

/// Item factors with all that is derived from them: the Gram matrix, and tiles for scoring.
///
/// Every number it gives is a function of its arguments alone: a member has the same factor, scores and list,
/// to the bit, alone or in any batch, on every processor.
pub struct ItemSide {
    shelf: Shelf,
    /// The factors at length 1, for likeness; made when first asked for.
    units: OnceLock<Shelf>,
    side: Side,
}

impl ItemSide {
    /// Derives everything; takes some milliseconds for 26,000 items of rank 64.
    pub fn new(items: Factors, regularisation: Regularisation) -> Self {
        Self::with_level(items, regularisation, Level::best())
    }

    /// [`new`](Self::new) with a forced instruction set, for tests that compare them.
    #[doc(hidden)]
    pub fn with_level(items: Factors, regularisation: Regularisation, level: Level) -> Self {
        let side = Side::new(level, &items, regularisation, 1);
        ItemSide { shelf: Shelf::new(level, items), units: OnceLock::new(), side }
    }

    /// The item factors.
    pub fn items(&self) -> &Factors {
        self.shelf.items()
    }

    /// The regularisation that fold-in uses.
    pub fn regularisation(&self) -> Regularisation {
        self.side.regularisation
    }

    /// The Gram matrix YᵀY of the item factors, row-major, `rank * rank` numbers.
    pub fn gram(&self) -> Vec<f64> {
        let rank = self.items().rank();
        (0..rank * rank).map(|at| self.side.gram.element(at / rank, at % rank)).collect()
    }

    /// Writes the factor of a member with these pairs into `out`, `rank` numbers: the solution x of
    /// `(alpha0 YᵀY + Σ a y yᵀ + lambda (n + alpha0 N)^nu I) x = Σ b y`, n pairs and N items. Always finite;
    /// zeros where every b is 0, or where even f64 finds the matrix singular.
    ///
    /// # Panics
    ///
    /// Where an item is not below the number of items, or `out` is shorter than the rank.
    pub fn fold_in(&self, pairs: &[Pair], scratch: &mut Scratch, out: &mut [f32]) {
        self.fold_in_before((pairs, &[]), scratch, out);
    }

    /// Folds in many members: member m has the pairs from `offsets[m]` to `offsets[m + 1]`. `out` becomes their
    /// factors, members × rank, row-major.
    ///
    /// # Panics
    ///
    /// As [`fold_in`](Self::fold_in), and where offsets descend or pass the end of `pairs`.
    pub fn fold_in_batch(&self, offsets: &[usize], pairs: &[Pair], out: &mut Vec<f32>) {
        let (rank, mut scratch) = (self.items().rank(), Scratch::new());
        out.clear();
        out.resize(offsets.len().saturating_sub(1) * rank, 0.0);
        for (ends, factor) in offsets.windows(2).zip(out.chunks_exact_mut(rank)) {
            let (own, next) = (&pairs[ends[0]..ends[1]], &pairs[ends[1]..]);
            self.fold_in_before((own, &next[..next.len().min(rank)]), &mut scratch, factor);
        }
    }

    fn fold_in_before(&self, (pairs, next): (&[Pair], &[Pair]), scratch: &mut Scratch, out: &mut [f32]) {
        debug_assert!(pairs.is_sorted_by(|x, y| x.item < y.item), "pairs out of order");
        self.side.factor(self.items(), (pairs, next), scratch, &mut out[..self.items().rank()]);
    }

    /// The score of `item` for a member's factor: one chain of fused multiply-adds over k, from zero.
    ///
    /// # Panics
    ///
    /// Where `item` is not below the number of items.
    pub fn score(&self, member: &[f32], item: u32) -> f32 {
        self.shelf.score(member, item)
    }

    /// The best `k` items for each of `members` (m × rank, row-major), into `out` (m lists): by score, the
    /// greater first; equal scores by item, the smaller first. `excluded` has, for each member, the items to
    /// leave out in ascending order; only `available` items are listed; a NaN score never is. A list is shorter
    /// than `k` where nothing is left.
    ///
    /// # Panics
    ///
    /// Where `members` is not `excluded.len() * rank` long.
    pub fn select(
        &self,
        members: &[f32],
        excluded: &[&[u32]],
        available: &Bitmap,
        k: usize,
        out: &mut Vec<Vec<Scored>>,
    ) {
        self.select_by(Way::Best, members, excluded, available, k, out);
    }

    /// [`select`](Self::select) in a forced way, for tests and benchmarks that compare them.
    #[doc(hidden)]
    pub fn select_by(
        &self,
        way: Way,
        members: &[f32],
        excluded: &[&[u32]],
        available: &Bitmap,
        k: usize,
        out: &mut Vec<Vec<Scored>>,
    ) {
        assert_eq!(
            members.len(),
            excluded.len() * self.items().rank(),
            "one slice of excluded items per member"
        );
        debug_assert!(excluded.iter().all(|items| items.is_sorted()), "excluded items out of order");
        out.resize_with(excluded.len(), Vec::new);
        self.shelf.select(way, Request { members, excluded, available, k }, out);
    }

    /// The `k` items most like `item`: by the cosine of the angle between the factors, the greater first; equal
    /// ones by item. The score is that cosine, but for rounding. The item itself and what is not `available` are
    /// left out; an item whose factor is zero is like nothing, and the list is empty.
    ///
    /// # Panics
    ///
    /// Where `item` is not below the number of items.
    pub fn similar(&self, item: u32, available: &Bitmap, k: usize) -> Vec<Scored> {
        let units = self.units.get_or_init(|| Shelf::new(self.side.level, self.items().units()));
        let own = units.items().row(item as usize);
        let mut lists = vec![Vec::new()];
        if own.iter().any(|&x| x != 0.0) {
            units.select(Way::Best, Request { members: own, excluded: &[&[item]], available, k }, &mut lists);
        }
        lists.remove(0)
    }

    /// What each pair adds to the score of `item` for the member who has these pairs: `b_j y_iᵀ A⁻¹ y_j`, A being
    /// the matrix of [`fold_in`](Self::fold_in) (Hu, Koren, Volinsky: Collaborative Filtering for Implicit
    /// Feedback Datasets, ICDM 2008, section 5). One number per pair, in their order; a disliked pair, whose
    /// target is 0, adds 0 and works through A alone. Their sum is the score, but for rounding.
    ///
    /// # Panics
    ///
    /// Where an item is not below the number of items.
    pub fn explain(&self, pairs: &[Pair], item: u32) -> Vec<f32> {
        let reach = self.side.reach(self.items(), pairs, self.items().row(item as usize));
        let add = |pair: &Pair| {
            let row = self.items().row(pair.item as usize);
            let product: f64 = reach.iter().zip(row).map(|(&x, &y)| x * f64::from(y)).sum();
            (f64::from(pair.b) * product) as f32
        };
        pairs.iter().map(add).collect()
    }
}
