//! Where a key stands in the text of a config, for errors that name line and key.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line, from 1, in which the byte at `offset` stands.
pub fn line_at(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}

/// The line of a key, or of the nearest table around it that is written, or 1 where none is.
pub fn line_of(text: &str, path: &[String]) -> usize {
    let mut line = 1;
    let Ok(parsed) = DeTable::parse(text) else { return line };
    let mut table = parsed.get_ref();
    for name in path {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref().as_ref() == name) else { break };
        line = line_at(text, key.span().start);
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    line
}

/// The key, with its tables and dots between, that is written at or whose value holds the byte at `offset`.
pub fn key_at(text: &str, offset: usize) -> String {
    let mut path = Vec::new();
    if let Ok(parsed) = DeTable::parse(text) {
        descend(parsed.get_ref(), offset, &mut path);
    }
    path.join(".")
}

fn descend(table: &DeTable<'_>, offset: usize, path: &mut Vec<String>) -> bool {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        let inside = match value.get_ref() {
            DeValue::Table(inner) => descend(inner, offset, path) || holds(&key.span(), offset),
            _ => holds(&key.span(), offset) || holds(&Spanned::span(value), offset),
        };
        if inside {
            return true;
        }
        path.pop();
    }
    false
}

fn holds(span: &Range<usize>, offset: usize) -> bool {
    span.contains(&offset)
}
