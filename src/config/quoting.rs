//! How the values of a column map are written: names, numbers, texts in quotes, and lists.

use super::columns::{Cell, List, MapError};

/// A column by its name or number, or a text.
pub(super) fn cell(key: &str, text: &str, numbered: bool) -> Result<Cell, MapError> {
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

/// A column, and what it is split at.
pub(super) fn list(key: &str, text: &str, numbered: bool) -> Result<List, MapError> {
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
pub(super) fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
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
pub(super) fn unquoted(key: &str, text: &str) -> Result<String, MapError> {
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
