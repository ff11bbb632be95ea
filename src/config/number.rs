//! Numbers of the config, checked, with errors that name their key.

use nearline_dataflows::kinds::MICROS;

/// The largest absolute value, threshold or floor: that of an event.
pub(super) const MAX_VALUE: f64 = 1_000_000_000.0;

/// A key and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}`: {problem}", key.join("."))]
pub struct KeyError {
    /// The key, after the tables it lies in.
    pub key: Vec<String>,
    /// What is wrong, and what is wanted.
    pub problem: String,
}

impl KeyError {
    /// An error about the key with this path.
    pub fn new(key: &[&str], problem: impl Into<String>) -> Self {
        KeyError { key: key.iter().map(|name| (*name).to_owned()).collect(), problem: problem.into() }
    }
}

/// A decimal of at most six places, in millionths.
pub(super) fn micros(key: &[&str], number: f64, most: f64) -> Result<i64, KeyError> {
    if !(-most..=most).contains(&number) {
        return Err(KeyError::new(key, format!("must be from -{most} to {most}, and is {number}")));
    }
    let micros = (number * MICROS as f64).round();
    // A decimal of six places is the double nearest to it, and so is the quotient here, which is rounded once.
    if micros / MICROS as f64 != number {
        return Err(KeyError::new(key, format!("may have six decimal places at most, and is {number}")));
    }
    Ok(micros as i64)
}

pub(super) fn within(key: &[&str], number: u64, least: u64, most: u64) -> Result<u64, KeyError> {
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(KeyError::new(key, format!("must be from {least} to {most}, and is {number}")))
}
