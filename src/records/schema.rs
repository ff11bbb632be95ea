//! The JSON Schema of records as lines of JSON, generated from the types here: `schemas/record.schema.json`.
//!
//! The types say what a line may hold and are used for nothing else; `sources::json` decodes.

#![allow(dead_code, reason = "the fields are read by the schema generator alone")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

/// The JSON Schema of one line of a log.
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Line)).expect("a schema is JSON")
}

/// One record, as one line of a log. Lines are shorter than 1 MiB. A field that is null counts as absent.
#[derive(JsonSchema)]
#[schemars(untagged, title = "Record")]
enum Line {
    Event(EventLine),
    Retract(RetractLine),
    RetractId(RetractIdLine),
    Forget(ForgetLine),
    Trim(TrimLine),
    Item(ItemLine),
    Tombstone(TombstoneLine),
    Key(KeyLine),
}

/// A member did something. Two events that differ in any field are two events.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct EventLine {
    r#type: Option<EventType>,
    member: Id,
    item: Id,
    kind: Id,
    at: At,
    value: Option<Value>,
    id: Option<Id>,
    context: Option<Context>,
}

/// Takes out the event with the same fields.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RetractLine {
    r#type: RetractType,
    member: Id,
    item: Id,
    kind: Id,
    at: At,
    value: Option<Value>,
    id: Option<Id>,
    context: Option<Context>,
}

/// Takes out every event of the member with this id.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RetractIdLine {
    r#type: RetractType,
    member: Id,
    id: Id,
}

/// Takes out all of a member's events up to and including `at`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ForgetLine {
    r#type: ForgetType,
    member: Id,
    at: At,
}

/// A forget for every member.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct TrimLine {
    r#type: TrimType,
    at: At,
}

/// A version of an item of the catalogue; the greatest `at` replaces all of the others.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ItemLine {
    r#type: ItemType,
    item: Id,
    at: At,
    title: Option<String>,
    genres: Option<Vec<String>>,
    countries: Option<Vec<String>>,
    /// Whether the item may no longer be listed; false unless given.
    withdrawn: Option<bool>,
}

/// The digests that are left of a forgotten member, as `nearline export` writes them.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct TombstoneLine {
    r#type: TombstoneType,
    member: Id,
    body: serde_json::Map<String, serde_json::Value>,
}

/// The key of the digests, as `nearline export` writes it; only an empty data folder takes it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct KeyLine {
    r#type: KeyType,
    key: Id,
}

/// 1 to 256 bytes of UTF-8.
#[derive(JsonSchema)]
struct Id(#[schemars(length(min = 1, max = 256))] String);

/// RFC 3339, or integer milliseconds since 1970; from 1970 on and before 2200.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum At {
    Text(#[schemars(extend("format" = "date-time"))] String),
    Millis(#[schemars(range(min = 0, max = 7_258_118_399_999_i64))] i64),
}

/// How much; rounded half-even to 10⁻⁶, and 1 unless given.
#[derive(JsonSchema)]
struct Value(#[schemars(range(min = -1e9, max = 1e9))] f64);

/// A flat object, at most 4 KiB as canonical JSON; an empty one counts as absent.
#[derive(JsonSchema)]
struct Context(BTreeMap<String, ContextValue>);

/// A text, or an integer of 64 bits.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum ContextValue {
    Text(String),
    Integer(i64),
}

macro_rules! type_names {
    ($($name:ident $variant:ident),*) => {
        $(
            #[derive(JsonSchema)]
            #[schemars(rename_all = "lowercase", inline)]
            enum $name {
                $variant,
            }
        )*
    };
}

type_names!(
    EventType Event, RetractType Retract, ForgetType Forget, TrimType Trim, ItemType Item,
    TombstoneType Tombstone, KeyType Key
);

#[cfg(test)]
mod tests {
    /// `NEARLINE_REWRITE=1` writes the schema anew. Tests run in the folder of the package.
    #[test]
    fn the_schema_that_is_checked_in_is_that_of_the_types() {
        let path = std::path::Path::new("schemas/record.schema.json");
        let mut generated = serde_json::to_string_pretty(&super::schema()).unwrap();
        generated.push('\n');
        if std::env::var_os("NEARLINE_REWRITE").is_some() {
            std::fs::create_dir_all("schemas").unwrap();
            std::fs::write(path, &generated).unwrap();
        }
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(checked_in, generated, "run this test with NEARLINE_REWRITE=1");
    }
}
