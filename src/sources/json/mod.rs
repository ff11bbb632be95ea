//! One line of JSON to one record in normal form.
//!
//! An event in the usual shape is read in one pass (`fast.rs`). Whatever that does not know goes the long way
//! (`full.rs`), which knows every shape and has a reason for each line that cannot be taken. A test holds the two
//! to the same records.

mod context;
mod fast;
mod full;

use super::Batch;
use super::reason::{Problem, Reason};

/// A line of this many bytes or more, its line end not counted, is not taken.
pub const MAX_LINE: usize = 1 << 20;

/// Decodes lines; keeps its working memory from one to the next.
#[derive(Debug, Default)]
pub struct Decoder {
    context: context::Context,
}

impl Decoder {
    /// Appends the record of a line, without its line end, to a batch. Events later than `latest_at` are refused.
    /// A line of white space is none, and nothing is appended.
    pub fn decode(&mut self, line: &[u8], latest_at: i64, batch: &mut Batch) -> Result<(), Problem> {
        if line.len() >= MAX_LINE {
            return Err(Problem::new(Reason::TooLong, super::cutter::too_long()));
        }
        let text = std::str::from_utf8(line).map_err(|error| {
            Problem::new(
                Reason::NotUtf8,
                format!("byte {} of the line is not UTF-8", error.valid_up_to() + 1),
            )
        })?;
        self.decode_text(text, latest_at, batch)
    }

    /// The same for a line that is known to be UTF-8 and short enough.
    pub(super) fn decode_text(
        &mut self,
        line: &str,
        latest_at: i64,
        batch: &mut Batch,
    ) -> Result<(), Problem> {
        if let Some(event) = fast::event(line, &mut self.context)
            && event.at <= latest_at
        {
            batch.push(&crate::records::Record::Event(event));
            return Ok(());
        }
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        full::decode(line, latest_at, &mut self.context, batch)
    }
    /// The same the long way alone: what the short way must agree with.
    pub(crate) fn decode_slowly(
        &mut self,
        line: &[u8],
        latest_at: i64,
        batch: &mut Batch,
    ) -> Result<(), Problem> {
        match std::str::from_utf8(line) {
            Ok(text) if line.len() < MAX_LINE && !text.trim_ascii().is_empty() => {
                full::decode(text, latest_at, &mut self.context, batch)
            }
            _ => self.decode(line, latest_at, batch),
        }
    }
}

#[cfg(test)]
mod tests;
