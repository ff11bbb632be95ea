//! Which rejected lines hold a member's id.
//!
//! A rejected line is whatever was sent: broken JSON, a row of a table, bytes of no encoding. So the rule is on the safe
//! side. A line is looked at as it is, without its zero bytes (text of two bytes a character), and with the escapes of
//! JSON and of quoted fields undone, again and again. It holds an id of `LONG` bytes or more wherever these bytes are,
//! a shorter one where neither a letter nor a digit is next to it; and one that was cut at its end also where it ends in
//! the beginning of an id.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

/// From so many bytes on an id is searched for inside of words too.
const LONG: usize = 8;
/// How often escapes are undone: text in text in text.
const DEPTH: usize = 4;

/// Searches for ids.
pub struct Ids {
    ids: Vec<Vec<u8>>,
    all: AhoCorasick,
}

impl Ids {
    /// Of these members.
    pub fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Result<Ids, BuildError> {
        let ids: Vec<Vec<u8>> = ids.into_iter().map(|id| id.as_bytes().to_vec()).collect();
        let all = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&ids)?;
        Ok(Ids { ids, all })
    }

    /// Whether a line holds one of them; `cut` where it may go on.
    pub fn held_by(&self, line: &[u8], cut: bool) -> bool {
        let narrow: Vec<u8> = line.iter().copied().filter(|byte| *byte != 0).collect();
        let wide = narrow.len() < line.len();
        self.in_text(line, cut) || (wide && self.in_text(&narrow, cut))
    }

    fn in_text(&self, line: &[u8], cut: bool) -> bool {
        let mut text = Cow::Borrowed(line);
        for _ in 0..DEPTH {
            if self.as_it_is(&text, cut) {
                return true;
            }
            let plain = unescaped(&text);
            if plain == *text {
                return false;
            }
            text = Cow::Owned(plain);
        }
        self.as_it_is(&text, cut)
    }

    fn as_it_is(&self, text: &[u8], cut: bool) -> bool {
        let alone = |start: usize, end: usize| {
            !text[..start].last().is_some_and(in_word) && !text.get(end).is_some_and(in_word)
        };
        let found = self.all.find_overlapping_iter(text).any(|found| {
            let long = self.ids[found.pattern().as_usize()].len() >= LONG;
            long || alone(found.start(), found.end())
        });
        found || (cut && self.ids.iter().any(|id| ends_in_beginning(text, id)))
    }
}

/// Whether a text that was cut ends in the beginning of an id.
fn ends_in_beginning(text: &[u8], id: &[u8]) -> bool {
    // An escape or a character that was cut with it says nothing.
    let escape = text.iter().rev().take(6).position(|byte| *byte == b'\\').map_or(0, |place| place + 1);
    let character = text.iter().rev().take_while(|byte| **byte >= 0x80).count().min(3);
    [0, escape, character].into_iter().any(|left_out| {
        let text = &text[..text.len() - left_out];
        (1..id.len().min(text.len() + 1)).any(|length| {
            let (before, end) = text.split_at(text.len() - length);
            end == &id[..length] && (length >= LONG || !before.last().is_some_and(in_word))
        })
    })
}

/// Whether a byte is of a letter or a digit; a part of any character beyond ASCII is taken for one.
fn in_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte >= 0x80
}

/// With one layer of escapes undone: `\n` and the like, `\u0041`, and doubled quotes. What is no escape stays.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut high = None;
    while let Some((&byte, after)) = rest.split_first() {
        let unit = (byte == b'\\').then(|| code_unit(after)).flatten();
        if let Some(unit) = unit {
            rest = &after[5..];
            let pair = [high.take(), Some(unit)].into_iter().flatten();
            match char::decode_utf16(pair).last() {
                Some(Ok(character)) => {
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => high = Some(unit),
            }
            continue;
        }
        let plain = match (byte, after.first()) {
            (b'\\', Some(b'n')) => Some(b'\n'),
            (b'\\', Some(b't')) => Some(b'\t'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b'b')) => Some(8),
            (b'\\', Some(b'f')) => Some(12),
            (b'\\', Some(escaped @ (b'"' | b'\\' | b'/'))) | (b'"', Some(escaped @ b'"')) => Some(*escaped),
            _ => None,
        };
        out.push(plain.unwrap_or(byte));
        rest = if plain.is_some() { &after[1..] } else { after };
    }
    out
}

/// The code unit that `u0041` stands for.
fn code_unit(text: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(text.strip_prefix(b"u")?.get(..4)?).ok()?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(id: &str, line: impl AsRef<[u8]>, cut: bool) -> bool {
        Ids::new([id]).unwrap().held_by(line.as_ref(), cut)
    }

    #[test]
    fn an_id_is_found_however_it_is_written() {
        let id = "añ\"b\\😀x01";
        let json = serde_json::to_string(id).unwrap();
        assert!(holds(id, format!("{{\"member\":{json},,"), false));
        assert!(holds(id, r#"{"member":"\u0061\u00f1\"b\\\ud83d\ude00x01"#, false));
        let twice = serde_json::to_string(&format!("{{\"member\":{json}}}")).unwrap();
        assert!(holds(id, &twice, false), "{twice}");
        assert!(holds(id, "1,\"añ\"\"b\\😀x01\",play", false));
        let wide: Vec<u8> = "member=ann;".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(holds("ann", wide, false));
        assert!(holds("ann", b"\xff\xfe,ann,\xff", false));
    }

    #[test]
    fn a_short_id_inside_of_another_word_is_not_it() {
        assert!(!holds("m1", r#"{"member":"m10","item":"xm1"}"#, false));
        assert!(holds("m1", r#"{"member":"m10","item":"x-m1"}"#, false));
        // A longer one might be, so the line goes.
        assert!(holds("member-1", r#"{"member":"member-10"}"#, false));
    }

    #[test]
    fn a_line_that_was_cut_inside_of_an_id_holds_it() {
        assert!(holds("annabel", r#"{"member":"ann"#, true));
        assert!(holds("annabel", r#"{"member":"ann\u00"#, true));
        assert!(holds("ann-é", "{\"member\":\"ann-\u{e9}".as_bytes().split_last().unwrap().1, true));
        assert!(!holds("annabel", r#"{"member":"ann"#, false));
        assert!(!holds("annabel", r#"{"member":"joann"#, true));
    }
}
