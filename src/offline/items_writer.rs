//! Item factors written as Parquet: ours, and what Spark MLlib writes as `itemFactors`. Column by column, as
//! `items_file.rs` reads them.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::items_file::ItemsError;

const OURS: &str = "message item_factors {
    REQUIRED BYTE_ARRAY item (STRING);
    REQUIRED GROUP factor (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }
}";

/// What Spark writes of a column of integers and one of arrays of floats.
const SPARK: &str = "message spark_schema {
    REQUIRED INT32 id;
    OPTIONAL GROUP features (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }
}";

/// The same with strings, which Spark's own models do not have and its `spark.read.parquet` reads.
const SPARK_STRINGS: &str = "message spark_schema {
    REQUIRED BYTE_ARRAY id (STRING);
    OPTIONAL GROUP features (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }
}";

/// Rows of one row group: bounds the memory of who reads it.
pub const ROWS_AT_ONCE: usize = 65_536;

/// Writes ids and their factors as ours, and returns the file, not yet synced.
pub fn write(path: &Path, ids: &[String], values: &[f32], rank: usize) -> Result<File, ItemsError> {
    let made_by = concat!("nearline ", env!("CARGO_PKG_VERSION"));
    let compression = Compression::ZSTD(ZstdLevel::try_new(1)?);
    let mut file = Parquet::create(path, OURS, made_by, compression)?;
    for (ids, values) in ids.chunks(ROWS_AT_ONCE).zip(values.chunks(ROWS_AT_ONCE * rank)) {
        file.group::<ByteArrayType>(&strings(ids), values, rank, 1)?;
    }
    file.finish()
}

/// Writes ids and their factors in Spark's schema, and returns the file, not yet synced: the ids as integers where
/// each is the plain form of one of 32 bits, else as strings.
pub fn write_spark(path: &Path, ids: &[String], values: &[f32], rank: usize) -> Result<File, ItemsError> {
    write_spark_packed(path, ids, (values, rank), Compression::SNAPPY)
}

/// The same, packed in any way that Spark can be told to.
pub(super) fn write_spark_packed(
    path: &Path,
    ids: &[String],
    (values, rank): (&[f32], usize),
    compression: Compression,
) -> Result<File, ItemsError> {
    // What Spark's reader wants this to look like.
    let made_by = concat!("nearline version ", env!("CARGO_PKG_VERSION"));
    let numbers: Option<Vec<i32>> = ids.iter().map(|id| integer(id)).collect();
    let schema = if numbers.is_some() { SPARK } else { SPARK_STRINGS };
    let mut file = Parquet::create(path, schema, made_by, compression)?;
    for (group, values) in values.chunks(ROWS_AT_ONCE * rank).enumerate() {
        let rows = group * ROWS_AT_ONCE..group * ROWS_AT_ONCE + values.len() / rank;
        match &numbers {
            Some(numbers) => file.group::<Int32Type>(&numbers[rows], values, rank, 2)?,
            None => file.group::<ByteArrayType>(&strings(&ids[rows]), values, rank, 2)?,
        }
    }
    file.finish()
}

/// The integer that an id is, where it is written as an integer is.
fn integer(id: &str) -> Option<i32> {
    id.parse().ok().filter(|number: &i32| number.to_string() == id)
}

fn strings(ids: &[String]) -> Vec<ByteArray> {
    ids.iter().map(|id| ByteArray::from(id.as_str())).collect()
}

/// A file being written.
struct Parquet(SerializedFileWriter<File>);

impl Parquet {
    fn create(
        path: &Path,
        schema: &str,
        made_by: &str,
        compression: Compression,
    ) -> Result<Parquet, ItemsError> {
        let properties = WriterProperties::builder()
            .set_created_by(made_by.into())
            // Numbers that hardly repeat: a dictionary would only cost.
            .set_dictionary_enabled(false)
            .set_compression(compression)
            .build();
        let schema = Arc::new(parse_message_type(schema)?);
        Ok(Parquet(SerializedFileWriter::new(File::create(path)?, schema, Arc::new(properties))?))
    }

    /// Adds a row group. `level` is the definition level of an element of a list.
    fn group<I: DataType>(
        &mut self,
        ids: &[I::T],
        values: &[f32],
        rank: usize,
        level: i16,
    ) -> Result<(), ItemsError> {
        let mut group = self.0.next_row_group()?;
        column::<I>(&mut group, ids, None)?;
        // A list begins where the repetition level is 0.
        let defined = vec![level; values.len()];
        let repeated: Vec<i16> = (0..values.len()).map(|place| i16::from(place % rank != 0)).collect();
        column::<FloatType>(&mut group, values, Some((&defined, &repeated)))?;
        group.close()?;
        Ok(())
    }

    fn finish(self) -> Result<File, ItemsError> {
        Ok(self.0.into_inner()?)
    }
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    levels: Option<(&[i16], &[i16])>,
) -> Result<(), ItemsError> {
    if let Some(mut column) = group.next_column()? {
        let (defined, repeated) = levels.unzip();
        column.typed::<T>().write_batch(values, defined, repeated)?;
        column.close()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_integer_only_where_it_would_be_written_so_again() {
        let written = ["0", "-7", "2147483647"].map(integer);
        assert_eq!(written, [Some(0), Some(-7), Some(i32::MAX)]);
        for other in ["", "007", "+5", "-0", " 5", "2147483648", "5.0", "i5"] {
            assert_eq!(integer(other), None, "{other:?}");
        }
    }
}
