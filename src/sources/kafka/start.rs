//! `--from`: where in a topic reading begins.

use std::str::FromStr;

use crate::records::time;

/// Where in each partition reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest message that there is.
    Earliest,
    /// With what comes from now on.
    Latest,
    /// With the first message of this time or later, in milliseconds since 1970.
    Time(i64),
    /// With the message of this offset.
    Offset(u64),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => return Ok(Start::Earliest),
            "latest" => return Ok(Start::Latest),
            _ => {}
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // An offset beyond that is none that Kafka knows.
            let offset = text.parse().ok().filter(|offset| i64::try_from(*offset).is_ok());
            return offset.map(Start::Offset).ok_or_else(|| format!("{text} is greater than any offset"));
        }
        let day = text.len() == 10 && text.bytes().filter(|byte| *byte == b'-').count() == 2;
        let at =
            if day { time::parse_rfc3339(&format!("{text}T00:00:00Z")) } else { time::parse_rfc3339(text) };
        at.map(Start::Time).map_err(|_| {
            format!(
                "`{text}` is no beginning: give a time such as 2026-01-01T00:00:00Z, a day such as 2026-01-01, \
                 an offset, `earliest` or `latest`"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_word_a_time_a_day_or_an_offset() {
        assert_eq!("earliest".parse(), Ok(Start::Earliest));
        assert_eq!("latest".parse(), Ok(Start::Latest));
        assert_eq!("17".parse(), Ok(Start::Offset(17)));
        assert_eq!("2026-01-01".parse(), Ok(Start::Time(1_767_225_600_000)));
        assert_eq!("2026-01-01T01:00:00+01:00".parse(), Ok(Start::Time(1_767_225_600_000)));
        for wrong in ["", "yesterday", "2026-13-01", "-1", "99999999999999999999"] {
            assert!(wrong.parse::<Start>().is_err(), "{wrong}");
        }
    }
}
