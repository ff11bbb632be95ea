//! Rows of columns to records: our own header, or a column map laid on somebody else's.
//!
//! With a delimiter of one byte rows are CSV: columns may be quoted, and a quoted one may hold delimiters and line
//! ends. With a longer delimiter a row is a line and a quotation mark is a character like any other. A cell that is
//! empty is absent.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::cutter::Place;
use super::fields::{at_problem, context, id, item_body, not_ahead, quoted, required, value_problem};
use super::json::MAX_LINE;
use super::reason::{Problem, Reason};
use super::times::{any_time, by_pattern, seconds};
use super::{Batch, Rejected, raw};
use crate::config::columns::{Cell, ColumnMap, Encoding, List, MapError, Names, Rows, Time};
use crate::records::time::{NotATime, parse_millis, parse_rfc3339};
use crate::records::{Event, ItemVersion, MICROS, Record, parse_micros};

/// A column map laid on the columns of one log.
#[derive(Debug)]
pub struct Plan {
    rows: PlannedRows,
    /// Rows in which this is empty are passed over.
    filled: Option<Slot>,
    delimiter: Vec<u8>,
    /// How many columns a row has; none where nothing says so.
    columns: Option<usize>,
    time: Time,
    zone: TimeZone,
    none: Option<String>,
    encoding: Encoding,
}

#[derive(Debug)]
enum PlannedRows {
    Events {
        member: Slot,
        item: Slot,
        kind: Slot,
        at: Slot,
        value: Option<Slot>,
        id: Option<Slot>,
        context: Vec<(String, Slot)>,
    },
    Items {
        item: Slot,
        at: Slot,
        title: Option<Slot>,
        genres: Option<ListSlot>,
        countries: Option<ListSlot>,
    },
}

#[derive(Debug)]
enum Slot {
    Column(usize),
    Constant(String),
}

#[derive(Debug)]
struct ListSlot {
    slot: Slot,
    separator: Option<String>,
}

impl Plan {
    /// Lays a map on the columns that a header names; without a header on columns by number.
    pub fn new(map: &ColumnMap, header: Option<&[String]>) -> Result<Plan, MapError> {
        let names: Option<&[String]> = match &map.names {
            Names::Header => header,
            Names::Given { columns, .. } => Some(columns),
            Names::Numbers => None,
        };
        let slot = |target: &str, cell: &Cell| slot(target, cell, names);
        let some =
            |target: &str, cell: &Option<Cell>| cell.as_ref().map(|cell| slot(target, cell)).transpose();
        let list = |target: &str, list: &Option<List>| {
            let planned = |list: &List| {
                Ok(ListSlot { slot: slot(target, &list.cell)?, separator: list.separator.clone() })
            };
            list.as_ref().map(planned).transpose()
        };
        let rows = match &map.rows {
            Rows::Events { member, item, kind, at, value, id, context } => PlannedRows::Events {
                member: slot("member", member)?,
                item: slot("item", item)?,
                kind: slot("kind", kind)?,
                at: slot("at", at)?,
                value: some("value", value)?,
                id: some("id", id)?,
                context: context
                    .iter()
                    .map(|(name, cell)| Ok((name.clone(), slot(&format!("context.{name}"), cell)?)))
                    .collect::<Result<_, MapError>>()?,
            },
            Rows::Items { item, at, title, genres, countries } => PlannedRows::Items {
                item: slot("item", item)?,
                at: slot("at", at)?,
                title: some("title", title)?,
                genres: list("genres", genres)?,
                countries: list("countries", countries)?,
            },
        };
        let plan = Plan {
            rows,
            filled: some("where", &map.filled)?,
            delimiter: map.delimiter.clone().into_bytes(),
            columns: names.map(<[String]>::len),
            time: map.time.clone(),
            zone: map.zone.clone(),
            none: map.none.clone(),
            encoding: map.encoding,
        };
        plan.check_constants()?;
        Ok(plan)
    }

    /// The plan of a log with our own header: `member,item,kind,value,at,id` in any order, and `context.NAME`.
    pub fn own(header: &[String], delimiter: &str) -> Result<Plan, MapError> {
        let mut map = ColumnMap::parse("member=member,item=item,kind=\"kind\",at=at")?;
        let Rows::Events { value, id, context, .. } = &mut map.rows else { unreachable!("it maps events") };
        for (place, name) in header.iter().enumerate() {
            if header[..place].contains(name) {
                return Err(MapError::new(name, "is the name of two columns"));
            }
            match name.as_str() {
                "member" | "item" | "kind" | "at" => {}
                "value" => *value = Some(Cell::At(place)),
                "id" => *id = Some(Cell::At(place)),
                _ => match name.strip_prefix("context.") {
                    Some(key) => context.push((key.to_owned(), Cell::At(place))),
                    None => {
                        let problem = "is no column of ours (member, item, kind, value, at, id and context.NAME); \
                                       for other people's columns give a map with --map";
                        return Err(MapError::new(name, problem));
                    }
                },
            }
        }
        map.delimiter = delimiter.to_owned();
        Plan::new(&map, Some(header))
    }

    /// What separates columns, where it is one byte and columns may be quoted.
    pub fn quoting(&self) -> Option<u8> {
        <[u8; 1]>::try_from(self.delimiter.as_slice()).ok().map(|[byte]| byte)
    }

    /// Constants are read once, so that one that is wrong is not found out row by row.
    fn check_constants(&self) -> Result<(), MapError> {
        let (PlannedRows::Events { at, .. } | PlannedRows::Items { at, .. }) = &self.rows;
        if let Slot::Constant(text) = at {
            any_time(text, &self.zone).map_err(|error| MapError::new("at", format!("{text:?} {error}")))?;
        }
        if let PlannedRows::Events { value: Some(Slot::Constant(text)), .. } = &self.rows {
            parse_micros(text).map_err(|error| MapError::new("value", format!("{text:?} {error}")))?;
        }
        Ok(())
    }

    /// Appends the records of whole rows to a batch, and the rows that could not be taken. `place` is where the first
    /// of them begins in its log.
    pub fn decode(&self, rows: &[u8], place: Place, latest_at: i64, batch: &mut Batch) {
        let mut places = Places { rows, place, at: 0 };
        match self.quoting() {
            Some(delimiter) => {
                let mut reader = reader(delimiter, rows);
                let mut record = csv::ByteRecord::new();
                // Reading from memory into bytes does not fail.
                while reader.read_byte_record(&mut record).unwrap_or(false) {
                    let start = record.position().map_or(0, |position| position.byte() as usize);
                    let end = reader.position().byte() as usize;
                    let cells: Vec<&[u8]> = record.iter().collect();
                    self.take(cells, start, end, &mut places, latest_at, batch);
                }
            }
            None => {
                let mut start = 0;
                while start < rows.len() {
                    let end = memchr::memchr(b'\n', &rows[start..]).map_or(rows.len(), |at| start + at + 1);
                    let row = rows[start..end].strip_suffix(b"\n").unwrap_or(&rows[start..end]);
                    self.take(split(row, &self.delimiter), start, end, &mut places, latest_at, batch);
                    start = end;
                }
            }
        }
    }

    fn take(
        &self,
        mut cells: Vec<&[u8]>,
        start: usize,
        end: usize,
        places: &mut Places<'_>,
        latest_at: i64,
        batch: &mut Batch,
    ) {
        if let Some(last) = cells.last_mut() {
            *last = last.strip_suffix(b"\r").unwrap_or(last);
        }
        if let [only] = cells.as_slice()
            && only.trim_ascii().is_empty()
        {
            return;
        }
        let blank = places.rows[start..end].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let start = start + blank;
        let problem = if end - start > MAX_LINE {
            Err(Problem::new(Reason::TooLong, super::cutter::too_long()))
        } else {
            self.row(&Cells { cells: &cells, encoding: self.encoding }, latest_at, batch)
        };
        if let Err(Problem { reason, detail }) = problem {
            let (line, offset) = places.of(start);
            let raw = raw(&places.rows[start..end]);
            batch.rejected.push(Rejected { line, offset, reason, detail, raw });
        }
    }

    fn row(&self, cells: &Cells<'_>, latest_at: i64, batch: &mut Batch) -> Result<(), Problem> {
        if let Some(columns) = self.columns {
            cells.number(columns)?;
        }
        if let Some(slot) = &self.filled
            && cells.text("where", slot)?.is_none()
        {
            return Ok(());
        }
        match &self.rows {
            PlannedRows::Events { member, item, kind, at, value, id: own, context: fields } => {
                let member = cells.id("member", member)?;
                let item = cells.id("item", item)?;
                let kind = cells.id("kind", kind)?;
                let at = self.at(cells, at)?;
                let value = match value.as_ref().map(|slot| cells.text("value", slot)).transpose()?.flatten()
                {
                    Some(text) => parse_micros(text.trim()).map_err(|error| value_problem(&text, error))?,
                    None => MICROS,
                };
                let own = match own.as_ref().map(|slot| cells.text("id", slot)).transpose()?.flatten() {
                    Some(text) => {
                        id("id", &text)?;
                        Some(text)
                    }
                    None => None,
                };
                let canonical = canonical(cells, fields)?;
                not_ahead(at, latest_at)?;
                batch.push(&Record::Event(Event {
                    member: &member,
                    item: &item,
                    kind: &kind,
                    at,
                    value,
                    id: own.as_deref(),
                    context: context(&canonical)?,
                }));
            }
            PlannedRows::Items { item, at, title, genres, countries } => {
                let item = cells.id("item", item)?;
                let at = self.at(cells, at)?;
                let title = title.as_ref().map(|slot| cells.text("title", slot)).transpose()?.flatten();
                let genres = self.list(cells, "genres", genres.as_ref())?;
                let countries = self.list(cells, "countries", countries.as_ref())?;
                let body = item_body(title.as_deref(), &genres, &countries, false);
                batch.push(&Record::Item(ItemVersion { item: &item, at, body: &body, withdrawn: false }));
            }
        }
        Ok(())
    }

    fn at(&self, cells: &Cells<'_>, slot: &Slot) -> Result<i64, Problem> {
        let text = required("at", cells.text("at", slot)?)?;
        let trimmed = text.trim();
        let at = match (slot, &self.time) {
            (Slot::Constant(_), _) | (_, Time::Any) => any_time(trimmed, &self.zone),
            (_, Time::Rfc3339) => parse_rfc3339(trimmed),
            (_, Time::Millis) => parse_millis(trimmed),
            (_, Time::Seconds) => seconds(trimmed),
            (_, Time::Pattern(pattern)) => by_pattern(trimmed, pattern, &self.zone),
        };
        at.map_err(|error| match (&self.time, error) {
            (Time::Seconds, NotATime::Unreadable) => {
                let detail = format!("`at`: {} is not in seconds since 1970", quoted(&text));
                Problem::new(Reason::AtUnreadable, detail)
            }
            (Time::Pattern(pattern), NotATime::Unreadable) => {
                let detail = format!("`at`: {} is not of the form {pattern:?}", quoted(&text));
                Problem::new(Reason::AtUnreadable, detail)
            }
            (_, error) => at_problem(&text, error),
        })
    }

    fn list(&self, cells: &Cells<'_>, target: &str, list: Option<&ListSlot>) -> Result<Vec<String>, Problem> {
        let Some(ListSlot { slot, separator }) = list else { return Ok(Vec::new()) };
        let Some(text) = cells.text(target, slot)?.filter(|text| Some(text.as_ref()) != self.none.as_deref())
        else {
            return Ok(Vec::new());
        };
        Ok(match separator {
            None => vec![text.into_owned()],
            Some(separator) => {
                let parts = text.split(separator.as_str()).map(str::trim).filter(|part| !part.is_empty());
                parts.map(str::to_owned).collect()
            }
        })
    }
}

/// The names in a header row.
pub fn header(row: &[u8], delimiter: &str, encoding: Encoding) -> Result<Vec<String>, Problem> {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    let row = row.strip_suffix(b"\r").unwrap_or(row);
    let mut record = csv::ByteRecord::new();
    let cells: Vec<&[u8]> = match delimiter.as_bytes() {
        [byte] => {
            reader(*byte, row).read_byte_record(&mut record).unwrap_or(false);
            record.iter().collect()
        }
        longer => split(row, longer),
    };
    let cells = Cells { cells: &cells, encoding };
    (0..cells.cells.len()).map(|place| Ok(cells.decoded("header", place)?.trim().to_owned())).collect()
}

fn slot(target: &str, cell: &Cell, names: Option<&[String]>) -> Result<Slot, MapError> {
    let place = |name: &str| names.and_then(|names| names.iter().position(|known| known == name));
    if let Cell::Named(name) | Cell::NamedOrConstant(name) = cell
        && names.is_some_and(|names| names.iter().filter(|known| *known == name).count() > 1)
    {
        let problem =
            format!("`{name}` is the name of two columns; name the one that is meant by its number, as $1");
        return Err(MapError::new(target, problem));
    }
    match cell {
        Cell::Constant(text) => Ok(Slot::Constant(text.clone())),
        Cell::NamedOrConstant(text) => {
            Ok(place(text).map_or_else(|| Slot::Constant(text.clone()), Slot::Column))
        }
        Cell::At(place) => match names {
            Some(names) if *place >= names.len() => {
                let problem = format!("is column {}, and there are {}", place + 1, names.len());
                Err(MapError::new(target, problem))
            }
            _ => Ok(Slot::Column(*place)),
        },
        Cell::Named(name) => place(name).map(Slot::Column).ok_or_else(|| {
            let columns = match names {
                Some(names) => format!("the columns are {}", names.join(", ")),
                None => "without a header columns have numbers, from 1 on".to_owned(),
            };
            let problem =
                format!("no column is called `{name}`; {columns}; for a constant text write '{name}'");
            MapError::new(target, problem)
        }),
    }
}

fn reader(delimiter: u8, rows: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(1 << 16)
        .from_reader(rows)
}

fn split<'a>(row: &'a [u8], delimiter: &[u8]) -> Vec<&'a [u8]> {
    let (mut cells, mut start) = (Vec::with_capacity(8), 0);
    for at in memchr::memmem::find_iter(row, delimiter) {
        cells.push(&row[start..at]);
        start = at + delimiter.len();
    }
    cells.push(&row[start..]);
    cells
}

fn canonical(cells: &Cells<'_>, fields: &[(String, Slot)]) -> Result<String, Problem> {
    if fields.is_empty() {
        return Ok(String::new());
    }
    let mut sorted = std::collections::BTreeMap::new();
    for (name, slot) in fields {
        if let Some(text) = cells.text(name, slot)? {
            sorted.insert(name, text);
        }
    }
    Ok(serde_json::to_string(&sorted).expect("texts are JSON"))
}

/// The cells of a row.
struct Cells<'a> {
    cells: &'a [&'a [u8]],
    encoding: Encoding,
}

impl<'a> Cells<'a> {
    fn number(&self, wanted: usize) -> Result<(), Problem> {
        let reason = match self.cells.len().cmp(&wanted) {
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Less => Reason::TooFewColumns,
            std::cmp::Ordering::Greater => Reason::TooManyColumns,
        };
        Err(Problem::new(reason, format!("the row has {} columns, not {wanted}", self.cells.len())))
    }

    fn text<'b>(&'b self, target: &str, slot: &'b Slot) -> Result<Option<Cow<'b, str>>, Problem> {
        let text = match slot {
            Slot::Constant(text) => Cow::Borrowed(text.as_str()),
            Slot::Column(place) => self.decoded(target, *place)?,
        };
        // As in headers: blanks around a cell are layout.
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_ascii()),
            Cow::Owned(text) => Cow::Owned(text.trim_ascii().to_owned()),
        };
        Ok((!text.is_empty()).then_some(text))
    }

    fn decoded(&self, target: &str, place: usize) -> Result<Cow<'a, str>, Problem> {
        let Some(cell) = self.cells.get(place) else {
            let detail = format!("`{target}` is column {}, and the row has {}", place + 1, self.cells.len());
            return Err(Problem::new(Reason::TooFewColumns, detail));
        };
        match self.encoding {
            Encoding::Latin1 if !cell.is_ascii() => Ok(cell.iter().map(|byte| char::from(*byte)).collect()),
            _ => std::str::from_utf8(cell).map(Cow::Borrowed).map_err(|_| {
                let detail = format!("column {} (`{target}`) is not UTF-8; encoding=latin1?", place + 1);
                Problem::new(Reason::NotUtf8, detail)
            }),
        }
    }

    fn id<'b>(&'b self, target: &str, slot: &'b Slot) -> Result<Cow<'b, str>, Problem> {
        let text = required(target, self.text(target, slot)?)?;
        id(target, &text)?;
        Ok(text)
    }
}

/// Turns places in a block into lines; they only grow.
struct Places<'a> {
    rows: &'a [u8],
    /// Where the rows begin, with the lines up to `at` counted.
    place: Place,
    at: usize,
}

impl Places<'_> {
    fn of(&mut self, start: usize) -> (u64, u64) {
        self.place.lines += memchr::memchr_iter(b'\n', &self.rows[self.at..start]).count() as u64;
        self.at = start;
        (self.place.lines + 1, self.place.bytes + start as u64)
    }
}
