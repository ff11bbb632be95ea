//! Sources read as a person would have them read: files, folders, compression, growth and columns.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::*;
use crate::config::columns::ColumnMap;
use crate::records::{Record, write_json};

fn options() -> Options {
    Options { threads: 2, now: || 1_800_000_000_000, ..Options::default() }
}

fn mapped(map: &str) -> Options {
    Options { map: Some(ColumnMap::parse(map).unwrap()), ..options() }
}

/// All that sources yield.
#[derive(Default)]
struct Read {
    records: Vec<Vec<u8>>,
    rejected: Vec<Rejected>,
    offsets: BTreeMap<String, Offset>,
    bytes: u64,
    errors: Vec<String>,
}

impl Read {
    fn lines(&self) -> Vec<String> {
        let line = |normal: &Vec<u8>| {
            let mut out = Vec::new();
            write_json(&records::decode(normal).unwrap(), &mut out);
            String::from_utf8(out).unwrap().trim_end().to_owned()
        };
        self.records.iter().map(line).collect()
    }

    fn reasons(&self) -> Vec<(u64, u64, &'static str)> {
        self.rejected.iter().map(|line| (line.line, line.offset, line.reason.as_str())).collect()
    }

    fn add(&mut self, batch: Batch) {
        self.records.extend(batch.records().map(|(_, bytes)| bytes.to_vec()));
        self.rejected.extend(batch.rejected);
        self.bytes += batch.bytes_read;
        if let Some(offset) = batch.offset {
            self.offsets.insert(batch.source.to_string(), offset);
        }
    }
}

fn read_from(paths: &[&Path], options: &Options, offsets: &BTreeMap<String, Offset>) -> Read {
    let args: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let mut read = Read { offsets: offsets.clone(), ..Read::default() };
    for mut source in open(&args, options, &|name| offsets.get(name).cloned()).unwrap() {
        loop {
            match source.next() {
                Ok(Some(batch)) => read.add(batch),
                Ok(None) => break,
                Err(error) => read.errors.push(error.to_string()),
            }
        }
    }
    read
}

fn read(path: &Path, options: &Options) -> Read {
    read_from(&[path], options, &BTreeMap::new())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn file(folder: &tempfile::TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn append(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes.as_ref()).unwrap();
}

fn event(number: usize) -> String {
    format!(
        "{{\"member\":\"m{number}\",\"item\":\"i{}\",\"kind\":\"play\",\"value\":1,\"at\":{number}}}",
        number % 7
    )
}

fn log(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| event(number) + "\n").collect()
}

fn gzip(bytes: &str) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes.as_bytes()).unwrap();
    out.finish().unwrap()
}

#[test]
fn records_of_any_compression_are_the_same() {
    let folder = folder();
    let text = log(0..5000);
    let plain = read(&file(&folder, "a.jsonl", &text), &options());
    assert_eq!(plain.lines().join("\n") + "\n", text);
    assert_eq!((plain.bytes, plain.errors.len()), (text.len() as u64, 0));
    let (first, second) = text.split_at(text.len() / 3);
    let members = [gzip(first), gzip(second)].concat();
    let frames =
        [zstd::encode_all(first.as_bytes(), 1).unwrap(), zstd::encode_all(second.as_bytes(), 1).unwrap()];
    for (name, bytes) in
        [("a.jsonl.gz", members.clone()), ("a.jsonl.zst", frames.concat()), ("a.log", members)]
    {
        let stored = bytes.len() as u64;
        let read = read(&file(&folder, name, bytes), &options());
        assert_eq!(read.records, plain.records, "{name}");
        assert_eq!(read.bytes, stored, "{name}");
        let offset = read.offsets.values().next().unwrap();
        assert_eq!(
            (offset.bytes, offset.lines, offset.size),
            (text.len() as u64, 5000, Some(stored)),
            "{name}"
        );
    }
}

#[test]
fn blocks_and_threads_change_nothing() {
    let folder = folder();
    let long = "x".repeat((1 << 20) + 10);
    let mut text = String::from("\u{feff}");
    for number in 0..40 {
        text += &event(number);
        text += match number % 4 {
            0 => "\r\n",
            1 => "\n\n \n",
            _ => "\n",
        };
        if number % 10 == 3 {
            text += "no json\n";
        }
        if number % 20 == 5 {
            text += &format!("{{\"member\":\"{long}\"}}\n");
        }
    }
    text += &event(99);
    let path = file(&folder, "a.jsonl", &text);
    let whole = read(&path, &options());
    assert_eq!(whole.records.len(), 41);
    let reasons: Vec<_> = whole.rejected.iter().map(|line| line.reason.as_str()).collect();
    assert_eq!(reasons, ["not-json", "too-long", "not-json", "not-json", "too-long", "not-json"]);
    for rejected in &whole.rejected {
        let line = text.split('\n').nth(rejected.line as usize - 1).unwrap();
        assert!(line.as_bytes().starts_with(&rejected.raw));
        assert!(text[rejected.offset as usize..].starts_with(line));
    }
    // Blocks smaller yet are for the short lines of `tiny_blocks_read_the_same_rows`.
    for (block_bytes, threads) in [(64, 2), (1000, 3), (1 << 16, 1), (1 << 20, 3), (1 << 24, 1)] {
        let other = read(&path, &Options { block_bytes, threads, ..options() });
        assert_eq!(other.records, whole.records, "{block_bytes}");
        assert_eq!(other.rejected, whole.rejected, "{block_bytes}");
        let places =
            |read: &Read| read.offsets.values().map(|at| (at.bytes, at.lines, at.size)).collect::<Vec<_>>();
        assert_eq!(places(&other), places(&whole), "{block_bytes}");
    }
}

#[test]
fn tiny_blocks_read_the_same_rows() {
    let folder = folder();
    let rows = "\u{feff}member,item,kind,at,context.note\r\nm1,\"i,1\",play,1,\"two\r\nlines\"\r\n\r\n\
                m2,i\"2\",play,2,\"say \"\"hi\"\"\"\nm3,i3,play,x,\nm4,\"i4,play,4,\nm5,i5,play,5,\nm6,i6,play,6,";
    let path = file(&folder, "a.csv", rows);
    let whole = read(&path, &options());
    assert_eq!(whole.errors, [""; 0]);
    assert_eq!(
        whole.lines(),
        [
            r#"{"member":"m1","item":"i,1","kind":"play","value":1,"at":1,"context":{"note":"two\r\nlines"}}"#,
            r#"{"member":"m2","item":"i\"2\"","kind":"play","value":1,"at":2,"context":{"note":"say \"hi\""}}"#,
            r#"{"member":"m5","item":"i5","kind":"play","value":1,"at":5}"#,
            r#"{"member":"m6","item":"i6","kind":"play","value":1,"at":6}"#,
        ]
    );
    let place = |text: &str| rows.find(text).unwrap() as u64;
    assert_eq!(whole.reasons(), [(6, place("m3"), "at-unreadable"), (7, place("m4"), "unclosed-quote")]);
    for block_bytes in 1..40 {
        let other = read(&path, &Options { block_bytes, threads: 3, ..options() });
        assert_eq!(other.records, whole.records, "{block_bytes}");
        assert_eq!(other.rejected, whole.rejected, "{block_bytes}");
    }
}

#[test]
fn a_quoted_row_that_is_too_long_costs_its_first_line() {
    let folder = folder();
    let filler = "m,i,play,1\n".repeat(120_000);
    let rows = format!("member,item,kind,at\nm0,\"i0,play,0\n{filler}m9,i9,\"play\",9\n");
    let path = file(&folder, "a.csv", rows);
    for block_bytes in [1 << 14, 1 << 20, 1 << 23] {
        let read = read(&path, &Options { block_bytes, ..options() });
        assert_eq!(read.reasons(), [(2, 20, "unclosed-quote")]);
        assert_eq!(read.records.len(), 120_001);
    }
}

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
fn damaged_compression_is_told_after_what_was_read() {
    let folder = folder();
    let text = log(0..50_000);
    let (gz, zst) = (gzip(&text), zstd::encode_all(text.as_bytes(), 1).unwrap());
    let next = file(&folder, "next.jsonl", log(7..8));
    for (name, bytes) in [("a.jsonl.gz", gz), ("a.jsonl.zst", zst)] {
        let path = file(&folder, name, &bytes[..bytes.len() / 2]);
        let read = read_from(&[&path, &next], &options(), &BTreeMap::new());
        assert!(read.records.len() > 1000, "{name}: {}", read.records.len());
        assert_eq!(read.lines().pop(), Some(event(7)), "the next file is read");
        let [error] = read.errors.as_slice() else { panic!("{name}: {:?}", read.errors) };
        assert!(error.contains(name) && error.contains("replace the file"), "{error}");
        let offset = &read.offsets[&*path.to_string_lossy()];
        assert_eq!((offset.size, offset.lines), (None, read.records.len() as u64 - 1), "{name}");
        // Once the file is whole, reading goes on where it ended.
        fs::write(&path, &bytes).unwrap();
        let rest = read_from(&[&path], &options(), &read.offsets);
        assert_eq!(rest.records.len() as u64 + offset.lines, 50_000, "{name}");
    }
    let mut corrupt = gzip(&text);
    let middle = corrupt.len() / 2;
    corrupt[middle..middle + 40].fill(0xff);
    assert_eq!(read(&file(&folder, "b.jsonl.gz", corrupt), &options()).errors.len(), 1);
    let misnamed = read(&file(&folder, "c.jsonl.gz", log(0..3)), &options());
    assert!(misnamed.errors[0].contains("is not gzip"), "{:?}", misnamed.errors);
}

#[test]
fn what_cannot_be_opened_says_so() {
    for (arg, part) in
        [("/no/such/file", "cannot read /no/such/file"), ("kafka://host/topic", "sources are files")]
    {
        let error = open(&[arg.to_owned()], &options(), &|_| None).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
    let folder = folder();
    let path = file(&folder, "a.csv", "user,item,kind,at\n");
    let read = read(&path, &options());
    assert!(read.errors[0].contains("`user`: is no column of ours"), "{:?}", read.errors);
    let map = "member=usr,item=item,kind=kind,at=at";
    let read = tests::read(&path, &mapped(map));
    assert!(
        read.errors[0].contains("no column is called `usr`; the columns are user, item"),
        "{:?}",
        read.errors
    );
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

#[test]
fn a_line_in_a_pipe_comes_out_at_once() {
    let folder = folder();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut source = open(&[path.to_string_lossy().into_owned()], &options(), &|_| None).unwrap().remove(0);
    let mut pipe = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // Now and then it is out within less than the time after which anything is looked at again; how often depends on
    // what else the machine does.
    let at_once = |number: usize| {
        let begun = Instant::now();
        pipe.write_all((event(number) + "\n").as_bytes()).unwrap();
        let batch = source.next().unwrap().unwrap();
        let took = begun.elapsed();
        assert_eq!((batch.len(), &batch.offset), (1, &None));
        took < Duration::from_millis(5)
    };
    assert!((0..1_000).any(at_once));
    pipe.write_all(event(1_000).as_bytes()).unwrap();
    drop(pipe);
    assert_eq!(source.next().unwrap().unwrap().len(), 1);
    assert!(source.next().unwrap().is_none());
}

#[test]
fn pipes_may_be_compressed_and_hold_rows() {
    let folder = folder();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let rows = "who,what,when\nm1,i1,1\nm2,i2,2";
    let bodies = [rows.as_bytes().to_vec(), gzip(rows), zstd::encode_all(rows.as_bytes(), 1).unwrap()];
    for body in bodies {
        let writer = std::thread::spawn({
            let path = path.clone();
            move || fs::write(path, body).unwrap()
        });
        let read = read(&path, &mapped("member=who,item=what,at=when,kind=play"));
        writer.join().unwrap();
        assert_eq!(
            (read.lines().len(), read.offsets.len(), read.errors.len()),
            (2, 0, 0),
            "{:?}",
            read.errors
        );
    }
}

#[test]
fn rows_that_cannot_be_taken_have_their_reasons() {
    let folder = folder();
    let rows = "member,item,kind,value,at,id\n\
                m1,i1,play,1,2026-01-02T03:04:05Z,e1\n\
                ,i1,play,1,7,e1\n\
                m1,i1,play,1\n\
                m1,i1,play,1,7,e1,x\n\
                m1,i1,play,NaN,7,\n\
                m1,i1,play,many,7,\n\
                m1,i1,play,1e10,7,\n\
                m1,i1,play,1,soon,\n\
                m1,i1,play,1,-7,\n\
                m1,i1,play,1,7000000000000,\n\
                m1,,play,1,7,\n\
                m1,i1,play,,7,\n";
    let mut bytes = rows.as_bytes().to_vec();
    bytes.extend(b"m\xff,i1,play,1,7,\n");
    bytes.extend(format!("{},i1,play,1,7,\n", "m".repeat(257)).bytes());
    let read = read(&file(&folder, "a.csv", bytes), &options());
    let reasons: Vec<_> = read.rejected.iter().map(|line| (line.line, line.reason.as_str())).collect();
    let expected = [
        (3, "missing-field"),
        (4, "too-few-columns"),
        (5, "too-many-columns"),
        (6, "not-a-number"),
        (7, "value-unreadable"),
        (8, "value-out-of-range"),
        (9, "at-unreadable"),
        (10, "at-out-of-range"),
        (11, "at-ahead"),
        (12, "missing-field"),
        (14, "not-utf8"),
        (15, "id-too-long"),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(read.rejected[0].detail, "`member` is missing");
    assert_eq!(read.records.len(), 2);
}

#[test]
fn maps_read_other_columns() {
    let folder = folder();
    let check = |name: &str, bytes: &[u8], map: &str, expected: &[&str]| {
        let read = read(&file(&folder, name, bytes), &mapped(map));
        assert_eq!(read.lines(), expected, "{map}: {:?} {:?}", read.rejected, read.errors);
    };
    let m1 = |at: i64| format!(r#"{{"member":"1","item":"7","kind":"rate","value":4.5,"at":{at}}}"#);
    check(
        "ratings.dat",
        b"1::7::4.5::964982703\n",
        "header=no,delimiter='::',member=1,item=2,value=3,at=4,kind=rate,time=seconds",
        &[&m1(964_982_703_000)],
    );
    check(
        "ratings.tsv",
        b"ts\tv\tm\ti\n964982703.25\t4.5\t1\t7\n",
        r"delimiter=\t,member=m,item=i,value=v,at=ts,kind=rate,time=seconds",
        &[&m1(964_982_703_250)],
    );
    check(
        "ratings.data",
        b"1|7|4.5|01/07/2011 10:30\n1|7|4.5|01/01/2011 10:30\n",
        "delimiter='|',columns='u,i,r,t',member=u,item=i,value=r,at=t,kind=rate,time='%d/%m/%Y %H:%M',tz=Europe/London",
        // Summer time, and winter time.
        &[&m1(1_309_512_600_000), &m1(1_293_877_800_000)],
    );
    check(
        "any.csv",
        b"m,i,v,t\n1,7,4.5,2000-01-01\n1,7,4.5,2000-01-01 01:00\n1,7,4.5,2000-01-01T01:00:00Z\n1,7,4.5,946684800000\n",
        "member=m,item=i,value=v,at=t,kind='rate',tz=Asia/Tokyo",
        &[&m1(946_652_400_000), &m1(946_656_000_000), &m1(946_688_400_000), &m1(946_684_800_000)],
    );
    check(
        "kinds.csv",
        b"m,i,kind,where\n1,7,buy,UK\n1,7,view,\n",
        "member=$1,item=\"i\",kind=kind,at='1970-01-01',context.country=where,context.list='all'",
        &[
            r#"{"member":"1","item":"7","kind":"buy","value":1,"at":0,"context":{"country":"UK","list":"all"}}"#,
            r#"{"member":"1","item":"7","kind":"view","value":1,"at":0,"context":{"list":"all"}}"#,
        ],
    );
    check(
        "stock.csv",
        b"m,code,name\n,7,damaged\n1,7,LANTERN\n",
        "type=item,item=code,title=name,at='1970-01-01',where=m",
        &[r#"{"type":"item","item":"7","at":0,"title":"LANTERN"}"#],
    );
    check(
        "movies.csv",
        b"id,title,genres,c\n1,\"American President, The (1995)\",Comedy|Drama,US\n2,Caf\xe9,(none),\n",
        "type=item,item=id,title=title,genres=genres|'|',countries=c,none='(none)',at='2018-09-26',encoding=latin1",
        &[
            r#"{"type":"item","item":"1","at":1537920000000,"countries":["US"],"genres":["Comedy","Drama"],"title":"American President, The (1995)"}"#,
            r#"{"type":"item","item":"2","at":1537920000000,"title":"Café"}"#,
        ],
    );
}

#[test]
fn rejected_lines_are_kept_aside_and_counted() {
    let folder = folder();
    let path = folder.path().join("rejected.jsonl");
    assert_eq!(rejected::counts(&path).unwrap(), BTreeMap::new());
    let line =
        |reason, raw: &[u8]| Rejected { line: 3, offset: 70, reason, detail: "so".into(), raw: raw.to_vec() };
    let mut log = rejected::RejectedLog::open(&path).unwrap();
    log.append("a.jsonl", &line(Reason::NotJson, b"x")).unwrap();
    log.append("a.jsonl", &line(Reason::NotUtf8, b"\xff\xfe")).unwrap();
    log.append("a.jsonl", &line(Reason::TooLong, "é".repeat(3000)[..].as_bytes())).unwrap();
    log.flush().unwrap();
    assert_eq!(log.counts().values().sum::<u64>(), 3);
    append(&path, "{\"reason\":\"not-js");
    let mut log = rejected::RejectedLog::open(&path).unwrap();
    log.append("b", &line(Reason::NotJson, b"y")).unwrap();
    log.flush().unwrap();
    let counts = rejected::counts(&path).unwrap();
    let expected = [("not-json", 2), ("not-utf8", 1), ("too-long", 1)];
    assert_eq!(counts, expected.into_iter().map(|(word, count)| (word.to_owned(), count)).collect());
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        r#"{"source":"a.jsonl","line":3,"offset":70,"reason":"not-json","detail":"so","raw":"x"}"#
    );
    assert!(lines[1].ends_with(r#""raw_base64":"//4="}"#), "{}", lines[1]);
    assert!(lines[2].ends_with("éé\"}") && lines[2].len() < 4300, "{}", lines[2].len());
}

/// The real logs, where the machine has them.
fn trial(name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("NEARLINE_TRIAL_DATA") else {
        // Straight to the terminal: what is printed by macros is not seen where a test passes.
        let skipped = format!("skipped the trial of {name}: NEARLINE_TRIAL_DATA is not set\n");
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return None;
    };
    Some(Path::new(&folder).join(name))
}

/// The map that a recipe gives for a file.
fn recipe(recipe: &str, file: &str) -> Options {
    let path = Path::new("docs/recipes").join(recipe);
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("\\\n", " ");
    let line = text.lines().find(|line| line.contains("--map") && line.contains(file)).expect(file);
    let (_, map) = line.split_once("--map ").unwrap();
    let map = map.trim().strip_prefix('"').and_then(|map| map.split_once('"')).expect(map).0;
    mapped(map)
}

fn distinct(read: &Read) -> usize {
    read.records.iter().collect::<BTreeSet<_>>().len()
}

fn count_by<'a>(read: &'a Read, key: impl Fn(Record<'a>) -> &'a str) -> usize {
    read.records.iter().map(|normal| key(records::decode(normal).unwrap())).collect::<BTreeSet<_>>().len()
}

fn item(record: Record<'_>) -> &str {
    match record {
        Record::Event(event) => event.item,
        Record::Item(version) => version.item,
        _ => panic!("neither an event nor an item"),
    }
}

#[test]
fn movielens_reads_by_its_recipe() {
    let Some(folder) = trial("ml-latest-small") else { return };
    let ratings = read(&folder.join("ratings.csv"), &recipe("movielens.md", "ratings.csv"));
    assert_eq!((ratings.records.len(), distinct(&ratings), ratings.rejected.len()), (100_836, 100_836, 0));
    assert_eq!(count_by(&ratings, |record| record.member().unwrap()), 610);
    assert_eq!(count_by(&ratings, item), 9_724);
    let movies = read(&folder.join("movies.csv"), &recipe("movielens.md", "movies.csv"));
    assert_eq!((movies.records.len(), movies.rejected.len()), (9_742, 0));
    let without = movies.lines().iter().filter(|line| !line.contains("\"genres\"")).count();
    assert_eq!(without, 34);
}

#[test]
fn movietweetings_reads_by_its_recipe() {
    let Some(folder) = trial("movietweetings") else { return };
    let ratings = read(&folder.join("ratings.dat"), &recipe("movietweetings.md", "ratings.dat"));
    assert_eq!((ratings.records.len(), distinct(&ratings), ratings.rejected.len()), (141_695, 141_695, 0));
    assert_eq!(count_by(&ratings, |record| record.member().unwrap()), 21_081);
    assert_eq!(count_by(&ratings, item), 12_611);
    let movies = read(&folder.join("movies.dat"), &recipe("movietweetings.md", "movies.dat"));
    assert_eq!((movies.records.len(), movies.rejected.len()), (12_611, 0));
    let without = movies.lines().iter().filter(|line| !line.contains("\"genres\"")).count();
    assert_eq!(without, 91);
}

#[test]
fn online_retail_reads_by_its_recipe() {
    let Some(folder) = trial("online-retail") else { return };
    let path = folder.join("online_retail.csv.gz");
    let read = read(&path, &recipe("online-retail.md", "member=CustomerID"));
    assert_eq!(read.records.len() + read.rejected.len(), 541_909);
    assert_eq!(read.rejected.len(), 135_080);
    assert!(read.rejected.iter().all(|line| line.detail == "`member` is missing"));
    // 5,280 rows say again what another says of the same invoice.
    assert_eq!((read.records.len(), distinct(&read)), (406_829, 401_549));
    assert_eq!(count_by(&read, |record| record.member().unwrap()), 4_372);
    assert_eq!(count_by(&read, item), 3_684);
    let cancelled = read.lines().iter().filter(|line| line.contains("\"value\":-")).count();
    assert_eq!(cancelled, 8_905);
    let catalogue = tests::read(&path, &recipe("online-retail.md", "type=item"));
    assert_eq!((catalogue.rejected.len(), count_by(&catalogue, item)), (0, 3_684));
    assert!(catalogue.lines().iter().all(|line| line.contains("\"title\":")));
}
