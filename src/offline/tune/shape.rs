//! The shape of a log, by which numbers are searched for that mean the same on every log.
//!
//! lambda alone says little: the ridge of a row is lambda (n + alpha0 N)^nu, so the same lambda holds factors a thousand
//! times as strongly at nu 1 as at nu 0. What is searched for is the *mean ridge* over all rows, and lambda is what gives
//! it, as Rendle, Krichene, Zhang and Koren normalise it for nu (Revisiting the Performance of iALS, RecSys 2022,
//! section 3.2); here for alpha0 too. alpha0 and the ridge are both taken in units of the mean weight of a pair: a log
//! whose weights are ten times as large wants ten times as much of either.

use crate::offline::dataset::Dataset;

/// How many pairs rows have, and how large their weights are.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// How many pairs a row has, and how many rows have so many: of members, then of items.
    members: Vec<(f64, f64)>,
    items: Vec<(f64, f64)>,
    rows: [f64; 2],
    /// The mean of the pairs' absolute weights.
    pub weight: f64,
}

impl Shape {
    /// That of a data set, which has at least one pair.
    pub fn of(data: &Dataset) -> Self {
        let members = data.offsets.windows(2).map(|row| row[1] - row[0]).collect();
        let mut items = vec![0; data.items.len()];
        data.entries.iter().for_each(|(item, _)| items[*item as usize] += 1);
        let sum: f64 = data.entries.iter().map(|(_, weight)| f64::from(weight.abs())).sum();
        Shape {
            rows: [data.members.len() as f64, data.items.len() as f64],
            members: counted(members),
            items: counted(items),
            weight: sum / data.entries.len().max(1) as f64,
        }
    }

    /// The mean over all rows of (n + alpha0 N)^nu: what lambda is multiplied by.
    pub fn mean_size(&self, alpha0: f64, nu: f64) -> f64 {
        let [members, items] = self.rows;
        let sum = |rows: &[(f64, f64)], others: f64| -> f64 {
            rows.iter().map(|(pairs, count)| count * libm::pow(pairs + alpha0 * others, nu)).sum()
        };
        (sum(&self.members, items) + sum(&self.items, members)) / (members + items)
    }
}

/// Each number with how often it is there.
fn counted(mut numbers: Vec<usize>) -> Vec<(f64, f64)> {
    numbers.sort_unstable();
    numbers.chunk_by(|a, b| a == b).map(|same| (same[0] as f64, same.len() as f64)).collect()
}
