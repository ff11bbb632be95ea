//! The ids that belong to an array: a text of one id a line, or a JSON array, in the order of the rows.
//!
//! Whether ids are sound as ids of items (`foreign.rs`) is not asked here, only what they are.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Deserializer, de};

/// The name of a text of ids that is written.
pub const TEXT: &str = "items.txt";
/// The name of a JSON array of ids that is written.
pub const JSON: &str = "items.json";

/// What some editors begin a text with; it is no part of the first id.
const MARK: &str = "\u{feff}";

/// Ids as they were read.
#[derive(Debug, PartialEq, Eq)]
pub struct Ids {
    /// The ids, in the order of the file.
    pub ids: Vec<String>,
    /// What places in the file are counted in.
    pub unit: &'static str,
}

/// Why ids cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IdsError {
    /// The file system's say.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Bytes that are no text.
    #[error("line {0} is not UTF-8")]
    NotUtf8(usize),
    /// Something else than an array of ids.
    #[error("it is not a JSON array of ids: {0}")]
    NotJson(#[from] serde_json::Error),
}

impl IdsError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            IdsError::Io(_) => "name the file of the ids",
            IdsError::NotUtf8(_) => {
                "write a plain text in UTF-8, one id a line, or a JSON array in a file whose name ends in .json"
            }
            IdsError::NotJson(_) => {
                "write an array of strings or integers; a file whose name does not end in .json is read line by line"
            }
        }
    }
}

impl Ids {
    /// Reads ids: as JSON where the file's name ends in `.json`, else line by line.
    pub fn read(path: &Path) -> Result<Ids, IdsError> {
        let bytes = std::fs::read(path)?;
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            Ids::from_json(&bytes)
        } else {
            Ids::from_lines(&bytes)
        }
    }

    fn from_json(bytes: &[u8]) -> Result<Ids, IdsError> {
        let bytes = bytes.strip_prefix(MARK.as_bytes()).unwrap_or(bytes);
        let ids: Vec<Id> = serde_json::from_slice(bytes)?;
        Ok(Ids { ids: ids.into_iter().map(|Id(id)| id).collect(), unit: "element" })
    }

    /// A carriage return before a line feed belongs to the line end; empty lines at the end are no ids.
    fn from_lines(bytes: &[u8]) -> Result<Ids, IdsError> {
        let text = str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            IdsError::NotUtf8(1 + before.iter().filter(|byte| **byte == b'\n').count())
        })?;
        let text = text.strip_prefix(MARK).unwrap_or(text);
        let mut ids: Vec<String> = text.lines().map(str::to_owned).collect();
        ids.truncate(ids.iter().rposition(|id| !id.is_empty()).map_or(0, |last| last + 1));
        Ok(Ids { ids, unit: "line" })
    }
}

/// The file that ids are written to: a text where every reader of lines would give these ids again, else JSON.
pub fn name(ids: &[String]) -> &'static str {
    // Python, for one, also ends a line at these.
    let ends_line = |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    let unsafe_in_text = ids.iter().any(|id| id.contains(ends_line) || id.starts_with(MARK));
    if unsafe_in_text { JSON } else { TEXT }
}

/// Writes ids under the [`name`] that they have in this folder, and returns the file, not yet synced.
pub fn write(folder: &Path, ids: &[String]) -> io::Result<File> {
    let name = name(ids);
    let mut file = BufWriter::new(File::create(folder.join(name))?);
    if name == JSON {
        serde_json::to_writer_pretty(&mut file, ids)?;
        file.write_all(b"\n")?;
    } else {
        for id in ids {
            writeln!(file, "{id}")?;
        }
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)
}

/// A string, or an integer as its digits.
struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        deserializer.deserialize_any(OneId).map(Id)
    }
}

struct OneId;

impl de::Visitor<'_> for OneId {
    type Value = String;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a string or an integer")
    }

    fn visit_str<E>(self, id: &str) -> Result<String, E> {
        Ok(id.to_owned())
    }

    fn visit_i64<E>(self, id: i64) -> Result<String, E> {
        Ok(id.to_string())
    }

    fn visit_u64<E>(self, id: u64) -> Result<String, E> {
        Ok(id.to_string())
    }
}

#[cfg(test)]
#[path = "ids_file_tests.rs"]
mod tests;
