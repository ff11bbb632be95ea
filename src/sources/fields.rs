//! From the texts of fields to the fields of a record: what JSON and CSV have in common.

use super::reason::{Problem, Reason};
use crate::records::time::NotATime;
use crate::records::{MAX_CONTEXT, MAX_ID, NotAValue};

/// Refuses an id that is empty or too long.
pub fn id<'a>(field: &str, text: &'a str) -> Result<&'a str, Problem> {
    match text.len() {
        0 => Err(Problem::new(Reason::EmptyId, format!("`{field}` is empty"))),
        1..=MAX_ID => Ok(text),
        length => {
            let detail = format!("`{field}` has {length} bytes; an id has at most {MAX_ID}");
            Err(Problem::new(Reason::IdTooLong, detail))
        }
    }
}

/// A required field.
pub fn required<T>(field: &str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::new(Reason::MissingField, format!("`{field}` is missing")))
}

/// What is wrong with an `at`.
pub fn at_problem(text: &str, error: NotATime) -> Problem {
    let reason = match error {
        NotATime::Unreadable => Reason::AtUnreadable,
        NotATime::OutOfRange => Reason::AtOutOfRange,
    };
    Problem::new(reason, format!("`at`: {} {error}", quoted(text)))
}

/// Refuses the `at` of an event that lies past `latest`.
pub fn not_ahead(at: i64, latest: i64) -> Result<(), Problem> {
    if at <= latest {
        return Ok(());
    }
    let (at, latest) = (written(at), written(latest));
    Err(Problem::new(Reason::AtAhead, format!("`at` is {at}; the latest that is taken now is {latest}")))
}

/// What is wrong with a `value`.
pub fn value_problem(text: &str, error: NotAValue) -> Problem {
    let reason = match error {
        NotAValue::NotANumber => Reason::NotANumber,
        NotAValue::Unreadable => Reason::ValueUnreadable,
        NotAValue::OutOfRange => Reason::ValueOutOfRange,
    };
    Problem::new(reason, format!("`value`: {} {error}", quoted(text)))
}

/// Refuses a context that is too large; that of an empty object counts as none.
pub fn context(canonical: &str) -> Result<&str, Problem> {
    match canonical.len() {
        0..=2 => Ok(""),
        3..=MAX_CONTEXT => Ok(canonical),
        length => {
            let detail =
                format!("`context` has {length} bytes as canonical JSON; at most {MAX_CONTEXT} are taken");
            Err(Problem::new(Reason::ContextTooLarge, detail))
        }
    }
}

/// The canonical body of a version of an item.
pub fn item_body(title: Option<&str>, genres: &[String], countries: &[String], withdrawn: bool) -> String {
    let mut body = serde_json::json!({});
    let object = body.as_object_mut().expect("it was made as one");
    // In the order of the keys, whatever map serde_json was built with.
    if !countries.is_empty() {
        object.insert("countries".into(), countries.into());
    }
    if !genres.is_empty() {
        object.insert("genres".into(), genres.into());
    }
    if let Some(title) = title {
        object.insert("title".into(), title.into());
    }
    if withdrawn {
        object.insert("withdrawn".into(), true.into());
    }
    body.to_string()
}

/// A text for a message, in quotation marks and not too long.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

fn written(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}
