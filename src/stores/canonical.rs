//! The canonical form of the views, and its digest.
//!
//! The digest is the sum, modulo 2²⁵⁶, of BLAKE3 over each entry, so that it depends on no order and the digests
//! of several stores add up. An entry is its view, its key and its value, with external ids and nothing of one
//! process or folder in them: no epoch, internal number, key or wall time (docs/formats.md, "Canonical form").

use std::fmt;

/// A sum of BLAKE3 hashes modulo 2²⁵⁶, little end first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewsDigest([u64; 4]);

impl ViewsDigest {
    /// Adds an entry of a view; gives back its own hash, little end first.
    pub fn add(&mut self, view: &str, key: &[u8], value: &[u8]) -> [u64; 4] {
        let mut hasher = blake3::Hasher::new();
        for part in [view.as_bytes(), key, value] {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(hasher.finalize().as_bytes().chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        }
        self.add_hash(&words);
        words
    }

    /// Adds all that another digest is of.
    pub fn merge(&mut self, other: &ViewsDigest) {
        self.add_hash(&other.0);
    }

    /// Adds an entry by its hash.
    pub fn add_hash(&mut self, hash: &[u64; 4]) {
        let mut carry = false;
        for (sum, word) in self.0.iter_mut().zip(hash) {
            let (partial, first) = sum.overflowing_add(*word);
            let (whole, second) = partial.overflowing_add(u64::from(carry));
            *sum = whole;
            carry = first || second;
        }
    }
}

impl fmt::Display for ViewsDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|word| write!(out, "{word:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_does_not_depend_on_the_order_of_entries_and_tells_them_apart() {
        let of = |entries: &[(&str, &str, &str)]| {
            let mut digest = ViewsDigest::default();
            for (view, key, value) in entries {
                digest.add(view, key.as_bytes(), value.as_bytes());
            }
            digest
        };
        let (a, b) = (("v", "k", "1"), ("v", "l", "2"));
        assert_eq!(of(&[a, b]), of(&[b, a]));
        assert_ne!(of(&[a]), of(&[a, a]));
        assert_ne!(of(&[("v", "k1", "")]), of(&[("v", "k", "1")]));
        assert_ne!(of(&[("vk", "", "1")]), of(&[("v", "k", "1")]));
    }
}
