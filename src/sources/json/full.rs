//! Any line: every shape of record, and a reason for what is none.
//!
//! A line is first taken apart into fields, whose values stay text; then its type says which fields there may be.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::context::Context;
use crate::records::{Event, ItemVersion, MICROS, Record, Tombstone, parse_micros, time};
use crate::sources::Batch;
use crate::sources::fields::{
    at_problem, context, id, item_body, not_ahead, quoted, required, value_problem,
};
use crate::sources::reason::{Problem, Reason};

/// The fields that any record may have.
const NAMES: [&str; 14] = [
    "type",
    "member",
    "item",
    "kind",
    "value",
    "at",
    "id",
    "context",
    "title",
    "genres",
    "countries",
    "withdrawn",
    "body",
    "key",
];

/// Appends the record of a line to a batch.
pub fn decode(line: &str, latest_at: i64, scratch: &mut Context, batch: &mut Batch) -> Result<(), Problem> {
    let fields = Fields::of(line)?;
    match fields.text("type")?.as_deref() {
        None | Some("event") => {
            fields.only("an event", &["member", "item", "kind", "value", "at", "id", "context"])?;
            let event = EventFields::of(&fields, scratch)?;
            not_ahead(event.at, latest_at)?;
            batch.push(&Record::Event(event.event(scratch)));
        }
        Some("retract") => retract(&fields, scratch, batch)?,
        Some("forget") => {
            fields.only("a forget", &["member", "at"])?;
            let member = fields.id("member")?;
            batch.push(&Record::Forget { member: &member, at: fields.at()? });
        }
        Some("trim") => {
            fields.only("a trim", &["at"])?;
            let at = fields.at()?;
            // One wrong clock would empty the store for good.
            not_ahead(at, latest_at)?;
            batch.push(&Record::Trim { at });
        }
        Some("item") => item(&fields, batch)?,
        Some("tombstone") => {
            fields.only("a tombstone", &["member", "body"])?;
            let (member, body) = (fields.id("member")?, fields.object("body")?);
            batch.push(&Record::Tombstone(Tombstone { member: &member, body: &body }));
        }
        Some("key") => {
            fields.only("a key", &["key"])?;
            batch.push(&Record::Key(&fields.id("key")?));
        }
        Some(other) => {
            let known = "event, retract, forget, trim and item";
            let detail = format!("`type` is {}; the types are {known}", quoted(other));
            return Err(Problem::new(Reason::UnknownType, detail));
        }
    }
    Ok(())
}

/// Whether every number is an integer: others would not come out of an export as they came in.
fn whole_numbers(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => number.is_i64(),
        serde_json::Value::Array(values) => values.iter().all(whole_numbers),
        serde_json::Value::Object(values) => values.values().all(whole_numbers),
        _ => true,
    }
}

/// With nothing but a member and an id, all events with that id; else the one with the same fields.
fn retract(fields: &Fields<'_>, scratch: &mut Context, batch: &mut Batch) -> Result<(), Problem> {
    fields.only("a retract", &["member", "item", "kind", "value", "at", "id", "context"])?;
    let of_event = ["item", "kind", "value", "at", "context"];
    if of_event.iter().any(|field| fields.raw(field).is_some()) {
        let event = EventFields::of(fields, scratch)?;
        batch.push(&Record::Retract(event.event(scratch)));
        return Ok(());
    }
    let member = fields.id("member")?;
    if fields.raw("id").is_none() {
        let detail = "`id` is missing; a retract has an `id`, or all fields of the event".to_owned();
        return Err(Problem::new(Reason::MissingField, detail));
    }
    batch.push(&Record::RetractId { member: &member, id: &fields.id("id")? });
    Ok(())
}

fn item(fields: &Fields<'_>, batch: &mut Batch) -> Result<(), Problem> {
    fields.only("an item", &["item", "at", "title", "genres", "countries", "withdrawn"])?;
    let withdrawn = match fields.raw("withdrawn") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(wrong_type("withdrawn", "true or false", other)),
    };
    let (item, at, title) = (fields.id("item")?, fields.at()?, fields.text("title")?);
    let body = item_body(title.as_deref(), &fields.list("genres")?, &fields.list("countries")?, withdrawn);
    batch.push(&Record::Item(ItemVersion { item: &item, at, body: &body, withdrawn }));
    Ok(())
}

/// What an event and the retraction of one have; the context stands in the scratch.
struct EventFields<'a> {
    member: Cow<'a, str>,
    item: Cow<'a, str>,
    kind: Cow<'a, str>,
    at: i64,
    value: i64,
    id: Option<Cow<'a, str>>,
}

impl<'a> EventFields<'a> {
    fn of(fields: &Fields<'a>, scratch: &mut Context) -> Result<Self, Problem> {
        let event = EventFields {
            member: fields.id("member")?,
            item: fields.id("item")?,
            kind: fields.id("kind")?,
            at: fields.at()?,
            value: fields.value()?,
            id: fields.raw("id").map(|_| fields.id("id")).transpose()?,
        };
        fields.context(scratch)?;
        context(scratch.written())?;
        Ok(event)
    }

    fn event<'b>(&'b self, scratch: &'b Context) -> Event<'b> {
        Event {
            member: &self.member,
            item: &self.item,
            kind: &self.kind,
            at: self.at,
            value: self.value,
            id: self.id.as_deref(),
            context: scratch.written(),
        }
    }
}

/// The fields of a line by their place in [`NAMES`], as the text of their values; none where absent or null.
#[derive(Default)]
struct Fields<'a> {
    values: [Option<&'a str>; NAMES.len()],
}

impl<'a> Fields<'a> {
    fn of(line: &'a str) -> Result<Self, Problem> {
        let Entries(entries) = serde_json::from_str(line).map_err(|error| not_an_object(line, &error))?;
        let mut fields = Fields::default();
        let mut given = [false; NAMES.len()];
        for (name, value) in entries {
            let Some(place) = NAMES.iter().position(|known| *known == name) else {
                return Err(Problem::new(
                    Reason::UnknownField,
                    format!("no record has a field {}", quoted(&name)),
                ));
            };
            if std::mem::replace(&mut given[place], true) {
                return Err(Problem::new(Reason::DuplicateField, format!("`{name}` is given twice")));
            }
            fields.values[place] = Some(value.get()).filter(|value| *value != "null");
        }
        Ok(fields)
    }

    /// Refuses fields that the type does not have.
    fn only(&self, what: &str, allowed: &[&str]) -> Result<(), Problem> {
        for (name, value) in NAMES.iter().zip(&self.values) {
            if value.is_some() && *name != "type" && !allowed.contains(name) {
                return Err(Problem::new(Reason::UnknownField, format!("{what} has no field `{name}`")));
            }
        }
        Ok(())
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        let place =
            NAMES.iter().position(|known| *known == name).expect("the names of fields are in the table");
        self.values[place]
    }

    fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, Problem> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        if !raw.starts_with('"') {
            return Err(wrong_type(name, "a text", raw));
        }
        unescaped(name, raw).map(Some)
    }

    fn id(&self, name: &str) -> Result<Cow<'a, str>, Problem> {
        let text = required(name, self.text(name)?)?;
        id(name, &text)?;
        Ok(text)
    }

    fn at(&self) -> Result<i64, Problem> {
        let raw = required("at", self.raw("at"))?;
        match raw.as_bytes()[0] {
            b'"' => {
                let text = unescaped("at", raw)?;
                time::parse_rfc3339(&text).map_err(|error| at_problem(&text, error))
            }
            b'-' | b'0'..=b'9' => time::parse_millis(raw).map_err(|error| at_problem(raw, error)),
            _ => Err(wrong_type("at", "a text or an integer", raw)),
        }
    }

    fn value(&self) -> Result<i64, Problem> {
        let Some(raw) = self.raw("value") else { return Ok(MICROS) };
        match raw.as_bytes()[0] {
            b'-' | b'0'..=b'9' => parse_micros(raw).map_err(|error| value_problem(raw, error)),
            _ => Err(wrong_type("value", "a number", raw)),
        }
    }

    fn list(&self, name: &str) -> Result<Vec<String>, Problem> {
        let Some(raw) = self.raw(name) else { return Ok(Vec::new()) };
        serde_json::from_str(raw).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => wrong_type(name, "a list of texts", raw),
            _ => half_a_character(name),
        })
    }

    /// An object as canonical JSON: keys sorted, nothing between.
    fn object(&self, name: &str) -> Result<String, Problem> {
        let raw = required(name, self.raw(name))?;
        if !raw.starts_with('{') {
            return Err(wrong_type(name, "an object", raw));
        }
        let mut value: serde_json::Value = serde_json::from_str(raw)
            .map_err(|error| Problem::new(Reason::NotJson, format!("`{name}` cannot be read: {error}")))?;
        if !whole_numbers(&value) {
            let detail =
                format!("`{name}` holds a number that is no integer of 64 bits; an export has no such");
            return Err(Problem::new(Reason::WrongType, detail));
        }
        value.sort_all_objects();
        Ok(value.to_string())
    }

    fn context(&self, scratch: &mut Context) -> Result<(), Problem> {
        scratch.clear();
        let Some(raw) = self.raw("context") else { return Ok(()) };
        let invalid = |detail: String| Problem::new(Reason::ContextInvalid, detail);
        if !raw.starts_with('{') {
            return Err(invalid(format!("`context` is {}; it is a flat object", kind_of(raw))));
        }
        let Entries(entries) = serde_json::from_str(raw).map_err(|_| half_a_character("context"))?;
        for (key, value) in entries {
            let raw = value.get();
            let value = match raw.as_bytes()[0] {
                b'"' => quoted_json(&unescaped("context", raw)?),
                b'-' | b'0'..=b'9' if !raw.contains(['.', 'e', 'E']) => raw
                    .parse::<i64>()
                    .map_err(|_| invalid(format!("`context.{key}` is beyond 64 bits; write it as a text")))?
                    .to_string(),
                _ => {
                    let detail = format!("`context.{key}` is {}; texts and integers are taken", kind_of(raw));
                    return Err(invalid(detail));
                }
            };
            scratch.add(&key, &value);
        }
        scratch
            .write()
            .map_err(|key| Problem::new(Reason::DuplicateField, format!("`context.{key}` is given twice")))
    }
}

/// The entries of an object in their order, doubles included.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(8);
                while let Some(Key(key)) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a string of JSON.
fn unescaped<'a>(name: &str, raw: &'a str) -> Result<Cow<'a, str>, Problem> {
    if !raw.contains('\\') {
        return Ok(Cow::Borrowed(&raw[1..raw.len() - 1]));
    }
    serde_json::from_str(raw).map(Cow::Owned).map_err(|_| half_a_character(name))
}

fn quoted_json(text: &str) -> String {
    serde_json::to_string(text).expect("writing text to memory does not fail")
}

fn half_a_character(name: &str) -> Problem {
    Problem::new(Reason::NotJson, format!("`{name}` holds an escape that is no character"))
}

fn wrong_type(name: &str, wanted: &str, raw: &str) -> Problem {
    Problem::new(Reason::WrongType, format!("`{name}` is {}; it must be {wanted}", kind_of(raw)))
}

fn kind_of(raw: &str) -> &'static str {
    match raw.as_bytes()[0] {
        b'"' => "a text",
        b'{' => "an object",
        b'[' => "a list",
        b't' | b'f' => "true or false",
        b'n' => "null",
        _ if raw.contains(['.', 'e', 'E']) => "a number with a fraction or an exponent",
        _ => "a number",
    }
}

/// Why a line is not an object.
fn not_an_object(line: &str, error: &serde_json::Error) -> Problem {
    if error.classify() == serde_json::error::Category::Data {
        let what = kind_of(line.trim_ascii_start());
        return Problem::new(Reason::NotAnObject, format!("the line is {what}; a record is an object"));
    }
    match not_a_number(line) {
        Some(word) => Problem::new(Reason::NotANumber, format!("{word} is not a number of JSON")),
        None => {
            let message = error.to_string();
            // There is but one line.
            let detail = message.replacen(" at line 1 column ", ", at column ", 1);
            Problem::new(Reason::NotJson, detail)
        }
    }
}

/// The first bare word outside of strings, where it is one that some programs write for numbers that are none.
fn not_a_number(line: &str) -> Option<&'static str> {
    let (mut inside, mut escaped) = (false, false);
    for (place, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b'N' | b'I' | b'-' | b'n' | b'i' if !inside => {
                let words = ["NaN", "nan", "-Infinity", "Infinity", "-inf", "inf"];
                let found = words.into_iter().find(|word| line[place..].starts_with(word));
                if found.is_some() {
                    return found;
                }
            }
            _ => {}
        }
    }
    None
}
