//! What an event's context says of where it happened: country, list, variant and position.
//!
//! A context is canonical JSON, a flat object of strings and integers, so one pass from key to key finds them.

use std::borrow::Cow;

use crate::records::MAX_ID;

/// No position is beyond it.
const MAX_POSITION: u16 = 1000;

/// What a context says; what it does not say, or not in a way that counts, is empty or zero.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// Where the member was: a text, or an integer as its digits.
    pub country: Cow<'a, str>,
    /// The list that the item was shown in: a text of 1 to 256 bytes.
    pub list: Cow<'a, str>,
    /// The variant that made the list: likewise. Nothing where there is no list.
    pub variant: Cow<'a, str>,
    /// The item's position in the list: an integer from 1 to 1000. Nothing where there is no list.
    pub position: u16,
}

impl<'a> Said<'a> {
    /// Reads a context.
    pub fn of(context: &'a str) -> Self {
        let mut said = Said::default();
        let mut rest = context;
        while let Some((key, value, after)) = field(rest) {
            match key {
                "country" => said.country = value.text().unwrap_or_default(),
                "list" => said.list = value.name(),
                "position" => said.position = value.position(),
                "variant" => said.variant = value.name(),
                _ => {}
            }
            rest = after;
        }
        if said.list.is_empty() {
            (said.variant, said.position) = (Cow::Borrowed(""), 0);
        }
        said
    }
}

/// A value as it is written.
enum Value<'a> {
    /// What is between the quotes.
    Text(&'a str),
    Integer(&'a str),
}

impl<'a> Value<'a> {
    fn text(&self) -> Option<Cow<'a, str>> {
        match *self {
            Value::Text(text) if text.contains('\\') => {
                serde_json::from_str(&format!("\"{text}\"")).ok().map(Cow::Owned)
            }
            Value::Text(text) | Value::Integer(text) => Some(Cow::Borrowed(text)),
        }
    }

    fn name(&self) -> Cow<'a, str> {
        let text = if matches!(self, Value::Text(_)) { self.text() } else { None };
        text.filter(|text| text.len() <= MAX_ID).unwrap_or_default()
    }

    fn position(&self) -> u16 {
        let Value::Integer(digits) = self else { return 0 };
        digits.parse().ok().filter(|position| (1..=MAX_POSITION).contains(position)).unwrap_or(0)
    }
}

/// The next key, as it is written, its value, and what comes after; none where there is no more.
fn field(rest: &str) -> Option<(&str, Value<'_>, &str)> {
    let (key, rest) = quoted(rest.strip_prefix(['{', ','])?)?;
    let rest = rest.strip_prefix(':')?;
    if let Some((text, rest)) = quoted(rest) {
        return Some((key, Value::Text(text), rest));
    }
    let (digits, rest) = rest.split_at(rest.find([',', '}'])?);
    Some((key, Value::Integer(digits), rest))
}

/// What is between the quotes that a text begins with, and what comes after.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let mut end = 0;
    loop {
        end += memchr::memchr2(b'"', b'\\', text.as_bytes().get(end..)?)?;
        if text.as_bytes()[end] == b'"' {
            return Some((&text[..end], &text[end + 1..]));
        }
        end += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(country: &str, list: &str, variant: &str, position: u16) -> Said<'static> {
        let [country, list, variant] = [country, list, variant].map(|text| Cow::Owned(text.to_owned()));
        Said { country, list, variant, position }
    }

    #[test]
    fn a_context_says_country_list_variant_and_position() {
        for (context, wanted) in [
            ("", said("", "", "", 0)),
            (r#"{"country":"US"}"#, said("US", "", "", 0)),
            (r#"{"country":7,"device":"tv"}"#, said("7", "", "", 0)),
            (r#"{"country":"US","list":"top_picks","position":3}"#, said("US", "top_picks", "", 3)),
            (r#"{"device":"tv","list":"a","position":1000,"variant":"b"}"#, said("", "a", "b", 1000)),
            (
                r#"{"list":"with \"quotes\"","position":1,"variant":"\\"}"#,
                said("", "with \"quotes\"", "\\", 1),
            ),
            // Without a list nothing else of it counts.
            (r#"{"country":"US","position":3,"variant":"b"}"#, said("US", "", "", 0)),
        ] {
            assert_eq!(Said::of(context), wanted, "{context}");
        }
    }

    #[test]
    fn what_is_no_list_no_variant_or_no_position_counts_as_none() {
        for (context, wanted) in [
            (r#"{"list":7,"position":3}"#, said("", "", "", 0)),
            (r#"{"list":"","position":3}"#, said("", "", "", 0)),
            (r#"{"list":"a","position":0,"variant":7}"#, said("", "a", "", 0)),
            (r#"{"list":"a","position":1001,"variant":""}"#, said("", "a", "", 0)),
            (r#"{"list":"a","position":-1}"#, said("", "a", "", 0)),
            (r#"{"list":"a","position":70000}"#, said("", "a", "", 0)),
            (r#"{"list":"a","position":"3"}"#, said("", "a", "", 0)),
        ] {
            assert_eq!(Said::of(context), wanted, "{context}");
        }
        let [most, more] = [256, 257].map(|length| "l".repeat(length));
        assert_eq!(Said::of(&format!(r#"{{"list":"{most}"}}"#)), said("", &most, "", 0));
        assert_eq!(Said::of(&format!(r#"{{"list":"{more}","position":3}}"#)), said("", "", "", 0));
    }

    #[test]
    fn keys_are_found_where_keys_stand_and_nowhere_else() {
        let context = r#"{"a":"\"list\":","b\"list":"no","country":"list","x\"country":"no"}"#;
        assert_eq!(Said::of(context), said("list", "", "", 0));
        // None of these is in normal form; nothing panics.
        for context in ["{", "{}", "{\"list", r#"{"list":"#, r#"{"list":"a\"#, r#"{"list":"é"#, "nonsense"] {
            assert_eq!(Said::of(context), Said::default(), "{context}");
        }
    }
}
