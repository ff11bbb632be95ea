//! A context being made canonical: its entries are collected, sorted by key and written.

use super::fast::plain;

/// The entries of one context and its canonical JSON.
#[derive(Debug, Default)]
pub struct Context {
    /// Keys as they are and values as they are written in JSON, one after the other.
    texts: String,
    /// Where in `texts` an entry's key begins, where the key ends and where the value ends.
    entries: Vec<(usize, usize, usize)>,
    written: String,
}

impl Context {
    /// Forgets what was collected.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.entries.clear();
        self.written.clear();
    }

    /// Adds an entry; the value is canonical JSON already, the key is the text itself.
    pub fn add(&mut self, key: &str, value: &str) {
        let start = self.texts.len();
        self.texts.push_str(key);
        let middle = self.texts.len();
        self.texts.push_str(value);
        self.entries.push((start, middle, self.texts.len()));
    }

    /// Sorts and writes what was collected; a key that is there twice is the error. No entries, no text.
    pub fn write(&mut self) -> Result<(), String> {
        let Context { texts, entries, written } = self;
        let key = |entry: &(usize, usize, usize)| &texts[entry.0..entry.1];
        entries.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        if let Some(twice) = entries.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
            return Err(key(&twice[0]).to_owned());
        }
        for (index, entry) in entries.iter().enumerate() {
            written.push(if index == 0 { '{' } else { ',' });
            write_key(key(entry), written);
            written.push(':');
            written.push_str(&texts[entry.1..entry.2]);
        }
        if !entries.is_empty() {
            written.push('}');
        }
        Ok(())
    }

    /// The canonical JSON.
    pub fn written(&self) -> &str {
        &self.written
    }
}

fn write_key(key: &str, written: &mut String) {
    if plain(key.as_bytes()) == key.len() {
        written.push('"');
        written.push_str(key);
        written.push('"');
    } else {
        written.push_str(&serde_json::to_string(key).expect("writing text to memory does not fail"));
    }
}
