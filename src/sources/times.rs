//! Times as tables have them: dates of all kinds, in a zone, to milliseconds since 1970.

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

use crate::records::time::{NotATime, in_range, parse_millis, parse_rfc3339};

/// RFC 3339, a date with or without a time, or milliseconds.
pub fn any_time(text: &str, zone: &TimeZone) -> Result<i64, NotATime> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        && !text[1.min(text.len())..].contains('-')
    {
        return parse_millis(text);
    }
    match parse_rfc3339(text) {
        Err(NotATime::Unreadable) => {
            let local: DateTime = text.parse().map_err(|_| NotATime::Unreadable)?;
            in_zone(local, zone)
        }
        known => known,
    }
}

/// Where clocks are put back, the earlier of the two; where they are put forward, as if they had not been.
fn in_zone(local: DateTime, zone: &TimeZone) -> Result<i64, NotATime> {
    let stamp = zone.to_ambiguous_timestamp(local).compatible().map_err(|_| NotATime::OutOfRange)?;
    millis(stamp)
}

fn millis(stamp: jiff::Timestamp) -> Result<i64, NotATime> {
    if stamp < jiff::Timestamp::UNIX_EPOCH {
        return Err(NotATime::OutOfRange);
    }
    in_range(stamp.as_millisecond())
}

/// Seconds since 1970, with or without decimals.
pub fn seconds(text: &str) -> Result<i64, NotATime> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotATime::Unreadable);
    }
    let digit = |place: usize| part.as_bytes().get(place).map_or(0, |byte| i64::from(byte - b'0'));
    // Seconds in range are far fewer than milliseconds in range, so they pass as such first.
    let seconds = parse_millis(whole)?;
    in_range(seconds.saturating_mul(1000) + digit(0) * 100 + digit(1) * 10 + digit(2))
}

/// As a pattern of strptime says; a day alone is its midnight.
pub fn by_pattern(text: &str, pattern: &str, zone: &TimeZone) -> Result<i64, NotATime> {
    let time = BrokenDownTime::parse(pattern, text).map_err(|_| NotATime::Unreadable)?;
    if let Ok(stamp) = time.to_timestamp() {
        return millis(stamp);
    }
    let date = time.to_date().map_err(|_| NotATime::Unreadable)?;
    in_zone(date.to_datetime(time.to_time().unwrap_or_default()), zone)
}
