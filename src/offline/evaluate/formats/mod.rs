//! Files as the papers publish them: members and items are whole numbers, and a pair has no weight and no time.
//!
//! Each format is read as its authors' code reads it, and what that code would stumble over or pass in silence is
//! refused with file and line. What a member has twice counts once.

pub mod lightgcn;
pub mod mult_vae;
pub mod ncf;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::fitted::Pairs;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}; {wanted}")]
    Open {
        /// The file.
        path: String,
        /// Why not.
        error: std::io::Error,
        /// What the protocol wants.
        wanted: String,
    },
    /// A line that cannot be.
    #[error("{path}, line {line}: {problem}")]
    Line {
        /// The file.
        path: String,
        /// Its line, from 1.
        line: usize,
        /// What is wrong, and what to do about it.
        problem: String,
    },
    /// Nothing that could be trained on or tested.
    #[error("{path} {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong, and what to do about it.
        problem: String,
    },
}

impl InputError {
    pub(super) fn line(path: &Path, line: usize, problem: impl Into<String>) -> Self {
        InputError::Line { path: path.display().to_string(), line, problem: problem.into() }
    }

    pub(super) fn file(path: &Path, problem: impl Into<String>) -> Self {
        InputError::File { path: path.display().to_string(), problem: problem.into() }
    }
}

/// A member and its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where the member is first named, from 1.
    pub line: usize,
    /// The member.
    pub member: u32,
    /// Its items, ascending, each once.
    pub items: Vec<u32>,
}

impl Row {
    fn new(line: usize, member: u32, mut items: Vec<u32>) -> Row {
        items.sort_unstable();
        items.dedup();
        Row { line, member, items }
    }
}

/// The items of the training part, ascending: an item's place is its number.
#[derive(Debug)]
pub struct Numbers(Vec<u32>);

impl Numbers {
    /// The number of an item; none where training never saw it.
    pub fn of(&self, item: u32) -> Option<u32> {
        self.0.binary_search(&item).ok().map(|place| place as u32)
    }

    /// An item's numbers and how many have none.
    pub fn of_all(&self, items: &[u32]) -> (Vec<u32>, usize) {
        let numbers: Vec<u32> = items.iter().filter_map(|item| self.of(*item)).collect();
        let without = items.len() - numbers.len();
        (numbers, without)
    }
}

/// Rows as they are trained on, in the order of members, every pair with weight 1.
pub fn training(rows: &[Row]) -> (Numbers, Pairs) {
    let mut items: Vec<u32> = rows.iter().flat_map(|row| row.items.iter().copied()).collect();
    items.sort_unstable();
    items.dedup();
    let numbers = Numbers(items);
    let mut training = Pairs { items: numbers.0.len(), offsets: vec![0], entries: Vec::new() };
    let mut in_order: Vec<&Row> = rows.iter().filter(|row| !row.items.is_empty()).collect();
    in_order.sort_by_key(|row| row.member);
    for row in in_order {
        training.entries.extend(folded(&numbers, &row.items));
        training.offsets.push(training.entries.len());
    }
    (numbers, training)
}

/// Items as they are folded in: those that training saw, with weight 1, ascending.
pub fn folded(numbers: &Numbers, items: &[u32]) -> Vec<(u32, f32)> {
    items.iter().filter_map(|item| numbers.of(*item)).map(|number| (number, 1.0)).collect()
}

/// What some editors begin a text with; it is no part of the first line.
const MARK: &str = "\u{feff}";

/// Hands each line that is not blank to `take`, with its number, without the blanks around it and the mark that the
/// first may begin with. `wanted` says what to give instead of a file that cannot be read.
fn for_lines(
    path: &Path,
    wanted: &str,
    mut take: impl FnMut(usize, &str) -> Result<(), String>,
) -> Result<(), InputError> {
    let open =
        |error| InputError::Open { path: path.display().to_string(), error, wanted: wanted.to_owned() };
    let mut reader = BufReader::new(File::open(path).map_err(open)?);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(open)? == 0 {
            break;
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8 text".to_owned());
        let text = text.map(|text| if number == 1 { text.trim_start_matches(MARK) } else { text });
        let taken = text.and_then(|text| match text.trim_ascii() {
            "" => Ok(()),
            line => take(number, line),
        });
        taken.map_err(|problem| InputError::line(path, number, problem))?;
    }
    Ok(())
}

/// A member's or an item's number.
fn number(text: &str) -> Result<u32, String> {
    let wrong = |_| format!("`{text}` is not a whole number from 0 to {}", u32::MAX);
    text.parse().map_err(wrong)
}

/// Pairs with their lines, by member.
fn by_member(pairs: impl IntoIterator<Item = (usize, u32, u32)>) -> Vec<Row> {
    let mut rows: BTreeMap<u32, (usize, Vec<u32>)> = BTreeMap::new();
    for (line, member, item) in pairs {
        rows.entry(member).or_insert((line, Vec::new())).1.push(item);
    }
    rows.into_iter().map(|(member, (line, items))| Row::new(line, member, items)).collect()
}

#[cfg(test)]
mod tests;
