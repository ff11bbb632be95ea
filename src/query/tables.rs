//! The tables of queries and their columns: the one dictionary, by which tables are made and which `query --tables` prints.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// A table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What a row is.
    pub what: &'static str,
    /// Its columns.
    pub columns: &'static [Column],
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Of which type.
    pub kind: Kind,
    /// What it says.
    pub what: &'static str,
}

/// The types of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A list of texts.
    Texts,
    /// An integer of 64 bits.
    Integer,
    /// A decimal of six places.
    Decimal,
    /// A number of double precision.
    Double,
    /// A moment, in milliseconds, UTC.
    Moment,
    /// A day, UTC.
    Day,
    /// Yes or no.
    Boolean,
}

const fn column(name: &'static str, kind: Kind, what: &'static str) -> Column {
    Column { name, kind, what }
}

/// The column that says in which folder of the archive a record lies: its files do not hold it.
pub const DAY: &str = "day";

/// All tables.
pub const TABLES: [Table; 4] = [
    Table {
        name: "records",
        what: "a record that was accepted; of an event that was retracted there is the event and its retraction",
        columns: &[
            column("epoch", Kind::Integer, "in which it was accepted; unknown where there is no archive"),
            column("type", Kind::Text, "event, retract, item or trim"),
            column("member", Kind::Text, "whose"),
            column("item", Kind::Text, "on what"),
            column("kind", Kind::Text, "what was done"),
            column("value", Kind::Decimal, "how much of it"),
            column("at", Kind::Moment, "when"),
            column("id", Kind::Text, "the event's own id"),
            column("context", Kind::Text, "what else was said, a JSON object"),
            column("title", Kind::Text, "of an item: its title"),
            column("genres", Kind::Texts, "of an item: its genres"),
            column("countries", Kind::Texts, "of an item: where it is to be had"),
            column("withdrawn", Kind::Boolean, "of an item: whether it was withdrawn"),
            column(DAY, Kind::Day, "the day of `at`; only files of the days that are asked for are read"),
        ],
    },
    Table {
        name: "items",
        what: "an item of the catalogue, as it is now",
        columns: &[
            column("item", Kind::Text, "its id"),
            column("at", Kind::Moment, "when this version of it was made"),
            column("title", Kind::Text, "its title"),
            column("genres", Kind::Texts, "its genres"),
            column("countries", Kind::Texts, "where it is to be had"),
            column("withdrawn", Kind::Boolean, "whether it was withdrawn"),
        ],
    },
    Table {
        name: "popularity",
        what: "how many live events of a kind an item has in an hour, by country",
        columns: &[
            column("item", Kind::Text, "the item"),
            column("kind", Kind::Text, "the kind of the events"),
            column("country", Kind::Text, "their country; none where they named none"),
            column("hour", Kind::Moment, "the hour, by its beginning"),
            column("count", Kind::Integer, "how many"),
        ],
    },
    Table {
        name: "lists",
        what: "a place of a list that is kept, as it is stored",
        columns: &[
            column("member", Kind::Text, "whose; none in trending"),
            column(
                "list",
                Kind::Text,
                "top_picks, continue_watching, trending, or batch: the last batch job's",
            ),
            column("position", Kind::Integer, "from 1"),
            column("item", Kind::Text, "the item"),
            column(
                "score",
                Kind::Double,
                "what the list is ordered by: the score, the part watched, events, the newest counting most",
            ),
        ],
    },
];

impl Kind {
    /// The type of Arrow.
    pub fn arrow(self) -> DataType {
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Texts => DataType::List(Arc::new(Field::new("element", DataType::Utf8, false))),
            Kind::Integer => DataType::Int64,
            Kind::Decimal => DataType::Decimal128(16, 6),
            Kind::Double => DataType::Float64,
            Kind::Moment => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Kind::Day => DataType::Date32,
            Kind::Boolean => DataType::Boolean,
        }
    }
}

/// A type by its name.
pub fn type_name(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::List(field) => format!("{}[]", type_name(field.data_type())),
        other => other.to_string().to_lowercase(),
    }
}

/// The table of a name.
pub fn table(name: &str) -> &'static Table {
    TABLES.iter().find(|table| table.name == name).expect("all tables that are made are in the dictionary")
}

impl Table {
    /// Its columns as Arrow has them, but for one.
    pub fn schema_without(&self, left_out: &str) -> SchemaRef {
        let columns = self.columns.iter().filter(|column| column.name != left_out);
        let fields: Vec<Field> =
            columns.map(|column| Field::new(column.name, column.kind.arrow(), true)).collect();
        Arc::new(Schema::new(fields))
    }

    /// Its columns as Arrow has them.
    pub fn schema(&self) -> SchemaRef {
        self.schema_without("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_that_are_documented_are_those_there_are() {
        let text = include_str!("../../docs/query.md");
        for table in TABLES {
            let (_, section) = text.split_once(&format!("### `{}`", table.name)).unwrap();
            let section = section.split("\n### ").next().unwrap().split("\n## ").next().unwrap();
            let named: Vec<&str> = section
                .lines()
                .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name))
                .collect();
            let known: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
            assert_eq!(named, known, "{}", table.name);
            for column in table.columns {
                let row =
                    format!("| `{}` | {} | {} |", column.name, type_name(&column.kind.arrow()), column.what);
                assert!(section.contains(&row), "docs/query.md lacks {row}");
            }
        }
    }
}
