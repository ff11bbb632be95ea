//! Records as a file of Parquet: sorted, with statistics, and a bloom filter of the members, by which an erasure finds the
//! files that it must rewrite.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::rows::Rows;
use crate::records::{self, Record};

/// The columns. All readers take them as they are; `sources/parquet` reads them back.
const SCHEMA: &str = "message record {
    REQUIRED INT64 epoch;
    REQUIRED BYTE_ARRAY type (STRING);
    OPTIONAL BYTE_ARRAY member (STRING);
    OPTIONAL BYTE_ARRAY item (STRING);
    OPTIONAL BYTE_ARRAY kind (STRING);
    OPTIONAL INT64 value (DECIMAL(16,6));
    OPTIONAL INT64 at (TIMESTAMP(MILLIS,true));
    OPTIONAL BYTE_ARRAY id (STRING);
    OPTIONAL BYTE_ARRAY context (STRING);
    OPTIONAL BYTE_ARRAY title (STRING);
    OPTIONAL GROUP genres (LIST) { REPEATED GROUP list { REQUIRED BYTE_ARRAY element (STRING); } }
    OPTIONAL GROUP countries (LIST) { REPEATED GROUP list { REQUIRED BYTE_ARRAY element (STRING); } }
    OPTIONAL BOOLEAN withdrawn;
    OPTIONAL BYTE_ARRAY digest (STRING);
    OPTIONAL BYTE_ARRAY tombstone (STRING);
}";

/// The places of the columns that files are sorted by.
const SORTED_BY: [i32; 3] = [2, 6, 3];

/// Rows of one row group: bounds the memory of who reads it.
const ROWS_AT_ONCE: usize = 131_072;

/// How likely a member's absence from a file is not seen in its bloom filter.
const MISTAKEN: f64 = 0.01;

/// Writes rows, which are sorted, as a file.
pub fn write(rows: &Rows) -> Result<Vec<u8>, ParquetError> {
    let sorted = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: true };
    let (from, to) = rows.epochs();
    let said = |key: &str, value: u64| KeyValue::new(key.to_owned(), value.to_string());
    let member = ColumnPath::from("member");
    let properties = WriterProperties::builder()
        .set_created_by(concat!("nearline version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_sorting_columns(Some(SORTED_BY.map(sorted).to_vec()))
        .set_key_value_metadata(Some(vec![said("nearline.from", from), said("nearline.to", to)]))
        .set_column_bloom_filter_enabled(member.clone(), true)
        .set_column_bloom_filter_fpp(member.clone(), MISTAKEN)
        .set_column_bloom_filter_max_ndv(member, rows.len().clamp(1, ROWS_AT_ONCE) as u64)
        .build();
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut columns = Columns::default();
    for (epoch, normal) in rows.iter() {
        // What is no record was never queued.
        let Ok(record) = records::decode(normal) else { continue };
        columns.push(epoch, &record);
        if columns.epoch.len() == ROWS_AT_ONCE {
            group(&mut file, std::mem::take(&mut columns))?;
        }
    }
    if !columns.epoch.is_empty() {
        group(&mut file, columns)?;
    }
    file.into_inner()
}

fn group(file: &mut SerializedFileWriter<Vec<u8>>, columns: Columns) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    columns.write(&mut group)?;
    group.close().map(drop)
}

/// The columns of a row group.
#[derive(Default)]
struct Columns {
    epoch: Vec<i64>,
    kinds: Vec<ByteArray>,
    member: Cells<ByteArray>,
    item: Cells<ByteArray>,
    kind: Cells<ByteArray>,
    value: Cells<i64>,
    at: Cells<i64>,
    id: Cells<ByteArray>,
    context: Cells<ByteArray>,
    title: Cells<ByteArray>,
    genres: Lists,
    countries: Lists,
    withdrawn: Cells<bool>,
    digest: Cells<ByteArray>,
    tombstone: Cells<ByteArray>,
}

/// Cells that may be null.
struct Cells<T> {
    values: Vec<T>,
    defined: Vec<i16>,
}

impl<T> Default for Cells<T> {
    fn default() -> Self {
        Cells { values: Vec::new(), defined: Vec::new() }
    }
}

impl<T> Cells<T> {
    fn push(&mut self, value: Option<T>) {
        self.defined.push(i16::from(value.is_some()));
        self.values.extend(value);
    }
}

/// Lists of text that may be null.
#[derive(Default)]
struct Lists {
    values: Vec<ByteArray>,
    defined: Vec<i16>,
    repeated: Vec<i16>,
}

impl Lists {
    fn push(&mut self, texts: &[String]) {
        if texts.is_empty() {
            self.defined.push(0);
            self.repeated.push(0);
        }
        for (place, text) in texts.iter().enumerate() {
            self.values.push(ByteArray::from(text.as_str()));
            self.defined.push(2);
            self.repeated.push(i16::from(place > 0));
        }
    }
}

/// What the body of an item says.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Body {
    title: Option<String>,
    genres: Vec<String>,
    countries: Vec<String>,
}

fn text(text: &str) -> Option<ByteArray> {
    Some(ByteArray::from(text))
}

impl Columns {
    fn push(&mut self, epoch: u64, record: &Record<'_>) {
        self.epoch.push(epoch as i64);
        self.kinds.push(ByteArray::from(match record {
            Record::Event(_) => "event",
            Record::Retract(_) | Record::RetractId { .. } => "retract",
            Record::Forget { .. } => "forget",
            Record::Trim { .. } => "trim",
            Record::Item(_) => "item",
            Record::Tombstone(_) => "tombstone",
            Record::Key(_) => "key",
        }));
        let event = match record {
            Record::Event(event) | Record::Retract(event) => Some(event),
            _ => None,
        };
        let version = match record {
            Record::Item(version) => Some(version),
            _ => None,
        };
        let tombstone = match record {
            Record::Tombstone(tombstone) => Some(tombstone),
            _ => None,
        };
        let at = match record {
            Record::Forget { at, .. } | Record::Trim { at } => Some(*at),
            _ => event.map(|event| event.at).or(version.map(|version| version.at)),
        };
        let id = match record {
            Record::RetractId { id, .. } => Some(*id),
            _ => event.and_then(|event| event.id),
        };
        let item = event.map(|event| event.item).or(version.map(|version| version.item));
        let body: Body =
            version.and_then(|version| serde_json::from_str(version.body).ok()).unwrap_or_default();
        self.member.push(record.member().and_then(text));
        self.item.push(item.and_then(text));
        self.kind.push(event.and_then(|event| text(event.kind)));
        self.value.push(event.map(|event| event.value));
        self.at.push(at);
        self.id.push(id.and_then(text));
        self.context
            .push(event.filter(|event| !event.context.is_empty()).and_then(|event| text(event.context)));
        self.title.push(body.title.as_deref().and_then(text));
        self.genres.push(&body.genres);
        self.countries.push(&body.countries);
        self.withdrawn.push(version.map(|version| version.withdrawn));
        self.digest.push(tombstone.and_then(|tombstone| text(tombstone.member)));
        self.tombstone.push(tombstone.and_then(|tombstone| text(tombstone.body)));
    }

    fn write(self, group: &mut SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<(), ParquetError> {
        column::<Int64Type>(group, &self.epoch, None, None)?;
        column::<ByteArrayType>(group, &self.kinds, None, None)?;
        cells::<ByteArrayType>(group, &self.member)?;
        cells::<ByteArrayType>(group, &self.item)?;
        cells::<ByteArrayType>(group, &self.kind)?;
        cells::<Int64Type>(group, &self.value)?;
        cells::<Int64Type>(group, &self.at)?;
        cells::<ByteArrayType>(group, &self.id)?;
        cells::<ByteArrayType>(group, &self.context)?;
        cells::<ByteArrayType>(group, &self.title)?;
        for lists in [&self.genres, &self.countries] {
            column::<ByteArrayType>(group, &lists.values, Some(&lists.defined), Some(&lists.repeated))?;
        }
        cells::<BoolType>(group, &self.withdrawn)?;
        cells::<ByteArrayType>(group, &self.digest)?;
        cells::<ByteArrayType>(group, &self.tombstone)
    }
}

fn cells<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    cells: &Cells<T::T>,
) -> Result<(), ParquetError> {
    column::<T>(group, &cells.values, Some(&cells.defined), None)
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    defined: Option<&[i16]>,
    repeated: Option<&[i16]>,
) -> Result<(), ParquetError> {
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(values, defined, repeated)?;
        column.close()?;
    }
    Ok(())
}
