//! How good one list is: every measure of every protocol, with its definition and where that comes from.
//!
//! An item to be found gains 1 and every other item 0, so a measure is a function of two things: the places at which
//! a list has what was to be found, and how much that was. The rules that all measures share:
//!
//! - **Ties** are broken before a list comes here, and never by what is to be found: equal scores stand in the order
//!   of the items' ids. Where an item is only scored against others ([`place_among`]), ties count against it.
//! - **Lists shorter than k**: the places that are missing hold nothing, and k stays k.
//! - **Nothing to be found**: no measure is defined, there are no [`Hits`], and the member is left out of every mean.
//! - **Items that cannot be listed**, since training never saw them, are to be found all the same, and are missed.

use std::fmt;

/// How far down the lists of the protocols `time` and `members` are looked at.
pub const DEPTH: usize = 100;

/// Where one list has what was to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits {
    /// Places from 0, ascending.
    places: Vec<usize>,
    /// How many items were to be found: one or more.
    wanted: usize,
}

impl Hits {
    /// The hits of `list` among `wanted`, each of which is there once; none where there is nothing to be found.
    pub fn of<T: PartialEq>(list: &[T], wanted: &[T]) -> Option<Hits> {
        Hits::with_missing(list, wanted, 0)
    }

    /// [`of`](Self::of), with so many more items to be found that no list can have.
    pub fn with_missing<T: PartialEq>(list: &[T], wanted: &[T], missing: usize) -> Option<Hits> {
        let places = (0..list.len()).filter(|place| wanted.contains(&list[*place])).collect();
        let wanted = wanted.len() + missing;
        (wanted > 0).then_some(Hits { places, wanted })
    }

    /// One item was to be found, and stands at `place`, from 0, or nowhere.
    pub fn of_one(place: Option<usize>) -> Hits {
        Hits { places: place.into_iter().collect(), wanted: 1 }
    }

    fn among_first(&self, k: usize) -> impl Iterator<Item = usize> {
        self.places.iter().copied().take_while(move |place| *place < k)
    }
}

/// The place, from 0, of an item of this score among `others`, were they sorted: how many others are not below it.
///
/// **Ties count against the item**: a model that gives all items one score finds nothing. He et al.'s published
/// `evaluate.py` comes to the same, since `heapq.nlargest` keeps equal scores in the order in which they were put
/// in, and the item to be found is put in last. A score that is no number counts against the item too.
pub fn place_among<S: PartialOrd>(score: S, others: impl IntoIterator<Item = S>) -> usize {
    let below = |other: &S| *other < score;
    others.into_iter().filter(|other| !below(other)).count()
}

/// A measure of one list; `k` places are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Hits among the first k ÷ min(k, items to be found), so that 1 can be reached by everyone.
    ///
    /// Liang, Krishnan, Hoffman, Jebara: Variational Autoencoders for Collaborative Filtering, WWW 2018, section 4.2
    /// (Recall@R); `EvaluateUser` in google-research `ials/vae_benchmarks/recommender.h` is the same.
    Recall(usize),
    /// Hits among the first k ÷ items to be found. Who has more than k of them stays below 1.
    ///
    /// `RecallPrecision_ATk` in `code/utils.py` of LightGCN-PyTorch, the code of He et al.: LightGCN, SIGIR 2020.
    RecallOfAll(usize),
    /// Σ 1/log₂(p + 1) over the hits' places p ≤ k, counted from 1, ÷ the same sum over the first min(k, items to be
    /// found) places: what the best list there could be would have.
    ///
    /// Järvelin and Kekäläinen, TOIS 2002, with gains of 0 and 1; cut and normalised so by Liang et al. 2018, section
    /// 4.2, and by `NDCGatK_r` of LightGCN-PyTorch. With one item to be found it is ln 2 / ln(p + 1), as `getNDCG` in
    /// the `evaluate.py` of He et al.: Neural Collaborative Filtering, WWW 2017, has it.
    Ndcg(usize),
    /// 1 where anything to be found is among the first k, else 0.
    ///
    /// He et al., WWW 2017, section 4.1 (HR@10, with one item to be found).
    HitRate(usize),
}

impl Measure {
    /// How many places are looked at.
    pub fn depth(self) -> usize {
        let (Measure::Recall(k) | Measure::RecallOfAll(k) | Measure::Ndcg(k) | Measure::HitRate(k)) = self;
        k
    }

    /// The measure of one list: from 0 to 1.
    pub fn of(self, hits: &Hits) -> f64 {
        match self {
            Measure::Recall(k) => hits.among_first(k).count() as f64 / hits.wanted.min(k) as f64,
            Measure::RecallOfAll(k) => hits.among_first(k).count() as f64 / hits.wanted as f64,
            Measure::Ndcg(k) => {
                let gained: f64 = hits.among_first(k).map(discount).sum();
                let best: f64 = (0..hits.wanted.min(k)).map(discount).sum();
                gained / best
            }
            Measure::HitRate(k) => f64::from(u8::from(hits.among_first(k).next().is_some())),
        }
    }
}

/// What a hit gains at a place counted from 0.
fn discount(place: usize) -> f64 {
    1.0 / ((place + 2) as f64).log2()
}

impl fmt::Display for Measure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Measure::Recall(k) | Measure::RecallOfAll(k) => write!(out, "recall@{k}"),
            Measure::Ndcg(k) => write!(out, "NDCG@{k}"),
            Measure::HitRate(k) => write!(out, "hit rate@{k}"),
        }
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
