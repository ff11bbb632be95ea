//! The cells of a column, a slice of rows at a time.

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, Int96};

use super::RowsError;
use super::columns::{Column, Reading};

/// The cells of one column and slice, one a row: none where it is null.
pub enum Cells {
    Text(Vec<Option<ByteArray>>),
    Texts(Vec<Option<Vec<ByteArray>>>),
    /// Whole numbers, and decimals in whole units of their last digit.
    Whole(Vec<Option<i128>>),
    Float(Vec<Option<f64>>),
    /// Milliseconds since 1970.
    Moment(Vec<Option<i64>>),
    Switch(Vec<Option<bool>>),
}

/// The reader of one column of a row group.
pub struct Cell {
    pub column: Column,
    pub reader: ColumnReader,
}

impl Cell {
    /// The cells of the next `rows` rows, of which there must be so many.
    pub fn read(&mut self, rows: usize) -> Result<Cells, RowsError> {
        let Column { reading, defined, .. } = self.column;
        let cells = match (&mut self.reader, reading) {
            (ColumnReader::ByteArrayColumnReader(reader), Reading::Text) => {
                Cells::Text(flat(reader, defined, rows)?)
            }
            (ColumnReader::ByteArrayColumnReader(reader), Reading::Texts) => {
                Cells::Texts(lists(reader, defined, rows)?)
            }
            (ColumnReader::ByteArrayColumnReader(reader), Reading::Decimal { .. }) => {
                Cells::Whole(big(flat(reader, defined, rows)?, |value| value.data().to_vec())?)
            }
            (ColumnReader::FixedLenByteArrayColumnReader(reader), Reading::Decimal { .. }) => {
                Cells::Whole(big(flat(reader, defined, rows)?, |value| value.data().to_vec())?)
            }
            (ColumnReader::Int32ColumnReader(reader), Reading::Whole { unsigned: true }) => {
                Cells::Whole(mapped(flat(reader, defined, rows)?, |value| i128::from(value as u32)))
            }
            (ColumnReader::Int64ColumnReader(reader), Reading::Whole { unsigned: true }) => {
                Cells::Whole(mapped(flat(reader, defined, rows)?, |value| i128::from(value as u64)))
            }
            (ColumnReader::Int32ColumnReader(reader), Reading::Whole { .. } | Reading::Decimal { .. }) => {
                Cells::Whole(mapped(flat(reader, defined, rows)?, i128::from))
            }
            (ColumnReader::Int64ColumnReader(reader), Reading::Whole { .. } | Reading::Decimal { .. }) => {
                Cells::Whole(mapped(flat(reader, defined, rows)?, i128::from))
            }
            (ColumnReader::FloatColumnReader(reader), _) => {
                // The decimal that a float of single precision is written as, and not the longer one that is it.
                let decimal = |value: f32| value.to_string().parse().unwrap_or(f64::from(value));
                Cells::Float(mapped(flat(reader, defined, rows)?, decimal))
            }
            (ColumnReader::DoubleColumnReader(reader), _) => Cells::Float(flat(reader, defined, rows)?),
            (ColumnReader::Int64ColumnReader(reader), Reading::Moment { per_ms }) => {
                Cells::Moment(mapped(flat(reader, defined, rows)?, |value: i64| value.div_euclid(per_ms)))
            }
            (ColumnReader::Int96ColumnReader(reader), _) => {
                Cells::Moment(mapped(flat(reader, defined, rows)?, |value: Int96| value.to_millis()))
            }
            (ColumnReader::BoolColumnReader(reader), _) => Cells::Switch(flat(reader, defined, rows)?),
            _ => return Err(RowsError::Wrong("it is damaged: a column has two types".to_owned())),
        };
        Ok(cells)
    }
}

fn mapped<T, U>(cells: Vec<Option<T>>, map: impl Fn(T) -> U) -> Vec<Option<U>> {
    cells.into_iter().map(|cell| cell.map(&map)).collect()
}

/// Integers in bytes, the most significant first.
fn big<T>(cells: Vec<Option<T>>, bytes: impl Fn(&T) -> Vec<u8>) -> Result<Vec<Option<i128>>, RowsError> {
    let whole = |value: T| {
        let bytes = bytes(&value);
        let negative = bytes.first().is_some_and(|first| *first >= 0x80);
        let fits = bytes.len() <= 16;
        let whole =
            bytes.iter().fold(if negative { -1_i128 } else { 0 }, |sum, byte| sum << 8 | i128::from(*byte));
        fits.then_some(whole).ok_or_else(|| RowsError::Wrong("a decimal has more than 16 bytes".to_owned()))
    };
    cells.into_iter().map(|cell| cell.map(whole).transpose()).collect()
}

/// Cells of a column without lists.
fn flat<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    defined: i16,
    rows: usize,
) -> Result<Vec<Option<T::T>>, RowsError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, _, _) = reader.read_records(rows - read, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Err(short());
        }
        read += records;
    }
    if defined == 0 {
        return if values.len() == rows { Ok(values.into_iter().map(Some).collect()) } else { Err(short()) };
    }
    let mut values = values.into_iter();
    let cells: Vec<_> =
        levels.iter().map(|level| if *level == defined { values.next() } else { None }).collect();
    if cells.len() == rows { Ok(cells) } else { Err(short()) }
}

/// Cells of a column of lists.
fn lists<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    defined: i16,
    rows: usize,
) -> Result<Vec<Option<Vec<T::T>>>, RowsError> {
    let (mut levels, mut repeated, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, _, _) =
            reader.read_records(rows - read, Some(&mut levels), Some(&mut repeated), &mut values)?;
        if records == 0 {
            return Err(short());
        }
        read += records;
    }
    let mut values = values.into_iter();
    let mut cells: Vec<Option<Vec<T::T>>> = Vec::with_capacity(rows);
    for (level, repeated) in levels.iter().zip(&repeated) {
        if *repeated == 0 {
            cells.push(None);
        }
        if *level == defined
            && let (Some(cell), Some(value)) = (cells.last_mut(), values.next())
        {
            cell.get_or_insert_default().push(value);
        }
    }
    if cells.len() == rows { Ok(cells) } else { Err(short()) }
}

fn short() -> RowsError {
    RowsError::Wrong("it is damaged: a column has fewer rows than it says".to_owned())
}
