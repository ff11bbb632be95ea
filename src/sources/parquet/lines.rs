//! Rows of a Parquet file as lines of JSON, a slice at a time.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::data_type::ByteArray;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::RowsError;
use super::cells::{Cell, Cells};
use super::columns::{Column, Field, Reading, columns};
use crate::records::format_micros;

/// How many rows are read at a time.
const SLICE: usize = 16_384;

/// A file whose rows are read.
pub struct Lines {
    reader: SerializedFileReader<File>,
    columns: Vec<Column>,
    /// The columns of the row group that is being read, and how many of its rows are left.
    group: Vec<Cell>,
    left: usize,
    next_group: usize,
    /// The lines of the slice that was read last.
    pub text: Vec<u8>,
    /// Of each of them the epoch, where the file has such a column; else 0.
    pub epochs: Vec<u64>,
}

/// Rows that were read.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// How many; none at the end.
    pub rows: u64,
}

impl Lines {
    /// Opens a file, whose columns must be those of records.
    pub fn open(file: File) -> Result<Lines, RowsError> {
        // The crate believes some of what a file says of itself, and panics where damage has made it untrue.
        guarded(move || {
            let reader = SerializedFileReader::new(file)?;
            let columns = columns(reader.metadata().file_metadata().schema_descr())?;
            Ok(Lines {
                reader,
                columns,
                group: Vec::new(),
                left: 0,
                next_group: 0,
                text: Vec::new(),
                epochs: Vec::new(),
            })
        })
    }

    /// How many rows the file says it has.
    pub fn rows(&self) -> u64 {
        self.reader.metadata().file_metadata().num_rows().max(0) as u64
    }

    /// Reads the next rows into `text` and `epochs`.
    pub fn next_slice(&mut self) -> Result<Slice, RowsError> {
        guarded(|| self.read())
    }

    fn read(&mut self) -> Result<Slice, RowsError> {
        self.text.clear();
        self.epochs.clear();
        while self.left == 0 {
            if self.next_group == self.reader.metadata().num_row_groups() {
                return Ok(Slice { rows: 0 });
            }
            let group = self.reader.get_row_group(self.next_group)?;
            self.next_group += 1;
            self.left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            self.group.clear();
            for column in &self.columns {
                self.group.push(Cell { column: *column, reader: group.get_column_reader(column.leaf)? });
            }
        }
        let rows = self.left.min(SLICE);
        let mut cells = Vec::with_capacity(self.group.len());
        for cell in &mut self.group {
            cells.push((cell.column, cell.read(rows)?));
        }
        self.left -= rows;
        let row = Rows { cells };
        for place in 0..rows {
            row.write(place, &mut self.text);
            self.epochs.push(row.epoch(place));
        }
        Ok(Slice { rows: rows as u64 })
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, RowsError>) -> Result<T, RowsError> {
    let gave_up = |_| Err(RowsError::Wrong("it is damaged: the reader of Parquet gave up on it".into()));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(gave_up)
}

/// A slice.
struct Rows {
    cells: Vec<(Column, Cells)>,
}

/// The fields in the order in which a line has them, with their names there. What stands in no line is left out.
const ORDER: [(Field, &str); 13] = [
    (Field::Type, "type"),
    (Field::Member, "member"),
    (Field::Digest, "member"),
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
];

impl Rows {
    fn epoch(&self, row: usize) -> u64 {
        let epoch = self.cells.iter().find(|(column, _)| column.field == Field::Epoch);
        match epoch {
            Some((_, Cells::Whole(epochs))) => {
                epochs[row].and_then(|epoch| epoch.try_into().ok()).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Appends a row's line. What is null is left out.
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let begin = out.len();
        out.push(b'{');
        for (field, name) in ORDER {
            if let Some((column, cells)) = self.cells.iter().find(|(column, _)| column.field == field) {
                write_cell(name, column, cells, row, out);
            }
        }
        if let Some((_, Cells::Text(bodies))) =
            self.cells.iter().find(|(column, _)| column.field == Field::Tombstone)
            && let Some(body) = &bodies[row]
        {
            write_raw("body", body.data(), out);
        }
        if out[begin..] == *b"{" {
            // An empty row is no record, and not an empty line, which would be passed over.
            out.extend_from_slice(b"}");
        } else {
            // The last field ended with a comma.
            let last = out.len() - 1;
            out[last] = b'}';
        }
        out.push(b'\n');
    }
}

fn write_cell(name: &str, column: &Column, cells: &Cells, row: usize, out: &mut Vec<u8>) {
    match cells {
        Cells::Text(texts) => match &texts[row] {
            None => {}
            // The usual type goes without saying.
            Some(kind) if column.field == Field::Type && kind.data() == b"event" => {}
            Some(context) if column.field == Field::Context => write_raw(name, context.data(), out),
            Some(text) => write_field(name, out, |out| write_text(text, out)),
        },
        Cells::Texts(lists) => {
            if let Some(texts) = &lists[row] {
                write_field(name, out, |out| {
                    out.push(b'[');
                    for (place, text) in texts.iter().enumerate() {
                        if place > 0 {
                            out.push(b',');
                        }
                        write_text(text, out);
                    }
                    out.push(b']');
                });
            }
        }
        Cells::Whole(numbers) => {
            if let Some(number) = numbers[row] {
                let digits = match column.reading {
                    Reading::Decimal { scale } => decimal(number, scale),
                    _ => number.to_string(),
                };
                let text = matches!(column.field, Field::Member | Field::Item | Field::Kind | Field::Id);
                write_field(name, out, |out| {
                    let quote: &[u8] = if text { b"\"" } else { b"" };
                    out.extend_from_slice(quote);
                    out.extend_from_slice(digits.as_bytes());
                    out.extend_from_slice(quote);
                });
            }
        }
        Cells::Float(numbers) => {
            if let Some(number) = numbers[row] {
                // As JSON has no way to write what is no number, the decoder refuses that by its name.
                write_field(name, out, |out| out.extend_from_slice(number.to_string().as_bytes()));
            }
        }
        Cells::Moment(moments) => {
            if let Some(at) = moments[row] {
                write_field(name, out, |out| out.extend_from_slice(at.to_string().as_bytes()));
            }
        }
        Cells::Switch(switches) => {
            if let Some(on) = switches[row] {
                // It says nothing of an event that it is not withdrawn.
                if on {
                    write_field(name, out, |out| out.extend_from_slice(b"true"));
                }
            }
        }
    }
}

/// Appends a field, with a comma behind it.
fn write_field(name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write(out);
    out.push(b',');
}

/// Appends a field whose text is JSON. A line end in it would end the line.
fn write_raw(name: &str, json: &[u8], out: &mut Vec<u8>) {
    if json.is_empty() {
        return;
    }
    write_field(name, out, |out| {
        out.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    });
}

fn write_text(text: &ByteArray, out: &mut Vec<u8>) {
    match std::str::from_utf8(text.data()) {
        // Writing to memory does not fail.
        Ok(text) => drop(serde_json::to_writer(out, text)),
        // The line is refused for it.
        Err(_) => {
            out.push(b'"');
            out.extend(text.data().iter().filter(|byte| !matches!(byte, b'\n' | b'"' | b'\\')));
            out.push(b'"');
        }
    }
}

/// A decimal of so many digits behind the point.
fn decimal(number: i128, scale: usize) -> String {
    if scale == 6
        && let Ok(micros) = i64::try_from(number)
    {
        return format_micros(micros);
    }
    let sign = if number < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", number.unsigned_abs().to_string(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}
