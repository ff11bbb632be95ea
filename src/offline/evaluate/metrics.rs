//! How good one list is, and the means of many (docs/evaluation.md has definitions and sources).

use std::collections::HashSet;

use nearline_dataflows::types::Item;
use serde::{Deserialize, Serialize};

/// How far down a list is looked at most.
pub const DEPTH: usize = 100;

/// The figures of one column for one group of members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Of what was to be found, the part among the first 20: hits / min(20, to be found).
    pub recall_20: f64,
    /// Normalised discounted cumulative gain of the first 20.
    pub ndcg_20: f64,
    /// The same of the first 100.
    pub ndcg_100: f64,
    /// Different items among all first 20s, as a part of the model's items.
    pub coverage: f64,
}

/// The part of `relevant` that is among the first `k` of `list`; with more than `k` relevant, of `k`.
pub fn recall(list: &[Item], relevant: &[Item], k: usize) -> f64 {
    let hits = list.iter().take(k).filter(|item| relevant.contains(item)).count();
    hits as f64 / relevant.len().min(k) as f64
}

/// Discounted cumulative gain of the first `k` of `list`, divided by that of the best list there could be.
///
/// An item of `relevant` gains 1, any other 0; the gain at place p, from 1, is divided by log₂(p + 1).
pub fn ndcg(list: &[Item], relevant: &[Item], k: usize) -> f64 {
    let discount = |place: usize| 1.0 / ((place + 2) as f64).log2();
    let hit = |(place, item): (usize, &Item)| if relevant.contains(item) { discount(place) } else { 0.0 };
    let gained: f64 = list.iter().take(k).enumerate().map(hit).sum();
    let best: f64 = (0..relevant.len().min(k)).map(discount).sum();
    gained / best
}

/// Gathers the lists of one column: a mean for each member, and then the mean of those.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    members: Vec<[f64; 3]>,
    moments: usize,
    sums: [f64; 3],
    shown: HashSet<Item>,
}

impl Tally {
    /// A list, and what was to be found in it; there must be something.
    pub fn add(&mut self, list: &[Item], relevant: &[Item]) {
        self.moments += 1;
        let figures = [recall(list, relevant, 20), ndcg(list, relevant, 20), ndcg(list, relevant, DEPTH)];
        self.sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        self.shown.extend(list.iter().take(20));
    }

    /// The lists so far were one member's, and the next are another's.
    pub fn end_member(&mut self) {
        if self.moments > 0 {
            self.members.push(self.sums.map(|sum| sum / self.moments as f64));
            (self.moments, self.sums) = (0, [0.0; 3]);
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

    /// The means.
    pub fn metrics(&self, items_in_model: usize) -> Metrics {
        let mean = |which: usize| mean(self.members.iter().map(|member| member[which]));
        Metrics {
            recall_20: mean(0),
            ndcg_20: mean(1),
            ndcg_100: mean(2),
            coverage: self.shown.len() as f64 / items_in_model.max(1) as f64,
        }
    }

    /// By how much NDCG@20 is above that of `other` for the same members, and the standard error of that.
    pub fn gain_over(&self, other: &Tally) -> Gain {
        let differences: Vec<f64> =
            self.members.iter().zip(&other.members).map(|(mine, other)| mine[1] - other[1]).collect();
        let mean_gain = mean(differences.iter().copied());
        let squares = mean(differences.iter().map(|difference| (difference - mean_gain).powi(2)));
        let freedom = differences.len().saturating_sub(1).max(1) as f64;
        Gain { ndcg_20: mean_gain, standard_error: (squares / freedom).sqrt() }
    }
}

/// A difference of NDCG@20, member by member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// The mean over members.
    pub ndcg_20: f64,
    /// The standard error of that mean.
    pub standard_error: f64,
}

fn mean(figures: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = figures.len().max(1) as f64;
    figures.sum::<f64>() / count
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
    fn recall_is_hits_by_what_could_be_hit() {
        let list = items(&[1, 2, 3, 4, 5]);
        assert_eq!(recall(&list, &items(&[2, 4, 9]), 3), 1.0 / 3.0);
        // Of four relevant items two places can hold but two.
        assert_eq!(recall(&list, &items(&[1, 2, 3, 4]), 2), 1.0);
        assert_eq!(recall(&list, &items(&[9]), 5), 0.0);
        assert_eq!(recall(&[], &items(&[9]), 5), 0.0);
    }

    #[test]
    fn ndcg_is_the_number_worked_out_by_hand() {
        // Hits at places 1 and 3 of three relevant: (1 + 1/2) / (1 + 1/log₂3 + 1/2).
        let list = items(&[7, 1, 8, 2]);
        let expected = 1.5 / (1.0 + 1.0 / 3f64.log2() + 0.5);
        assert!(close(ndcg(&list, &items(&[7, 8, 9]), 4), expected));
        // Cut at 2: the hit at place 3 is not seen, and the best list has two places.
        assert!(close(ndcg(&list, &items(&[7, 8, 9]), 2), 1.0 / (1.0 + 1.0 / 3f64.log2())));
        assert_eq!(ndcg(&list, &items(&[1, 2, 7, 8]), 4), 1.0);
    }

    #[test]
    fn every_member_counts_the_same_however_many_moments_it_has() {
        let (found, missed) = (items(&[1]), items(&[2]));
        let mut tally = Tally::default();
        (0..9).for_each(|_| tally.add(&found, &items(&[1])));
        tally.end_member();
        tally.add(&missed, &items(&[1]));
        tally.end_member();
        tally.end_member();
        let metrics = tally.metrics(8);
        assert_eq!((metrics.recall_20, metrics.ndcg_20, metrics.coverage), (0.5, 0.5, 0.25));
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
        let gain = fresh.gain_over(&stale);
        assert_eq!(gain.ndcg_20, 0.5);
        assert!(close(gain.standard_error, (1.0 / 12f64).sqrt()));
    }
}
