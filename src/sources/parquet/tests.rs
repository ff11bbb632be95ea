//! Other people's files: the types that they may have, and what is said of those that cannot be read.

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType};
use parquet::data_type::{Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;
use crate::records::Record;
use crate::sources::Batch;

/// One column.
enum Column<'a> {
    Text(&'a [&'a str]),
    Long(&'a [i64]),
    Int(&'a [i32]),
    Double(&'a [f64]),
    Fixed(&'a [[u8; 8]]),
}

fn file(folder: &Path, name: &str, schema: &str, columns: &[Column<'_>]) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = File::create(folder.join(name)).unwrap();
    let mut file = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = file.next_row_group().unwrap();
    for column in columns {
        let mut writer = group.next_column().unwrap().unwrap();
        match column {
            Column::Text(texts) => {
                let texts: Vec<ByteArray> = texts.iter().map(|text| ByteArray::from(*text)).collect();
                writer.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
            }
            Column::Long(values) => {
                writer.typed::<Int64Type>().write_batch(values, None, None).unwrap();
            }
            Column::Int(values) => {
                writer.typed::<Int32Type>().write_batch(values, None, None).unwrap();
            }
            Column::Double(values) => {
                writer.typed::<DoubleType>().write_batch(values, None, None).unwrap();
            }
            Column::Fixed(values) => {
                let values: Vec<FixedLenByteArray> =
                    values.iter().map(|bytes| ByteArray::from(bytes.to_vec()).into()).collect();
                writer.typed::<FixedLenByteArrayType>().write_batch(&values, None, None).unwrap();
            }
        }
        writer.close().unwrap();
    }
    group.close().unwrap();
    file.close().unwrap();
}

/// All records of a path, and why others were rejected.
fn read(path: &Path, offsets: &dyn Fn(&str) -> Option<Offset>) -> (Batch, Vec<String>, Vec<Offset>) {
    let mut source = open(path.to_str().unwrap(), &Options::default(), offsets).unwrap();
    let (mut all, mut rejected, mut ends) = (Batch::new("all".into()), Vec::new(), Vec::new());
    while let Some(batch) = source.next().unwrap() {
        batch.records().for_each(|(record, _)| all.push(&record));
        rejected.extend(batch.rejected.iter().map(|line| format!("{} {}", line.line, line.reason)));
        ends.extend(batch.offset);
    }
    (all, rejected, ends)
}

fn said(batch: &Batch) -> Vec<(String, String, i64, i64)> {
    let event = |record: Record<'_>| match record {
        Record::Event(event) => (event.member.to_owned(), event.item.to_owned(), event.value, event.at),
        other => panic!("{other:?}"),
    };
    batch.records().map(|(record, _)| event(record)).collect()
}

#[test]
fn columns_of_other_types_are_read_for_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let schema = "message m {
        required int32 item; required binary member (string); required binary kind (string);
        required double value; required int64 at (timestamp(micros,true)); required int32 other;
    }";
    let columns = [
        Column::Int(&[7, 8, 9]),
        Column::Text(&["m1", "m\"2", "m3"]),
        Column::Text(&["play"; 3]),
        Column::Double(&[0.83, f64::NAN, 2.0]),
        Column::Long(&[1_767_323_045_000_999, 1, 1_767_323_045_000_000]),
        Column::Int(&[1, 2, 3]),
    ];
    file(folder.path(), "a.parquet", schema, &columns);
    let (batch, rejected, ends) = read(&folder.path().join("a.parquet"), &|_| None);
    let at = 1_767_323_045_000;
    let event = |member: &str, item: &str, value| (member.to_owned(), item.to_owned(), value, at);
    assert_eq!(said(&batch), [event("m1", "7", 830_000), event("m3", "9", 2_000_000)]);
    assert_eq!(rejected, ["2 not-a-number"]);
    // Read to its end it is not read again, from a folder neither.
    assert_eq!(ends.len(), 1);
    let (again, _, _) = read(folder.path(), &|_| Some(ends[0].clone()));
    assert_eq!(again.len(), 0);
}

#[test]
fn decimals_in_bytes_and_moments_as_text_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let schema = "message m {
        required binary member (string); required binary item (string); required binary kind (string);
        required fixed_len_byte_array(8) value (decimal(18,3)); required binary at (string);
    }";
    let columns = [
        Column::Text(&["m1", "m2"]),
        Column::Text(&["a", "b"]),
        Column::Text(&["play", "play"]),
        Column::Fixed(&[1500_i64.to_be_bytes(), (-1_i64).to_be_bytes()]),
        Column::Text(&["1970-01-01T00:00:01Z", "1970-01-01T00:00:02.5Z"]),
    ];
    file(folder.path(), "a.parquet", schema, &columns);
    let (batch, rejected, _) = read(folder.path(), &|_| None);
    assert_eq!(rejected, [""; 0]);
    let events = said(&batch);
    assert_eq!((events[0].2, events[0].3), (1_500_000, 1000));
    assert_eq!((events[1].2, events[1].3), (-1000, 2500));
}

#[test]
fn what_cannot_be_read_is_said_with_what_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    file(
        folder.path(),
        "lacks.parquet",
        "message m { required binary member (string); required binary item (string); required int64 at; }",
        &[Column::Text(&["m"]), Column::Text(&["i"]), Column::Long(&[1])],
    );
    let member = "message m { required double member; required binary item (string);
        required binary kind (string); required int64 at; }";
    file(
        folder.path(),
        "type.parquet",
        member,
        &[Column::Double(&[1.0]), Column::Text(&["i"]), Column::Text(&["k"]), Column::Long(&[1])],
    );
    fs::write(at("none.parquet"), "PAR1 and then nothing of the kind").unwrap();
    for (name, wanted) in [
        ("lacks.parquet", "no column `kind`, but member, item, at"),
        ("type.parquet", "`member` is DOUBLE, and must be text or an integer"),
        ("none.parquet", "not a Parquet file"),
    ] {
        let mut source = open(at(name).to_str().unwrap(), &Options::default(), &|_| None).unwrap();
        let error = source.next().unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains(wanted), "{error}");
        assert!(source.next().unwrap().is_none());
    }
    let error =
        |path: &Path| open(path.to_str().unwrap(), &Options::default(), &|_| None).map(drop).unwrap_err();
    assert!(error(&at("gone.parquet")).to_string().contains("no such file"));
    fs::create_dir(at("empty")).unwrap();
    assert!(error(&at("empty")).to_string().contains("no file in it"));
}

#[test]
fn a_folder_is_parquet_where_nothing_else_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let is = || is_parquet(folder.path().to_str().unwrap());
    assert!(!is());
    fs::write(folder.path().join("_SUCCESS"), "").unwrap();
    fs::create_dir(folder.path().join("day=2026-01-02")).unwrap();
    assert!(is());
    fs::write(folder.path().join("a.parquet"), "").unwrap();
    assert!(is());
    fs::write(folder.path().join("log.jsonl"), "").unwrap();
    assert!(!is());
}
