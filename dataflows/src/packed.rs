//! Counts by key, sorted and packed: three or four bytes where a cell and its count take twenty.
//!
//! Keys that follow one another are mostly alike (cells of one kind and hour, pairs of one item) and count little. So each is
//! written as what it is more than the one before, in numbers of seven bits a byte, in chunks of which the first key is known
//! besides: a key is found by looking through one chunk. What is packed never changes. It is made from front to back, and whoever
//! goes through it to make another gives each chunk back as soon as it is read.

use std::fmt::Debug;

use crate::members::Cell;
use crate::together::ItemPair;
use crate::types::{Country, Item, Kind};

/// What is counted by.
pub trait Key: Copy + Debug + Default + Ord {
    /// The same order, of which two are compared at once instead of field by field.
    type Order: Ord + Copy + Debug;

    /// The key's place in it.
    fn order(&self) -> Self::Order;

    /// Writes a key that is greater than the last one, or any where the last is the least there is.
    fn write(self, last: Self, out: &mut Vec<u8>);

    /// Reads it again.
    fn read(last: Self, next: impl FnMut() -> u64) -> Self;
}

impl Key for Cell {
    type Order = u128;

    fn order(&self) -> u128 {
        let Cell { kind, hour, item, country } = *self;
        u128::from(kind.0) << 96 | u128::from(hour) << 64 | u128::from(item.0) << 32 | u128::from(country.0)
    }

    fn write(self, last: Cell, out: &mut Vec<u8>) {
        if (self.kind, self.hour) == (last.kind, last.hour) {
            write(out, u64::from(self.item.0 - last.item.0) << 1);
        } else {
            write(out, u64::from(self.item.0) << 1 | 1);
            write(out, u64::from(self.kind.0));
            write(out, u64::from(self.hour));
        }
        write(out, u64::from(self.country.0));
    }

    fn read(last: Cell, mut next: impl FnMut() -> u64) -> Cell {
        let item = next();
        let more = (item >> 1) as u32;
        let (item, kind, hour) = if item & 1 == 0 {
            (Item(last.item.0 + more), last.kind, last.hour)
        } else {
            (Item(more), Kind(next() as u16), next() as u32)
        };
        Cell { kind, hour, item, country: Country(next() as u32) }
    }
}

impl Key for ItemPair {
    type Order = u64;

    fn order(&self) -> u64 {
        let (lesser, greater) = self.items();
        u64::from(lesser.0) << 32 | u64::from(greater.0)
    }

    fn write(self, last: ItemPair, out: &mut Vec<u8>) {
        let ((lesser, greater), (last_lesser, last_greater)) = (self.items(), last.items());
        if lesser == last_lesser {
            write(out, u64::from(greater.0 - last_greater.0) << 1);
        } else {
            write(out, u64::from(greater.0 - lesser.0) << 1 | 1);
            write(out, u64::from(lesser.0 - last_lesser.0));
        }
    }

    fn read(last: ItemPair, mut next: impl FnMut() -> u64) -> ItemPair {
        let (greater, (last_lesser, last_greater)) = (next(), last.items());
        let more = (greater >> 1) as u32;
        if greater & 1 == 0 {
            return ItemPair::of(last_lesser, Item(last_greater.0 + more));
        }
        let lesser = Item(last_lesser.0 + next() as u32);
        ItemPair::of(lesser, Item(lesser.0 + more))
    }
}

/// How long a chunk is at least, but for the last.
const CHUNK: usize = 512;
/// The longest that an entry can be.
const LONGEST: usize = 48;

/// Keys in order, each once, with a number each.
#[derive(Debug, Default)]
pub struct Packed<K> {
    chunks: Vec<Chunk<K>>,
    len: usize,
}

#[derive(Debug)]
struct Chunk<K> {
    first: K,
    bytes: Box<[u8]>,
}

impl<K: Key> Packed<K> {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of a key.
    pub fn get(&self, key: &K) -> Option<i64> {
        let after = self.chunks.partition_point(|chunk| chunk.first <= *key);
        let chunk = &self.chunks[after.checked_sub(1)?];
        let mut reader = Reader::<K>::default();
        loop {
            let (other, number) = reader.read(&chunk.bytes)?;
            if other >= *key {
                return (other == *key).then_some(number);
            }
        }
    }
}

impl<K: Key> FromIterator<(K, i64)> for Packed<K> {
    /// They come in order.
    fn from_iter<I: IntoIterator<Item = (K, i64)>>(entries: I) -> Self {
        let mut packer = Packer::default();
        entries.into_iter().for_each(|(key, number)| packer.push(key, number));
        packer.finish()
    }
}

impl<K: Key> IntoIterator for Packed<K> {
    type Item = (K, i64);
    type IntoIter = Unpacking<K>;

    fn into_iter(self) -> Unpacking<K> {
        Unpacking { chunks: self.chunks.into_iter(), chunk: Box::default(), reader: Reader::default() }
    }
}

/// What is being packed.
#[derive(Debug, Default)]
pub struct Packer<K> {
    chunks: Vec<Chunk<K>>,
    len: usize,
    open: Vec<u8>,
    /// Of the open chunk; the last is the least there is where it is empty.
    first: K,
    last: K,
}

impl<K: Key> Packer<K> {
    /// Adds a key that comes after all others.
    pub fn push(&mut self, key: K, number: i64) {
        debug_assert!(self.open.is_empty() || self.last < key, "{key:?} after {:?}", self.last);
        if self.open.is_empty() {
            self.first = key;
            self.open.reserve(CHUNK + LONGEST);
        }
        key.write(self.last, &mut self.open);
        // Small numbers of either sign are short.
        write(&mut self.open, ((number << 1) ^ (number >> 63)) as u64);
        self.last = key;
        self.len += 1;
        if self.open.len() >= CHUNK {
            self.close();
        }
    }

    fn close(&mut self) {
        self.chunks.push(Chunk { first: self.first, bytes: self.open.as_slice().into() });
        self.open.clear();
        self.last = K::default();
    }

    /// All of it.
    pub fn finish(mut self) -> Packed<K> {
        if !self.open.is_empty() {
            self.close();
        }
        self.chunks.shrink_to_fit();
        Packed { chunks: self.chunks, len: self.len }
    }
}

/// Entries in order. What was read is given back chunk by chunk.
#[derive(Debug)]
pub struct Unpacking<K> {
    chunks: std::vec::IntoIter<Chunk<K>>,
    chunk: Box<[u8]>,
    reader: Reader<K>,
}

impl<K: Key> Iterator for Unpacking<K> {
    type Item = (K, i64);

    fn next(&mut self) -> Option<(K, i64)> {
        loop {
            if let Some(entry) = self.reader.read(&self.chunk) {
                return Some(entry);
            }
            self.chunk = self.chunks.next()?.bytes;
            self.reader = Reader::default();
        }
    }
}

/// A place in a chunk, and the key before it.
#[derive(Debug, Default)]
struct Reader<K> {
    at: usize,
    last: K,
}

impl<K: Key> Reader<K> {
    fn read(&mut self, bytes: &[u8]) -> Option<(K, i64)> {
        if self.at >= bytes.len() {
            return None;
        }
        let mut at = self.at;
        self.last = K::read(self.last, || read(bytes, &mut at));
        let number = read(bytes, &mut at);
        self.at = at;
        Some((self.last, (number >> 1) as i64 ^ -((number & 1) as i64)))
    }
}

/// Seven bits a byte, the least first.
fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn any_cell() -> impl Strategy<Value = Cell> {
        // Next to each other, and anywhere.
        let near = (0..3_u16, 0..3_u32, 0..300_u32, 0..3_u32);
        let cell = prop_oneof![3 => near, 1 => (any::<u16>(), any::<u32>(), any::<u32>(), any::<u32>())];
        cell.prop_map(|(kind, hour, item, country)| {
            let (kind, item, country) = (Kind(kind), Item(item), Country(country));
            Cell { kind, hour, item, country }
        })
    }

    fn any_pair() -> impl Strategy<Value = ItemPair> {
        let pair = prop_oneof![3 => (0..40_u32, 0..300_u32), 1 => (any::<u32>(), any::<u32>())];
        pair.prop_map(|(one, other)| ItemPair::of(Item(one), Item(other)))
    }

    fn any_counts<K: Key>(keys: impl Strategy<Value = K>) -> impl Strategy<Value = BTreeMap<K, i64>> {
        prop::collection::btree_map(keys, prop_oneof![-3..3_i64, any::<i64>()], 0..700)
    }

    fn comes_out_and_is_found<K: Key>(counts: BTreeMap<K, i64>, others: Vec<K>) {
        let packed: Packed<K> = counts.iter().map(|(key, number)| (*key, *number)).collect();
        assert_eq!(packed.len(), counts.len());
        for key in counts.keys().chain(&others) {
            assert_eq!(packed.get(key), counts.get(key).copied());
        }
        assert_eq!(packed.into_iter().collect::<Vec<_>>(), counts.into_iter().collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn packed_cells_come_out_again_and_are_found(
            counts in any_counts(any_cell()),
            others in prop::collection::vec(any_cell(), 0..99),
        ) {
            comes_out_and_is_found(counts, others);
        }

        #[test]
        fn packed_pairs_come_out_again_and_are_found(
            counts in any_counts(any_pair()),
            others in prop::collection::vec(any_pair(), 0..99),
        ) {
            comes_out_and_is_found(counts, others);
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_fields(cells in [any_cell(), any_cell()], pairs in [any_pair(), any_pair()]) {
            prop_assert_eq!(cells[0].order().cmp(&cells[1].order()), cells[0].cmp(&cells[1]));
            prop_assert_eq!(pairs[0].order().cmp(&pairs[1].order()), pairs[0].cmp(&pairs[1]));
        }
    }

    #[test]
    fn cells_next_to_each_other_take_a_few_bytes() {
        let cell = |item| Cell { kind: Kind(1), hour: 490_000, item: Item(item), country: Country(7) };
        let packed: Packed<Cell> = (0..100_000).map(|number| (cell(number * 5), 1)).collect();
        let bytes: usize =
            packed.chunks.iter().map(|chunk| chunk.bytes.len() + size_of::<Chunk<Cell>>()).sum();
        assert!(bytes < 400_000, "{bytes} bytes");
        assert!(packed.chunks.iter().all(|chunk| chunk.bytes.len() < CHUNK + LONGEST));
    }
}
