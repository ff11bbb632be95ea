//! Tables read off the store, in batches, as fast as they are taken: the catalogue, counts, lists, and records where there is
//! no archive.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, ListBuilder,
    RecordBatch, StringBuilder, TimestampMillisecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use tokio::sync::mpsc::Sender;

use super::tables::{self, Kind};
use crate::engine::batches;
use crate::records::{self, Record};
use crate::stores::formats::{self, meta};
use crate::stores::rocks::RocksStore;
use crate::stores::{StoreError, Table, Tables};

/// How many rows a batch has.
const ROWS: usize = 8192;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A table of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Items,
    Popularity,
    Lists,
    Records,
}

impl Stored {
    /// Those that every folder has.
    pub const ALL: [Stored; 3] = [Stored::Items, Stored::Popularity, Stored::Lists];

    pub fn name(self) -> &'static str {
        match self {
            Stored::Items => "items",
            Stored::Popularity => "popularity",
            Stored::Lists => "lists",
            Stored::Records => "records",
        }
    }

    /// The table over a store; `read` says whether a query asked for it.
    pub fn over(self, store: Arc<RocksStore>, read: Arc<AtomicBool>) -> Result<StreamingTable> {
        let schema = tables::table(self.name()).schema();
        let whole = Whole { table: self, store, read, schema: schema.clone() };
        StreamingTable::try_new(schema, vec![Arc::new(whole)])
    }

    fn read(self, store: &dyn Tables, rows: &mut Rows<'_>) -> Result<(), StoreError> {
        match self {
            Stored::Items => items(store, rows),
            Stored::Popularity => popularity(store, rows),
            Stored::Lists => lists(store, rows),
            Stored::Records => all_records(store, rows),
        }
    }
}

/// All rows of a table, as one stream.
struct Whole {
    table: Stored,
    store: Arc<RocksStore>,
    read: Arc<AtomicBool>,
    schema: SchemaRef,
}

impl std::fmt::Debug for Whole {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.table.name())
    }
}

impl PartitionStream for Whole {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.read.store(true, Ordering::Relaxed);
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let (table, store, to) = (self.table, self.store.clone(), stream.tx());
        stream.spawn_blocking(move || {
            let mut rows = Rows::new(tables::table(table.name()), to);
            table.read(&*store, &mut rows).map_err(|error| DataFusionError::External(error.into()))?;
            rows.send()
        });
        stream.build()
    }
}

/// A cell on its way.
enum Cell<'a> {
    Text(&'a str),
    Texts(&'a [String]),
    /// An integer, a decimal's millionths, a moment's milliseconds or a day's number.
    Whole(i64),
    Double(f64),
    Boolean(bool),
    None,
}

fn text(text: Option<&str>) -> Cell<'_> {
    text.map_or(Cell::None, Cell::Text)
}

fn whole<'a>(number: Option<i64>) -> Cell<'a> {
    number.map_or(Cell::None, Cell::Whole)
}

/// A column on its way.
enum Builder {
    Text(StringBuilder),
    Texts(ListBuilder<StringBuilder>),
    Integer(Int64Builder),
    Decimal(Decimal128Builder),
    Double(Float64Builder),
    Moment(TimestampMillisecondBuilder),
    Day(Date32Builder),
    Boolean(BooleanBuilder),
}

impl Builder {
    fn new(kind: Kind) -> Builder {
        match kind {
            Kind::Text => Builder::Text(StringBuilder::new()),
            Kind::Texts => {
                let element = Field::new("element", DataType::Utf8, false);
                Builder::Texts(ListBuilder::new(StringBuilder::new()).with_field(element))
            }
            Kind::Integer => Builder::Integer(Int64Builder::new()),
            Kind::Decimal => Builder::Decimal(Decimal128Builder::new().with_data_type(Kind::Decimal.arrow())),
            Kind::Double => Builder::Double(Float64Builder::new()),
            Kind::Moment => Builder::Moment(TimestampMillisecondBuilder::new().with_timezone("UTC")),
            Kind::Day => Builder::Day(Date32Builder::new()),
            Kind::Boolean => Builder::Boolean(BooleanBuilder::new()),
        }
    }

    fn push(&mut self, cell: &Cell<'_>) {
        let number = if let Cell::Whole(number) = cell { Some(*number) } else { None };
        match self {
            Builder::Text(builder) => {
                builder.append_option(if let Cell::Text(text) = cell { Some(*text) } else { None });
            }
            Builder::Texts(builder) => {
                let texts = if let Cell::Texts(texts) = cell { *texts } else { &[] };
                texts.iter().for_each(|text| builder.values().append_value(text));
                builder.append(!texts.is_empty());
            }
            Builder::Integer(builder) => builder.append_option(number),
            Builder::Decimal(builder) => builder.append_option(number.map(i128::from)),
            Builder::Double(builder) => {
                builder.append_option(if let Cell::Double(number) = cell { Some(*number) } else { None });
            }
            Builder::Moment(builder) => builder.append_option(number),
            Builder::Day(builder) => builder.append_option(number.and_then(|day| day.try_into().ok())),
            Builder::Boolean(builder) => {
                builder.append_option(if let Cell::Boolean(is) = cell { Some(*is) } else { None });
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Texts(builder) => Arc::new(builder.finish()),
            Builder::Integer(builder) => Arc::new(builder.finish()),
            Builder::Decimal(builder) => Arc::new(builder.finish()),
            Builder::Double(builder) => Arc::new(builder.finish()),
            Builder::Moment(builder) => Arc::new(builder.finish()),
            Builder::Day(builder) => Arc::new(builder.finish()),
            Builder::Boolean(builder) => Arc::new(builder.finish()),
        }
    }
}

/// Rows on their way to whoever takes them.
struct Rows<'a> {
    table: &'a tables::Table,
    columns: Vec<Builder>,
    count: usize,
    to: Sender<Result<RecordBatch>>,
}

impl<'a> Rows<'a> {
    fn new(table: &'a tables::Table, to: Sender<Result<RecordBatch>>) -> Self {
        let columns = table.columns.iter().map(|column| Builder::new(column.kind)).collect();
        Rows { table, columns, count: 0, to }
    }

    /// Adds a row; breaks where nobody takes more.
    fn push(&mut self, row: &[Cell<'_>]) -> ControlFlow<()> {
        debug_assert_eq!(row.len(), self.columns.len());
        self.columns.iter_mut().zip(row).for_each(|(column, cell)| column.push(cell));
        self.count += 1;
        if self.count < ROWS {
            return ControlFlow::Continue(());
        }
        match self.send() {
            Ok(()) if !self.to.is_closed() => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }

    fn send(&mut self) -> Result<()> {
        if std::mem::take(&mut self.count) == 0 {
            return Ok(());
        }
        let columns = self.columns.iter_mut().map(Builder::finish).collect();
        let batch = RecordBatch::try_new(self.table.schema(), columns)?;
        // Whoever has enough takes no more.
        let _ = self.to.blocking_send(Ok(batch));
        Ok(())
    }
}

/// Shows the entries of a table to what may fail.
fn scan(
    store: &dyn Tables,
    table: Table,
    prefix: &[u8],
    show: &mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let mut failed = None;
    store.scan(table, prefix, prefix, &mut |key, value| {
        show(key, value).unwrap_or_else(|error| {
            failed = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failed.map_or(Ok(()), Err)
}

/// What the body of an item says.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Body {
    title: Option<String>,
    genres: Vec<String>,
    countries: Vec<String>,
}

impl Body {
    fn read(body: &str) -> Body {
        serde_json::from_str(body).unwrap_or_default()
    }
}

fn items(store: &dyn Tables, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    scan(store, Table::Items, &[], &mut |key, value| {
        let (at, withdrawn, body) = formats::decode_item(key, value)?;
        let (id, body) = (String::from_utf8_lossy(key), Body::read(body));
        Ok(rows.push(&[
            Cell::Text(&id),
            Cell::Whole(at),
            text(body.title.as_deref()),
            Cell::Texts(&body.genres),
            Cell::Texts(&body.countries),
            Cell::Boolean(withdrawn),
        ]))
    })
}

fn popularity(store: &dyn Tables, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    scan(store, Table::Popularity, &[], &mut |key, value| {
        let cell = formats::decode_cell_key(key)?;
        let count = formats::decode_count(Table::Popularity, key, value)?;
        Ok(rows.push(&[
            Cell::Text(cell.item),
            Cell::Text(cell.kind),
            text(Some(cell.country).filter(|country| !country.is_empty())),
            Cell::Whole(i64::from(cell.hour) * HOUR),
            Cell::Whole(count as i64),
        ]))
    })
}

fn lists(store: &dyn Tables, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    let mut push = |member: Option<&str>, list: &str, entries: &mut dyn Iterator<Item = (&str, f64)>| {
        for (place, (item, score)) in entries.enumerate() {
            let position = Cell::Whole(place as i64 + 1);
            let row = [text(member), Cell::Text(list), position, Cell::Text(item), Cell::Double(score)];
            if rows.push(&row).is_break() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    };
    scan(store, Table::TopPicks, &[], &mut |key, value| {
        let entries = formats::decode_scored(key, value)?;
        let member = String::from_utf8_lossy(key);
        let mut entries = entries.into_iter().map(|(item, score)| (item, f64::from(score)));
        Ok(push(Some(&member), "top_picks", &mut entries))
    })?;
    scan(store, Table::ContinueWatching, &[], &mut |key, value| {
        let entries = formats::decode_begun(key, value)?;
        let member = String::from_utf8_lossy(key);
        let mut entries = entries.into_iter().map(|(item, _, watched)| (item, watched as f64 / 1e6));
        Ok(push(Some(&member), "continue_watching", &mut entries))
    })?;
    if let Some(batch) = batches::live(store)? {
        let generation = batch.generation.to_be_bytes();
        scan(store, Table::BatchLists, &generation, &mut |key, value| {
            let entries = formats::decode_ranked(key, value)?;
            let member = String::from_utf8_lossy(&key[generation.len()..]);
            Ok(push(Some(&member), "batch", &mut entries.into_iter()))
        })?;
    }
    if let Some(value) = store.get(Table::Meta, meta::TRENDING)? {
        let trends = formats::decode_trends(&value)?;
        // Scores are in units of 2⁻³².
        let mut entries = trends.into_iter().map(|(item, score)| (item, score as f64 / (1_u64 << 32) as f64));
        let _ = push(None, "trending", &mut entries);
    }
    Ok(())
}

/// Live events and retractions, and the catalogue.
fn all_records(store: &dyn Tables, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    let mut normal = Vec::new();
    scan(store, Table::Records, &[], &mut |key, value| {
        formats::record_of(key, value, &mut normal)?;
        let damaged = || formats::damaged(Table::Records, key, "holds no record");
        Ok(push_record(rows, &records::decode(&normal).map_err(|_| damaged())?))
    })?;
    scan(store, Table::Items, &[], &mut |key, value| {
        let (at, withdrawn, body) = formats::decode_item(key, value)?;
        let (id, body) = (String::from_utf8_lossy(key), Body::read(body));
        let none = || Cell::None;
        Ok(rows.push(&[
            none(),
            Cell::Text("item"),
            none(),
            Cell::Text(&id),
            none(),
            none(),
            Cell::Whole(at),
            none(),
            none(),
            text(body.title.as_deref()),
            Cell::Texts(&body.genres),
            Cell::Texts(&body.countries),
            Cell::Boolean(withdrawn),
            Cell::Whole(0),
        ]))
    })
}

fn push_record(rows: &mut Rows<'_>, record: &Record<'_>) -> ControlFlow<()> {
    let (kind, event, id) = match record {
        Record::Event(event) => ("event", Some(event), event.id),
        Record::Retract(event) => ("retract", Some(event), event.id),
        Record::RetractId { id, .. } => ("retract", None, Some(*id)),
        _ => return ControlFlow::Continue(()),
    };
    let context = event.map(|event| event.context).filter(|context| !context.is_empty());
    // What no member did at a moment lies under the first day, as in the archive.
    let day = event.map_or(0, |event| event.at.div_euclid(DAY));
    let none = || Cell::None;
    rows.push(&[
        none(),
        Cell::Text(kind),
        text(record.member()),
        text(event.map(|event| event.item)),
        text(event.map(|event| event.kind)),
        whole(event.map(|event| event.value)),
        whole(event.map(|event| event.at)),
        text(id),
        text(context),
        none(),
        none(),
        none(),
        none(),
        Cell::Whole(day),
    ])
}
