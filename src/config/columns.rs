//! Column maps: how a log of other people's columns becomes records (docs/recipes/ has some for well-known data).
//!
//! A map is one text, `member=CustomerID,item=StockCode,at=InvoiceDate,kind=buy,value=Quantity`, or a table of the
//! config with the same keys and values. It has *targets*, which are fields of a record, and *settings*.
//!
//! Targets: `member`, `item`, `kind`, `at`, `value`, `id` and `context.NAME` for events; with `type=item`, which is
//! a setting, `item`, `at`, `title`, `genres` and `countries`. What a target is filled from:
//!
//! | written | meaning |
//! | --- | --- |
//! | `member=CustomerID` | the column that the header calls so |
//! | `member="Customer, ID"` | the same; in double quotes a name may hold anything |
//! | `member=$1` | the first column; without a header `member=1` says the same |
//! | `kind='buy'` | this text, in every record |
//! | `kind=buy` | the column of that name where there is one, else this text; for `kind` alone |
//! | `genres=genres\|'\|'` | the column, split at every `\|` |
//!
//! Settings: `type` (event, item), `delimiter` (one or more characters, `\t` for a tab; a comma unless given),
//! `header` (yes, no), `columns` (the names of the columns where no header gives them, as `'a,b,c'`), `time` (how `at`
//! is written: seconds, millis, rfc3339, or a pattern of strptime such as `'%d/%m/%Y %H:%M'`; unless given, RFC 3339,
//! `2010-12-01 08:26[:00]`, a day alone, or integer milliseconds), `tz` (the zone of times that name none, UTC unless
//! given), `none` (what a list column holds where there is nothing), `where` (a column: rows in which it is empty are passed
//! over, without being rejected) and `encoding` (utf8, latin1).
//!
//! In a quoted text a quotation mark of its own kind is written twice. This file knows nothing of files and rows:
//! `sources` reads them.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::quoting::{cell, list, split_unquoted, unquoted};

/// A map that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column map: {}{problem}", if key.is_empty() { String::new() } else { format!("`{key}`: ") })]
pub struct MapError {
    /// The key that is wrong; empty where it is the whole.
    pub key: String,
    /// What is wrong with it, and what is wanted.
    pub problem: String,
}

impl MapError {
    /// An error about a key.
    pub fn new(key: &str, problem: impl Into<String>) -> Self {
        MapError { key: key.to_owned(), problem: problem.into() }
    }
}

/// A column map as a table of the config; each target as in `--map`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnMapWritten {
    /// What a row is: "event" or "item".
    pub r#type: Option<String>,
    /// Who did it.
    pub member: Option<String>,
    /// What it was done to.
    pub item: Option<String>,
    /// What was done; a text that no column is called is the kind itself.
    pub kind: Option<String>,
    /// When.
    pub at: Option<String>,
    /// How much.
    pub value: Option<String>,
    /// The event's own id.
    pub id: Option<String>,
    /// Fields of the context.
    pub context: BTreeMap<String, String>,
    /// The item's title.
    pub title: Option<String>,
    /// The item's genres: the column, `|`, and what stands between them in quotes.
    pub genres: Option<String>,
    /// The item's countries, as genres.
    pub countries: Option<String>,
    /// What stands between columns.
    pub delimiter: Option<String>,
    /// Whether the first row names the columns: "yes" or "no".
    pub header: Option<Switch>,
    /// The names of the columns, with commas between, where no header gives them.
    pub columns: Option<String>,
    /// How `at` is written.
    pub time: Option<String>,
    /// The zone of times that name none.
    pub tz: Option<String>,
    /// What a list column holds where there is nothing.
    pub none: Option<String>,
    /// A column: rows in which it is empty are passed over.
    pub r#where: Option<String>,
    /// "utf8" or "latin1".
    pub encoding: Option<String>,
}

/// Yes or no.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected true, false, \"yes\" or \"no\"")]
pub enum Switch {
    /// As a boolean.
    Bool(bool),
    /// As a word.
    Word(String),
}

/// How rows become records.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnMap {
    /// What a row is.
    pub rows: Rows,
    /// What stands between columns: never empty.
    pub delimiter: String,
    /// Where the names of the columns come from.
    pub names: Names,
    /// How `at` is written.
    pub time: Time,
    /// The zone of times that name none.
    pub zone: TimeZone,
    /// What a list column holds where there is nothing.
    pub none: Option<String>,
    /// Rows in which this is empty are passed over.
    pub filled: Option<Cell>,
    /// How bytes become text.
    pub encoding: Encoding,
}

/// What rows are.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Events.
    Events {
        /// Who did it.
        member: Cell,
        /// What it was done to.
        item: Cell,
        /// What was done.
        kind: Cell,
        /// When.
        at: Cell,
        /// How much; 1 where there is none.
        value: Option<Cell>,
        /// The event's own id.
        id: Option<Cell>,
        /// Fields of the context.
        context: Vec<(String, Cell)>,
    },
    /// Versions of items.
    Items {
        /// The item.
        item: Cell,
        /// When the version was made.
        at: Cell,
        /// The title.
        title: Option<Cell>,
        /// The genres.
        genres: Option<List>,
        /// The countries.
        countries: Option<List>,
    },
}

/// What a target is filled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// The column of this name.
    Named(String),
    /// The column at this place, from 0.
    At(usize),
    /// This text.
    Constant(String),
    /// The column of this name where there is one, else this text.
    NamedOrConstant(String),
}

/// A column that holds several texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The column.
    pub cell: Cell,
    /// What stands between the texts; none where there is but one.
    pub separator: Option<String>,
}

/// Where the names of columns come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// The first row.
    Header,
    /// The map; the first row is skipped where it is a header.
    Given {
        /// The names.
        columns: Vec<String>,
        /// Whether the first row is a header.
        header: bool,
    },
    /// Nowhere: columns have numbers alone.
    Numbers,
}

/// How a time is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Time {
    /// RFC 3339, the same without an offset, a day alone, or integer milliseconds.
    Any,
    /// RFC 3339.
    Rfc3339,
    /// Seconds since 1970, with a fraction or without.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// A pattern of strptime.
    Pattern(String),
}

/// How bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// ISO-8859-1: each byte is the character of its number.
    Latin1,
}

impl ColumnMap {
    /// A map as it was given to `--map`: the name of a table of `[maps]` in the config, or the map itself.
    pub fn named(text: &str, maps: &toml::Table) -> Result<ColumnMap, MapError> {
        if text.contains('=') {
            return ColumnMap::parse(text);
        }
        match maps.get(text) {
            Some(table) => ColumnMap::from_toml(table.clone()),
            None => {
                let names: Vec<&str> = maps.keys().map(String::as_str).collect();
                let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                let problem =
                    format!("the config has no map `{text}` (it has: {known}), and a map has `=` in it");
                Err(MapError::new("", problem))
            }
        }
    }

    /// A map from its text.
    ///
    /// ```
    /// use nearline::config::columns::{Cell, ColumnMap};
    /// let map = ColumnMap::parse("item=StockCode,member=CustomerID,at=InvoiceDate,kind=buy,value=Quantity")?;
    /// assert!(ColumnMap::parse("member=CustomerID,colour=red").is_err());
    /// # Ok::<(), nearline::config::columns::MapError>(())
    /// ```
    pub fn parse(text: &str) -> Result<ColumnMap, MapError> {
        let mut written = ColumnMapWritten::default();
        for pair in split_unquoted(text, ',') {
            let Some((key, value)) = pair.split_once('=') else {
                let problem = format!("`{}` is not of the form target=column", pair.trim());
                return Err(MapError::new("", problem));
            };
            written.set(key.trim(), value.trim())?;
        }
        ColumnMap::try_from(written)
    }

    /// A map from a table of the config.
    pub fn from_toml(table: toml::Value) -> Result<ColumnMap, MapError> {
        let written: ColumnMapWritten =
            table.try_into().map_err(|error: toml::de::Error| MapError::new("", error.message()))?;
        ColumnMap::try_from(written)
    }
}

impl ColumnMapWritten {
    /// Sets a key as `--map` has it: settings lose their quotation marks, targets keep them.
    fn set(&mut self, key: &str, value: &str) -> Result<(), MapError> {
        if let Some(name) = key.strip_prefix("context.") {
            return match self.context.insert(name.to_owned(), value.to_owned()) {
                None => Ok(()),
                Some(_) => Err(MapError::new(key, "is given twice")),
            };
        }
        let (slot, target) = match key {
            "member" => (&mut self.member, true),
            "item" => (&mut self.item, true),
            "kind" => (&mut self.kind, true),
            "at" => (&mut self.at, true),
            "value" => (&mut self.value, true),
            "id" => (&mut self.id, true),
            "title" => (&mut self.title, true),
            "genres" => (&mut self.genres, true),
            "countries" => (&mut self.countries, true),
            "where" => (&mut self.r#where, true),
            "type" => (&mut self.r#type, false),
            "delimiter" => (&mut self.delimiter, false),
            "columns" => (&mut self.columns, false),
            "time" => (&mut self.time, false),
            "tz" => (&mut self.tz, false),
            "none" => (&mut self.none, false),
            "encoding" => (&mut self.encoding, false),
            "header" => {
                self.header = Some(Switch::Word(unquoted(key, value)?));
                return Ok(());
            }
            _ => {
                let problem = "is no target and no setting; the targets are member, item, kind, at, value, id, \
                               context.NAME, title, genres and countries, the settings type, delimiter, header, \
                               columns, time, tz, none, where and encoding";
                return Err(MapError::new(key, problem));
            }
        };
        let value = if target { value.to_owned() } else { unquoted(key, value)? };
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(MapError::new(key, "is given twice")),
        }
    }
}

impl TryFrom<ColumnMapWritten> for ColumnMap {
    type Error = MapError;

    fn try_from(written: ColumnMapWritten) -> Result<Self, MapError> {
        let names = names(&written)?;
        let numbered = names == Names::Numbers;
        let cell = |key: &str, text: &Option<String>| {
            text.as_deref().map(|text| cell(key, text, numbered)).transpose()
        };
        let needed = |key: &str, text: &Option<String>| {
            cell(key, text)?.ok_or_else(|| MapError::new(key, "is missing: say which column it is"))
        };
        let list = |key: &str, text: &Option<String>| {
            text.as_deref().map(|text| list(key, text, numbered)).transpose()
        };
        let rows = match written.r#type.as_deref() {
            None | Some("event") => {
                refuse_others(
                    "an event",
                    &[
                        ("title", &written.title),
                        ("genres", &written.genres),
                        ("countries", &written.countries),
                    ],
                )?;
                let mut context = Vec::new();
                for (name, text) in &written.context {
                    context.push((name.clone(), needed(&format!("context.{name}"), &Some(text.clone()))?));
                }
                Rows::Events {
                    member: needed("member", &written.member)?,
                    item: needed("item", &written.item)?,
                    kind: needed("kind", &written.kind)?,
                    at: needed("at", &written.at)?,
                    value: cell("value", &written.value)?,
                    id: cell("id", &written.id)?,
                    context,
                }
            }
            Some("item") => {
                refuse_others(
                    "an item",
                    &[
                        ("member", &written.member),
                        ("kind", &written.kind),
                        ("value", &written.value),
                        ("id", &written.id),
                    ],
                )?;
                if let Some(name) = written.context.keys().next() {
                    return Err(MapError::new(&format!("context.{name}"), "is no field of an item"));
                }
                if written.at.is_none() {
                    let problem = "is missing: say which column it is, or since when the catalogue holds, such as \
                                   at='2018-09-26'";
                    return Err(MapError::new("at", problem));
                }
                Rows::Items {
                    item: needed("item", &written.item)?,
                    at: needed("at", &written.at)?,
                    title: cell("title", &written.title)?,
                    genres: list("genres", &written.genres)?,
                    countries: list("countries", &written.countries)?,
                }
            }
            Some(other) => {
                return Err(MapError::new("type", format!("is {other:?}; rows are event or item")));
            }
        };
        Ok(ColumnMap {
            rows,
            delimiter: delimiter(written.delimiter.as_deref())?,
            names,
            time: time(written.time.as_deref())?,
            zone: zone(written.tz.as_deref())?,
            filled: cell("where", &written.r#where)?,
            none: written.none,
            encoding: encoding(written.encoding.as_deref())?,
        })
    }
}

fn refuse_others(what: &str, targets: &[(&str, &Option<String>)]) -> Result<(), MapError> {
    match targets.iter().find(|(_, text)| text.is_some()) {
        Some((key, _)) => Err(MapError::new(key, format!("is no field of {what}"))),
        None => Ok(()),
    }
}

fn names(written: &ColumnMapWritten) -> Result<Names, MapError> {
    let header = match &written.header {
        None => None,
        Some(Switch::Bool(header)) => Some(*header),
        Some(Switch::Word(word)) => match word.as_str() {
            "yes" | "true" => Some(true),
            "no" | "false" => Some(false),
            other => return Err(MapError::new("header", format!("is {other:?}; it is yes or no"))),
        },
    };
    Ok(match (&written.columns, header) {
        (None, Some(false)) => Names::Numbers,
        (None, _) => Names::Header,
        (Some(columns), header) => Names::Given {
            columns: columns.split(',').map(|name| name.trim().to_owned()).collect(),
            header: header == Some(true),
        },
    })
}

fn delimiter(text: Option<&str>) -> Result<String, MapError> {
    let delimiter = text.unwrap_or(",").replace("\\t", "\t");
    if delimiter.is_empty() || delimiter.contains(['\n', '\r', '"']) {
        let problem = "is one or more characters, none of them a line end or a quotation mark";
        return Err(MapError::new("delimiter", problem));
    }
    Ok(delimiter)
}

fn time(text: Option<&str>) -> Result<Time, MapError> {
    Ok(match text {
        None => Time::Any,
        Some("rfc3339") => Time::Rfc3339,
        Some("seconds") => Time::Seconds,
        Some("millis") => Time::Millis,
        Some(pattern) if pattern.contains('%') => {
            // Writing a time by the pattern finds directives that there are not.
            jiff::fmt::strtime::format(pattern, &jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC))
                .map_err(|error| {
                    MapError::new("time", format!("{pattern:?} is no pattern of strptime: {error}"))
                })?;
            Time::Pattern(pattern.to_owned())
        }
        Some(other) => {
            let problem =
                format!("is {other:?}; it is seconds, millis, rfc3339 or a pattern such as '%d/%m/%Y %H:%M'");
            return Err(MapError::new("time", problem));
        }
    })
}

fn zone(name: Option<&str>) -> Result<TimeZone, MapError> {
    match name {
        None => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name).map_err(|_| {
            MapError::new("tz", format!("is {name:?}, which is no time zone such as Europe/London"))
        }),
    }
}

fn encoding(name: Option<&str>) -> Result<Encoding, MapError> {
    match name.map(str::to_ascii_lowercase).as_deref() {
        None | Some("utf8" | "utf-8") => Ok(Encoding::Utf8),
        Some("latin1" | "iso-8859-1") => Ok(Encoding::Latin1),
        Some(other) => Err(MapError::new("encoding", format!("is {other:?}; it is utf8 or latin1"))),
    }
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
