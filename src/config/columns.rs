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

fn cell(key: &str, text: &str, numbered: bool) -> Result<Cell, MapError> {
    let number =
        |digits: &str| digits.parse::<usize>().ok().filter(|number| *number > 0).map(|number| number - 1);
    if text.is_empty() {
        return Err(MapError::new(key, "is empty: say which column it is"));
    }
    match text.as_bytes()[0] {
        b'\'' => Ok(Cell::Constant(unquoted(key, text)?)),
        b'"' => Ok(Cell::Named(unquoted(key, text)?)),
        b'$' => number(&text[1..])
            .map(Cell::At)
            .ok_or_else(|| MapError::new(key, format!("is {text}; columns have numbers from $1 on"))),
        _ => Ok(match number(text).filter(|_| numbered) {
            Some(place) => Cell::At(place),
            None if key == "kind" => Cell::NamedOrConstant(text.to_owned()),
            None => Cell::Named(text.to_owned()),
        }),
    }
}

fn list(key: &str, text: &str, numbered: bool) -> Result<List, MapError> {
    let parts = split_unquoted(text, '|');
    let cell = cell(key, parts[0].trim(), numbered)?;
    let separator = match parts.len() {
        1 => None,
        2 if parts[1].trim().len() > 2 => Some(unquoted(key, parts[1].trim())?),
        _ => {
            let problem =
                format!("is {text}; a list is a column, `|`, and what stands between in quotes: genres|'|'");
            return Err(MapError::new(key, problem));
        }
    };
    Ok(List { cell, separator })
}

/// The parts between a character where it stands outside of quotation marks.
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut open) = (Vec::new(), 0, None);
    for (place, character) in text.char_indices() {
        match open {
            Some(mark) if character == mark => open = None,
            Some(_) => {}
            None if character == '\'' || character == '"' => open = Some(character),
            None if character == separator => {
                parts.push(&text[start..place]);
                start = place + separator.len_utf8();
            }
            None => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A text without the quotation marks around it; those of its own kind within are written twice.
fn unquoted(key: &str, text: &str) -> Result<String, MapError> {
    let Some(mark @ ('\'' | '"')) = text.chars().next() else { return Ok(text.to_owned()) };
    let inner = text[1..].strip_suffix(mark).ok_or_else(|| {
        MapError::new(key, format!("is {text}, whose quotation mark is not closed at its end"))
    })?;
    let (once, twice) = (mark.to_string(), format!("{mark}{mark}"));
    if inner.replace(&twice, "").contains(mark) {
        let problem = format!("is {text}; a quotation mark inside a quoted text is written twice");
        return Err(MapError::new(key, problem));
    }
    Ok(inner.replace(&twice, &once))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        ColumnMap::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_map_of_events_reads_as_in_the_recipe() {
        let map = ColumnMap::parse(
            "member=CustomerID,item=StockCode,at=InvoiceDate,kind=buy,value=Quantity,id=InvoiceNo,\
             context.country=Country,tz=Europe/London",
        )
        .unwrap();
        let named = |name: &str| Cell::Named(name.to_owned());
        let rows = Rows::Events {
            member: named("CustomerID"),
            item: named("StockCode"),
            kind: Cell::NamedOrConstant("buy".to_owned()),
            at: named("InvoiceDate"),
            value: Some(named("Quantity")),
            id: Some(named("InvoiceNo")),
            context: vec![("country".to_owned(), named("Country"))],
        };
        assert_eq!(map.rows, rows);
        assert_eq!(map.delimiter, ",");
        assert_eq!(map.zone.iana_name(), Some("Europe/London"));
        assert_eq!(map.time, Time::Any);
    }

    #[test]
    fn quotation_marks_hold_commas_and_themselves() {
        let map = ColumnMap::parse(
            "type=item, item=\"the, \"\"item\"\"\", at='2018-09-26', title=$2, genres=g|'|', none='(a, b)'",
        )
        .unwrap();
        let rows = Rows::Items {
            item: Cell::Named("the, \"item\"".to_owned()),
            at: Cell::Constant("2018-09-26".to_owned()),
            title: Some(Cell::At(1)),
            genres: Some(List { cell: Cell::Named("g".to_owned()), separator: Some("|".to_owned()) }),
            countries: None,
        };
        assert_eq!(map.rows, rows);
        assert_eq!(map.none.as_deref(), Some("(a, b)"));
    }

    #[test]
    fn columns_without_a_header_have_numbers_or_given_names() {
        let map = "member=1,item=2,value=3,at=4,kind=rate,header=no,delimiter='::',time=seconds";
        let map = ColumnMap::parse(map).unwrap();
        assert_eq!((map.names, map.time), (Names::Numbers, Time::Seconds));
        let Rows::Events { member, kind, .. } = map.rows else { panic!("these are events") };
        assert_eq!((member, kind), (Cell::At(0), Cell::NamedOrConstant("rate".to_owned())));
        let map = ColumnMap::parse("columns='u, i,t',member=u,item=i,at=t,kind='2',delimiter=\\t").unwrap();
        let columns = ["u", "i", "t"].map(str::to_owned).to_vec();
        assert_eq!(map.names, Names::Given { columns, header: false });
        assert_eq!(map.delimiter, "\t");
    }

    #[test]
    fn a_table_of_the_config_means_the_same_as_the_text() {
        let text = "member=u,item=i,at=t,kind='rate',context.country=c,header=no,columns='u,i,t,c',tz=UTC";
        let table = r#"
            member = "u"
            item = "i"
            at = "t"
            kind = "'rate'"
            context.country = "c"
            header = false
            columns = "u,i,t,c"
            tz = "UTC"
        "#;
        let mut maps = toml::Table::new();
        maps.insert("mine".to_owned(), toml::Value::Table(table.parse().unwrap()));
        assert_eq!(ColumnMap::named("mine", &maps).unwrap(), ColumnMap::parse(text).unwrap());
        let unknown = ColumnMap::named("yours", &maps).unwrap_err().to_string();
        assert!(unknown.contains("(it has: mine)"), "{unknown}");
        let typo: toml::Table = "membre = 'u'".parse().unwrap();
        let refused = ColumnMap::from_toml(toml::Value::Table(typo)).unwrap_err().to_string();
        assert!(refused.contains("membre"), "{refused}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_key() {
        let whole = "member=u,item=i,at=t,kind=k";
        for (text, expected) in [
            ("member=u,item=i,at=t", "`kind`: is missing"),
            ("member=u,item,at=t", "`item` is not of the form"),
            (&format!("{whole},colour=c"), "`colour`: is no target"),
            (&format!("{whole},member=v"), "`member`: is given twice"),
            (&format!("{whole},title=v"), "`title`: is no field of an event"),
            (&format!("{whole},value="), "`value`: is empty"),
            (&format!("{whole},value=$0"), "`value`: is $0"),
            (&format!("{whole},value='x"), "is not closed"),
            (&format!("{whole},value='x'y'"), "written twice"),
            (&format!("{whole},time=hours"), "`time`: is \"hours\""),
            (&format!("{whole},time='%Y-%!'"), "`time`: \"%Y-%!\" is no pattern"),
            (&format!("{whole},tz=London"), "`tz`: is \"London\""),
            (&format!("{whole},header=maybe"), "`header`: is \"maybe\""),
            (&format!("{whole},encoding=ebcdic"), "`encoding`: is \"ebcdic\""),
            (&format!("{whole},delimiter=''"), "`delimiter`: is one or more"),
            (&format!("{whole},type=user"), "`type`: is \"user\""),
            ("type=item,item=i", "`at`: is missing"),
            ("type=item,item=i,at=a,kind=k", "`kind`: is no field of an item"),
            ("type=item,item=i,at=a,genres=g|x|y", "`genres`: is g|x|y"),
        ] {
            let problem = problem(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
