//! The vocabulary of the graph: numbers for names, one event packed, and what goes in.
//!
//! Members, items, kinds, places and what makes these up are numbers here; a number stands for an external id, or for
//! what an event's context says, as long as the process lives, and is never stored. What the graph must know of them
//! besides, it looks up: the order of ties in [`ItemIds`], what a place is in [`Placements`], which variant a member
//! belongs to in [`Assignment`], and the digest of an event that is kept without it in [`Digests`].

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The one timestamp of the graph, totally ordered: what happens in one epoch becomes visible together.
pub type Epoch = u64;
/// The first 128 bits of a keyed BLAKE3 of an event's normal form: what an event is recognised by.
pub type Digest = [u64; 2];
/// An hour since 1970, UTC.
pub type Hour = u32;
/// A day since 1970, UTC.
pub type Day = u32;

/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// The hour in which a millisecond lies. `at` is from 1970 to 2200, so the hour fits 32 bits.
pub fn hour_of(at: i64) -> Hour {
    (at / HOUR_MS) as Hour
}

/// Milliseconds in a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// The day in which a millisecond lies.
pub fn day_of(at: i64) -> Day {
    (at / DAY_MS) as Day
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);
        impl $name {
            /// The number as an index.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

number!(/** A member's number. */ Member, u32);
number!(/** An item's number. */ Item, u32);
number!(/** A kind's number: the configured kinds first, in the order of [`crate::kinds::Kinds`]. */ Kind, u16);
number!(/** The number of a country, from an event's context; 0 where it names none. */ Country, u32);
number!(/** The number of a list, from an event's context; 0 where it names none. */ List, u32);
number!(/** The number of a variant, from an event's context; 0 where it names none. */ Variant, u32);
number!(/** The number of what an event's context says; 0 where it says nothing. What that means is its [`Placement`]. */ Place, u32);

/// Marks the number of a place that says less than the context did.
const LESS: u32 = 1 << 31;

impl Place {
    /// A place that stands for contexts of which it does not say all.
    pub fn saying_less(number: u32) -> Place {
        Place(number | LESS)
    }

    /// Whether it stands for one context and all that this says.
    pub fn says_all(self) -> bool {
        self.0 & LESS == 0
    }

    /// Its number among those that say all, or among those that say less.
    pub fn among_its_like(self) -> usize {
        (self.0 & !LESS) as usize
    }
}

/// Where an event happened, as far as views count by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Placement {
    /// Where the member was.
    pub country: Country,
    /// The list that the item was shown in. Of an event without one variant and position are not kept either.
    pub list: List,
    /// The variant that made the list.
    pub variant: Variant,
    /// The item's position in the list, from 1 on; 0 where the event names none.
    pub position: u16,
}

/// One event, packed: 48 bytes. A history keeps most in sixteen (`narrow.rs`), and the others in the order of these fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Event {
    /// What the member acted on.
    pub item: Item,
    /// `at` in milliseconds (at most 43 bits) times 2¹⁶, plus the kind's number.
    at_kind: u64,
    /// In millionths.
    pub value: i64,
    /// Where it happened.
    pub place: Place,
    /// Digest of the event's own id; 0 where it has none.
    pub id: u64,
    /// Digest of the whole event; zeros where it is not kept, since the fields say all that it is made from.
    pub digest: Digest,
}

// Epochs on their way have one for each record, and histories one for each that does not fit in less.
const _: () = assert!(size_of::<Event>() == 48);

impl Event {
    /// Packs an event. `at` must be from 1970 to 2200, as every accepted record's is.
    pub fn new(item: Item, kind: Kind, at: i64, value: i64) -> Self {
        debug_assert!((0..1 << 47).contains(&at));
        let at_kind = ((at as u64) << 16) | u64::from(kind.0);
        Event { item, at_kind, value, place: Place(0), id: 0, digest: [0, 0] }
    }

    /// When, in milliseconds since 1970.
    pub fn at(&self) -> i64 {
        (self.at_kind >> 16) as i64
    }

    /// What the member did.
    pub fn kind(&self) -> Kind {
        Kind(self.at_kind as u16)
    }

    /// Whether its digest can be made of the other fields.
    pub fn says_all(&self) -> bool {
        self.id == 0 && self.place.says_all()
    }

    /// Its digest, made again where it is not kept.
    pub fn digest_of(&self, member: Member, digests: &dyn Digests) -> Digest {
        if self.digest == [0, 0] { digests.digest(member, self) } else { self.digest }
    }
}

/// What a record does to a member's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// The member did this.
    Add(Event),
    /// The event with this digest never happened; its `at` says which forget makes this superfluous.
    Retract(Event),
    /// No event with this id digest ever happened.
    RetractId(u64),
    /// A retraction by fields, of which a forget has left the digest and `at`.
    RetractDigest(Digest, i64),
    /// Nothing up to and including this millisecond ever happened.
    Forget(i64),
    /// A forget for every member of the worker that it is fed to; the member named is ignored.
    Trim(i64),
}

/// Stands for the place in an epoch of what none of its records says: what was known of the member before.
pub const KNOWN: u32 = u32::MAX;

/// One record on its way to its member's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// Whose history.
    pub member: Member,
    /// The record's place in its epoch; the answer about it names it by this.
    pub seq: u32,
    /// What it does.
    pub action: Action,
}

/// One version of an item of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemVersion {
    /// Which item.
    pub item: Item,
    /// When the version was made, in milliseconds since 1970.
    pub at: i64,
    /// The version's normal form: decides between versions of one `at`.
    pub body: Vec<u8>,
    /// Whether the item may no longer be listed.
    pub withdrawn: bool,
}

/// The external ids of items, by number: what equal scores are ordered by.
///
/// An append-only table. Reading it is pure, since a number never changes its id.
pub trait ItemIds: Send + Sync {
    /// The id of an item, as bytes.
    fn id(&self, item: Item) -> &[u8];

    /// The order of two items by id.
    fn order(&self, a: Item, b: Item) -> Ordering {
        if a == b { Ordering::Equal } else { self.id(a).cmp(self.id(b)) }
    }
}

/// A shared [`ItemIds`].
pub type Ids = Arc<dyn ItemIds>;

/// What places are, by number.
///
/// An append-only table. Reading it is pure, since a number never changes its meaning.
pub trait Placements: Send + Sync {
    /// The placement of a place.
    fn placement(&self, place: Place) -> Placement;
}

/// Which variants members belong to, by number.
///
/// A function of the member's external id. Reading it is pure, since a number never changes its id.
pub trait Assignment: Send + Sync {
    /// The place of the member's variant in the line-up; asked for only where that has several.
    fn variant(&self, member: Member) -> usize;
}

/// The digests of events.
///
/// A function of the external ids and the key of the data folder. Making one is pure, since a number never changes what it
/// stands for, and no event is numbered before the key is settled.
pub trait Digests: Send + Sync {
    /// The digest of a member's event whose fields say all of it.
    fn digest(&self, member: Member, event: &Event) -> Digest;
}

/// What the graph looks up by number.
#[derive(Clone)]
pub struct LookUps {
    /// The ids of items.
    pub ids: Ids,
    /// What places are.
    pub placements: Arc<dyn Placements>,
    /// Which variants members belong to.
    pub assignment: Arc<dyn Assignment>,
    /// The digests of events.
    pub digests: Arc<dyn Digests>,
}
