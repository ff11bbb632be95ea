//! Values in fixed point: decimal text to millionths and back, exactly.
//!
//! No float takes part, so `0.83` is 830,000 millionths everywhere and sums of values do not depend on their order.

use super::MAX_VALUE;

/// Millionths in one.
pub const MICROS: i64 = 1_000_000;

/// Decimal places that are kept.
const PLACES: i64 = 6;
/// No value within [`MAX_VALUE`] has more digits than this, in millionths.
const MAX_DIGITS: i64 = 16;

/// Why a text is not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAValue {
    /// It says that it is not a number, or an infinite one.
    #[error("is not a finite number")]
    NotANumber,
    /// It is not a decimal.
    #[error("is not a decimal such as 1, -0.5 or 2e3")]
    Unreadable,
    /// It is too large.
    #[error("lies outside -1000000000 to 1000000000")]
    OutOfRange,
}

/// Reads a decimal (sign, digits, fraction, exponent), rounded half-even to millionths.
///
/// The limit of [`MAX_VALUE`] holds for the rounded value.
///
/// ```
/// use nearline::records::parse_micros;
/// assert_eq!(parse_micros("0.83"), Ok(830_000));
/// assert_eq!(parse_micros("0.0000005"), Ok(0));
/// assert_eq!(parse_micros("0.0000015"), Ok(2));
/// ```
pub fn parse_micros(text: &str) -> Result<i64, NotAValue> {
    let bytes = text.as_bytes();
    let (negative, unsigned) = match bytes.first() {
        Some(b'-') => (true, &bytes[1..]),
        Some(b'+') => (false, &bytes[1..]),
        _ => (false, bytes),
    };
    let whole = digits(unsigned);
    let after = &unsigned[whole.len()..];
    let fraction = if after.first() == Some(&b'.') { digits(&after[1..]) } else { &[] };
    let dot = usize::from(after.first() == Some(&b'.'));
    let rest = &after[dot + fraction.len()..];
    if whole.is_empty() && fraction.is_empty() {
        return Err(if is_not_finite(unsigned) { NotAValue::NotANumber } else { NotAValue::Unreadable });
    }
    let exponent = exponent(rest).ok_or(NotAValue::Unreadable)?;
    let micros = round(whole, fraction, exponent).ok_or(NotAValue::OutOfRange)?;
    if micros > MAX_VALUE {
        return Err(NotAValue::OutOfRange);
    }
    Ok(if negative { -micros } else { micros })
}

/// The shortest decimal that reads as this many millionths.
pub fn format_micros(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, part) = (micros.unsigned_abs() / MICROS as u64, micros.unsigned_abs() % MICROS as u64);
    if part == 0 {
        return format!("{sign}{whole}");
    }
    let text = format!("{sign}{whole}.{part:06}");
    text.trim_end_matches('0').to_owned()
}

fn digits(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    &bytes[..length]
}

fn is_not_finite(unsigned: &[u8]) -> bool {
    ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word.as_bytes()))
}

/// What follows the digits: nothing, or an exponent. One that fits no integer is as good as the greatest.
fn exponent(rest: &[u8]) -> Option<i64> {
    let Some((b'e' | b'E', signed)) = rest.split_first() else { return rest.is_empty().then_some(0) };
    let (negative, number) = match signed.first() {
        Some(b'-') => (true, &signed[1..]),
        Some(b'+') => (false, &signed[1..]),
        _ => (false, signed),
    };
    if number.is_empty() || digits(number).len() < number.len() {
        return None;
    }
    let size = number.iter().fold(0_i64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(i64::MAX / 4)
    });
    Some(if negative { -size } else { size })
}

/// Millionths of the decimal `whole.fraction · 10^exponent`; none where they have too many digits.
fn round(whole: &[u8], fraction: &[u8], exponent: i64) -> Option<i64> {
    let mut digits = whole.iter().chain(fraction).map(|digit| i64::from(digit - b'0'));
    let mut kept = whole.len() as i64 + exponent + PLACES;
    let mut sum = 0_i64;
    let mut length = 0;
    while kept > 0 {
        let Some(digit) = digits.next() else {
            // Only zeros would follow.
            return if sum == 0 {
                Some(0)
            } else if length + kept > MAX_DIGITS {
                None
            } else {
                Some(sum * 10_i64.pow(kept as u32))
            };
        };
        kept -= 1;
        sum = sum * 10 + digit;
        length += i64::from(sum > 0);
        if length > MAX_DIGITS {
            return None;
        }
    }
    // Where the first digit that counts lies further to the right, what is left is less than half.
    let first = if kept < 0 { 0 } else { digits.next().unwrap_or(0) };
    let up = first > 5 || (first == 5 && (sum % 2 == 1 || digits.any(|digit| digit > 0)));
    Some(sum + i64::from(up))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_rounded_half_even_to_millionths() {
        let cases = [
            ("0", 0),
            ("-0", 0),
            ("1", 1_000_000),
            ("0.83", 830_000),
            ("+2.5", 2_500_000),
            (".5", 500_000),
            ("5.", 5_000_000),
            ("0.0000005", 0),
            ("0.00000050000000000000000000000001", 1),
            ("0.0000015", 2),
            ("0.0000025", 2),
            ("-0.0000015", -2),
            ("0.00000049999", 0),
            ("0.00000009", 0),
            ("12345e-2", 123_450_000),
            ("1.5E+3", 1_500_000_000),
            ("5e-7", 0),
            ("15e-7", 2),
            ("95e-8", 1),
            ("0e99999999999999999999", 0),
            ("7e-99999999999999999999", 0),
            ("1000000000", MAX_VALUE),
            ("-1e9", -MAX_VALUE),
            ("1000000000.0000005", MAX_VALUE),
            ("0000000000000000000000000000012", 12_000_000),
        ];
        for (text, micros) in cases {
            assert_eq!(parse_micros(text), Ok(micros), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_says_why() {
        for text in ["NaN", "nan", "-Infinity", "inf", "+INF"] {
            assert_eq!(parse_micros(text), Err(NotAValue::NotANumber), "{text}");
        }
        for text in ["", "-", ".", "e5", "1e", "1e+", "1,5", " 1", "0x1", "1.2.3", "one", "--1", "1e5.0"] {
            assert_eq!(parse_micros(text), Err(NotAValue::Unreadable), "{text}");
        }
        for text in ["1000000000.000001", "-1e10", "1e99999999999999999999", "12345678901234567890"] {
            assert_eq!(parse_micros(text), Err(NotAValue::OutOfRange), "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_values_read_back(micros in -MAX_VALUE..=MAX_VALUE) {
            prop_assert_eq!(parse_micros(&format_micros(micros)), Ok(micros));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+]?[0-9]{0,20}[.]?[0-9]{0,20}([eE][-+]?[0-9]{0,20})?") {
            if let Ok(micros) = parse_micros(&text) {
                prop_assert!(micros.abs() <= MAX_VALUE);
            }
        }

        #[test]
        fn rounding_agrees_with_integers(nanos in -1_000_000_000_000_i64..1_000_000_000_000, shift in 0_i32..30) {
            // The same number, written with its point moved and an exponent.
            let text = format!("{nanos}e-{}", 9 + shift) + "";
            let zeros = "0".repeat(shift as usize);
            let moved = format!("{nanos}{zeros}e-{}", 9 + shift);
            let (floor, rest) = (nanos.div_euclid(1000), nanos.rem_euclid(1000));
            let up = rest > 500 || (rest == 500 && floor.rem_euclid(2) == 1);
            prop_assert_eq!(parse_micros(&moved), Ok(floor + i64::from(up)));
            prop_assert!(parse_micros(&text).is_ok());
        }
    }
}
