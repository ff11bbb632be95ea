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

/// Gathers the lists of one column.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    members: Vec<Sums>,
    current: Sums,
    shown: HashSet<Item>,
}

/// The figures of one member's lists, summed.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    moments: usize,
    figures: [f64; 3],
}

/// Whose every list, or who, counts the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighing {
    /// Every list.
    Lists,
    /// Every member, however many lists it was shown.
    Members,
}

impl Tally {
    /// A list, and what was to be found in it; there must be something.
    pub fn add(&mut self, list: &[Item], relevant: &[Item]) {
        let figures = [recall(list, relevant, 20), ndcg(list, relevant, 20), ndcg(list, relevant, DEPTH)];
        self.current.moments += 1;
        self.current.figures.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        self.shown.extend(list.iter().take(20));
    }

    /// The lists so far were one member's, and the next are another's.
    pub fn end_member(&mut self) {
        let sums = std::mem::take(&mut self.current);
        if sums.moments > 0 {
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
        self.members.iter().map(|member| member.moments).sum()
    }

    /// The means.
    pub fn metrics(&self, items_in_model: usize, weighing: Weighing) -> Metrics {
        let mean = |which: usize| {
            let (mut sum, mut weights) = (0.0, 0.0);
            for member in &self.members {
                let weight = member.weight(weighing);
                sum += weight * member.figures[which];
                weights += weight * member.moments as f64;
            }
            if weights > 0.0 { sum / weights } else { 0.0 }
        };
        Metrics {
            recall_20: mean(0),
            ndcg_20: mean(1),
            ndcg_100: mean(2),
            coverage: self.shown.len() as f64 / items_in_model.max(1) as f64,
        }
    }

    /// By how much NDCG@20 is above that of `other` for the same lists, and the standard error of that: members are
    /// taken for independent of each other, and the lists of one member are not.
    pub fn gain_over(&self, other: &Tally, weighing: Weighing) -> Gain {
        let (ndcg_20, standard_error) = self.ndcg_20_less(weighing, |place| other.members[place].figures[1]);
        Gain { ndcg_20, standard_error }
    }

    /// The mean of NDCG@20 and its standard error, in which members are independent of each other as well.
    pub fn ndcg_20(&self, weighing: Weighing) -> (f64, f64) {
        self.ndcg_20_less(weighing, |_| 0.0)
    }

    /// The mean of NDCG@20 less something of each member, and its standard error.
    fn ndcg_20_less(&self, weighing: Weighing, less: impl Fn(usize) -> f64) -> (f64, f64) {
        let difference = |(place, mine): (usize, &Sums)| {
            let weight = mine.weight(weighing);
            (weight * (mine.figures[1] - less(place)), weight * mine.moments as f64)
        };
        let differences = || self.members.iter().enumerate().map(difference);
        let (sum, weights) = differences().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        if weights == 0.0 {
            return (0.0, 0.0);
        }
        let mean = sum / weights;
        let squares: f64 = differences().map(|(sum, weight)| (sum - weight * mean).powi(2)).sum();
        let members = self.members.len() as f64;
        let correction = if members > 1.0 { members / (members - 1.0) } else { 0.0 };
        (mean, (correction * squares).sqrt() / weights)
    }
}

impl Sums {
    fn weight(&self, weighing: Weighing) -> f64 {
        match weighing {
            Weighing::Lists => 1.0,
            Weighing::Members => 1.0 / self.moments as f64,
        }
    }
}

/// A difference of NDCG@20.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// The difference of the means.
    pub ndcg_20: f64,
    /// The standard error of that difference.
    pub standard_error: f64,
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
    fn lists_count_the_same_or_members_do() {
        let (found, missed) = (items(&[1]), items(&[2]));
        let mut tally = Tally::default();
        (0..9).for_each(|_| tally.add(&found, &items(&[1])));
        tally.end_member();
        tally.add(&missed, &items(&[1]));
        tally.end_member();
        tally.end_member();
        let by_member = tally.metrics(8, Weighing::Members);
        assert_eq!((by_member.recall_20, by_member.ndcg_20, by_member.coverage), (0.5, 0.5, 0.25));
        assert_eq!(tally.metrics(8, Weighing::Lists).ndcg_20, 0.9);
        // Two members with 1 and 0: mean 1/2, sample variance 1/2, error √(1/2 ÷ 2).
        assert_eq!(tally.ndcg_20(Weighing::Members), (0.5, 0.5));
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
}
