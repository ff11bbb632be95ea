//! What a mirror holds: entries by key, as every kind of server has them.
//!
//! Servers of keys and values hold each as a text under a name; those of rows in columns. Both say the same.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::engine::recover::Standing;
use crate::stores::formats::{self, CellKey, meta};
use crate::stores::mirrored::View;
use crate::stores::{StoreError, Table, Tables};

/// The longest name: that of memcached's keys.
const MAX_NAME: usize = 250;

/// What an entry is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A list, of a member; `trending` is nobody's.
    List {
        /// Its name.
        list: String,
        /// Whose; empty for nobody's.
        member: String,
    },
    /// How many events there were.
    Count {
        /// The kind.
        kind: String,
        /// The UTC hour, counted from 1970.
        hour: u32,
        /// The item.
        item: String,
        /// The country; empty where events named none.
        country: String,
    },
    /// What the mirror says of itself.
    About,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A list.
    List {
        /// The model that it is made with.
        model: Option<String>,
        /// Its items, best first: JSON.
        items: String,
    },
    /// A count.
    Count(u64),
    /// What the mirror says of itself: JSON of [`About`].
    About(String),
}

/// An entry that is to be so; without a body it is to be gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What it is of.
    pub key: Key,
    /// What it says.
    pub body: Option<Body>,
}

/// What a mirror says of itself: how fresh it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The epoch up to which it has everything.
    pub epoch: u64,
    /// The newest event that it covers, in milliseconds since 1970.
    pub as_of: Option<i64>,
    /// Whether it is whole: a mirror that is being filled is not yet.
    pub whole: bool,
}

/// One item of a list in a mirror.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its id.
    pub item: String,
    /// What it is ordered by, as in answers over HTTP.
    pub score: f64,
    /// In `continue_watching` when it was played last, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
}

/// An entry as a text: the fields of a list, or those of a count. (Not an enum of serde's: such a one cannot hold JSON as it is.)
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Text {
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hour: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

impl Key {
    /// The key of a list.
    pub fn list(list: &str, member: &str) -> Key {
        Key::List { list: list.to_owned(), member: member.to_owned() }
    }

    /// The entry's name behind a prefix, of letters, digits and `-._~:%` alone. Ids stand in it as they are, with other
    /// characters as in URLs; where it would be too long its hash stands in its place.
    pub fn name(&self, prefix: &str) -> String {
        let mut name = format!("{prefix}:");
        match self {
            Key::List { list, member } if member.is_empty() => escape(list, &mut name),
            Key::List { list, member } => parts(&[list, member], &mut name),
            Key::Count { kind, hour, item, country } => {
                parts(&["count", kind, &hour.to_string(), item, country], &mut name);
            }
            Key::About => name.push_str("about"),
        }
        if name.len() > MAX_NAME {
            name = format!("{prefix}:hash:{}", blake3::hash(name.as_bytes()).to_hex());
        }
        name
    }

    /// The view of a store and the key in it; none of what is in no store.
    pub fn stored(&self) -> Option<(View, Vec<u8>)> {
        match self {
            Key::List { list, member } => match list.as_str() {
                "top_picks" => Some((View::TopPicks, member.as_bytes().to_vec())),
                "continue_watching" => Some((View::ContinueWatching, member.as_bytes().to_vec())),
                "trending" => Some((View::Trending, meta::TRENDING.to_vec())),
                _ => None,
            },
            Key::Count { kind, hour, item, country } => {
                let mut key = Vec::new();
                formats::cell_key(&CellKey { kind, hour: *hour, item, country }, &mut key);
                Some((View::Popularity, key))
            }
            Key::About => None,
        }
    }
}

fn parts(parts: &[&str], out: &mut String) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push(':');
        }
        escape(part, out);
    }
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // A text takes whatever is written.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// An entry as servers of keys and values hold it.
pub fn to_text(key: &Key, body: &Body) -> String {
    let text = match (key, body) {
        (Key::List { list, member }, Body::List { model, items }) => Text {
            member: Some(member.clone()),
            list: Some(list.clone()),
            model: model.clone(),
            items: RawValue::from_string(items.clone()).ok(),
            ..Text::default()
        },
        (Key::Count { kind, hour, item, country }, Body::Count(count)) => Text {
            kind: Some(kind.clone()),
            hour: Some(*hour),
            item: Some(item.clone()),
            country: Some(country.clone()),
            count: Some(*count),
            ..Text::default()
        },
        (_, Body::About(text)) => return text.clone(),
        _ => Text::default(),
    };
    serde_json::to_string(&text).unwrap_or_default()
}

/// Reads such a text; none where it is of somebody else.
pub fn of_text(text: &str) -> Option<(Key, Body)> {
    if serde_json::from_str::<About>(text).is_ok() {
        return Some((Key::About, Body::About(text.to_owned())));
    }
    let Text { member, list, model, items, kind, hour, item, country, count } =
        serde_json::from_str(text).ok()?;
    Some(match list {
        Some(list) => {
            (Key::List { list, member: member? }, Body::List { model, items: items?.get().to_owned() })
        }
        None => {
            (Key::Count { kind: kind?, hour: hour?, item: item?, country: country? }, Body::Count(count?))
        }
    })
}

/// What a mirror of these views is to have under a key of its own; nothing of what is of no view, or not in the store.
pub fn wanted(
    tables: &dyn Tables,
    standing: &Standing,
    views: &[View],
    key: &Key,
) -> Result<Option<Body>, StoreError> {
    let Some((view, key)) = key.stored().filter(|(view, _)| views.contains(view)) else { return Ok(None) };
    Ok(stored(tables, standing, view, &key)?.body)
}

/// What a mirror is to have of an entry of a view, as a store has it.
pub fn stored(tables: &dyn Tables, standing: &Standing, view: View, key: &[u8]) -> Result<Entry, StoreError> {
    let value = tables.get(view.table(), key)?;
    entry(standing, view, key, value.as_deref())
}

/// The same of a value that was read; an empty list is none.
pub fn entry(standing: &Standing, view: View, key: &[u8], value: Option<&[u8]>) -> Result<Entry, StoreError> {
    let member = || String::from_utf8_lossy(key).into_owned();
    let list = |list: &str, member: String, model: Option<&str>, items: Option<Vec<Item>>| Entry {
        key: Key::List { list: list.to_owned(), member },
        body: items.filter(|items| !items.is_empty()).map(|items| Body::List {
            model: model.map(str::to_owned),
            items: serde_json::to_string(&items).unwrap_or_default(),
        }),
    };
    Ok(match view {
        View::TopPicks => {
            let items = value.map(|value| formats::decode_scored(key, value)).transpose()?;
            let items = items.map(|items| items.into_iter().map(|(item, score)| plain(item, score.into())));
            let member = member();
            let model = standing.lists.of(&member).model.map(str::to_owned);
            list("top_picks", member, model.as_deref(), items.map(Iterator::collect))
        }
        View::ContinueWatching => {
            let items = value.map(|value| formats::decode_begun(key, value)).transpose()?;
            let begun = |(item, at, value): (&str, i64, i64)| Item {
                at: Some(at),
                ..plain(item, value as f64 / 1e6)
            };
            let items = items.map(|items| items.into_iter().map(begun).collect());
            list("continue_watching", member(), None, items)
        }
        View::Trending => {
            let items = value.map(formats::decode_trends).transpose()?;
            let trend = |(item, score): (&str, u128)| plain(item, score as f64 / (1_u64 << 32) as f64);
            list("trending", String::new(), None, items.map(|items| items.into_iter().map(trend).collect()))
        }
        View::Popularity => {
            let CellKey { kind, hour, item, country } = formats::decode_cell_key(key)?;
            let count =
                value.map(|value| formats::decode_count(Table::Popularity, key, value)).transpose()?;
            Entry {
                key: Key::Count { kind: kind.into(), hour, item: item.into(), country: country.into() },
                body: count.map(Body::Count),
            }
        }
    })
}

fn plain(item: &str, score: f64) -> Item {
    Item { item: item.to_owned(), score, at: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_plain_and_never_the_same() {
        let key = Key::list("top_picks", "m1");
        assert_eq!(key.name("nearline"), "nearline:top_picks:m1");
        assert_eq!(Key::list("trending", "").name("nearline"), "nearline:trending");
        assert_eq!(Key::About.name("n"), "n:about");
        let long = "é".repeat(128);
        let members = ["a b", "a%20b", "a:b", "", &long, &long[2..], "\u{0}\r\n"];
        let mut names: Vec<String> =
            members.iter().map(|member| Key::list("top_picks", member).name("p")).collect();
        names
            .push(Key::Count { kind: "a:b".into(), hour: 1, item: "i".into(), country: "".into() }.name("p"));
        names
            .push(Key::Count { kind: "a".into(), hour: 1, item: "b:i".into(), country: "".into() }.name("p"));
        for name in &names {
            assert!(name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_graphic()), "{name}");
        }
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_text_says_what_it_is_of() {
        let items = serde_json::to_string(&[plain("i\"9", 0.25)]).unwrap();
        let entries = [
            (Key::list("top_picks", "m 1"), Body::List { model: Some("v".into()), items: items.clone() }),
            (Key::list("trending", ""), Body::List { model: None, items }),
            (
                Key::Count { kind: "play".into(), hour: 7, item: "i".into(), country: "US".into() },
                Body::Count(3),
            ),
            (Key::About, Body::About(r#"{"epoch":7,"as_of":null,"whole":true}"#.into())),
        ];
        for (key, body) in entries {
            assert_eq!(of_text(&to_text(&key, &body)), Some((key, body)));
        }
        assert_eq!(of_text("somebody else's"), None);
        assert_eq!(of_text(r#"{"user":1}"#), None);
    }
}
