//! From a member's signal for an item to the weight that the model is solved with.

use crate::kinds::MICROS;

/// How the size of a signal becomes the size of a weight. The sign stays, and only zero becomes zero.
///
/// ```
/// use nearline_dataflows::transform::Transform;
///
/// assert_eq!(Transform::Linear.weight(-2_500_000), -2.5);
/// assert_eq!(Transform::Log1p.weight(1_000_000), std::f32::consts::LN_2);
/// assert_eq!(Transform::Cap { at: 3_000_000 }.weight(-8_000_000), -3.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transform {
    /// As it is.
    #[default]
    Linear,
    /// The natural logarithm of one more than it, so that much of a thing counts for less.
    Log1p,
    /// As it is, and at most so much.
    Cap {
        /// The most, in millionths; above zero.
        at: i64,
    },
}

impl Transform {
    /// The weight of a signal in millionths, in ones.
    ///
    /// Worked out in double precision with `libm`, whose results are the same on every machine, and rounded once
    /// to single precision. A signal beyond 2⁵³ millionths is rounded to the nearest double first.
    pub fn weight(&self, signal_micros: i128) -> f32 {
        let size = match *self {
            Transform::Linear => in_ones(signal_micros.unsigned_abs()),
            Transform::Log1p => libm::log1p(in_ones(signal_micros.unsigned_abs())),
            Transform::Cap { at } => in_ones(signal_micros.unsigned_abs().min(at.unsigned_abs().into())),
        };
        let weight = size as f32;
        if signal_micros < 0 { -weight } else { weight }
    }
}

fn in_ones(micros: u128) -> f64 {
    micros as f64 / MICROS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_stays_and_only_zero_becomes_zero() {
        for transform in [Transform::Linear, Transform::Log1p, Transform::Cap { at: 2_000_000 }] {
            assert_eq!(transform.weight(0), 0.0);
            for size in [1, 999_999, 5_000_000, i128::from(i64::MAX), i128::MAX] {
                let weight = transform.weight(size);
                assert!(weight > 0.0 && weight.is_finite(), "{transform:?} of {size} is {weight}");
                assert_eq!(transform.weight(-size), -weight, "{transform:?} of -{size}");
            }
        }
    }

    #[test]
    fn weights_are_the_numbers_worked_out_by_hand() {
        assert_eq!(Transform::Linear.weight(830_000), 0.83);
        // ln(1 + 9) = 2.302585…
        assert_eq!(Transform::Log1p.weight(9_000_000), std::f32::consts::LN_10);
        assert_eq!(Transform::Cap { at: 1_500_000 }.weight(1_499_999), 1.499_999);
        assert_eq!(Transform::Cap { at: 1_500_000 }.weight(1_500_001), 1.5);
    }
}
