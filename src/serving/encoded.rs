//! A kept list as the bytes of its answer, straight from what is stored. Most requests are for one, and to build its
//! entries, one by one, and write each of them takes several times as long as to read it: what the catalogue says of an
//! item is kept as the bytes that an answer says it in.
//!
//! The bytes are those of the [`ListAnswer`] that [`Serving::on_rung`] makes; a test holds one against the other. Whatever
//! takes more than reading, such as filters, is not done here.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;

use serde::Serialize;

use super::catalogue::CatalogueEntry;
use super::filters::Wanted;
use super::list::{Entry, ListAnswer, ListName, ListQuery, Rung};
use super::{Serving, ServingError};
use crate::stores::{Table, formats};

/// An answer as bytes of JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// The answer.
    pub json: Vec<u8>,
    /// The variant that the member belongs to, where there are some.
    pub variant: Option<String>,
}

/// The items of a catalogue, as answers say them.
pub type ItemTexts = HashSet<ItemText, foldhash::fast::RandomState>;

/// What answers say of an item: one text, so that it is one look into memory.
#[derive(Debug)]
pub struct ItemText {
    /// The id; the JSON of an entry up to its score; the rest of it.
    text: Box<str>,
    id: u32,
    head: u32,
    withdrawn: bool,
}

impl ItemText {
    /// Of an item and what the catalogue says of it.
    pub fn new(item: &str, known: &CatalogueEntry) -> Self {
        let CatalogueEntry { title, genres, withdrawn, .. } = known.clone();
        let entry = Entry { item: item.to_owned(), score: 0.0, title, genres };
        let json = serde_json::to_string(&entry).unwrap_or_default();
        let id = serde_json::to_string(item).unwrap_or_default();
        let head = format!("{{\"item\":{id},\"score\":");
        let tail = json.strip_prefix(head.as_str()).and_then(|rest| rest.strip_prefix("0.0")).unwrap_or("}");
        let text = [item, &head, tail].concat().into();
        ItemText { text, id: item.len() as u32, head: (item.len() + head.len()) as u32, withdrawn }
    }

    fn id(&self) -> &str {
        &self.text[..self.id as usize]
    }

    fn write(&self, score: f64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text.as_bytes()[self.id as usize..self.head as usize]);
        json(&score, out);
        out.extend_from_slice(&self.text.as_bytes()[self.head as usize..]);
    }
}

impl Borrow<str> for ItemText {
    fn borrow(&self) -> &str {
        self.id()
    }
}

impl PartialEq for ItemText {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for ItemText {}

impl Hash for ItemText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

fn json(value: &impl Serialize, out: &mut Vec<u8>) {
    // A buffer takes whatever is written.
    let _ = serde_json::to_writer(out, value);
}

/// Enough for twenty entries with titles.
const USUAL: usize = 4096;

impl Serving<'_> {
    /// The stored `top_picks` as the answer's JSON; none where that takes more than to read it, or there is none.
    pub fn encoded(
        &self,
        member: &str,
        query: &ListQuery,
        now_ms: i64,
    ) -> Result<Option<Encoded>, ServingError> {
        let plain = query.list == ListName::TopPicks && query.wanted == Wanted::default();
        if !plain || self.standing.pending || !self.making(member).algorithm.is_kept() {
            return Ok(None);
        }
        let Some(kept) = self.kept_catalogue() else { return Ok(None) };
        if self.knows_little(member)? {
            return Ok(None);
        }
        let key = member.as_bytes();
        let Some(value) = self.tables.get(Table::TopPicks, key)? else { return Ok(None) };

        // The answer around its items.
        let found = self.found(member, Vec::new(), Rung::Nearline);
        let around = self.answer(member, query.list.as_str(), found, now_ms);
        let mut around_json = Vec::with_capacity(512);
        json(&around, &mut around_json);
        let ListAnswer { variant, .. } = around;
        let (before, after) = parted(&around_json);

        let mut out = Vec::with_capacity(USUAL);
        out.extend_from_slice(before);
        let (mut stored, mut wanted, mut written) = (0, 0, 0);
        let texts = &kept.texts;
        formats::show_scored(key, &value, &mut |item, score| {
            if written == query.limit {
                return ControlFlow::Break(());
            }
            stored += 1;
            let known = texts.get(item);
            if known.is_some_and(|known| known.withdrawn) {
                return ControlFlow::Continue(());
            }
            wanted += 1;
            if wanted > query.offset {
                if written > 0 {
                    out.push(b',');
                }
                written += 1;
                match known {
                    Some(known) => known.write(score.into(), &mut out),
                    None => ItemText::new(item, &CatalogueEntry::default()).write(score.into(), &mut out),
                }
            }
            ControlFlow::Continue(())
        })?;
        // Where too little of it is left, a longer one is made.
        if written < query.limit && stored >= self.config().lists.length {
            return Ok(None);
        }
        out.extend_from_slice(after);
        Ok(Some(Encoded { json: out, variant }))
    }
}

/// An answer without items, parted where they go.
fn parted(answer: &[u8]) -> (&[u8], &[u8]) {
    // A member's id is text in quotes, whose own quotes are escaped: this is found nowhere in it.
    const ITEMS: &[u8] = b",\"items\":[";
    let at = memchr::memmem::find(answer, ITEMS).map_or(0, |at| at + ITEMS.len());
    answer.split_at(at)
}

#[cfg(test)]
mod tests {
    use crate::engine::committed::{Committed, Counts};
    use crate::stores::StoreError;
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::folder::Folder;
    use crate::serving::Reader;
    use crate::stores::Store;
    use crate::stores::memory::MemoryStore;

    /// A store with two members' lists of five items: one with a title that has to be escaped, one withdrawn, one of which
    /// the catalogue knows nothing.
    fn reader(length: usize) -> Reader {
        let store = MemoryStore::default();
        let mut change = store.begin();
        let mut value = Vec::new();
        formats::begin_list(&mut value);
        for (item, score) in
            [("a", 0.9_f32), ("b \"2\"", 0.1 + 0.2), ("gone", 0.2), ("né", 1e-9), ("z", -1.0)]
        {
            formats::push_scored(item, score, &mut value);
        }
        change.put(Table::TopPicks, b"m \"1\",\"items\":[", &value);
        for (item, withdrawn, body) in [
            ("a", false, r#"{"title":"The \"A\"\n","genres":["x","y"]}"#),
            ("b \"2\"", false, r#"{"genres":[]}"#),
            ("gone", true, r#"{"title":"Gone"}"#),
            ("né", false, r#"{"title":"Né","genres":["é"]}"#),
        ] {
            let mut value = Vec::new();
            formats::encode_item(7, withdrawn, body, &mut value);
            change.put(Table::Items, item.as_bytes(), &value);
        }
        change.put(Table::Meta, formats::meta::EPOCH, &3_u64.to_be_bytes());
        change.commit(true).unwrap();
        let config = Config::parse(&format!("[lists]\nlength = {length}"), "test").unwrap();
        let folder = Folder::new(std::path::Path::new("nowhere"));
        Reader::over(Arc::new(store), &folder, config).with_catalogue().unwrap()
    }

    const MEMBER: &str = "m \"1\",\"items\":[";

    #[test]
    fn the_bytes_are_those_of_the_answer() {
        let reader = reader(100);
        for (offset, limit) in [(0, 20), (0, 2), (1, 2), (2, 0), (3, 5), (9, 5)] {
            let query = ListQuery { offset, limit, ..ListQuery::first(ListName::TopPicks, 0) };
            let (bytes, answer) = reader
                .read(|serving| {
                    let bytes = serving.encoded(MEMBER, &query, 1_000)?.unwrap();
                    let found = serving.on_rung(Rung::Nearline, MEMBER, &query, 1_000)?.unwrap();
                    Ok((bytes, serving.answer(MEMBER, query.list.as_str(), found, 1_000)))
                })
                .unwrap();
            let expected = serde_json::to_string(&answer).unwrap();
            assert_eq!(String::from_utf8(bytes.json).unwrap(), expected, "{offset} {limit}");
            assert_eq!(bytes.variant, answer.variant);
        }
    }

    #[test]
    fn what_takes_more_than_reading_is_left_to_others() {
        let none = |reader: &Reader, member: &str, query: ListQuery| {
            reader.read(|serving| serving.encoded(member, &query, 0)).unwrap().is_none()
        };
        let whole = reader(100);
        assert!(none(&whole, "unknown", ListQuery::first(ListName::TopPicks, 5)));
        assert!(none(&whole, MEMBER, ListQuery::first(ListName::Trending, 5)));
        let wanted = Wanted { genres: vec!["x".into()], ..Wanted::default() };
        assert!(none(&whole, MEMBER, ListQuery { wanted, ..ListQuery::first(ListName::TopPicks, 5) }));
        // A list that was cut to its length, of which too little is left: more is to be found.
        assert!(none(&reader(5), MEMBER, ListQuery::first(ListName::TopPicks, 5)));
        assert!(!none(&reader(5), MEMBER, ListQuery::first(ListName::TopPicks, 4)));
    }

    #[test]
    fn an_epoch_that_not_all_processes_have_is_waited_for_and_shown_to_nobody_before() {
        let committed = Arc::new(Committed::default());
        let reader = reader(5).behind(committed.clone());
        let ask = |serving: &Serving<'_>| Ok(serving.standing.epoch);
        assert!(reader.read_in_memory(ask).is_none());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| reader.read(ask).unwrap());
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(!waits.is_finished());
            committed.publish(3, Counts::default());
            assert_eq!(waits.join().unwrap(), 3);
        });
        committed.fail(StoreError::NotInMemory);
        assert_eq!(reader.read(ask).unwrap(), 3);
    }
}
