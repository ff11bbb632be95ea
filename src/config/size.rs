//! Amounts of memory as a person writes them: `512MB`, `2GB`, a number of bytes, or `none`.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// The units and how many bytes each has.
const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// An amount of memory in bytes, or none.
///
/// ```
/// let size: nearline::config::Size = "2GB".parse().unwrap();
/// assert_eq!(size.0, Some(2_000_000_000));
/// assert_eq!("none".parse(), Ok(nearline::config::Size(None)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size(pub Option<u64>);

/// A text that is no amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an amount of memory: write a whole number of at least 64 MB with KB, MB, GB, KiB, MiB or GiB, as in `2GB`, or `none`"
)]
pub struct NotASize(String);

/// What a process takes that has nothing to do.
const LEAST: u64 = 64_000_000;

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        if text == "none" {
            return Ok(Size(None));
        }
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let factor = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, bytes)| *bytes);
        let bytes =
            factor.zip(number.parse::<u64>().ok()).and_then(|(factor, number)| number.checked_mul(factor));
        match bytes {
            Some(bytes) if bytes >= LEAST => Ok(Size(Some(bytes))),
            _ => Err(NotASize(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected an amount of memory such as \"2GB\", a number of bytes, or \"none\""
        )]
        enum Written {
            Bytes(u64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => bytes.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An amount of memory: a number of bytes, or a text such as \"2GB\" or \"512MiB\"; \"none\" for none.",
            "anyOf": [
                { "type": "integer", "minimum": LEAST },
                { "type": "string", "pattern": "^([0-9]+ *(B|KB|MB|GB|KiB|MiB|GiB)?|none)$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_and_are_no_less_than_a_process_takes() {
        let size = |text: &str| text.parse::<Size>().ok().map(|size| size.0);
        assert_eq!(size("2GB"), Some(Some(2_000_000_000)));
        assert_eq!(size("512 MiB"), Some(Some(512 << 20)));
        assert_eq!(size("64000000"), Some(Some(64_000_000)));
        assert_eq!(size("none"), Some(None));
        for wrong in
            ["", "2", "2TB", "GB", "-2GB", "1.5GB", "63MB", "99999999999999999999GB", "20000000000GB"]
        {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
