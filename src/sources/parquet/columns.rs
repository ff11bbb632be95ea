//! Which column of a file is which field of a record, and whether it can be.

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::RowsError;

/// A field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Type,
    Member,
    Item,
    Kind,
    Value,
    At,
    Id,
    Context,
    Title,
    Genres,
    Countries,
    Withdrawn,
    Digest,
    Tombstone,
    Epoch,
}

/// Every field, with the name of its column.
const FIELDS: [(Field, &str); 15] = [
    (Field::Type, "type"),
    (Field::Member, "member"),
    (Field::Item, "item"),
    (Field::Kind, "kind"),
    (Field::Value, "value"),
    (Field::At, "at"),
    (Field::Id, "id"),
    (Field::Context, "context"),
    (Field::Title, "title"),
    (Field::Genres, "genres"),
    (Field::Countries, "countries"),
    (Field::Withdrawn, "withdrawn"),
    (Field::Digest, "digest"),
    (Field::Tombstone, "tombstone"),
    (Field::Epoch, "epoch"),
];

/// How the cells of a column are read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// Text.
    Text,
    /// Lists of text.
    Texts,
    /// An integer that stands for its digits.
    Whole { unsigned: bool },
    /// A decimal with so many digits behind the point, in an integer or in bytes.
    Decimal { scale: usize },
    /// A float.
    Float,
    /// A moment, in units of which a millisecond has so many.
    Moment { per_ms: i64 },
    /// A moment as Spark wrote it before it had a type for it.
    Moment96,
    /// True or false.
    Switch,
}

/// A column that is read.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub field: Field,
    pub reading: Reading,
    /// Which of the file's leaves.
    pub leaf: usize,
    /// The definition level of a cell that is there.
    pub defined: i16,
}

/// The columns of a file that records are made of.
pub fn columns(schema: &SchemaDescriptor) -> Result<Vec<Column>, RowsError> {
    let mut found = Vec::new();
    for (field, name) in FIELDS {
        let leaves: Vec<usize> = (0..schema.num_columns())
            .filter(|leaf| schema.column(*leaf).path().parts().first().is_some_and(|first| first == name))
            .collect();
        match leaves[..] {
            [] => {}
            [leaf] => {
                let column = schema.column(leaf);
                let reading = reading(field, &column).ok_or_else(|| wrong_type(field, name, &column))?;
                found.push(Column { field, reading, leaf, defined: column.max_def_level() });
            }
            _ => {
                return Err(RowsError::Wrong(format!(
                    "the column `{name}` has fields of its own, and must be {}",
                    wanted(field)
                )));
            }
        }
    }
    let has = |field| found.iter().any(|column: &Column| column.field == field);
    let events = [Field::Member, Field::Item, Field::Kind, Field::At];
    // With a type there may be rows of other records alone; what an event lacks its row says.
    let needed = if has(Field::Type) { &[][..] } else { &events[..] };
    for (field, name) in FIELDS {
        if needed.contains(&field) && !has(field) {
            let mut others: Vec<&str> = (0..schema.num_columns())
                .filter_map(|leaf| schema.columns()[leaf].path().parts().first().map(String::as_str))
                .collect();
            others.dedup();
            return Err(RowsError::Wrong(format!(
                "it has no column `{name}`, but {}; records need `member`, `item`, `kind` and `at`, or a `type` \
                 (docs/archive.md)",
                others.join(", ")
            )));
        }
    }
    Ok(found)
}

fn wanted(field: Field) -> &'static str {
    match field {
        Field::Value => "a decimal, a float or an integer",
        Field::At => "a timestamp, milliseconds since 1970 as an integer of 64 bits, or text (RFC 3339)",
        Field::Genres | Field::Countries => "a list of texts",
        Field::Withdrawn => "true or false",
        Field::Context => "text, an object of JSON",
        Field::Epoch => "an integer",
        Field::Member | Field::Item | Field::Kind | Field::Id => "text or an integer",
        _ => "text",
    }
}

fn wrong_type(field: Field, name: &str, column: &ColumnDescriptor) -> RowsError {
    RowsError::Wrong(format!(
        "the column `{name}` is {}{}, and must be {}",
        if column.max_rep_level() > 0 { "a list of " } else { "" },
        column.logical_type_ref().map_or_else(
            || column.physical_type().to_string(),
            |logical| format!("{logical:?} in {}", column.physical_type())
        ),
        wanted(field)
    ))
}

/// How a column is read as a field; not at all where its type is none for it.
fn reading(field: Field, column: &ColumnDescriptor) -> Option<Reading> {
    let (physical, converted) = (column.physical_type(), column.converted_type());
    let list = column.max_rep_level();
    let texts = physical == Physical::BYTE_ARRAY;
    if matches!(field, Field::Genres | Field::Countries) {
        return (list == 1 && texts).then_some(Reading::Texts);
    }
    if list > 0 || column.path().parts().len() > 1 {
        return None;
    }
    let whole = matches!(physical, Physical::INT32 | Physical::INT64);
    let unsigned = matches!(
        converted,
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64
    );
    match field {
        Field::Value => decimal(column).or(match physical {
            Physical::FLOAT | Physical::DOUBLE => Some(Reading::Float),
            _ if whole => Some(Reading::Whole { unsigned }),
            _ => None,
        }),
        Field::At => match physical {
            Physical::INT96 => Some(Reading::Moment96),
            Physical::INT64 => moment(column),
            Physical::BYTE_ARRAY if decimal(column).is_none() => Some(Reading::Text),
            _ => None,
        },
        Field::Withdrawn => (physical == Physical::BOOLEAN).then_some(Reading::Switch),
        Field::Epoch => whole.then_some(Reading::Whole { unsigned }),
        Field::Member | Field::Item | Field::Kind | Field::Id if whole && decimal(column).is_none() => {
            Some(Reading::Whole { unsigned })
        }
        _ => (texts && decimal(column).is_none()).then_some(Reading::Text),
    }
}

fn decimal(column: &ColumnDescriptor) -> Option<Reading> {
    let scale = match column.logical_type_ref() {
        Some(LogicalType::Decimal(decimal)) => decimal.scale,
        _ if column.converted_type() == ConvertedType::DECIMAL => column.type_scale(),
        _ => return None,
    };
    usize::try_from(scale).ok().map(|scale| Reading::Decimal { scale })
}

fn moment(column: &ColumnDescriptor) -> Option<Reading> {
    let per_ms = match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Timestamp(moment)), _) => match moment.unit {
            TimeUnit::MILLIS => 1,
            TimeUnit::MICROS => 1_000,
            TimeUnit::NANOS => 1_000_000,
        },
        (_, ConvertedType::TIMESTAMP_MICROS) => 1_000,
        (_, ConvertedType::TIMESTAMP_MILLIS | ConvertedType::NONE | ConvertedType::INT_64) => 1,
        _ => return None,
    };
    Some(Reading::Moment { per_ms })
}
