//! How long factors are: the least that tells a sound model from one that vanished or blew up.

use nearline_factors::Factors;
use serde::Serialize;

/// The Euclidean norms of a model's item factors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Norms {
    /// The least.
    pub smallest: f64,
    /// That of the item in the middle; of two in the middle, the greater.
    pub median: f64,
    /// The greatest.
    pub largest: f64,
    /// How many items have a factor of zeros.
    pub zeros: usize,
}

impl Norms {
    /// The norms of some factors, of which there is at least one.
    pub fn of(factors: &Factors) -> Norms {
        let norm = |factor: &[f32]| {
            factor.iter().fold(0.0, |sum, number| sum + f64::from(*number) * f64::from(*number)).sqrt()
        };
        let mut norms: Vec<f64> = factors.as_slice().chunks(factors.rank()).map(norm).collect();
        norms.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| norms.get(place).copied().unwrap_or_default();
        Norms {
            smallest: at(0),
            median: at(norms.len() / 2),
            largest: at(norms.len().saturating_sub(1)),
            zeros: norms.iter().take_while(|norm| **norm == 0.0).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_are_euclidean_and_do_not_overflow() {
        let factors = Factors::new(2, vec![3.0, 4.0, 0.0, 0.0, 3e38, 0.0, 6.0, -8.0]).unwrap();
        let expected = Norms { smallest: 0.0, median: 10.0, largest: f64::from(3e38_f32), zeros: 1 };
        assert_eq!(Norms::of(&factors), expected);
    }
}
