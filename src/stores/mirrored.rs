//! What is mirrored: which entries of which tables, and the keys of the queue that says which of them changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::formats::{self, meta};
use super::{StoreError, Table};

/// A view that can be mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// `top_picks`, by member.
    TopPicks,
    /// `continue_watching`, by member.
    ContinueWatching,
    /// The one list of nobody.
    Trending,
    /// Counts by kind, hour, item and country.
    Popularity,
}

impl View {
    /// All of them.
    pub const ALL: [View; 4] = [View::TopPicks, View::ContinueWatching, View::Trending, View::Popularity];

    /// The table that it is kept in.
    pub fn table(self) -> Table {
        match self {
            View::TopPicks => Table::TopPicks,
            View::ContinueWatching => Table::ContinueWatching,
            View::Trending => Table::Meta,
            View::Popularity => Table::Popularity,
        }
    }

    /// What the keys of its entries begin with there.
    pub fn prefix(self) -> &'static [u8] {
        if self == View::Trending { meta::TRENDING } else { &[] }
    }

    /// The view that an entry of a table belongs to.
    pub fn of(table: Table, key: &[u8]) -> Option<View> {
        match table {
            Table::TopPicks => Some(View::TopPicks),
            Table::ContinueWatching => Some(View::ContinueWatching),
            Table::Meta if key == meta::TRENDING => Some(View::Trending),
            Table::Popularity => Some(View::Popularity),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            View::TopPicks => b't',
            View::ContinueWatching => b'c',
            View::Trending => b'n',
            View::Popularity => b'p',
        }
    }
}

/// A key of `mirror_queue`: the epoch with which an entry of a view changed, and the entry's key.
pub fn queue_key(epoch: u64, view: View, key: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&epoch.to_be_bytes());
    out.push(view.byte());
    out.extend_from_slice(key);
}

/// What the keys of an epoch, and of all later ones, are not less than.
pub fn from_epoch(epoch: u64) -> [u8; 8] {
    epoch.to_be_bytes()
}

/// Reads a key of `mirror_queue`.
pub fn decode_queue_key(key: &[u8]) -> Result<(u64, View, &[u8]), StoreError> {
    let parse = || {
        let (epoch, rest) = key.split_first_chunk::<8>()?;
        let (byte, entry) = rest.split_first()?;
        let view = View::ALL.into_iter().find(|view| view.byte() == *byte)?;
        Some((u64::from_be_bytes(*epoch), view, entry))
    };
    parse().ok_or_else(|| formats::damaged(Table::MirrorQueue, key, "cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_queue_are_in_the_order_of_epochs_and_say_what_changed() {
        let mut last = Vec::new();
        for (epoch, view, entry) in [
            (1, View::TopPicks, &b"m1"[..]),
            (2, View::ContinueWatching, b"a member"),
            (2, View::TopPicks, b"m1"),
            (300, View::Trending, meta::TRENDING),
        ] {
            let mut key = Vec::new();
            queue_key(epoch, view, entry, &mut key);
            assert_eq!(decode_queue_key(&key).unwrap(), (epoch, view, entry));
            assert!(last < key && key[..] >= from_epoch(epoch)[..] && key[..] < from_epoch(epoch + 1)[..]);
            last = key;
        }
        assert!(decode_queue_key(&last[..8]).is_err());
        assert!(decode_queue_key(b"\0\0\0\0\0\0\0\x01?m1").is_err());
    }
}
