//! Signed weights of members and items, sparse, by row. What they mean is fixed here (above 0 preferred, below
//! disliked); how they came about is not its business.

use std::fmt;

use crate::pair::Pair;

/// Weights of members (rows) and items (columns), compressed by row; entries of a row ascend by column, and
/// every weight is finite and not zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    items: usize,
    meaning: Meaning,
    offsets: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

/// What a weight says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    /// The weight of the squared error.
    Signed,
    /// One more than that.
    Confidence,
}

/// Why rows are not a matrix.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MatrixError {
    /// Members and items are counted in 32 bits.
    TooLarge,
    /// Offsets must begin with 0, never descend, and end with the number of entries.
    Offsets {
        /// The first offset that does not fit.
        at: usize,
    },
    /// An entry's item is not below the number of items.
    Item {
        /// Its row.
        member: usize,
        /// The item.
        item: u32,
    },
    /// An entry's item is not above the one before it.
    Order {
        /// Its row.
        member: usize,
        /// The item.
        item: u32,
    },
    /// A weight is zero or not finite, or a confidence is between −1 and 1.
    Weight {
        /// Its row.
        member: usize,
        /// Its item.
        item: u32,
        /// The weight.
        weight: f32,
    },
}

impl fmt::Display for MatrixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "a matrix of more than {} members or items", u32::MAX),
            Self::Offsets { at } => {
                write!(f, "offset {at} does not fit: begin with 0, ascend, end with the number of entries")
            }
            Self::Item { member, item } => {
                write!(f, "row {member} has item {item}, which is not below the number of items")
            }
            Self::Order { member, item } => {
                write!(
                    f,
                    "row {member} has item {item} out of order or twice: sort by item and add up weights"
                )
            }
            Self::Weight { member, item, weight } => {
                write!(
                    f,
                    "row {member} has weight {weight} for item {item}: leave out what is zero or not finite"
                )
            }
        }
    }
}

impl std::error::Error for MatrixError {}

impl Matrix {
    /// Takes rows over `items` items: row m is `entries[offsets[m]..offsets[m + 1]]`, each an item and a weight,
    /// above 0 where preferred and below 0 where disliked.
    ///
    /// # Errors
    ///
    /// Where the offsets do not cut the entries into rows, or a row is not ascending by item, names an item that
    /// is not there, or has a weight that is zero or not finite.
    pub fn from_rows(
        items: usize,
        offsets: Vec<usize>,
        entries: Vec<(u32, f32)>,
    ) -> Result<Self, MatrixError> {
        if items > u32::MAX as usize || offsets.len() > u32::MAX as usize {
            return Err(MatrixError::TooLarge);
        }
        if offsets.first() != Some(&0) {
            return Err(MatrixError::Offsets { at: 0 });
        }
        if let Some(at) = offsets.windows(2).position(|ends| ends[0] > ends[1]) {
            return Err(MatrixError::Offsets { at: at + 1 });
        }
        if offsets.last() != Some(&entries.len()) {
            return Err(MatrixError::Offsets { at: offsets.len() - 1 });
        }
        let matrix = Matrix { items, meaning: Meaning::Signed, offsets, entries };
        (0..matrix.members()).try_for_each(|member| matrix.check_row(member))?;
        Ok(matrix)
    }

    /// [`from_rows`](Self::from_rows) of confidences c, as Hu, Koren and Volinsky 2008 and the library implicit
    /// have them: a pair is (c − 1, c) where c is 1 or more, and (−c − 1, 0) where it is −1 or less. Together with
    /// alpha0 = 1 and nu = 0 training then lowers the same loss. For comparing; a model of ours is trained on weights.
    ///
    /// # Errors
    ///
    /// As `from_rows`, and where |c| is below 1.
    pub fn from_confidences(
        items: usize,
        offsets: Vec<usize>,
        entries: Vec<(u32, f32)>,
    ) -> Result<Self, MatrixError> {
        let matrix = Matrix { meaning: Meaning::Confidence, ..Self::from_rows(items, offsets, entries)? };
        for member in 0..matrix.members() {
            if let Some(&(item, weight)) = matrix.row(member).iter().find(|(_, weight)| weight.abs() < 1.0) {
                return Err(MatrixError::Weight { member, item, weight });
            }
        }
        Ok(matrix)
    }

    /// An entry of this matrix as a solve sees it.
    #[inline(always)]
    pub fn pair(&self, (item, weight): (u32, f32)) -> Pair {
        match self.meaning {
            Meaning::Signed => Pair::from_signed(item, weight),
            Meaning::Confidence => Pair { item, a: weight.abs() - 1.0, b: weight.max(0.0) },
        }
    }

    fn check_row(&self, member: usize) -> Result<(), MatrixError> {
        let mut before = None;
        for &(item, weight) in self.row(member) {
            if item as usize >= self.items {
                return Err(MatrixError::Item { member, item });
            }
            if before.is_some_and(|before| before >= item) {
                return Err(MatrixError::Order { member, item });
            }
            if weight == 0.0 || !weight.is_finite() {
                return Err(MatrixError::Weight { member, item, weight });
            }
            before = Some(item);
        }
        Ok(())
    }

    /// The same weights with items as rows and members as columns.
    pub fn transpose(&self) -> Matrix {
        let mut offsets = vec![0; self.items + 1];
        for &(item, _) in &self.entries {
            offsets[item as usize + 1] += 1;
        }
        for item in 0..self.items {
            offsets[item + 1] += offsets[item];
        }
        let mut next = offsets.clone();
        let mut entries = vec![(0, 0.0); self.entries.len()];
        for member in 0..self.members() {
            for &(item, weight) in self.row(member) {
                entries[next[item as usize]] = (member as u32, weight);
                next[item as usize] += 1;
            }
        }
        Matrix { items: self.members(), meaning: self.meaning, offsets, entries }
    }

    /// How many rows there are.
    pub fn members(&self) -> usize {
        self.offsets.len() - 1
    }

    /// How many columns there are.
    pub fn items(&self) -> usize {
        self.items
    }

    /// How many weights there are.
    pub fn nnz(&self) -> usize {
        self.entries.len()
    }

    /// The items and weights of member `i`.
    ///
    /// # Panics
    ///
    /// Where `i` is not below [`members`](Self::members).
    pub fn row(&self, i: usize) -> &[(u32, f32)] {
        &self.entries[self.offsets[i]..self.offsets[i + 1]]
    }
}
