//! The log of what was not taken.

use super::*;

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
