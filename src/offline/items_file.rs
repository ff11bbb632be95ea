//! Item factors read from Parquet: two columns, an id and a list of numbers, read column by column.
//!
//! Ours are `item` (string) and `factor` (list of float), sorted by item. Spark MLlib's are `id` (int or string)
//! and `features` (list of float or double), in any order, and are read by the same code. `items_writer.rs` writes
//! both.

use std::fs::File;
use std::path::Path;

use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;

/// The names of the two columns.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// The column of ids.
    pub id: &'static str,
    /// The column of lists.
    pub factor: &'static str,
}

/// What Nearline writes.
pub const OURS: Columns = Columns { id: "item", factor: "factor" };
/// What Spark MLlib writes.
pub const SPARK: Columns = Columns { id: "id", factor: "features" };

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ItemsError {
    /// The file system's say.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Not Parquet, or damaged.
    #[error("it is not a Parquet file that can be read: {0}")]
    Parquet(#[from] ParquetError),
    /// Parquet, but not of the columns wanted.
    #[error("{0}")]
    Wrong(String),
}

/// Ids and factors as they were read, in the order of the file.
#[derive(Debug, Default, PartialEq)]
pub struct Rows {
    /// The ids.
    pub ids: Vec<String>,
    /// The factors, one after the other.
    pub values: Vec<f32>,
    /// The length of the factors; 0 as long as there is none.
    pub rank: usize,
}

/// Adds the rows of a file to `rows`.
pub fn read(path: &Path, columns: Columns, rows: &mut Rows) -> Result<(), ItemsError> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let metadata = reader.metadata();
    let schema = metadata.file_metadata().schema_descr();
    let (id, factor) = (find(schema, columns.id)?, find(schema, columns.factor)?);
    let element = schema.column(factor);
    if schema.column(id).max_rep_level() != 0 || element.max_rep_level() != 1 {
        let Columns { id, factor } = columns;
        return Err(ItemsError::Wrong(format!(
            "`{id}` must be a plain column, and `{factor}` a list of numbers"
        )));
    }
    for number in 0..metadata.num_row_groups() {
        let group = reader.get_row_group(number)?;
        let count = group.metadata().num_rows() as usize;
        let before = rows.ids.len();
        read_ids(group.as_ref(), id, count, columns, rows)?;
        if rows.ids.len() != before + count {
            return Err(ItemsError::Wrong(format!("a row has no `{}`", columns.id)));
        }
        read_factors(group.as_ref(), factor, count, columns, rows)?;
    }
    Ok(())
}

/// The leaf below the column of this name.
fn find(schema: &SchemaDescriptor, name: &str) -> Result<usize, ItemsError> {
    let leaves =
        || (0..schema.num_columns()).map(|leaf| (leaf, schema.column(leaf).path().parts()[0].clone()));
    let mut found = leaves().filter(|(_, column)| column == name);
    if let (Some((leaf, _)), None) = (found.next(), found.next()) {
        return Ok(leaf);
    }
    let others: Vec<String> = leaves().map(|(_, column)| column).collect();
    Err(ItemsError::Wrong(format!("it has no column `{name}`, but {}", others.join(", "))))
}

fn read_ids(
    group: &dyn RowGroupReader,
    leaf: usize,
    count: usize,
    columns: Columns,
    rows: &mut Rows,
) -> Result<(), ItemsError> {
    let mut defined = Vec::new();
    let defined = Some(&mut defined);
    match group.get_column_reader(leaf)? {
        ColumnReader::Int32ColumnReader(mut column) => {
            let mut ids = Vec::new();
            column.read_records(count, defined, None, &mut ids)?;
            rows.ids.extend(ids.iter().map(i32::to_string));
        }
        ColumnReader::Int64ColumnReader(mut column) => {
            let mut ids = Vec::new();
            column.read_records(count, defined, None, &mut ids)?;
            rows.ids.extend(ids.iter().map(i64::to_string));
        }
        ColumnReader::ByteArrayColumnReader(mut column) => {
            let mut ids = Vec::new();
            column.read_records(count, defined, None, &mut ids)?;
            for id in &ids {
                let id = id.as_utf8().map_err(|_| ItemsError::Wrong("an id is not UTF-8".into()))?;
                rows.ids.push(id.to_owned());
            }
        }
        _ => return Err(ItemsError::Wrong(format!("`{}` must hold strings or integers", columns.id))),
    }
    Ok(())
}

fn read_factors(
    group: &dyn RowGroupReader,
    leaf: usize,
    count: usize,
    columns: Columns,
    rows: &mut Rows,
) -> Result<(), ItemsError> {
    let (mut defined, mut repeated) = (Vec::new(), Vec::new());
    let before = rows.values.len();
    match group.get_column_reader(leaf)? {
        ColumnReader::FloatColumnReader(mut column) => {
            column.read_records(count, Some(&mut defined), Some(&mut repeated), &mut rows.values)?;
        }
        ColumnReader::DoubleColumnReader(mut column) => {
            let mut values = Vec::new();
            column.read_records(count, Some(&mut defined), Some(&mut repeated), &mut values)?;
            rows.values.extend(values.iter().map(|value| *value as f32));
        }
        _ => {
            return Err(ItemsError::Wrong(format!(
                "`{}` must hold lists of float or double",
                columns.factor
            )));
        }
    }
    let factor = columns.factor;
    let read = rows.values.len() - before;
    // An element that is null has a level and no value.
    if repeated.len() != read {
        return Err(ItemsError::Wrong(format!(
            "`{factor}` has a list that is null or empty, or an element that is null"
        )));
    }
    let mut starts = repeated.iter().enumerate().filter(|(_, level)| **level == 0).map(|(place, _)| place);
    if rows.rank == 0 {
        rows.rank = starts.clone().nth(1).unwrap_or(read);
    }
    let even = starts.by_ref().enumerate().all(|(row, place)| place == row * rows.rank);
    if !even || read != count * rows.rank {
        return Err(ItemsError::Wrong(format!("the lists in `{factor}` are not all {} long", rows.rank)));
    }
    Ok(())
}

#[cfg(test)]
#[path = "items_file_tests.rs"]
mod tests;
