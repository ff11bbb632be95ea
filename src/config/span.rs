//! Lengths of time as a person writes them: `10ms`, `90s`, `15m`, `24h`, `7d`, `2w`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// The units, largest first, and their milliseconds.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// The longest span: the years that `at` may name, and then some.
const MAX_MS: u64 = 100_000 * 86_400_000;

/// A length of time, in whole milliseconds.
///
/// ```
/// let week: nearline::config::Span = "7d".parse().unwrap();
/// assert_eq!(week.to_string(), "1w");
/// assert_eq!(week.duration(), std::time::Duration::from_secs(7 * 86_400));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    ms: u64,
}

impl Span {
    /// So many hours.
    pub const fn hours(hours: u64) -> Self {
        Span { ms: hours * 3_600_000 }
    }

    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Span { ms: seconds * 1_000 }
    }

    /// So many milliseconds.
    pub const fn millis(ms: u64) -> Self {
        Span { ms }
    }

    /// A window of whole hours, as `24h` or `7d`; none for `all`.
    pub fn window_hours(text: &str) -> Result<Option<u32>, String> {
        if text == "all" {
            return Ok(None);
        }
        let wrong =
            || format!("`{text}` is not a window: give whole hours or days, such as 24h or 7d, or `all`");
        let span: Span = text.parse().map_err(|_| wrong())?;
        span.whole_hours().filter(|hours| *hours > 0).map(Some).ok_or_else(wrong)
    }

    /// The span in milliseconds.
    pub fn ms(self) -> i64 {
        self.ms as i64
    }

    /// The span as the standard library has it.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// The span in hours, where it is a whole number of them.
    pub fn whole_hours(self) -> Option<u32> {
        self.ms.is_multiple_of(3_600_000).then_some((self.ms / 3_600_000) as u32)
    }
}

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a length of time: write a whole number and one of ms, s, m, h, d, w, as in `24h` (at most 100000d)"
)]
pub struct NotASpan(String);

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let factor = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, ms)| *ms);
        let ms =
            factor.zip(number.parse::<u64>().ok()).and_then(|(factor, number)| number.checked_mul(factor));
        match ms {
            Some(ms) if ms <= MAX_MS => Ok(Span { ms }),
            _ => Err(NotASpan(text.to_owned())),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |unit: &&(&str, u64)| self.ms >= unit.1 && self.ms.is_multiple_of(unit.1);
        let (name, ms) = UNITS.iter().find(whole).unwrap_or(&("ms", 1));
        write!(f, "{}{name}", self.ms / ms)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A length of time: a whole number and one of ms, s, m, h, d, w.",
            "type": "string",
            "pattern": "^[0-9]+ *(ms|s|m|h|d|w)$",
        })
    }
}
