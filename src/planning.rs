//! What a folder of a given size will take of memory and disk, before there is one.
//!
//! A sum over what is kept, each part by how many there are of it: most sizes follow from the layout of what is stored
//! (docs/formats.md, ARCHITECTURE.md), and those of tables in memory, with their slack, were fitted to measured
//! runs (docs/benchmarks.md, "Planned and measured").

use serde::Serialize;

/// What there will be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Members with live events.
    pub members: u64,
    /// Items with live events or in the model.
    pub items: u64,
    /// Live events.
    pub events: u64,
    /// Those of them with an id of their own, or a context that hardly any other has.
    pub wide: u64,
    /// The rank of the model; 0 without one.
    pub rank: u64,
    /// The greatest length of a list.
    pub length: u64,
    /// Combinations of item, kind, country and hour that have events.
    pub cells: u64,
    /// How many items a basket holds at most.
    pub basket: u64,
    /// Pairs of items that some member has in one basket.
    pub pairs: u64,
    /// Events that were retracted by fields.
    pub retracted: u64,
    /// The length of an id, in bytes, of a member, an item or a kind.
    pub id_bytes: u64,
    /// The length of an event's context as canonical JSON, in bytes, with its own id.
    pub context_bytes: u64,
    /// Memory of the store's cache and buffers, in bytes.
    pub store: u64,
}

/// One thing that takes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is.
    pub what: &'static str,
    /// How many bytes it takes.
    pub bytes: u64,
}

/// Memory and disk, in bytes, and what they are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The largest resident memory while all of it is loaded by `nearline replay`.
    pub memory: u64,
    /// The store on disk after that.
    pub disk: u64,
    /// What the memory is for.
    pub memory_parts: Vec<Part>,
    /// What the disk is for.
    pub disk_parts: Vec<Part>,
}

/// A live event in its member's history: 16 bytes, room for an eighth more, and the sizes that memory comes in.
const EVENT: f64 = 20.0;
/// The same of one that is kept as it is: 48 bytes.
const WIDE: f64 = 57.0;
/// A count: packed, as it is and as what it is made of, and its share of the board of `trending`.
const CELL: f64 = 18.0;
/// A pair of items: its count, and what is sorted and written of it at the end of a load.
const PAIR: f64 = 26.0;
/// A member's basket without its items, which take four bytes each.
const BASKET: f64 = 32.0;
/// A member: its number, its place in the dictionary and in each worker's table, the slack of a small history.
const MEMBER: f64 = 110.0;
/// An item: its number, its place in the dictionary, its score in `trending`.
const ITEM: f64 = 200.0;
/// A number of an item's factor: in single precision, in eight bits, and on its way in.
const NUMBER: f64 = 9.0;
/// A retraction: 24 bytes, and room for an eighth more.
const RETRACTED: f64 = 27.0;
/// The program, its threads and their buffers. A program with DataFusion in it is five times as large, and some megabytes of that
/// are in memory whenever it runs.
const BASE: f64 = if cfg!(feature = "query") { 120e6 } else { 90e6 };
/// A record on its way: in batches, epochs, changes and files being written; and how many are on their way at most.
const ON_ITS_WAY: f64 = 100.0;
const MOST_ON_THEIR_WAY: u64 = 1_500_000;

impl Size {
    /// What it will take.
    pub fn plan(&self) -> Plan {
        let part = |what, bytes: f64| Part { what, bytes: bytes as u64 };
        let of = |count: u64, each: f64| count as f64 * each;
        let id = self.id_bytes as f64 + 1.0;
        let lists = if self.rank > 0 { self.members } else { 0 };
        let memory_parts = vec![
            part("live events", of(self.events.saturating_sub(self.wide), EVENT) + of(self.wide, WIDE)),
            part("counts by item, kind, country and hour", of(self.cells, CELL)),
            part("members", of(self.members, MEMBER + 2.0 * id)),
            part("baskets and what is in them together", {
                let each = if self.basket > 0 { BASKET + 4.0 * self.basket as f64 } else { 0.0 };
                of(self.members, each) + of(self.pairs, PAIR)
            }),
            part("items and the model", of(self.items, ITEM + 2.0 * id + NUMBER * self.rank as f64)),
            part("retractions", of(self.retracted, RETRACTED)),
            part("the program, and the store's buffers", BASE + 0.25 * self.store as f64),
            part(
                "records on their way",
                of((self.events + self.retracted).min(MOST_ON_THEIR_WAY), ON_ITS_WAY),
            ),
        ];
        // Keys and values as docs/formats.md has them, and what RocksDB keeps of each entry and block.
        let record = 3.0 * id + 1.0 + 16.0 + 1.0 + 17.0 + 4.0 + self.context_bytes as f64;
        let disk_parts = vec![
            part("live events and retractions", of(self.events + self.retracted, record)),
            part("counts", of(self.cells, 2.0 * id + 4.0 + 2.0 + 3.0)),
            part("what is watched together", of(self.pairs, 2.0 * (id + 2.0))),
            part("lists", of(lists, self.length as f64 * (id + 4.0) + 2.0 * id)),
            part("factors", of(lists, 4.0 * self.rank as f64 + id)),
            part("logs", 2e6),
        ];
        let sum = |parts: &[Part]| parts.iter().map(|part| part.bytes).sum();
        Plan { memory: sum(&memory_parts), disk: sum(&disk_parts), memory_parts, disk_parts }
    }
}
