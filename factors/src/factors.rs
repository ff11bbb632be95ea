//! A table of factors, checked once when it comes in. It knows neither ids nor files.

use std::fmt;

/// Factors as rows of equal length: row i is the factor of member or item i. Every number is finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    rank: usize,
    data: Vec<f32>,
}

/// Why numbers are not a table of factors.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FactorsError {
    /// A factor needs at least one number.
    RankZero,
    /// The numbers do not fill whole rows.
    Length {
        /// How many numbers were given.
        length: usize,
        /// How many a row takes.
        rank: usize,
    },
    /// Rows are counted in 32 bits.
    TooManyRows {
        /// How many rows were given.
        rows: usize,
    },
    /// A row holds an infinity or a NaN.
    NotFinite {
        /// The first such row.
        row: usize,
    },
}

impl fmt::Display for FactorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RankZero => write!(f, "factors of rank 0: the rank must be 1 or more"),
            Self::Length { length, rank } => {
                write!(
                    f,
                    "{length} numbers do not fill whole rows of rank {rank}: give a multiple of the rank"
                )
            }
            Self::TooManyRows { rows } => write!(f, "{rows} rows of factors: at most {} fit", u32::MAX),
            Self::NotFinite { row } => {
                write!(f, "the factor in row {row} holds a number that is not finite: train the model again")
            }
        }
    }
}

impl std::error::Error for FactorsError {}

impl Factors {
    /// Takes `data` as rows of `rank` numbers, row-major. No rows at all are a table too.
    ///
    /// # Errors
    ///
    /// Where the rank is 0, the length is no multiple of it, there are more than `u32::MAX` rows, or a number is
    /// not finite.
    pub fn new(rank: usize, data: Vec<f32>) -> Result<Self, FactorsError> {
        if rank == 0 {
            return Err(FactorsError::RankZero);
        }
        if !data.len().is_multiple_of(rank) {
            return Err(FactorsError::Length { length: data.len(), rank });
        }
        if data.len() / rank > u32::MAX as usize {
            return Err(FactorsError::TooManyRows { rows: data.len() / rank });
        }
        match data.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(FactorsError::NotFinite { row: at / rank }),
            None => Ok(Factors { rank, data }),
        }
    }

    /// `rows` factors of zeros, for a half-step to fill; it writes finite numbers only.
    pub(crate) fn zeros(rank: usize, rows: usize) -> Self {
        Factors { rank, data: vec![0.0; rank * rows] }
    }

    /// Every row over its length; rows of zeros as they are.
    pub(crate) fn units(&self) -> Self {
        let mut units = self.clone();
        for row in units.data.chunks_exact_mut(self.rank) {
            let length = norm(row);
            if length > 0.0 {
                row.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
            }
        }
        units
    }

    /// The rows by falling norm, equal ones by index.
    pub(crate) fn by_norm(&self) -> Vec<u32> {
        let norms: Vec<f64> = self.data.chunks_exact(self.rank).map(norm).collect();
        let mut order: Vec<u32> = (0..self.rows() as u32).collect();
        order.sort_by(|&i, &j| norms[j as usize].total_cmp(&norms[i as usize]));
        order
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// How many factors there are.
    pub fn rows(&self) -> usize {
        self.data.len() / self.rank
    }

    /// The length of a factor.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Factor `i`.
    ///
    /// # Panics
    ///
    /// Where `i` is not below [`rows`](Self::rows).
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.rank..][..self.rank]
    }

    /// All factors, row-major, `rows * rank` numbers.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }
}

/// The length of a vector.
pub(crate) fn norm(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}
