//! Vectors of members or items, what they are solved from, and how they are held small.

/// Rows of floats of one length, the rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    rank: usize,
    data: Vec<f32>,
}

/// Why numbers are not factors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactorsError {
    /// The rank is zero.
    NoRank,
    /// The numbers do not fill whole rows.
    Ragged {
        /// How many numbers there are.
        numbers: usize,
        /// The rank.
        rank: usize,
    },
    /// A row holds a NaN or an infinity.
    NotFinite {
        /// Which row, from 0.
        row: usize,
    },
}

impl std::fmt::Display for FactorsError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FactorsError::NoRank => write!(out, "the rank is zero"),
            FactorsError::Ragged { numbers, rank } => {
                write!(out, "{numbers} numbers do not fill whole rows of rank {rank}")
            }
            FactorsError::NotFinite { row } => write!(out, "row {row} holds a number that is not finite"),
        }
    }
}

impl std::error::Error for FactorsError {}

impl Factors {
    /// Rows of length `rank`, one after the other.
    pub fn new(rank: usize, data: Vec<f32>) -> Result<Self, FactorsError> {
        if rank == 0 {
            return Err(FactorsError::NoRank);
        }
        if !data.len().is_multiple_of(rank) {
            return Err(FactorsError::Ragged { numbers: data.len(), rank });
        }
        match data.iter().position(|number| !number.is_finite()) {
            Some(place) => Err(FactorsError::NotFinite { row: place / rank }),
            None => Ok(Factors { rank, data }),
        }
    }

    /// Rows of zeros.
    pub(crate) fn zeros(rank: usize, rows: usize) -> Self {
        Factors { rank, data: vec![0.0; rank * rows] }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.data.len() / self.rank
    }

    /// The length of a row.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.rank..(row + 1) * self.rank]
    }

    /// All rows, one after the other.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.data
    }
}

/// How factors are held small, and how much what was not observed weighs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regularisation {
    /// α₀: the weight of every pair of a member and an item; at least 0.
    pub alpha0: f32,
    /// λ: above 0.
    pub lambda: f32,
    /// ν: the power of the number of pairs.
    pub nu: f32,
}

impl Regularisation {
    /// What is wrong with it, where anything is.
    pub fn problem(&self) -> Option<&'static str> {
        if !(self.alpha0 >= 0.0 && self.alpha0.is_finite()) {
            Some("alpha0 must be a number of at least 0")
        } else if !(self.lambda > 0.0 && self.lambda.is_finite()) {
            Some("lambda must be a number above 0")
        } else if !self.nu.is_finite() {
            Some("nu must be a number")
        } else {
            None
        }
    }

    /// λ (n + α₀ N)^ν, for a row with `pairs` pairs against `others` rows of the other side.
    pub(crate) fn ridge(&self, pairs: usize, others: usize) -> f32 {
        let weight = pairs as f64 + f64::from(self.alpha0) * others as f64;
        // Without pairs and alpha0 the ridge must still be above zero.
        let power = if weight > 0.0 { libm::pow(weight, f64::from(self.nu)) } else { 1.0 };
        (f64::from(self.lambda) * power) as f32
    }
}

/// What is known of one item when a member is solved: `a y yᵀ` goes into the matrix, `b y` into the right side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The item's index.
    pub item: u32,
    /// Its weight in the matrix; at least 0.
    pub a: f32,
    /// Its weight on the right side.
    pub b: f32,
}

impl Pair {
    /// A preferred item of weight `w`: target 1.
    pub fn preferred(item: u32, w: f32) -> Self {
        Pair { item, a: w, b: w }
    }

    /// A disliked item of weight `w`: target 0.
    pub fn disliked(item: u32, w: f32) -> Self {
        Pair { item, a: w, b: 0.0 }
    }

    /// Preferred where `w` is above zero, else disliked by its absolute value.
    pub fn from_signed(item: u32, w: f32) -> Self {
        if w > 0.0 { Pair::preferred(item, w) } else { Pair::disliked(item, w.abs()) }
    }
}
