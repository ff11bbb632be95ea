//! What must hold of lines and tables, whatever their bytes.

use std::io::Cursor;

use super::cutter::Place;
use super::decoding::Format;
use super::json::Decoder;
use super::reading::Reading;
use super::watched::{own_plan, plan_of};
use super::{Batch, Rejected, compressed::Stored, decode_lines};
use crate::config::columns::ColumnMap;
use crate::records::{self, Record, write_json};

/// The latest event that is taken: 2100.
const LATEST: i64 = 4_102_444_800_000;

/// Lines of JSON: the two decoders agree on each, what is taken comes back from its normal form and from the JSON
/// that an export writes, what is not has a reason, and no line is lost.
pub fn lines(data: &[u8]) {
    let mut together = Batch::new("fuzz".into());
    decode_lines(data, Place::default(), LATEST, &mut Decoder::default(), &mut together);
    let mut alone = 0;
    let mut refused = 0;
    for line in data.split(|byte| *byte == b'\n') {
        let (mut usual, mut slow) = (Batch::new("fuzz".into()), Batch::new("fuzz".into()));
        let said = Decoder::default().decode(line, LATEST, &mut usual);
        let slowly = Decoder::default().decode_slowly(line, LATEST, &mut slow);
        assert_eq!(said.is_ok(), slowly.is_ok(), "one decoder takes it and the other does not");
        assert_eq!(usual.records().collect::<Vec<_>>(), slow.records().collect::<Vec<_>>());
        let blank = line.trim_ascii().is_empty();
        match said {
            Ok(()) => assert_eq!(usual.len(), usize::from(!blank), "a line that is taken is one record"),
            Err(problem) => {
                assert!(
                    !blank
                        && usual.is_empty()
                        && !problem.detail.is_empty()
                        && !problem.reason.as_str().is_empty()
                );
                refused += 1;
            }
        }
        alone += usual.len();
    }
    assert_eq!((together.len(), together.rejected.len()), (alone, refused));
    kept(&together, data.len());
}

/// A table: the first byte says which column map it is read with, and how large the blocks are that it is cut into;
/// where it is cut changes nothing, and no row is lost.
pub fn table(data: &[u8], maps: &[ColumnMap]) {
    let Some((how, data)) = data.split_first() else { return };
    let map = maps.get(usize::from(how % 8));
    let whole = read(data, map, 1 << 20);
    let cut = read(data, map, 1 + usize::from(how / 8));
    match (whole, cut) {
        (None, None) => {}
        (Some(whole), Some(cut)) => {
            assert_eq!(whole.records().collect::<Vec<_>>(), cut.records().collect::<Vec<_>>());
            assert_eq!(whole.rejected, cut.rejected);
            kept(&whole, data.len());
        }
        (whole, cut) => panic!("in one block: {}, in many: {}", whole.is_some(), cut.is_some()),
    }
}

/// All records of a table; none where its header cannot be used.
fn read(data: &[u8], map: Option<&ColumnMap>, block: usize) -> Option<Batch> {
    let stream = Cursor::new(data.to_vec());
    let mut reading =
        Reading::new(Stored::Plain, stream, Place::default(), block, false).expect("memory can be read");
    let plan = match map {
        Some(map) => plan_of("fuzz", map, &mut reading, false),
        None => own_plan("fuzz", ",", &mut reading, false),
    };
    let plan = match plan {
        Ok(plan) => plan?,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let Format::Rows(plan) = Format::Rows(plan) else { return None };
    let mut batch = Batch::new("fuzz".into());
    while let Some(cut) = reading.next(true).expect("memory can be read") {
        batch.rejected.extend(cut.rejected);
        plan.decode(&cut.bytes, cut.place, LATEST, &mut batch);
    }
    batch.rejected.sort_by_key(|line| line.offset);
    Some(batch)
}

/// What must hold of every batch.
fn kept(batch: &Batch, length: usize) {
    for (record, bytes) in batch.records() {
        let mut again = Vec::new();
        records::encode(&record, &mut again);
        assert_eq!(bytes, again, "the normal form of what it says");
        let mut line = Vec::new();
        write_json(&record, &mut line);
        let mut read = Batch::new("fuzz".into());
        let taken = Decoder::default().decode(&line[..line.len() - 1], i64::MAX, &mut read);
        assert!(taken.is_ok(), "an export cannot be read back: {}", String::from_utf8_lossy(&line));
        assert_eq!(read.bytes(0), bytes, "an export says something else: {}", String::from_utf8_lossy(&line));
        if let Record::Event(event) | Record::Retract(event) = record {
            assert!((records::MIN_AT..records::END_AT).contains(&event.at));
            assert!(event.value.abs() <= records::MAX_VALUE);
        }
    }
    for Rejected { line, offset, reason, detail, raw } in &batch.rejected {
        assert!(*line > 0 && *offset <= length as u64 && raw.len() <= super::RAW);
        assert!(!reason.as_str().is_empty() && !detail.is_empty());
    }
}
