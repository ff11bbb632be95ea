//! Logs for tests, in a few words.

use super::live::LiveSet;
use crate::config::Config;
use crate::records::{Event, Record};
use crate::sources::Batch;

/// Member, item, kind, `at` and value.
pub type Line<'a> = (&'a str, &'a str, &'a str, i64, f64);

/// What is live in these lines.
pub fn log(config: &Config, lines: &[Line<'_>]) -> LiveSet {
    let mut batch = Batch::new("test".into());
    for &(member, item, kind, at, value) in lines {
        let value = (value * 1e6) as i64;
        batch.push(&Record::Event(Event { member, item, kind, at, value, id: None, context: "" }));
    }
    LiveSet::gather(config.kinds.names.iter().map(String::as_str), [batch])
}
