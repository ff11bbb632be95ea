//! A table of ids of at most fifteen bytes, as almost all ids are, and their numbers.
//!
//! An id lies in the table itself, so that a look-up reads one place in memory; and where that is can be said before it is
//! read ([`ShortIds::fetch`]), which the tables of the standard library do not tell.

use nearline_factors::fetch_soon;

/// An id of at most 15 bytes: its bytes, zeros, and in the last byte its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortId([u64; 2]);

impl ShortId {
    /// None where the id is longer.
    pub fn of(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; 16];
        if id.len() >= bytes.len() {
            return None;
        }
        bytes[..id.len()].copy_from_slice(id);
        bytes[15] = id.len() as u8;
        let [first, second] = [0, 8].map(|at| {
            let half = bytes[at..at + 8].first_chunk().expect("sixteen bytes are two halves");
            u64::from_le_bytes(*half)
        });
        Some(ShortId([first, second]))
    }

    /// A number that differs in its upper bits where ids differ anywhere: each half times a large odd number, folded.
    fn hash(self) -> u64 {
        let fold = |number: u64, times: u64| {
            let product = u128::from(number) * u128::from(times);
            (product >> 64) as u64 ^ product as u64
        };
        fold(fold(self.0[0] ^ SEEDS[0], SEEDS[1]) ^ self.0[1], SEEDS[2])
    }
}

/// The first digits of the fractions of π.
const SEEDS: [u64; 3] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1];

/// A place in the table; free where the id is of no length, as no id is in a table that holds it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    id: ShortId,
    number: u32,
}

const FREE: Slot = Slot { id: ShortId([0, 0]), number: u32::MAX };

/// Ids and their numbers. An id lies at the place that its hash says, or in the next free one.
#[derive(Debug, Default)]
pub struct ShortIds {
    /// As many as a power of two; at most half of them are taken.
    slots: Vec<Slot>,
    taken: usize,
}

/// How many places the first table has.
const FIRST: usize = 16;

impl ShortIds {
    /// The number of an id, where it has one.
    pub fn get(&self, id: ShortId) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = &self.slots[self.find(id)];
        (slot.number != FREE.number).then_some(slot.number)
    }

    /// Gives an id that has none its number.
    pub fn insert(&mut self, id: ShortId, number: u32) {
        if 2 * (self.taken + 1) > self.slots.len() {
            let larger = vec![FREE; (2 * self.slots.len()).max(FIRST)];
            for slot in std::mem::replace(&mut self.slots, larger) {
                if slot.number != FREE.number {
                    let place = self.find(slot.id);
                    self.slots[place] = slot;
                }
            }
        }
        let place = self.find(id);
        self.slots[place] = Slot { id, number };
        self.taken += 1;
    }

    /// Has the place of an id fetched from memory.
    pub fn fetch(&self, id: ShortId) {
        if !self.slots.is_empty() {
            let place = self.first(id);
            fetch_soon(&self.slots[place..=place]);
        }
    }

    /// Where an id lies, or would lie.
    fn find(&self, id: ShortId) -> usize {
        let mut place = self.first(id);
        while self.slots[place].id != id && self.slots[place].number != FREE.number {
            place = (place + 1) & (self.slots.len() - 1);
        }
        place
    }

    /// Where an id lies if nothing else does.
    fn first(&self, id: ShortId) -> usize {
        id.hash() as usize & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn ids_keep_their_numbers_as_the_table_grows() {
        let (mut table, mut all) = (ShortIds::default(), HashMap::new());
        for number in 0..50_000_u32 {
            // Some differ in their first bytes alone, some in their last.
            let id = match number % 3 {
                0 => format!("m{number}"),
                1 => format!("{number}abcdefg"),
                _ => format!("{number:015}"),
            };
            let short = ShortId::of(id.as_bytes()).unwrap();
            assert_eq!(table.get(short), None, "{id}");
            table.insert(short, number);
            all.insert(id, number);
        }
        for (id, number) in &all {
            let short = ShortId::of(id.as_bytes()).unwrap();
            table.fetch(short);
            assert_eq!(table.get(short), Some(*number), "{id}");
        }
    }

    #[test]
    fn ids_that_count_up_lie_close_to_their_places() {
        let mut table = ShortIds::default();
        let ids: Vec<_> = (0..100_000).map(|id| ShortId::of(format!("m{id}").as_bytes()).unwrap()).collect();
        ids.iter().zip(0..).for_each(|(id, number)| table.insert(*id, number));
        let mask = table.slots.len() - 1;
        let far: usize = ids.iter().map(|id| table.find(*id).wrapping_sub(table.first(*id)) & mask).sum();
        assert!(far < ids.len(), "{far} steps for {} ids", ids.len());
    }

    #[test]
    fn no_id_of_sixteen_bytes_is_short_and_an_empty_one_has_no_number() {
        assert_eq!(ShortId::of(b"sixteen bytes..."), None);
        let empty = ShortId::of(b"").unwrap();
        let mut table = ShortIds::default();
        assert_eq!(table.get(empty), None);
        table.insert(ShortId::of(b"a").unwrap(), 0);
        assert_eq!(table.get(empty), None);
        table.insert(empty, 1);
        assert_eq!(table.get(empty), Some(1));
    }
}
