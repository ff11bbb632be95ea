//! How a file is cut into blocks, decoded by however many threads and packed by whatever program changes nothing.

use super::*;

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
