//! Files and folders that grow, or are put in another's place, and offsets into them.

use std::sync::atomic::Ordering;

use super::*;

#[test]
fn a_file_that_was_read_is_read_again_only_where_it_grew() {
    let folder = folder();
    for (name, encode) in [
        ("a.jsonl", (|text: &str| text.as_bytes().to_vec()) as fn(&str) -> Vec<u8>),
        ("a.jsonl.gz", gzip),
        ("a.jsonl.zst", |text| zstd::encode_all(text.as_bytes(), 1).unwrap()),
    ] {
        let path = file(&folder, name, encode(&log(0..1000)));
        let first = read(&path, &options());
        assert_eq!(first.records.len(), 1000, "{name}");
        let again = read_from(&[&path], &options(), &first.offsets);
        assert_eq!((again.records.len(), &again.offsets), (0, &first.offsets), "{name}");
        append(&path, encode(&(log(1000..1003) + "bad\n")));
        let grown = read_from(&[&path], &options(), &first.offsets);
        assert_eq!(grown.lines().join("\n") + "\n", log(1000..1003), "{name}");
        assert_eq!(grown.reasons(), [(1004, log(0..1003).len() as u64, "not-json")], "{name}");
        let text = log(0..1003) + "bad\n";
        let all = read(&file(&folder, name, encode(&text)), &options());
        let [offset, once] = [&grown, &all].map(|read| read.offsets.values().next().unwrap());
        assert_eq!((offset.bytes, offset.lines), (once.bytes, once.lines), "{name}");
    }
}

#[test]
fn a_last_line_without_its_end_is_taken_and_read_again_once_it_grew() {
    let folder = folder();
    let path = file(&folder, "a.jsonl", log(0..3) + &event(3));
    let first = read(&path, &options());
    assert_eq!(first.records.len(), 4);
    let offset = first.offsets.values().next().unwrap();
    assert_eq!((offset.bytes, offset.lines), (log(0..3).len() as u64, 3));
    assert_eq!(read_from(&[&path], &options(), &first.offsets).records.len(), 0);
    append(&path, format!("\n{}\n", event(4)));
    assert_eq!(read_from(&[&path], &options(), &first.offsets).lines(), [event(3), event(4)]);
}

#[test]
fn a_file_that_was_replaced_is_read_from_its_start() {
    let folder = folder();
    let path = file(&folder, "a.jsonl", log(0..2000));
    let first = read(&path, &options());
    let replacements = [
        log(0..10),
        log(5..2500),
        // The same beginning, longer, and other lines in between.
        log(0..1500) + &log(3000..4500),
    ];
    for text in replacements {
        fs::write(&path, &text).unwrap();
        let read = read_from(&[&path], &options(), &first.offsets);
        assert_eq!(read.lines().join("\n") + "\n", text);
    }
}

#[test]
fn rows_go_on_from_an_offset_with_the_header_of_the_file() {
    let folder = folder();
    let path = file(&folder, "a.csv", "at,kind,item,member\n1,play,i1,m1\n");
    let first = read(&path, &options());
    assert_eq!(first.records.len(), 1);
    append(&path, "2,play,\"i2\",m2\n");
    let second = read_from(&[&path], &options(), &first.offsets);
    assert_eq!(second.lines(), [r#"{"member":"m2","item":"i2","kind":"play","value":1,"at":2}"#]);
}

#[test]
fn a_folder_is_its_files_by_name() {
    let folder = folder();
    file(&folder, "b.jsonl", log(5..6));
    file(&folder, "a.jsonl.gz", gzip(&log(1..3)));
    file(&folder, ".hidden.jsonl", log(7..8));
    file(&folder, "README.txt", "what this is\n");
    file(&folder, "c.csv", "member,item,kind,at\nm9,i2,play,9\n");
    file(&folder, "d", log(11..12));
    fs::create_dir(folder.path().join("deeper")).unwrap();
    let read = read(folder.path(), &options());
    assert_eq!(read.lines(), [event(1), event(2), event(5), event(9), event(11)]);
    assert_eq!((read.offsets.len(), read.errors.len()), (4, 0));
}

#[test]
fn followed_files_are_read_as_they_grow() {
    let folder = folder();
    let path = file(&folder, "a.jsonl", log(0..2));
    let options = Options { follow: true, ..options() };
    let args = [folder.path().to_string_lossy().into_owned()];
    let mut sources = open(&args, &options, &|_| None).unwrap();
    let source = &mut sources[0];
    let mut read = Read::default();
    let mut until = |count: usize| {
        while read.records.len() < count {
            read.add(source.next().unwrap().unwrap());
        }
        read.lines()
    };
    until(2);
    append(&path, event(2) + "\n" + &event(3)[..20]);
    until(3);
    append(&path, event(3)[20..].to_owned() + "\n");
    until(4);
    let other = file(&folder, "b.jsonl", log(4..5));
    until(5);
    fs::write(folder.path().join(".c"), log(9..11)).unwrap();
    fs::rename(folder.path().join(".c"), &other).unwrap();
    assert_eq!(until(7), [event(0), event(1), event(2), event(3), event(4), event(9), event(10)]);
    options.stop.store(true, Ordering::Relaxed);
    assert!(source.next().unwrap().is_none());
}
