//! Item factors read from Parquet: two columns, an id and a list of numbers, read column by column.
//!
//! Ours are `item` (string) and `factor` (list of float), sorted by item. Spark MLlib's are `id` (int or string)
//! and `features` (list of float or double), in any order, and are read by the same code. `items_writer.rs` writes
//! both.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::basic::ConvertedType;
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

/// Adds the rows of a file to `rows`, which are of no use where this fails.
pub fn read(path: &Path, columns: Columns, rows: &mut Rows) -> Result<(), ItemsError> {
    // The crate believes some of what a file says of itself, and panics where damage has made it untrue.
    let read = AssertUnwindSafe(|| read_file(path, columns, rows));
    let gave_up = |_| Err(ItemsError::Wrong("it is damaged: the reader of Parquet gave up on it".into()));
    catch_unwind(read).unwrap_or_else(gave_up)
}

fn read_file(path: &Path, columns: Columns, rows: &mut Rows) -> Result<(), ItemsError> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let metadata = reader.metadata();
    let schema = metadata.file_metadata().schema_descr();
    let (id, factor) = (find(schema, columns.id)?, find(schema, columns.factor)?);
    if schema.column(id).max_rep_level() != 0 || schema.column(factor).max_rep_level() != 1 {
        let Columns { id, factor } = columns;
        return Err(ItemsError::Wrong(format!(
            "`{id}` must be a plain column, and `{factor}` a list of numbers"
        )));
    }
    let first = rows.ids.len();
    for number in 0..metadata.num_row_groups() {
        let reader = reader.get_row_group(number)?;
        let count = reader.metadata().num_rows() as usize;
        let group = Group { reader: reader.as_ref(), schema, before: rows.ids.len() - first, count };
        group.read_ids(id, columns.id, rows)?;
        group.read_factors(factor, columns.factor, rows)?;
    }
    Ok(())
}

/// The leaf below the column of this name.
fn find(schema: &SchemaDescriptor, name: &str) -> Result<usize, ItemsError> {
    let leaves =
        || (0..schema.num_columns()).map(|leaf| (leaf, schema.column(leaf).path().parts()[0].clone()));
    let mut found = leaves().filter(|(_, column)| column == name);
    match (found.next(), found.next()) {
        (Some((leaf, _)), None) => Ok(leaf),
        (Some(_), Some(_)) => Err(ItemsError::Wrong(format!(
            "`{name}` has fields, and must be a list of numbers or, where it is the id, one string or integer"
        ))),
        (None, _) => {
            let others: Vec<String> = leaves().map(|(_, column)| column).collect();
            Err(ItemsError::Wrong(format!("it has no column `{name}`, but {}", others.join(", "))))
        }
    }
}

/// A row group of a file.
struct Group<'a> {
    reader: &'a dyn RowGroupReader,
    schema: &'a SchemaDescriptor,
    /// How many rows of the file come before it.
    before: usize,
    /// How many it says it has.
    count: usize,
}

impl Group<'_> {
    fn read_ids(&self, leaf: usize, name: &str, rows: &mut Rows) -> Result<(), ItemsError> {
        let read_before = rows.ids.len();
        let mut defined = Vec::new();
        let levels = Some(&mut defined);
        let unsigned = matches!(
            self.schema.column(leaf).converted_type(),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64
        );
        match self.reader.get_column_reader(leaf)? {
            ColumnReader::Int32ColumnReader(mut column) => {
                let mut ids = Vec::new();
                column.read_records(self.count, levels, None, &mut ids)?;
                let text = |id: &i32| if unsigned { (*id as u32).to_string() } else { id.to_string() };
                rows.ids.extend(ids.iter().map(text));
            }
            ColumnReader::Int64ColumnReader(mut column) => {
                let mut ids = Vec::new();
                column.read_records(self.count, levels, None, &mut ids)?;
                let text = |id: &i64| if unsigned { (*id as u64).to_string() } else { id.to_string() };
                rows.ids.extend(ids.iter().map(text));
            }
            ColumnReader::ByteArrayColumnReader(mut column) => {
                let mut ids = Vec::new();
                column.read_records(self.count, levels, None, &mut ids)?;
                for (row, id) in ids.iter().enumerate() {
                    let id = id.as_utf8().map_err(|_| self.wrong(row, name, "is not UTF-8"))?;
                    rows.ids.push(id.to_owned());
                }
            }
            _ => return Err(ItemsError::Wrong(format!("`{name}` must hold strings or integers"))),
        }
        if let Some(row) = defined.iter().position(|level| *level == 0) {
            return Err(self.wrong(row, name, "is null"));
        }
        self.check_count(rows.ids.len() - read_before, name)
    }

    fn read_factors(&self, leaf: usize, name: &str, rows: &mut Rows) -> Result<(), ItemsError> {
        let (mut defined, mut repeated) = (Vec::new(), Vec::new());
        let read_before = rows.values.len();
        let levels = (Some(&mut defined), Some(&mut repeated));
        match self.reader.get_column_reader(leaf)? {
            ColumnReader::FloatColumnReader(mut column) => {
                column.read_records(self.count, levels.0, levels.1, &mut rows.values)?;
            }
            ColumnReader::DoubleColumnReader(mut column) => {
                let mut values = Vec::new();
                column.read_records(self.count, levels.0, levels.1, &mut values)?;
                rows.values.extend(values.iter().map(|value| *value as f32));
            }
            _ => return Err(ItemsError::Wrong(format!("`{name}` must hold lists of float or double"))),
        }
        // A list begins where the repetition level is 0; one that is null or empty has a level too, and no value.
        let starts: Vec<usize> = (0..repeated.len()).filter(|place| repeated[*place] == 0).collect();
        let full = self.schema.column(leaf).max_def_level();
        if let Some(place) = defined.iter().position(|level| *level < full) {
            let row = starts.partition_point(|start| *start <= place).saturating_sub(1);
            return Err(self.wrong(row, name, "is null or empty, or has an element that is null"));
        }
        let ends = starts.iter().skip(1).copied().chain([repeated.len()]);
        for (row, (start, end)) in starts.iter().zip(ends).enumerate() {
            let length = end - start;
            if rows.rank == 0 {
                rows.rank = length;
            }
            if length != rows.rank {
                let rank = rows.rank;
                return Err(self.wrong(row, name, &format!("is {length} long, and those before it {rank}")));
            }
        }
        self.check_count(starts.len(), name)?;
        // A page can say more of its numbers than it holds.
        let (told, read) = (repeated.len(), rows.values.len() - read_before);
        if told != read {
            let problem =
                format!("it is damaged: `{name}` says {told} numbers in a row group, and there are {read}");
            return Err(ItemsError::Wrong(problem));
        }
        Ok(())
    }

    /// Damage can end a column early.
    fn check_count(&self, found: usize, name: &str) -> Result<(), ItemsError> {
        if found == self.count {
            return Ok(());
        }
        let rows = self.count;
        Err(ItemsError::Wrong(format!("it is damaged: of {rows} rows in a row group, {found} have `{name}`")))
    }

    /// What is wrong with a row of the group, counted from 0; people count those of the file from 1.
    fn wrong(&self, row: usize, name: &str, problem: &str) -> ItemsError {
        ItemsError::Wrong(format!("row {}: `{name}` {problem}", self.before + row + 1))
    }
}

#[cfg(test)]
#[path = "items_file_tests.rs"]
mod tests;
