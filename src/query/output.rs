//! What comes of a query, written as it comes: a table for people, or CSV, JSON and Parquet.

use std::io::Write;
use std::ops::ControlFlow;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;

use super::QueryError;

/// Rows of one row group: bounds the memory of who writes and who reads it.
const ROWS_AT_ONCE: usize = 131_072;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people; so many rows at most.
    Table(usize),
    /// Comma separated values, with a header.
    Csv,
    /// A JSON object a line.
    Json,
    /// Parquet.
    Parquet,
}

/// Where bytes go.
pub type Out = Box<dyn Write + Send>;

/// Takes rows.
pub struct Sink {
    format: Format,
    out: Option<Out>,
    state: State,
    touched: bool,
}

enum State {
    New,
    Table(Shown),
    Csv(Box<csv::Writer<Out>>),
    Json(LineDelimitedWriter<Out>),
    Parquet(Box<ArrowWriter<Out>>),
}

/// Rows for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The names of the columns.
    pub header: Vec<String>,
    /// Which of them are numbers.
    pub numbers: Vec<usize>,
    /// The cells.
    pub rows: Vec<Vec<String>>,
    /// Whether there are more rows than these.
    pub more: bool,
    /// Whether it is a plan, whose cells have many lines.
    pub plan: bool,
}

impl Sink {
    /// Writes in this format.
    pub fn new(format: Format, out: Out) -> Sink {
        Sink { format, out: Some(out), state: State::New, touched: false }
    }

    /// Whether nothing was written yet.
    pub fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// Begins with the columns; again, where nothing was written.
    pub(super) fn begin(&mut self, schema: &SchemaRef, plan: bool) -> Result<(), QueryError> {
        let numbers = schema.fields().iter().enumerate().filter(|(_, field)| field.data_type().is_numeric());
        let header: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        if let Format::Table(_) = self.format {
            let numbers = numbers.map(|(place, _)| place).collect();
            self.state = State::Table(Shown { header, numbers, plan, ..Shown::default() });
            return Ok(());
        }
        // It is begun once: what was begun and not touched goes on.
        let Some(out) = self.out.take() else { return Ok(()) };
        self.state = match self.format {
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(&header).map_err(csv_failed)?;
                State::Csv(Box::new(writer))
            }
            Format::Json => State::Json(LineDelimitedWriter::new(out)),
            Format::Parquet | Format::Table(_) => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(ROWS_AT_ONCE))
                    .build();
                let writer =
                    ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(parquet_failed)?;
                State::Parquet(Box::new(writer))
            }
        };
        Ok(())
    }

    /// Takes rows; breaks where no more are wanted.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<ControlFlow<()>, QueryError> {
        self.touched |= batch.num_rows() > 0;
        match (&mut self.state, self.format) {
            (State::Table(shown), Format::Table(most)) => {
                let more = each_row(batch, &mut |row| {
                    if shown.rows.len() == most {
                        shown.more = true;
                        return Ok(ControlFlow::Break(()));
                    }
                    shown.rows.push(row.to_vec());
                    Ok(ControlFlow::Continue(()))
                })?;
                return Ok(more);
            }
            (State::Csv(writer), _) => {
                let _ = each_row(batch, &mut |row| {
                    writer.write_record(row).map_err(csv_failed)?;
                    Ok(ControlFlow::Continue(()))
                })?;
            }
            (State::Json(writer), _) => writer.write(batch).map_err(arrow_failed)?,
            (State::Parquet(writer), _) => writer.write(batch).map_err(parquet_failed)?,
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Ends; says what there is to show to people.
    pub fn finish(self) -> Result<Option<Shown>, QueryError> {
        match self.state {
            State::New => {}
            State::Table(shown) => return Ok(Some(shown)),
            State::Csv(mut writer) => writer.flush()?,
            State::Json(mut writer) => {
                writer.finish().map_err(arrow_failed)?;
                writer.into_inner().flush()?;
            }
            State::Parquet(writer) => writer.into_inner().map_err(parquet_failed)?.flush()?,
        }
        Ok(None)
    }
}

/// Shows the cells of each row as text.
fn each_row(
    batch: &RecordBatch,
    show: &mut dyn FnMut(&[String]) -> Result<ControlFlow<()>, QueryError>,
) -> Result<ControlFlow<()>, QueryError> {
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns: Vec<ArrayFormatter<'_>> = columns.collect::<Result<_, _>>().map_err(arrow_failed)?;
    let mut row = Vec::with_capacity(columns.len());
    for place in 0..batch.num_rows() {
        row.clear();
        for column in &columns {
            row.push(column.value(place).try_to_string().map_err(arrow_failed)?);
        }
        if show(&row)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn arrow_failed(error: ArrowError) -> QueryError {
    match error {
        ArrowError::IoError(_, error) => QueryError::Output(error),
        other => QueryError::Failed(other.to_string()),
    }
}

fn csv_failed(error: csv::Error) -> QueryError {
    QueryError::Output(error.into())
}

fn parquet_failed(error: ParquetError) -> QueryError {
    match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => QueryError::Output(*error),
            Err(other) => QueryError::Failed(other.to_string()),
        },
        other => QueryError::Failed(other.to_string()),
    }
}
