//! Records in normal form: what one line of a log means once it is accepted, and the bytes it is kept as.
//!
//! A record is decoded once, at the source, into the bytes of its normal form (`normal.rs`); everything
//! behind the source reads fields from those bytes without copying. This module does not read logs
//! (`sources`) and gives records no meaning (`dataflows`).

mod decimal;
mod normal;
mod schema;
pub mod time;
mod written;

pub use decimal::{MICROS, NotAValue, format_micros, parse_micros};
pub use normal::{Malformed, RecordType, decode, encode, event_ids, type_of};
pub use schema::schema;
pub use written::write_json;

/// The longest id, in bytes of UTF-8.
pub const MAX_ID: usize = 256;
/// The largest context, in bytes of its canonical JSON.
pub const MAX_CONTEXT: usize = 4096;
/// The largest absolute value of an event, in millionths.
pub const MAX_VALUE: i64 = 1_000_000_000 * MICROS;
/// The first millisecond that `at` may name: 1970-01-01T00:00:00Z.
pub const MIN_AT: i64 = 0;
/// The first millisecond after those that `at` may name: 2200-01-01T00:00:00Z.
pub const END_AT: i64 = 7_258_118_400_000;

/// One event in normal form. Two events that differ in any field are two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event<'a> {
    /// The member's id, 1 to 256 bytes.
    pub member: &'a str,
    /// The item's id, 1 to 256 bytes.
    pub item: &'a str,
    /// What the member did, 1 to 256 bytes.
    pub kind: &'a str,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// How much, in millionths.
    pub value: i64,
    /// The event's own id, where its producer gave one.
    pub id: Option<&'a str>,
    /// Canonical JSON of a flat object with sorted keys; empty where there is none.
    pub context: &'a str,
}

/// One version of an item of the catalogue. The whole of it replaces the version before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ItemVersion<'a> {
    /// The item's id.
    pub item: &'a str,
    /// When this version was made, in milliseconds since 1970; the greatest wins.
    pub at: i64,
    /// Canonical JSON, an object with sorted keys of `countries`, `genres`, `title` and `withdrawn`, those that are
    /// set: an empty list counts as not set, and so does a `withdrawn` that is false.
    /// Of two versions with one `at`, the greater of these as bytes wins.
    pub body: &'a str,
    /// Whether the item may no longer be listed.
    pub withdrawn: bool,
}

/// What is left of a forgotten member: nothing but digests under the folder's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tombstone<'a> {
    /// The keyed digest of the member's id, as hexadecimal.
    pub member: &'a str,
    /// Canonical JSON: `{"events":[["hex",at],…],"forget":at,"ids":["hex",…],"key":"hex"}`.
    pub body: &'a str,
}

/// One accepted record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Record<'a> {
    /// The member did something.
    Event(Event<'a>),
    /// Takes out the event with the same fields.
    Retract(Event<'a>),
    /// Takes out every event of the member that carries this id.
    RetractId {
        /// The member's id.
        member: &'a str,
        /// The id that the events carry.
        id: &'a str,
    },
    /// Takes out all of a member's events up to and including `at`.
    Forget {
        /// The member's id.
        member: &'a str,
        /// The last millisecond that is forgotten.
        at: i64,
    },
    /// A forget for every member.
    Trim {
        /// The last millisecond that is forgotten.
        at: i64,
    },
    /// A version of an item of the catalogue.
    Item(ItemVersion<'a>),
    /// A forgotten member's digests, as `nearline export` writes them.
    Tombstone(Tombstone<'a>),
    /// The key of the digests, as `nearline export` writes it (64 hexadecimal digits); only an empty folder takes it.
    Key(&'a str),
}

impl<'a> Record<'a> {
    /// The member the record belongs to, where it belongs to one by name.
    pub fn member(&self) -> Option<&'a str> {
        match *self {
            Record::Event(event) | Record::Retract(event) => Some(event.member),
            Record::RetractId { member, .. } | Record::Forget { member, .. } => Some(member),
            Record::Trim { .. } | Record::Item(_) | Record::Tombstone(_) | Record::Key(_) => None,
        }
    }
}
