//! The three numbers that hold factors back. They belong to a model: fold-in uses those it was trained with.

use std::fmt;

/// Weight of all pairs and strength of the ridge, as in the objective of [`train`](crate::train).
///
/// The ridge of a row with n pairs, against N factors of the other side, is `lambda (n + alpha0 N)^nu`
/// (Rendle, Krichene, Zhang, Koren: Revisiting the Performance of iALS, RecSys 2022, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Regularisation {
    /// Weight of every pair's target 0, seen or not. Finite, 0 or more.
    pub alpha0: f32,
    /// Strength of the ridge. Finite, above 0.
    pub lambda: f32,
    /// How the ridge grows with a row's pairs: 0 not at all, 1 in proportion. Finite.
    pub nu: f32,
}

/// Which number is out of its range.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RegularisationError {
    /// `alpha0` must be finite and 0 or more.
    Alpha0(f32),
    /// `lambda` must be finite and above 0.
    Lambda(f32),
    /// `nu` must be finite.
    Nu(f32),
}

impl fmt::Display for RegularisationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alpha0(x) => write!(f, "alpha0 is {x}: it must be 0 or a positive finite number"),
            Self::Lambda(x) => write!(f, "lambda is {x}: it must be a positive finite number"),
            Self::Nu(x) => write!(f, "nu is {x}: it must be a finite number"),
        }
    }
}

impl std::error::Error for RegularisationError {}

impl Regularisation {
    /// Takes the three numbers.
    ///
    /// # Errors
    ///
    /// Where one is out of its range.
    pub fn new(alpha0: f32, lambda: f32, nu: f32) -> Result<Self, RegularisationError> {
        Regularisation { alpha0, lambda, nu }.checked()
    }

    pub(crate) fn checked(self) -> Result<Self, RegularisationError> {
        if !(self.alpha0.is_finite() && self.alpha0 >= 0.0) {
            return Err(RegularisationError::Alpha0(self.alpha0));
        }
        if !(self.lambda.is_finite() && self.lambda > 0.0) {
            return Err(RegularisationError::Lambda(self.lambda));
        }
        if !self.nu.is_finite() {
            return Err(RegularisationError::Nu(self.nu));
        }
        Ok(self)
    }

    /// The ridge of a row with `pairs` pairs against `others` factors. The power is libm's, the same on every
    /// machine.
    pub(crate) fn ridge(&self, pairs: usize, others: usize) -> f64 {
        let size = pairs as f64 + f64::from(self.alpha0) * others as f64;
        f64::from(self.lambda) * libm::pow(size, f64::from(self.nu))
    }
}
