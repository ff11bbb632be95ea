//! What is trained on: members by items, sparse, with signed weights.

/// A sparse matrix: rows of (column, weight), sorted by column.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    columns: usize,
    offsets: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

/// Why rows are no matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixError {
    /// The offsets do not partition the entries.
    Offsets,
    /// A row is not sorted, names a column twice or one that does not exist, or has a weight that is zero or not
    /// finite.
    Row(usize),
}

impl std::fmt::Display for MatrixError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MatrixError::Offsets => write!(out, "the offsets do not partition the entries"),
            MatrixError::Row(row) => write!(
                out,
                "row {row} is not sorted, names a column twice or one that does not exist, or has a weight that is \
                 zero or not finite"
            ),
        }
    }
}

impl std::error::Error for MatrixError {}

impl Matrix {
    /// The rows are `entries[offsets[r]..offsets[r + 1]]`: columns below `columns`, ascending, each with a weight
    /// that is positive (preferred) or negative (disliked).
    pub fn from_rows(
        columns: usize,
        offsets: Vec<usize>,
        entries: Vec<(u32, f32)>,
    ) -> Result<Self, MatrixError> {
        let partition =
            offsets.first() == Some(&0) && offsets.last() == Some(&entries.len()) && offsets.is_sorted();
        if !partition {
            return Err(MatrixError::Offsets);
        }
        for (row, bounds) in offsets.windows(2).enumerate() {
            let row_entries = &entries[bounds[0]..bounds[1]];
            let sorted = row_entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
            let sound = |(column, weight): &(u32, f32)| {
                (*column as usize) < columns && weight.is_finite() && *weight != 0.0
            };
            if !sorted || !row_entries.iter().all(sound) {
                return Err(MatrixError::Row(row));
            }
        }
        Ok(Matrix { columns, offsets, entries })
    }

    /// How many rows: members.
    pub fn members(&self) -> usize {
        self.offsets.len() - 1
    }

    /// How many columns: items.
    pub fn items(&self) -> usize {
        self.columns
    }

    /// How many entries.
    pub fn pairs(&self) -> usize {
        self.entries.len()
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[(u32, f32)] {
        &self.entries[self.offsets[row]..self.offsets[row + 1]]
    }

    /// Rows as columns and columns as rows; entries stay sorted.
    pub fn transpose(&self) -> Matrix {
        let mut offsets = vec![0_usize; self.columns + 1];
        for (column, _) in &self.entries {
            offsets[*column as usize + 1] += 1;
        }
        for column in 0..self.columns {
            offsets[column + 1] += offsets[column];
        }
        let mut next = offsets.clone();
        let mut entries = vec![(0, 0.0); self.entries.len()];
        for row in 0..self.members() {
            for (column, weight) in self.row(row) {
                let place = &mut next[*column as usize];
                entries[*place] = (row as u32, *weight);
                *place += 1;
            }
        }
        Matrix { columns: self.members(), offsets, entries }
    }
}
