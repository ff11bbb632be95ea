//! Many lists: means of their measures, and how uncertain these are.

use std::collections::HashSet;

use nearline_dataflows::types::Item;
use serde::{Deserialize, Serialize};

use super::metrics::{DEPTH, Hits, Measure};

/// The figures of one column for one group of members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Of what was to be found, the part among the first 20: hits / min(20, to be found).
    pub recall_20: f64,
    /// Normalised discounted cumulative gain of the first 20.
    pub ndcg_20: f64,
    /// The same of the first 100.
    pub ndcg_100: f64,
    /// Different items among all first 20s, as a part of the model's items (Ge, Delgado-Battenfeld, Jannach: Beyond
    /// Accuracy, RecSys 2010, section 3).
    pub coverage: f64,
}

/// A mean and how far it may be off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error: members are taken for independent of each other, and the lists of one member are not.
    pub standard_error: f64,
}

/// A difference of NDCG@20.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// The difference of the means.
    pub ndcg_20: f64,
    /// The standard error of that difference.
    pub standard_error: f64,
}

/// Whose every list, or who, counts the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighing {
    /// Every list.
    Lists,
    /// Every member, however many lists it was shown.
    Members,
}

/// No more measures than this are taken of a list.
const MOST: usize = 3;

/// Gathers the lists of one column.
#[derive(Debug, Clone)]
pub struct Tally {
    measures: Vec<Measure>,
    members: Vec<Sums>,
    current: Sums,
    shown: HashSet<Item>,
}

/// The figures of one member's lists, summed.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    lists: usize,
    figures: [f64; MOST],
}

impl Default for Tally {
    /// The measures of [`Metrics`].
    fn default() -> Self {
        Tally::new(&[Measure::Recall(20), Measure::Ndcg(20), Measure::Ndcg(DEPTH)])
    }
}

impl Tally {
    /// A tally of these measures, three at most.
    pub fn new(measures: &[Measure]) -> Self {
        assert!(measures.len() <= MOST, "a tally has {MOST} measures at most");
        Tally {
            measures: measures.to_vec(),
            members: Vec::new(),
            current: Sums::default(),
            shown: HashSet::new(),
        }
    }

    /// A list, and what was to be found in it. Where that is nothing, the list does not count.
    pub fn add(&mut self, list: &[Item], wanted: &[Item]) {
        let Some(hits) = Hits::of(list, wanted) else { return };
        self.add_hits(&hits);
        self.shown.extend(list.iter().take(20));
    }

    /// A list, by its hits.
    pub fn add_hits(&mut self, hits: &Hits) {
        self.current.lists += 1;
        for (sum, measure) in self.current.figures.iter_mut().zip(&self.measures) {
            *sum += measure.of(hits);
        }
    }

    /// The lists so far were one member's, and the next are another's.
    pub fn end_member(&mut self) {
        let sums = std::mem::take(&mut self.current);
        if sums.lists > 0 {
            self.members.push(sums);
        }
    }

    /// Adds what another has gathered.
    pub fn merge(&mut self, other: Tally) {
        self.members.extend(other.members);
        self.shown.extend(other.shown);
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// How many lists there are.
    pub fn lists(&self) -> usize {
        self.members.iter().map(|member| member.lists).sum()
    }

    /// The means of the usual measures.
    pub fn metrics(&self, items_in_model: usize, weighing: Weighing) -> Metrics {
        let mean = |which| self.estimate(which, weighing).mean;
        Metrics {
            recall_20: mean(0),
            ndcg_20: mean(1),
            ndcg_100: mean(2),
            coverage: self.shown.len() as f64 / items_in_model.max(1) as f64,
        }
    }

    /// The mean of NDCG@20, in a tally of the usual measures.
    pub fn ndcg_20(&self, weighing: Weighing) -> Estimate {
        self.estimate(1, weighing)
    }

    /// By how much NDCG@20 is above that of `other` for the same lists.
    pub fn gain_over(&self, other: &Tally, weighing: Weighing) -> Gain {
        let Estimate { mean, standard_error } = self.difference(other, 1, weighing);
        Gain { ndcg_20: mean, standard_error }
    }

    /// The mean of a measure, by its place among the tally's.
    pub fn estimate(&self, which: usize, weighing: Weighing) -> Estimate {
        estimate(self.members.iter().map(|member| (member.figures[which], member.lists)), weighing)
    }

    /// The mean of a measure less that of `other`, which has the same lists' members in the same order.
    pub fn difference(&self, other: &Tally, which: usize, weighing: Weighing) -> Estimate {
        let pairs = self.members.iter().zip(&other.members);
        let difference =
            |(mine, other): (&Sums, &Sums)| (mine.figures[which] - other.figures[which], mine.lists);
        estimate(pairs.map(difference), weighing)
    }
}

/// The mean of members' sums over so many lists each, as a ratio of sums, and the error of that ratio by the spread of
/// the members around it (Cochran: Sampling Techniques, 1977, section 6.4, with n/(n − 1)).
fn estimate(members: impl Iterator<Item = (f64, usize)> + Clone, weighing: Weighing) -> Estimate {
    let weighed = members.map(|(sum, lists)| match weighing {
        Weighing::Lists => (sum, lists as f64),
        Weighing::Members => (sum / lists as f64, 1.0),
    });
    let (mut sum, mut weights, mut count) = (0.0, 0.0, 0.0);
    for (own, weight) in weighed.clone() {
        (sum, weights, count) = (sum + own, weights + weight, count + 1.0);
    }
    if weights == 0.0 {
        return Estimate::default();
    }
    let mean = sum / weights;
    let squares: f64 = weighed.map(|(own, weight)| (own - weight * mean).powi(2)).sum();
    let correction = if count > 1.0 { count / (count - 1.0) } else { 0.0 };
    Estimate { mean, standard_error: (correction * squares).sqrt() / weights }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(numbers: &[u32]) -> Vec<Item> {
        numbers.iter().copied().map(Item).collect()
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn lists_count_the_same_or_members_do() {
        let (found, missed) = (items(&[1]), items(&[2]));
        let mut tally = Tally::default();
        (0..9).for_each(|_| tally.add(&found, &items(&[1])));
        tally.end_member();
        tally.add(&missed, &items(&[1]));
        tally.end_member();
        // Nothing was to be found: no list, and no member.
        tally.add(&missed, &[]);
        tally.end_member();
        let by_member = tally.metrics(8, Weighing::Members);
        assert_eq!((by_member.recall_20, by_member.ndcg_20, by_member.coverage), (0.5, 0.5, 0.25));
        assert!(close(tally.metrics(8, Weighing::Lists).ndcg_20, 0.9));
        assert_eq!((tally.members(), tally.lists()), (2, 10));
    }

    #[test]
    fn a_gain_is_taken_member_by_member_and_has_the_error_of_its_mean() {
        let (mut fresh, mut stale) = (Tally::default(), Tally::default());
        for (new, old) in [(1, 2), (1, 1), (1, 2), (2, 2)] {
            fresh.add(&items(&[new]), &items(&[1]));
            stale.add(&items(&[old]), &items(&[1]));
            fresh.end_member();
            stale.end_member();
        }
        // Differences 1, 0, 1, 0: mean 1/2, sample variance 1/3, error √(1/3 ÷ 4).
        for weighing in [Weighing::Lists, Weighing::Members] {
            let gain = fresh.gain_over(&stale, weighing);
            assert_eq!(gain.ndcg_20, 0.5);
            assert!(close(gain.standard_error, (1.0 / 12f64).sqrt()), "{gain:?}");
        }
        // A fifth member with three lists that gained 1 each: 5 of 7 lists did, and the squared deviations of the
        // members' sums are 2 (2/7)² + 2 (5/7)² + (3 − 15/7)².
        for _ in 0..3 {
            fresh.add(&items(&[1]), &items(&[1]));
            stale.add(&items(&[2]), &items(&[1]));
        }
        fresh.end_member();
        stale.end_member();
        let gain = fresh.gain_over(&stale, Weighing::Lists);
        assert!(close(gain.ndcg_20, 5.0 / 7.0), "{gain:?}");
        let squares = (2.0 * 4.0 + 2.0 * 25.0 + 36.0) / 49.0;
        assert!(close(gain.standard_error, (1.25f64 * squares).sqrt() / 7.0), "{gain:?}");
    }

    #[test]
    fn the_error_of_a_mean_is_that_of_the_members_spread() {
        let mut tally = Tally::new(&[Measure::HitRate(10)]);
        for place in [Some(0), None, Some(3), Some(10)] {
            tally.add_hits(&Hits::of_one(place));
            tally.end_member();
        }
        // Hits 1, 0, 1, 0.
        let estimate = tally.estimate(0, Weighing::Members);
        assert_eq!(estimate.mean, 0.5);
        assert!(close(estimate.standard_error, (1.0 / 12f64).sqrt()), "{estimate:?}");
        assert_eq!(Tally::new(&[Measure::HitRate(10)]).estimate(0, Weighing::Lists), Estimate::default());
    }
}
