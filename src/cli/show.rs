//! How answers look: tables for people, JSON for programs, times as RFC 3339.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::Failure;

/// Prints a text. Whatever is in ids and titles, nothing in it moves a terminal's cursor.
pub fn text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let text = &*plain(text, &['\n', '\t']);
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Says something beside the answer, on standard error. What is said there is for whoever listens: where nobody does,
/// all goes on.
pub fn aside(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints an answer as one line of JSON.
pub fn json(answer: &impl Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(answer).map_err(|error| Failure::Failed(error.to_string()))?;
    text(&line)
}

/// A table without lines; columns named in `right` are aligned to the right.
pub fn table(header: &[&str], right: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell, &[])));
    }
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A text with its control characters written out, but for some.
fn plain<'a>(text: &'a str, but: &[char]) -> Cow<'a, str> {
    let moves = |character: char| character.is_control() && !but.contains(&character);
    if !text.contains(moves) {
        return Cow::Borrowed(text);
    }
    let written = |character: char| {
        if moves(character) { character.escape_default().to_string() } else { character.to_string() }
    };
    Cow::Owned(text.chars().map(written).collect())
}

/// A moment as RFC 3339, to the second where it is a whole one.
pub fn time(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// A length of time in words a person reads at a glance.
pub fn age(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0 => format!("{} ms", ms.max(0)),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A number of things, in one or in many.
pub fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// The same of what has a plural of its own.
pub fn counted_as(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

/// A number with its thousands set apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size in bytes, in units a person reads.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_a_person_writes_them() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!([bytes(999), bytes(1_500), bytes(2_000_000)], ["999 B", "1.5 kB", "2.0 MB"]);
        assert_eq!([age(5), age(61_000), age(7_300_000)], ["5 ms", "61 s", "2 h"]);
        assert_eq!(time(1_767_323_045_000), "2026-01-02T03:04:05Z");
    }

    #[test]
    fn nothing_printed_moves_the_cursor() {
        assert_eq!(plain("é\u{1b}[2J\n", &['\n']), "é\\u{1b}[2J\n");
        assert!(
            table(&["title"], &[], [vec!["two\nlines\u{7}".to_owned()]]).ends_with(" two\\nlines\\u{7}\n")
        );
    }
}
