//! Lines of JSON: every shape that is read, and a reason for each that is not.

use super::*;
use crate::records::{
    self, Event, ItemVersion, MAX_VALUE, MICROS, Record, Tombstone, format_micros, write_json,
};
use crate::sources::Batch;
use proptest::prelude::*;

/// 2026-01-02T03:04:05Z and a day.
const LATEST: i64 = 1_767_323_045_000 + 86_400_000;

fn decode(line: &[u8]) -> Result<Batch, Problem> {
    let mut batch = Batch::new("test".into());
    Decoder::default().decode(line, LATEST, &mut batch)?;
    Ok(batch)
}

fn reason(line: &str) -> (&'static str, String) {
    let problem = decode(line.as_bytes()).expect_err(line);
    (problem.reason.as_str(), problem.detail)
}

fn check(line: &str, record: Record<'_>) {
    let batch = decode(line.as_bytes()).unwrap_or_else(|problem| panic!("{line}: {problem}"));
    let records: Vec<Record<'_>> = batch.records().map(|(record, _)| record).collect();
    assert_eq!(records, [record], "{line}");
}

fn event<'a>() -> Event<'a> {
    Event { member: "m1", item: "i9", kind: "play", at: 7, value: MICROS, id: None, context: "" }
}

#[test]
fn each_shape_of_the_design_is_read() {
    let full = Event {
        at: 1_767_323_045_000,
        value: 830_000,
        id: Some("e-77"),
        context: r#"{"country":"US","device":"tv","list":"top_picks","position":3}"#,
        ..event()
    };
    let fields = r#""member":"m1","item":"i9","kind":"play","value":0.83,"at":"2026-01-02T03:04:05Z","id":"e-77",
                    "context":{"device":"tv","country":"US","list":"top_picks","position":3}"#;
    check(&format!("{{{fields}}}"), Record::Event(full));
    check(&format!(r#"{{"type":"event",{fields}}}"#), Record::Event(full));
    check(&format!(r#"{{"type":"retract",{fields}}}"#), Record::Retract(full));
    check(r#"{"type":"retract","member":"m1","id":"e-77"}"#, Record::RetractId { member: "m1", id: "e-77" });
    check(
        r#"{"type":"forget","member":"m1","at":1767322000000}"#,
        Record::Forget { member: "m1", at: 1_767_322_000_000 },
    );
    check(r#"{"type":"trim","at":1767322000000}"#, Record::Trim { at: 1_767_322_000_000 });
    let body = r#"{"countries":["US"],"genres":["Crime"],"title":"Heat"}"#;
    check(
        r#"{"type":"item","item":"i9","at":7,"title":"Heat","genres":["Crime"],"countries":["US"],"withdrawn":false}"#,
        Record::Item(ItemVersion { item: "i9", at: 7, body, withdrawn: false }),
    );
    check(
        r#"{"type":"item","item":"i9","at":7,"genres":[],"withdrawn":true}"#,
        Record::Item(ItemVersion { item: "i9", at: 7, body: r#"{"withdrawn":true}"#, withdrawn: true }),
    );
    check(
        r#"{"type":"item","item":"i9","at":7,"title":null}"#,
        Record::Item(ItemVersion { item: "i9", at: 7, body: "{}", withdrawn: false }),
    );
    check(
        r#"{"type":"tombstone","member":"00ff","body":{ "ids":[], "events":[["0f",7]], "forget":-1 }}"#,
        Record::Tombstone(Tombstone {
            member: "00ff",
            body: r#"{"events":[["0f",7]],"forget":-1,"ids":[]}"#,
        }),
    );
    check(r#"{"type":"key","key":"abcd"}"#, Record::Key("abcd"));
}

#[test]
fn what_may_be_left_out_may_be_null_or_empty() {
    check(r#"{"member":"m1","item":"i9","kind":"play","at":7}"#, Record::Event(event()));
    let nulls = r#"{"type":null,"member":"m1","item":"i9","kind":"play","at":7,"value":null,"id":null,"context":null}"#;
    check(nulls, Record::Event(event()));
    check(
        r#" { "context" : { } , "at" : 7 , "kind":"play","item":"i9","member":"m1" } "#,
        Record::Event(event()),
    );
    check(
        r#"{"type":"retract","member":"m1","id":"e","item":null}"#,
        Record::RetractId { member: "m1", id: "e" },
    );
}

#[test]
fn contexts_are_canonical_whatever_way_they_are_written() {
    let cases = [
        (r#"{"b":1,"a":"x"}"#, r#"{"a":"x","b":1}"#),
        (r#"{ "b" : -5 , "a" : "" }"#, r#"{"a":"","b":-5}"#),
        (r#"{"z":-0}"#, r#"{"z":0}"#),
        (r#"{"u":"caf\u00e9\/\n\u0001\"\\"}"#, r#"{"u":"café/\n\u0001\"\\"}"#),
        (r#"{"\u0062":1,"a\n":2,"a":3}"#, r#"{"a":3,"a\n":2,"b":1}"#),
        (r#"{"n":9223372036854775807}"#, r#"{"n":9223372036854775807}"#),
    ];
    for (written, canonical) in cases {
        let line = format!(r#"{{"member":"m1","item":"i9","kind":"play","at":7,"context":{written}}}"#);
        check(&line, Record::Event(Event { context: canonical, ..event() }));
    }
}

#[test]
fn values_are_rounded_half_even_and_times_floored() {
    let with = |field: &str| format!(r#"{{"member":"m1","item":"i9","kind":"play",{field}}}"#);
    for (text, value) in
        [("0.0000005", 0), ("0.0000015", 2), ("-1e-6", -1), ("1E3", 1_000_000_000), ("1e9", MAX_VALUE)]
    {
        check(&with(&format!(r#""at":7,"value":{text}"#)), Record::Event(Event { value, ..event() }));
    }
    check(&with(r#""at":"1970-01-01T00:00:00.0079Z""#), Record::Event(event()));
    check(&with(r#""at":"1970-01-01t01:00:00.007+01:00""#), Record::Event(event()));
}

#[test]
fn an_id_has_at_most_256_bytes() {
    let long = "é".repeat(128);
    let line = |id: &str| format!(r#"{{"member":"{id}","item":"i9","kind":"play","at":7}}"#);
    check(&line(&long), Record::Event(Event { member: &long, ..event() }));
    let (reason, detail) = reason(&line(&format!("{long}x")));
    assert_eq!((reason, detail.as_str()), ("id-too-long", "`member` has 257 bytes; an id has at most 256"));
}

#[test]
fn white_space_is_no_line() {
    for line in ["", " ", "\t \r"] {
        assert!(decode(line.as_bytes()).unwrap().is_empty());
    }
}

#[test]
fn each_line_that_cannot_be_taken_has_its_reason() {
    let with = |field: &str| format!(r#"{{"member":"m1","item":"i9","kind":"play","at":7,{field}}}"#);
    let cases = [
        ("{\"member\":\"m1\"".to_owned(), "not-json", "at column"),
        ("member=m1".to_owned(), "not-json", "expected value"),
        (format!("{} x", with("\"value\":1")), "not-json", "trailing characters"),
        (with(r#""id":"\ud800""#), "not-json", "`id` holds an escape"),
        (with(r#""value":NaN"#), "not-a-number", "NaN"),
        (with(r#""value":-Infinity"#), "not-a-number", "-Infinity"),
        (with(r#""value":Infinity"#), "not-a-number", "Infinity"),
        ("[1,2]".to_owned(), "not-an-object", "the line is a list"),
        ("\"text\"".to_owned(), "not-an-object", "a text"),
        ("17".to_owned(), "not-an-object", "a number"),
        ("null".to_owned(), "not-an-object", "null"),
        (with(r#""value":"1""#), "wrong-type", "`value` is a text; it must be a number"),
        (with(r#""value":true"#), "wrong-type", "`value` is true or false"),
        (with(r#""id":7"#), "wrong-type", "`id` is a number; it must be a text"),
        (r#"{"member":["m1"],"item":"i","kind":"k","at":7}"#.to_owned(), "wrong-type", "`member` is a list"),
        (r#"{"member":"m1","item":"i","kind":"k","at":[7]}"#.to_owned(), "wrong-type", "`at` is a list"),
        (r#"{"type":7,"member":"m1"}"#.to_owned(), "wrong-type", "`type`"),
        (r#"{"type":"item","item":"i","at":7,"genres":"Crime"}"#.to_owned(), "wrong-type", "a list of texts"),
        (r#"{"type":"item","item":"i","at":7,"genres":[1]}"#.to_owned(), "wrong-type", "a list of texts"),
        (r#"{"type":"item","item":"i","at":7,"withdrawn":"no"}"#.to_owned(), "wrong-type", "`withdrawn`"),
        (r#"{"type":"tombstone","member":"00","body":[]}"#.to_owned(), "wrong-type", "`body`"),
        (
            r#"{"type":"tombstone","member":"00","body":{"events":[["0f",7.5]]}}"#.to_owned(),
            "wrong-type",
            "no integer of 64 bits",
        ),
        (with(r#""colour":"red""#), "unknown-field", "no record has a field \"colour\""),
        (with(r#""title":"Heat""#), "unknown-field", "an event has no field `title`"),
        (
            r#"{"type":"trim","at":7,"member":"m1"}"#.to_owned(),
            "unknown-field",
            "a trim has no field `member`",
        ),
        (r#"{"type":"forget","at":7,"member":"m1","id":"e"}"#.to_owned(), "unknown-field", "a forget has no"),
        (r#"{"item":"i9","kind":"play","at":7}"#.to_owned(), "missing-field", "`member` is missing"),
        (
            r#"{"member":null,"item":"i9","kind":"play","at":7}"#.to_owned(),
            "missing-field",
            "`member` is missing",
        ),
        (r#"{"member":"m1","item":"i9","kind":"play"}"#.to_owned(), "missing-field", "`at` is missing"),
        (r#"{"type":"retract","member":"m1"}"#.to_owned(), "missing-field", "`id` is missing"),
        (
            r#"{"type":"retract","member":"m1","id":"e","at":7}"#.to_owned(),
            "missing-field",
            "`item` is missing",
        ),
        (r#"{"type":"item","at":7}"#.to_owned(), "missing-field", "`item` is missing"),
        (with(r#""kind":"play""#), "duplicate-field", "`kind` is given twice"),
        (with(r#""context":{"a":1,"\u0061":2}"#), "duplicate-field", "`context.a` is given twice"),
        (r#"{"type":"events","member":"m1"}"#.to_owned(), "unknown-type", "\"events\""),
        (r#"{"member":"","item":"i9","kind":"play","at":7}"#.to_owned(), "empty-id", "`member` is empty"),
        (with(r#""id":"""#), "empty-id", "`id` is empty"),
        (
            r#"{"member":"m1","item":"i9","kind":"play","at":"today"}"#.to_owned(),
            "at-unreadable",
            "\"today\"",
        ),
        (r#"{"member":"m1","item":"i9","kind":"play","at":"7"}"#.to_owned(), "at-unreadable", "\"7\""),
        (r#"{"member":"m1","item":"i9","kind":"play","at":7.5}"#.to_owned(), "at-unreadable", "7.5"),
        (r#"{"member":"m1","item":"i9","kind":"play","at":-1}"#.to_owned(), "at-out-of-range", "-1"),
        (r#"{"type":"trim","at":"2200-01-01T00:00:00Z"}"#.to_owned(), "at-out-of-range", "1970 to 2200"),
        (
            r#"{"member":"m1","item":"i9","kind":"play","at":"2026-01-03T03:04:05.001Z"}"#.to_owned(),
            "at-ahead",
            "the latest that is taken now is 2026-01-03T03:04:05Z",
        ),
        (with(r#""value":1e400"#), "value-out-of-range", "1e400"),
        (with(r#""value":1000000000.000001"#), "value-out-of-range", "outside"),
        (with(r#""context":"tv""#), "context-invalid", "`context` is a text"),
        (with(r#""context":{"a":{}}"#), "context-invalid", "`context.a` is an object"),
        (with(r#""context":{"a":[]}"#), "context-invalid", "a list"),
        (with(r#""context":{"a":1.5}"#), "context-invalid", "a fraction"),
        (with(r#""context":{"a":true}"#), "context-invalid", "true or false"),
        (with(r#""context":{"a":null}"#), "context-invalid", "null"),
        (with(r#""context":{"a":9223372036854775808}"#), "context-invalid", "64 bits"),
        (
            with(&format!(r#""context":{{"a":"{}"}}"#, "x".repeat(4089))),
            "context-too-large",
            "has 4097 bytes",
        ),
        (format!("{{\"member\":\"{}", "x".repeat(MAX_LINE)), "too-long", "1048576"),
    ];
    for (line, expected, part) in cases {
        let (reason, detail) = reason(&line);
        assert_eq!(reason, expected, "{}: {detail}", &line[..line.len().min(200)]);
        assert!(detail.contains(part), "{line}: {detail}");
    }
    let problem = decode(b"{\"member\":\"\xff\"}").unwrap_err();
    assert_eq!(
        (problem.reason.as_str(), problem.detail.as_str()),
        ("not-utf8", "byte 12 of the line is not UTF-8")
    );
    let fits = with(&format!(r#""context":{{"a":"{}"}}"#, "x".repeat(4088)));
    assert_eq!(decode(fits.as_bytes()).unwrap().len(), 1);
    let longest = format!("{}{}", with(r#""id":"e""#), " ".repeat(MAX_LINE));
    assert_eq!(decode(&longest.as_bytes()[..MAX_LINE - 1]).unwrap().len(), 1);
    assert_eq!(decode(&longest.as_bytes()[..MAX_LINE]).unwrap_err().reason.as_str(), "too-long");
}

#[test]
fn events_and_trims_are_held_to_the_clock() {
    let at = LATEST + 1;
    check(&format!(r#"{{"type":"forget","member":"m1","at":{at}}}"#), Record::Forget { member: "m1", at });
    check(&format!(r#"{{"type":"trim","at":{LATEST}}}"#), Record::Trim { at: LATEST });
    assert_eq!(reason(&format!(r#"{{"type":"trim","at":{at}}}"#)).0, "at-ahead");
    let line = format!(r#"{{"member":"m1","item":"i9","kind":"play","at":{LATEST}}}"#);
    check(&line, Record::Event(Event { at: LATEST, ..event() }));
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9]{1,12}", "\\PC{1,60}", any::<String>()]
        .prop_filter("an id has 1 to 256 bytes", |id| (1..=256).contains(&id.len()))
}

fn context() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<String>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
    ];
    prop::collection::btree_map(any::<String>(), value, 0..4).prop_map(|map| {
        let text = serde_json::to_string(&map).unwrap();
        if map.is_empty() || text.len() > 4096 { String::new() } else { text }
    })
}

proptest! {
    #[test]
    fn what_is_written_decodes_to_the_same_bytes(
        member in id(), item in id(), kind in id(), own in prop::option::of(id()), context in context(),
        at in 0..=LATEST, value in -MAX_VALUE..=MAX_VALUE, title in any::<String>(), withdrawn: bool,
        genres in prop::collection::vec(any::<String>(), 0..3),
    ) {
        let event =
            Event { member: &member, item: &item, kind: &kind, at, value, id: own.as_deref(), context: &context };
        let body = crate::sources::fields::item_body(Some(&title), &genres, &[], withdrawn);
        let all = [
            Record::Event(event),
            Record::Retract(event),
            Record::RetractId { member: &member, id: &item },
            Record::Forget { member: &member, at },
            Record::Trim { at },
            Record::Item(ItemVersion { item: &item, at, body: &body, withdrawn }),
            Record::Tombstone(Tombstone { member: &member, body: r#"{"events":[],"forget":-1}"# }),
            Record::Key(&member),
        ];
        for record in all {
            let (mut line, mut normal) = (Vec::new(), Vec::new());
            write_json(&record, &mut line);
            prop_assert_eq!(line.pop(), Some(b'\n'));
            records::encode(&record, &mut normal);
            let batch = decode(&line).map_err(|problem| TestCaseError::fail(problem.to_string()))?;
            prop_assert_eq!(batch.len(), 1);
            prop_assert_eq!(batch.bytes(0), &normal[..]);
        }
    }

    #[test]
    fn the_fast_way_takes_what_the_full_way_takes(
        member in "[a-zé\"\\\\]{0,4}", at in prop_oneof![any::<i64>().prop_map(|at| at.to_string()),
            (0..LATEST).prop_map(|at| format!("\"{}\"", jiff::Timestamp::from_millisecond(at).unwrap())),
            Just("07".to_owned()), Just("1.0".to_owned())],
        value in prop_oneof!["-?[0-9]{1,11}([.][0-9]{0,8})?([eE][0-9])?", (-MAX_VALUE..MAX_VALUE).prop_map(format_micros)],
        context in prop_oneof![context(), "[{]\"[ab]\":(-?[0-9]{1,20}|\"[a-z\\\\]{0,3}\"),\"[ab]\" ?: ?-?[01]{1,2}[}]"],
        space in "[ \t]{0,2}",
    ) {
        let context = if context.is_empty() { "{}".to_owned() } else { context };
        let line = format!(
            "{space}{{\"member\":\"{member}\",{space}\"item\":\"i\",\"kind\"{space}:\"k\",\"at\":{at},\
             \"context\":{context}{space},\"value\":{value}{space}}}"
        );
        let (mut scratch, mut full) = (context::Context::default(), Batch::new("full".into()));
        let outcome = full::decode(&line, i64::MAX, &mut context::Context::default(), &mut full);
        if let Some(event) = fast::event(&line, &mut scratch) {
            let mut normal = Vec::new();
            records::encode(&Record::Event(event), &mut normal);
            prop_assert!(outcome.is_ok(), "{} {:?}", line, outcome);
            prop_assert_eq!(&normal[..], full.bytes(0), "{}", line);
        }
    }

    #[test]
    fn no_line_makes_it_panic(line in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = decode(&line);
        let mut object = b"{\"member\":\"m\",\"at\":".to_vec();
        object.extend(line);
        let _ = decode(&object);
    }
}

#[test]
fn the_usual_event_goes_the_fast_way() {
    let line = r#"{"member":"m104","item":"i2291","kind":"play","value":0.83,"at":"2026-01-02T03:04:05Z","context":{"country":"US"}}"#;
    assert!(fast::event(line, &mut context::Context::default()).is_some());
}
