//! Centres of clusters, and which of them is nearest to a member.
//!
//! Near is by the angle: a member's factor grows with how much is known of the member, and its direction says of what
//! taste. Centres have length 1, so the nearest is the one with the greatest product, and a member's own length changes
//! nothing. The product is the one score of this crate, a chain of fused multiply-adds over k, so a member is in the same
//! cluster alone, in any batch and on every processor.

use crate::bitmap::Bitmap;
use crate::factors::Factors;
use crate::keeper::Scored;
use crate::level::Level;
use crate::shelf::{Request, Shelf, Way};

/// Centres, ready to be looked for.
pub struct Centres {
    shelf: Shelf,
    all: Bitmap,
}

impl Centres {
    /// With these centres, which are taken as they are; those of [`cluster`](crate::cluster) have length 1.
    pub fn new(centres: Factors) -> Self {
        Self::with_level(centres, Level::best())
    }

    /// [`new`](Self::new) with a forced instruction set, for tests that compare them.
    #[doc(hidden)]
    pub fn with_level(centres: Factors, level: Level) -> Self {
        let all = Bitmap::full(centres.rows());
        Centres { shelf: Shelf::new(level, centres), all }
    }

    /// The centres.
    pub fn factors(&self) -> &Factors {
        self.shelf.items()
    }

    /// For each of `members` (m × rank, row-major) the centre with the greatest product, the first of equal ones. 0 where
    /// no product is a number.
    ///
    /// # Panics
    ///
    /// Where `members` are no whole rows of the centres' rank.
    pub fn nearest(&self, members: &[f32]) -> Vec<u32> {
        self.scored(members).into_iter().map(|best| best.item).collect()
    }

    /// The same with the products.
    pub(crate) fn scored(&self, members: &[f32]) -> Vec<Scored> {
        let rank = self.factors().rank();
        assert!(members.len().is_multiple_of(rank), "members are no whole rows of rank {rank}");
        let excluded = vec![&[][..]; members.len() / rank];
        let mut lists = vec![Vec::new(); excluded.len()];
        let request = Request { members, excluded: &excluded, available: &self.all, k: 1 };
        self.shelf.select(Way::Full, request, &mut lists);
        let none = Scored { item: 0, score: 0.0 };
        lists.iter().map(|list| list.first().copied().unwrap_or(none)).collect()
    }
}
