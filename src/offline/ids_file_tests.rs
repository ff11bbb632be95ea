//! Ids read and written, line by line and as JSON.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn lines(text: &[u8]) -> Vec<String> {
    Ids::from_lines(text).unwrap().ids
}

#[test]
fn ids_stand_one_a_line_whatever_ends_the_lines() {
    for text in [
        "a\nb c\nä\n",
        "a\nb c\nä",
        "a\r\nb c\r\nä\r\n",
        "a\nb c\nä\n\n",
        "a\r\nb c\r\nä\r\n\r\n",
        "\u{feff}a\nb c\nä\n",
    ] {
        assert_eq!(lines(text.as_bytes()), ["a", "b c", "ä"], "{text:?}");
    }
    assert_eq!(lines(b""), [""; 0]);
    // An empty line between others is an id that is missing, and is for whoever checks ids to refuse.
    assert_eq!(lines(b"a\n\nb\n"), ["a", "", "b"]);
}

#[test]
fn a_line_that_is_no_text_is_refused_with_its_number() {
    let error = Ids::from_lines(b"a\nb\n\xff\n").unwrap_err();
    assert_eq!(error.to_string(), "line 3 is not UTF-8");
}

#[test]
fn json_ids_are_strings_and_integers_and_nothing_else() {
    let json = |text: &str| Ids::from_json(text.as_bytes());
    let ids = json("[\"a\\nb\", 5, -7, 18446744073709551615, \"\"]").unwrap().ids;
    assert_eq!(ids, ["a\nb", "5", "-7", "18446744073709551615", ""]);
    for bad in ["", "{}", "[1.5]", "[null]", "[[1]]", "[true]", "[1e3]", "[18446744073709551616]", "[1] 2"] {
        let error = json(bad).unwrap_err();
        assert!(error.to_string().starts_with("it is not a JSON array of ids"), "{bad}: {error}");
    }
    let error = json("[\n  \"a\",\n  1.5\n]").unwrap_err().to_string();
    assert!(error.contains("a string or an integer") && error.contains("line 3"), "{error}");
}

#[test]
fn ids_that_a_line_would_not_give_again_are_written_as_json() {
    let name = |ids: &[&str]| name(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
    assert_eq!(name(&["a", "b c", " ", "ä", "\"", "7"]), TEXT);
    for id in ["a\nb", "a\r", "\u{feff}a", "a\u{b}b", "a\u{2028}b", "a\u{85}b", "\t"] {
        assert_eq!(name(&["a", id]), JSON, "{id:?}");
    }
}

proptest! {
    #[test]
    fn any_ids_come_back_as_they_were_written(ids in vec(".{1,8}|[\\pC\\r\\n ]{1,4}", 1..20)) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &ids).unwrap();
        prop_assert_eq!(Ids::read(&folder.path().join(name(&ids))).unwrap().ids, ids);
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Ids::from_lines(&bytes);
        let _ = Ids::from_json(&bytes);
    }
}
