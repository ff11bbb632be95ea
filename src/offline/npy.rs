//! Arrays of numpy, `.npy`: those that can be item factors, items × rank in half, single or double precision.
//!
//! It knows neither ids nor models, and does not judge the numbers: NaN comes through. `npy_header.rs` reads what
//! stands before them.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use half::f16;

use super::npy_header::{Header, Number};

/// How many numbers are read at a time: what the head claims is never allocated before it is there.
const CHUNK: usize = 65_536;

/// An array, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// How many rows there are.
    pub rows: usize,
    /// How many numbers a row has.
    pub rank: usize,
    /// The numbers; those in double precision are rounded, and infinite where they are too great.
    pub values: Vec<f32>,
}

/// Why an array cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The file system's say.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else.
    #[error("it does not begin as a .npy file")]
    NotNpy,
    /// A version that numpy did not have when this was written.
    #[error("it has version {0}.{1} of the .npy format, and this program reads 1.0, 2.0 and 3.0")]
    Version(u8, u8),
    /// The dictionary before the numbers.
    #[error("its header is damaged: {0}")]
    Header(&'static str),
    /// Numbers of another type.
    #[error("it holds {what} ('{descr}'), and factors are floats in half, single or double precision")]
    Numbers {
        /// In words.
        what: &'static str,
        /// As numpy writes it.
        descr: String,
    },
    /// Not a table.
    #[error("it is an array of dimension {0}, and factors are one of dimension 2: items × rank")]
    Dimensions(usize),
    /// A length that no factor has.
    #[error("its rows are {0} long, and the rank is from 1 to {max}", max = crate::config::MAX_RANK)]
    Rank(usize),
    /// Cut off.
    #[error("it is cut off: its header says {wanted} numbers, and there are {found}")]
    Truncated {
        /// How many numbers there ought to be.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// More than one array, or something else.
    #[error("there is something behind its numbers")]
    Behind,
}

impl NpyError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            NpyError::NotNpy => "save one array with `numpy.save(file, array)`, not as text or .npz",
            NpyError::Numbers { .. } | NpyError::Version(..) => {
                "save it anew with `numpy.save(file, array.astype('<f4'))`"
            }
            NpyError::Dimensions(_) | NpyError::Rank(_) => {
                "save one row for each item; `array.T` turns an array that lies on its side"
            }
            NpyError::Io(_) | NpyError::Header(_) | NpyError::Truncated { .. } | NpyError::Behind => {
                "copy it again, or save it anew with `numpy.save(file, array)`"
            }
        }
    }
}

/// Reads an array, to the end of the input.
pub fn read(input: &mut impl Read) -> Result<Array, NpyError> {
    let Header { number, fortran, rows, rank } = Header::read(input)?;
    let wanted = rows * rank;
    let mut values = Vec::new();
    let mut bytes = Vec::new();
    let size = match number {
        Number::F2 => 2,
        Number::F4 => 4,
        Number::F8 => 8,
    };
    while values.len() < wanted {
        let now = CHUNK.min(wanted - values.len());
        bytes.clear();
        input.take((now * size) as u64).read_to_end(&mut bytes)?;
        match number {
            Number::F2 => values.extend(whole(&bytes).map(|bytes| f16::from_le_bytes(bytes).to_f32())),
            Number::F4 => values.extend(whole(&bytes).map(f32::from_le_bytes)),
            Number::F8 => values.extend(whole(&bytes).map(|bytes| f64::from_le_bytes(bytes) as f32)),
        }
        if bytes.len() < now * size {
            return Err(NpyError::Truncated { wanted, found: values.len() });
        }
    }
    bytes.clear();
    if input.take(1).read_to_end(&mut bytes)? > 0 {
        return Err(NpyError::Behind);
    }
    if fortran {
        values = (0..wanted).map(|place| values[place % rank * rows + place / rank]).collect();
    }
    Ok(Array { rows, rank, values })
}

/// Writes factors as an array of items × rank, and returns the file, not yet synced.
pub fn write(path: &Path, values: &[f32], rank: usize) -> io::Result<File> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&Header::written(values.len() / rank, rank))?;
    for value in values {
        file.write_all(&value.to_le_bytes())?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)
}

/// The bytes of each number; not those of one that is cut off.
fn whole<const SIZE: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; SIZE]> {
    bytes.as_chunks().0.iter().copied()
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
