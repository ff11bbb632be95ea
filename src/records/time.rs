//! Points in time: RFC 3339 text to milliseconds since 1970, floored.
//!
//! The grammar is that of RFC 3339, section 5.6, to the letter: an offset is required, the fraction may have any
//! number of digits, `T` and `Z` may be small and a space may stand for the `T`. A leap second counts as the second
//! before it.

use super::{END_AT, MIN_AT};

/// Why a text is not a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotATime {
    /// It is not in the form that is wanted, or there is no such day or hour.
    #[error("is neither RFC 3339, such as 2026-01-02T03:04:05Z, nor integer milliseconds since 1970")]
    Unreadable,
    /// It lies before 1970 or not before 2200.
    #[error("lies outside 1970 to 2200")]
    OutOfRange,
}

/// Reads RFC 3339.
///
/// ```
/// use nearline::records::time::parse_rfc3339;
/// assert_eq!(parse_rfc3339("1970-01-01T01:00:00.0019+01:00"), Ok(1));
/// ```
pub fn parse_rfc3339(text: &str) -> Result<i64, NotATime> {
    let at = read_rfc3339(text.as_bytes()).ok_or(NotATime::Unreadable)?;
    in_range(at)
}

/// Reads integer milliseconds since 1970.
pub fn parse_millis(text: &str) -> Result<i64, NotATime> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotATime::Unreadable);
    }
    in_range(text.parse().map_err(|_| NotATime::OutOfRange)?)
}

/// Refuses what lies outside the range of `at`.
pub fn in_range(at: i64) -> Result<i64, NotATime> {
    if (MIN_AT..END_AT).contains(&at) { Ok(at) } else { Err(NotATime::OutOfRange) }
}

fn read_rfc3339(text: &[u8]) -> Option<i64> {
    let (head, mut rest) = text.split_first_chunk::<19>()?;
    let shape = head[4] == b'-'
        && head[7] == b'-'
        && matches!(head[10], b'T' | b't' | b' ')
        && head[13] == b':'
        && head[16] == b':';
    if !shape {
        return None;
    }
    let year = pair(head, 0)? * 100 + pair(head, 2)?;
    let (month, day) = (pair(head, 5)?, pair(head, 8)?);
    let (hour, minute, second) = (pair(head, 11)?, pair(head, 14)?, pair(head, 17)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut millis = 0;
    if let Some((b'.', digits)) = rest.split_first() {
        let length = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        if length == 0 {
            return None;
        }
        let digit = |place: usize| if place < length { i64::from(digits[place] - b'0') } else { 0 };
        millis = digit(0) * 100 + digit(1) * 10 + digit(2);
        rest = &digits[length..];
    }
    let minutes = offset(rest)?;
    let seconds = (days(year, month, day) * 24 + hour) * 3600 + (minute - minutes) * 60 + second.min(59);
    Some(seconds * 1000 + millis)
}

/// The minutes by which the clock is ahead of universal time.
fn offset(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (pair(text, 1)?, pair(text, 4)?);
            let ahead = hours * 60 + minutes;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

#[inline]
fn pair(text: &[u8], place: usize) -> Option<i64> {
    let (tens, ones) = (text[place].wrapping_sub(b'0'), text[place + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar: the year is taken to begin in March, so that the leap
/// day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc_3339_is_floored_to_milliseconds() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t00:00:00z", 0),
            ("1970-01-01 00:00:00.0Z", 0),
            ("2026-01-02T03:04:05Z", 1_767_323_045_000),
            ("2026-01-02T03:04:05.9999999Z", 1_767_323_045_999),
            ("2026-01-02T03:04:05.5+05:30", 1_767_323_045_500 - 19_800_000),
            ("2026-01-02T03:04:05-00:00", 1_767_323_045_000),
            ("2199-12-31T23:59:59.999Z", END_AT - 1),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000),
            ("1969-12-31T23:00:00-01:00", 0),
        ];
        for (text, at) in cases {
            assert_eq!(parse_rfc3339(text), Ok(at), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let unreadable = [
            "",
            "2026-01-02",
            "2026-01-02T03:04Z",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05,5Z",
            "2026-01-02T03:04:05+0100",
            "2026-01-02T03:04:05+24:00",
            "2026-01-02T24:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-02T03:04:05Z[UTC]",
            "2026-01-02T03:04:05ZZ",
            "+002026-01-02T03:04:05Z",
            " 2026-01-02T03:04:05Z",
            "2026-01-02T03:04:0:Z",
        ];
        for text in unreadable {
            assert_eq!(parse_rfc3339(text), Err(NotATime::Unreadable), "{text}");
        }
        for text in ["1969-12-31T23:59:59.9Z", "2200-01-01T00:00:00Z", "1970-01-01T00:00:00+00:01"] {
            assert_eq!(parse_rfc3339(text), Err(NotATime::OutOfRange), "{text}");
        }
        assert_eq!(parse_millis("7258118399999"), Ok(END_AT - 1));
        for text in ["-1", "7258118400000", "99999999999999999999"] {
            assert_eq!(parse_millis(text), Err(NotATime::OutOfRange), "{text}");
        }
        for text in ["", "-", "1.0", "1e3", "+5", "abc"] {
            assert_eq!(parse_millis(text), Err(NotATime::Unreadable), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_jiff(at in MIN_AT..END_AT, hours in -12_i8..=14) {
            let stamp = jiff::Timestamp::from_millisecond(at).unwrap();
            prop_assert_eq!(parse_rfc3339(&stamp.to_string()), Ok(at));
            let zone = jiff::tz::TimeZone::fixed(jiff::tz::Offset::constant(hours));
            let local = stamp.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string();
            prop_assert_eq!(parse_rfc3339(&local), Ok(at));
        }
    }
}
