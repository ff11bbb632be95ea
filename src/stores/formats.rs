//! Keys and values of the store, as docs/formats.md specifies them. A change here bumps [`FORMAT`].
//!
//! Ids in the middle of a key are led by their length less one; integers in keys are big-endian, so that they
//! sort. Every value is led by the version of its format, but for those of `offsets` and the plain ones of `meta`.

use std::ops::ControlFlow;

use nearline_dataflows::clusters::Belongs;

use super::StoreError;
use super::Table;
use crate::variants::{MadeWith, Variants};

/// The version of the data folder's format.
pub const FORMAT: u32 = 7;
/// The first format of which folders have all views of today; the views of an earlier one are made anew.
pub const ALL_VIEWS: u32 = 4;
/// The version that leads every value.
const VALUE: u8 = 1;

/// Keys of the table `meta`.
pub mod meta {
    /// The version of the folder's format, a big-endian u32.
    pub const FORMAT: &[u8] = b"format";
    /// The epoch that was committed last, a big-endian u64.
    pub const EPOCH: &[u8] = b"epoch";
    /// The newest `at` among live events, a big-endian i64; absent where there is none.
    pub const NOW: &[u8] = b"now";
    /// The fingerprint of the key that digests are made with.
    pub const KEY: &[u8] = b"key";
    /// The event that set `now`, as JSON; goes with it.
    pub const NOW_EVENT: &[u8] = b"now_event";
    /// The trending list.
    pub const TRENDING: &[u8] = b"trending";
    /// The hash of the part of the config that the views were made with.
    pub const MEANING: &[u8] = b"meaning";
    /// The version of the model that the lists were made with; absent where there is none.
    pub const MODEL: &[u8] = b"model";
    /// The variants that the lists were made with, as JSON: [`Variants`](crate::variants::Variants); absent where there are
    /// none.
    pub const VARIANTS: &[u8] = b"variants";
    /// The model that stands by, as JSON: [`Standby`](super::Standby); absent where there is none.
    pub const STANDBY: &[u8] = b"standby";
    /// The centres of clusters in use, as JSON: [`CentresInUse`](super::CentresInUse); absent where there are none.
    pub const CENTRES: &[u8] = b"centres";
    /// Present where the live lists are in the second place, and the standby ones in the first.
    pub const TURNED: &[u8] = b"turned";
    /// Present while the views lag behind the records: inside a bulk replay or a rebuild.
    pub const PENDING: &[u8] = b"pending";
    /// Everything up to this `at` is forgotten for every member, a big-endian i64.
    pub const TRIMMED: &[u8] = b"trimmed";
    /// Counts of records, as JSON.
    pub const COUNTS: &[u8] = b"counts";
    /// The lists of the last batch job, as JSON: [`OfflineBatch`](super::OfflineBatch); absent where there are none.
    pub const BATCH: &[u8] = b"batch";
    /// Present while there may be lists of a batch job that is not whole, or of one before the last.
    pub const BATCH_BEGUN: &[u8] = b"begun_batch";
    /// Where backups were made, as JSON.
    pub const BACKUPS: &[u8] = b"backups";
    /// Where the archive is and how far, as JSON; absent where there is none.
    pub const ARCHIVE: &[u8] = b"archive";
    /// With an epoch: the archive is to be made anew, as of that epoch or a later one.
    pub const ARCHIVE_ANEW: &[u8] = b"archive_anew";
    /// Repositories that held the archive before, as JSON.
    pub const ARCHIVES_LEFT: &[u8] = b"archives_left";
    /// With a mirror's name: where it is and how far, as JSON.
    pub const MIRROR: &[u8] = b"mirror/";
    /// The epoch from which on mirrors are to be filled anew, a big-endian u64: more changed with it than is queued.
    pub const MIRRORS_ANEW: &[u8] = b"mirrors_anew";
    /// Addresses of mirrors that were given up, as JSON.
    pub const MIRRORS_LEFT: &[u8] = b"mirrors_left";
    /// With an epoch and a member's digest: the member was forgotten, and the bytes are still on the disk.
    pub const ERASING: &[u8] = b"erasing";
    /// With a model's version and a member's digest: the model was trained on the member, who was forgotten since.
    pub const TRAINED_ON: &[u8] = b"trained_on";
    /// Which part of a pipeline of several processes the store has, as JSON: [`Part`](crate::processes::Part); absent where
    /// there is one process.
    pub const PART: &[u8] = b"part";
    /// The newest epoch that all processes were known to have on disk when offsets were written last, a big-endian u64;
    /// absent where there is one process.
    pub const SYNCED: &[u8] = b"synced";
    /// Present while a store has not told the other processes what it has, after stores that ended with different epochs.
    pub const UNTOLD: &[u8] = b"untold";
}

/// The model beside the live one, with its variants.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Standby {
    /// Its version; empty where there are variants alone.
    pub model: String,
    /// The variants, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variants: Option<Variants>,
    /// Whether its lists are whole: it was live before, and could be again at once. Else they are being built.
    pub ready: bool,
    /// Of how many members the lists are built, while they are.
    pub built: u32,
    /// Of how many members there are to be lists.
    pub members: u32,
    /// Since when it has been ready, by the wall clock, in milliseconds since 1970.
    pub since: i64,
}

impl Standby {
    /// What its lists are made with.
    pub fn made_with(&self) -> MadeWith {
        let model = Some(self.model.clone()).filter(|model| !model.is_empty());
        MadeWith { model, variants: self.variants.clone() }
    }

    /// What stands by with nothing built yet.
    pub fn of(made_with: MadeWith) -> Self {
        let MadeWith { model, variants } = made_with;
        Standby { model: model.unwrap_or_default(), variants, ..Standby::default() }
    }
}

/// The centres that members are found among.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CentresInUse {
    /// Their version.
    pub version: String,
    /// The version of the model that they were made with; members whose lists are made with another belong to none.
    pub model: String,
    /// How many there are.
    pub clusters: u32,
}

/// The lists of a batch job.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OfflineBatch {
    /// What leads the keys of its lists.
    pub generation: u64,
    /// The epoch that they are made from.
    pub epoch: u64,
    /// The newest event that they cover, in milliseconds since 1970.
    pub as_of: Option<i64>,
    /// When they were made, by the wall clock, in milliseconds since 1970.
    pub made_at: i64,
    /// The algorithm.
    pub algorithm: String,
    /// The version of the model, where the algorithm has one.
    pub model: Option<String>,
    /// How many items a list has at most.
    pub limit: u64,
    /// How many members have one.
    pub members: u64,
}

/// Which of a member's records a key of the table `records` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A live event, by digest.
    Event,
    /// A retraction by fields, by the event's digest.
    Retract,
    /// A retraction by id, by the id itself.
    RetractId,
}

impl RecordKind {
    fn byte(self) -> u8 {
        match self {
            RecordKind::Event => b'e',
            RecordKind::Retract => b'r',
            RecordKind::RetractId => b'i',
        }
    }
}

fn put_id(id: &str, out: &mut Vec<u8>) {
    out.push((id.len().max(1) - 1) as u8);
    out.extend_from_slice(id.as_bytes());
}

/// The prefix of a member's keys in `records`.
pub fn member_prefix(member: &str, out: &mut Vec<u8>) {
    out.clear();
    put_id(member, out);
}

/// A key of `records`; `name` is a digest's sixteen bytes or an id.
pub fn record_key(member: &str, kind: RecordKind, name: &[u8], out: &mut Vec<u8>) {
    member_prefix(member, out);
    out.push(kind.byte());
    out.extend_from_slice(name);
}

/// The sixteen bytes of an event's digest.
pub fn digest_bytes(digest: [u64; 2]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&digest[0].to_be_bytes());
    bytes[8..].copy_from_slice(&digest[1].to_be_bytes());
    bytes
}

/// The key and the value of an event or of a retraction by fields, from its normal form: the member leads the key,
/// the type is in the key, and what is left is the value.
pub fn event_entry(
    kind: RecordKind,
    normal: &[u8],
    digest: [u64; 2],
    key: &mut Vec<u8>,
    value: &mut Vec<u8>,
) {
    let member_end = usize::from(normal[1]) + 3;
    key.clear();
    key.extend_from_slice(&normal[1..member_end]);
    key.push(kind.byte());
    key.extend_from_slice(&digest_bytes(digest));
    value.clear();
    value.push(VALUE);
    value.extend_from_slice(&normal[member_end..]);
}

/// The value of a key that says all by itself.
pub const NOTHING: &[u8] = &[VALUE];

/// The normal form of the record that an entry of `records` holds.
pub fn record_of(key: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), StoreError> {
    out.clear();
    append_record_of(key, value, out)
}

/// The same, behind what is in `out`.
pub fn append_record_of(key: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), StoreError> {
    let parse = || -> Option<(&[u8], u8, &[u8], &[u8])> {
        let member_end = 2 + usize::from(*key.first()?);
        let (version, rest) = value.split_first()?;
        (*version == VALUE).then_some(())?;
        Some((key.get(..member_end)?, *key.get(member_end)?, key.get(member_end + 1..)?, rest))
    };
    let (member, kind, name, rest) = parse().ok_or_else(|| damaged(Table::Records, key, "cannot be read"))?;
    match kind {
        b'e' | b'r' => {
            out.push(if kind == b'e' { 1 } else { 2 });
            out.extend_from_slice(member);
            out.extend_from_slice(rest);
        }
        b'i' if !name.is_empty() => {
            out.push(3);
            out.extend_from_slice(member);
            out.push((name.len() - 1) as u8);
            out.extend_from_slice(name);
        }
        _ => return Err(damaged(Table::Records, key, "is of no known kind")),
    }
    Ok(())
}

/// Whether a key of `records` is that of an event or of a retraction by fields.
pub fn is_of_event(key: &[u8]) -> bool {
    let member = key.first().map_or(0, |length| 2 + usize::from(*length));
    matches!(key.get(member), Some(b'e' | b'r'))
}

/// The key of a record that was read back, from what may be no normal form, and from its digest where it has one.
pub fn key_of(normal: &[u8], digest: [u64; 2]) -> Vec<u8> {
    let end = normal.get(1).map_or(0, |length| 3 + usize::from(*length));
    let mut key = normal.get(1..end).unwrap_or_default().to_vec();
    match normal.first() {
        Some(1) => key.push(RecordKind::Event.byte()),
        Some(2) => key.push(RecordKind::Retract.byte()),
        // The id is led by its length.
        _ => {
            key.push(RecordKind::RetractId.byte());
            key.extend_from_slice(normal.get(end + 1..).unwrap_or_default());
            return key;
        }
    }
    key.extend_from_slice(&digest_bytes(digest));
    key
}

/// The digest that ends the key of an event or of a retraction by fields.
pub fn digest_of(key: &[u8]) -> Option<[u64; 2]> {
    let digest = u128::from_be_bytes(*key.last_chunk::<16>()?);
    Some([(digest >> 64) as u64, digest as u64])
}

/// The error for bytes that are not what they should be.
pub fn damaged(table: Table, key: &[u8], what: &str) -> StoreError {
    let key = crate::digests::to_hex(key);
    StoreError::Damaged { table: table.name(), key, what: what.to_owned() }
}

/// What is left of a forgotten member.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TombstoneValue {
    /// Everything up to this `at` is forgotten; −1 where nothing is.
    pub forget: i64,
    /// Digests of retracted ids.
    pub ids: Vec<u64>,
    /// Digests of retracted events, and when these happened.
    pub events: Vec<([u64; 2], i64)>,
}

impl TombstoneValue {
    /// Of a member of whom nothing is forgotten.
    pub fn nothing() -> Self {
        TombstoneValue { forget: -1, ids: Vec::new(), events: Vec::new() }
    }

    /// Adds what another tombstone of the same member remembers.
    pub fn merge(&mut self, other: TombstoneValue) {
        self.forget = self.forget.max(other.forget);
        self.ids.extend(other.ids);
        self.events.extend(other.events);
        let forget = self.forget;
        self.events.retain(|(_, at)| *at > forget);
        self.ids.sort_unstable();
        self.ids.dedup();
        self.events.sort_unstable();
        self.events.dedup();
    }
}

/// The value of an entry of `tombstones`.
pub fn encode_tombstone(tombstone: &TombstoneValue) -> Vec<u8> {
    let mut out = vec![VALUE];
    out.extend_from_slice(&tombstone.forget.to_be_bytes());
    out.extend_from_slice(&(tombstone.ids.len() as u32).to_be_bytes());
    tombstone.ids.iter().for_each(|id| out.extend_from_slice(&id.to_be_bytes()));
    for (digest, at) in &tombstone.events {
        out.extend_from_slice(&digest_bytes(*digest));
        out.extend_from_slice(&at.to_be_bytes());
    }
    out
}

/// Reads an entry of `tombstones`.
pub fn decode_tombstone(key: &[u8], value: &[u8]) -> Result<TombstoneValue, StoreError> {
    let rest = Reader::new(value);
    let parse = |rest: &mut Reader<'_>| {
        let mut tombstone = TombstoneValue { forget: rest.i64()?, ..TombstoneValue::default() };
        for _ in 0..rest.u32()? {
            tombstone.ids.push(rest.u64()?);
        }
        while !rest.is_empty() {
            tombstone.events.push(([rest.u64()?, rest.u64()?], rest.i64()?));
        }
        Some(tombstone)
    };
    rest.versioned(parse).ok_or_else(|| damaged(Table::Tombstones, key, "cannot be read"))
}

/// The value of an entry of `items`; its key is the item's id.
pub fn encode_item(at: i64, withdrawn: bool, body: &str, out: &mut Vec<u8>) {
    out.clear();
    out.push(VALUE);
    out.extend_from_slice(&at.to_be_bytes());
    out.push(u8::from(withdrawn));
    out.extend_from_slice(body.as_bytes());
}

/// An entry of `items`: `at`, whether withdrawn, and the body.
pub fn decode_item<'a>(key: &[u8], value: &'a [u8]) -> Result<(i64, bool, &'a str), StoreError> {
    let parse = |rest: &mut Reader<'a>| {
        Some((rest.i64()?, rest.u8()? != 0, std::str::from_utf8(rest.take_rest()).ok()?))
    };
    Reader::new(value).versioned(parse).ok_or_else(|| damaged(Table::Items, key, "cannot be read"))
}

/// One cell of `popularity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellKey<'a> {
    /// The kind.
    pub kind: &'a str,
    /// The UTC hour.
    pub hour: u32,
    /// The item.
    pub item: &'a str,
    /// The country; empty where events named none.
    pub country: &'a str,
}

/// The prefix of a kind's keys in `popularity`, from an hour on where one is given.
pub fn kind_prefix(kind: &str, hour: Option<u32>, out: &mut Vec<u8>) {
    out.clear();
    put_id(kind, out);
    if let Some(hour) = hour {
        out.extend_from_slice(&hour.to_be_bytes());
    }
}

/// A key of `popularity`.
pub fn cell_key(cell: &CellKey<'_>, out: &mut Vec<u8>) {
    kind_prefix(cell.kind, Some(cell.hour), out);
    put_id(cell.item, out);
    out.extend_from_slice(cell.country.as_bytes());
}

/// Reads a key of `popularity`.
pub fn decode_cell_key(key: &[u8]) -> Result<CellKey<'_>, StoreError> {
    let mut rest = Reader(key);
    let mut parse = || {
        let kind = rest.id()?;
        let hour = rest.u32()?;
        let item = rest.id()?;
        Some(CellKey { kind, hour, item, country: std::str::from_utf8(rest.take_rest()).ok()? })
    };
    parse().ok_or_else(|| damaged(Table::Popularity, key, "cannot be read"))
}

/// One cell of `performance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListKey<'a> {
    /// The UTC day.
    pub day: u32,
    /// The list.
    pub list: &'a str,
    /// The variant; empty where events named none.
    pub variant: &'a str,
    /// The position; 0 where events named none.
    pub position: u16,
    /// The kind.
    pub kind: &'a str,
}

/// What the keys of a day in `performance`, and of all later ones, are not less than.
pub fn day_prefix(day: u32) -> [u8; 4] {
    day.to_be_bytes()
}

/// A key of `performance`.
pub fn list_key(cell: &ListKey<'_>, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&day_prefix(cell.day));
    put_id(cell.list, out);
    if cell.variant.is_empty() {
        out.push(0);
    } else {
        out.push(1);
        put_id(cell.variant, out);
    }
    out.extend_from_slice(&cell.position.to_be_bytes());
    out.extend_from_slice(cell.kind.as_bytes());
}

/// Reads a key of `performance`.
pub fn decode_list_key(key: &[u8]) -> Result<ListKey<'_>, StoreError> {
    let mut rest = Reader(key);
    let mut parse = || {
        let day = rest.u32()?;
        let list = rest.id()?;
        let variant = match rest.u8()? {
            0 => "",
            1 => rest.id()?,
            _ => return None,
        };
        let position = u16::from_be_bytes(rest.take(2)?.try_into().ok()?);
        let kind = std::str::from_utf8(rest.take_rest()).ok().filter(|kind| !kind.is_empty())?;
        Some(ListKey { day, list, variant, position, kind })
    };
    parse().ok_or_else(|| damaged(Table::Performance, key, "cannot be read"))
}

/// A key of `together`: of the baskets that hold an item, or that hold another besides.
pub fn together_key(item: &str, other: Option<&str>, out: &mut Vec<u8>) {
    out.clear();
    match other {
        None => {
            out.push(b'i');
            out.extend_from_slice(item.as_bytes());
        }
        Some(other) => {
            out.push(b'p');
            put_id(item, out);
            out.extend_from_slice(other.as_bytes());
        }
    }
}

/// The other item of a key of `together` that begins with an item's prefix, which has this length.
pub fn together_other(key: &[u8], prefix: usize) -> Result<&str, StoreError> {
    let other = key.get(prefix..).and_then(|other| std::str::from_utf8(other).ok());
    other.filter(|other| !other.is_empty()).ok_or_else(|| damaged(Table::Together, key, "cannot be read"))
}

/// The two items of a key of `together`.
pub fn together_pair(key: &[u8]) -> Result<(&str, &str), StoreError> {
    let parse = |mut rest: Reader<'_>| -> Option<usize> {
        (rest.u8()? == b'p').then_some(())?;
        Some(rest.id()?.len() + 2)
    };
    let prefix = parse(Reader::new(key)).ok_or_else(|| damaged(Table::Together, key, "cannot be read"))?;
    let item = std::str::from_utf8(&key[2..prefix]).unwrap_or_default();
    Ok((item, together_other(key, prefix)?))
}

/// The prefix of a cluster's keys in `cluster_popularity`.
pub fn cluster_prefix(cluster: u32) -> [u8; 4] {
    cluster.to_be_bytes()
}

/// A key of `cluster_popularity`: a cluster and an item.
pub fn cluster_key(cluster: u32, item: &str, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&cluster_prefix(cluster));
    out.extend_from_slice(item.as_bytes());
}

/// The item of a key of `cluster_popularity`.
pub fn cluster_item(key: &[u8]) -> Result<&str, StoreError> {
    let item = key.get(4..).and_then(|item| std::str::from_utf8(item).ok());
    item.filter(|item| !item.is_empty())
        .ok_or_else(|| damaged(Table::ClusterPopularity, key, "cannot be read"))
}

/// The value of an entry of `clusters`; its key is the member's id.
pub fn encode_belongs(belongs: Belongs, out: &mut Vec<u8>) {
    out.clear();
    out.push(VALUE);
    out.extend_from_slice(&belongs.cluster.to_be_bytes());
    out.extend_from_slice(&belongs.liked.to_be_bytes());
}

/// Reads an entry of `clusters`.
pub fn decode_belongs(key: &[u8], value: &[u8]) -> Result<Belongs, StoreError> {
    let parse = |rest: &mut Reader<'_>| Some(Belongs { cluster: rest.u32()?, liked: rest.u32()? });
    Reader::new(value).versioned(parse).ok_or_else(|| damaged(Table::Clusters, key, "cannot be read"))
}

/// A key of `archive_queue`: the epoch, and a number within it.
pub fn queue_key(epoch: u64, chunk: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&epoch.to_be_bytes());
    key[8..].copy_from_slice(&chunk.to_be_bytes());
    key
}

/// The epoch of a key of `archive_queue`.
pub fn queue_epoch(key: &[u8]) -> Result<u64, StoreError> {
    let epoch = key.first_chunk::<8>().filter(|_| key.len() == 12);
    epoch
        .map(|epoch| u64::from_be_bytes(*epoch))
        .ok_or_else(|| damaged(Table::ArchiveQueue, key, "has a wrong key"))
}

/// Begins a value of `archive_queue`; records are appended.
pub fn begin_queued(out: &mut Vec<u8>) {
    out.clear();
    out.push(VALUE);
}

/// Appends a record in normal form to a value of `archive_queue`.
pub fn push_queued(normal: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(normal.len() as u32).to_be_bytes());
    out.extend_from_slice(normal);
}

/// Shows the records of a value of `archive_queue`, in normal form.
pub fn each_queued(key: &[u8], value: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
    let parse = |rest: &mut Reader<'_>| {
        while !rest.is_empty() {
            let length = rest.u32()? as usize;
            show(rest.take(length)?);
        }
        Some(())
    };
    Reader::new(value).versioned(parse).ok_or_else(|| damaged(Table::ArchiveQueue, key, "cannot be read"))
}

/// The value of a count: base 128, least digits first.
pub fn encode_count(mut count: u64, out: &mut Vec<u8>) {
    out.clear();
    out.push(VALUE);
    while count >= 0x80 {
        out.push(count as u8 | 0x80);
        count >>= 7;
    }
    out.push(count as u8);
}

/// Reads a count of a table.
pub fn decode_count(table: Table, key: &[u8], value: &[u8]) -> Result<u64, StoreError> {
    let parse = |rest: &mut Reader<'_>| {
        rest.take_rest()
            .iter()
            .rev()
            .try_fold(0_u64, |count, digit| count.checked_mul(128)?.checked_add(u64::from(digit & 0x7f)))
    };
    Reader::new(value).versioned(parse).ok_or_else(|| damaged(table, key, "cannot be read"))
}

/// The value of a factor: its numbers, little-endian.
pub fn encode_factor(factor: &[f32], out: &mut Vec<u8>) {
    out.clear();
    out.push(VALUE);
    factor.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

/// Reads a factor.
pub fn decode_factor(key: &[u8], value: &[u8]) -> Result<Vec<f32>, StoreError> {
    let parse = |rest: &mut Reader<'_>| {
        let (numbers, left) = rest.take_rest().as_chunks::<4>();
        left.is_empty().then(|| numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    };
    Reader::new(value).versioned(parse).ok_or_else(|| damaged(Table::Factors, key, "cannot be read"))
}

/// Begins the value of a list; entries are appended.
pub fn begin_list(out: &mut Vec<u8>) {
    out.clear();
    out.push(VALUE);
}

/// Appends an entry of `top_picks`.
pub fn push_scored(item: &str, score: f32, out: &mut Vec<u8>) {
    put_id(item, out);
    out.extend_from_slice(&score.to_be_bytes());
}

/// A key of `batch_lists`.
pub fn batch_key(generation: u64, member: &str, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&generation.to_be_bytes());
    out.extend_from_slice(member.as_bytes());
}

/// Appends an entry of `batch_lists`.
pub fn push_ranked(item: &str, score: f64, out: &mut Vec<u8>) {
    put_id(item, out);
    out.extend_from_slice(&score.to_be_bytes());
}

/// Reads the entries of `batch_lists`.
pub fn decode_ranked<'a>(key: &[u8], value: &'a [u8]) -> Result<Vec<(&'a str, f64)>, StoreError> {
    entries(Table::BatchLists, key, value, |rest| Some((rest.id()?, f64::from_bits(rest.u64()?))))
}

/// Appends an entry of `continue_watching`: `at` in milliseconds, the part watched in millionths.
pub fn push_begun(item: &str, at: i64, value: i64, out: &mut Vec<u8>) {
    put_id(item, out);
    out.extend_from_slice(&at.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends an entry of `trending`: the score in units of 2⁻³².
pub fn push_trend(item: &str, score: u128, out: &mut Vec<u8>) {
    put_id(item, out);
    out.extend_from_slice(&score.to_be_bytes());
}

/// Reads the entries of `top_picks`.
pub fn decode_scored<'a>(key: &[u8], value: &'a [u8]) -> Result<Vec<(&'a str, f32)>, StoreError> {
    let mut list = Vec::new();
    show_scored(key, value, &mut |item, score| {
        list.push((item, score));
        ControlFlow::Continue(())
    })?;
    Ok(list)
}

/// Shows the entries of `top_picks`, until it is told to stop.
pub fn show_scored<'a>(
    key: &[u8],
    value: &'a [u8],
    show: &mut dyn FnMut(&'a str, f32) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let damaged = || damaged(Table::TopPicks, key, "cannot be read");
    let mut rest = Reader::new(value);
    if rest.u8() != Some(VALUE) {
        return Err(damaged());
    }
    while !rest.is_empty() {
        let (Some(item), Some(score)) = (rest.id(), rest.u32()) else { return Err(damaged()) };
        if show(item, f32::from_bits(score)).is_break() {
            break;
        }
    }
    Ok(())
}

/// Reads the entries of `continue_watching`.
pub fn decode_begun<'a>(key: &[u8], value: &'a [u8]) -> Result<Vec<(&'a str, i64, i64)>, StoreError> {
    entries(Table::ContinueWatching, key, value, |rest| Some((rest.id()?, rest.i64()?, rest.i64()?)))
}

/// Reads the entries of `trending`.
pub fn decode_trends(value: &[u8]) -> Result<Vec<(&str, u128)>, StoreError> {
    entries(Table::Meta, meta::TRENDING, value, |rest| {
        Some((rest.id()?, u128::from(rest.u64()?) << 64 | u128::from(rest.u64()?)))
    })
}

fn entries<'a, T>(
    table: Table,
    key: &[u8],
    value: &'a [u8],
    mut entry: impl FnMut(&mut Reader<'a>) -> Option<T>,
) -> Result<Vec<T>, StoreError> {
    let parse = |rest: &mut Reader<'a>| {
        let mut list = Vec::new();
        while !rest.is_empty() {
            list.push(entry(rest)?);
        }
        Some(list)
    };
    Reader::new(value).versioned(parse).ok_or_else(|| damaged(table, key, "cannot be read"))
}

/// Reads a big-endian i64 of `meta`.
pub fn decode_i64(key: &[u8], value: &[u8]) -> Result<i64, StoreError> {
    let bytes =
        value.try_into().map_err(|_| damaged(Table::Meta, key, "is not an integer of eight bytes"))?;
    Ok(i64::from_be_bytes(bytes))
}

/// What is still to be read of some bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(value: &'a [u8]) -> Self {
        Reader(value)
    }

    /// Reads a value led by its version, to its end.
    fn versioned<T>(mut self, parse: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        (self.u8()? == VALUE).then_some(())?;
        let parsed = parse(&mut self)?;
        self.is_empty().then_some(parsed)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn i64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn id(&mut self) -> Option<&'a str> {
        let length = usize::from(self.u8()?) + 1;
        std::str::from_utf8(self.take(length)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_clusters_are_in_the_order_of_cluster_and_item() {
        let mut keys = Vec::new();
        for (cluster, item) in [(0, "a"), (0, "b"), (1, "\0"), (255, "é"), (256, "a")] {
            let mut key = Vec::new();
            cluster_key(cluster, item, &mut key);
            assert!(key.starts_with(&cluster_prefix(cluster)));
            assert_eq!(cluster_item(&key).unwrap(), item);
            keys.push(key);
        }
        assert!(keys.is_sorted());
        // The example of docs/formats.md.
        assert_eq!(keys[1], b"\0\0\0\0b");
        assert!((0..5).all(|length| cluster_item(&b"\0\0\0\0b"[..length]).is_err()));
        let (belongs, mut value) = (Belongs { cluster: 258, liked: 3 }, Vec::new());
        encode_belongs(belongs, &mut value);
        assert_eq!(value, b"\x01\0\0\x01\x02\0\0\0\x03");
        assert_eq!(decode_belongs(b"m", &value).unwrap(), belongs);
        assert!((0..9).all(|length| decode_belongs(b"m", &value[..length]).is_err()));
    }

    #[test]
    fn counts_of_lists_are_in_the_order_of_day_list_variant_position_and_kind() {
        let cell = |day, list, variant, position, kind| ListKey { day, list, variant, position, kind };
        let cells = [
            cell(19_783, "b", "", 0, "play"),
            cell(20_454, "a", "", 0, "click"),
            cell(20_454, "a", "", 0, "play"),
            cell(20_454, "a", "", 1000, "click"),
            cell(20_454, "a", "v", 3, "click"),
            cell(20_454, "a", "w", 2, "a kind of two and more words"),
            cell(20_454, "lists", "v", 2, "click"),
        ];
        let mut keys = Vec::new();
        for cell in &cells {
            let mut key = Vec::new();
            list_key(cell, &mut key);
            assert_eq!(decode_list_key(&key).unwrap(), *cell);
            assert!(key[..] >= day_prefix(cell.day)[..] && key[..] < day_prefix(cell.day + 1)[..]);
            keys.push(key);
        }
        assert!(keys.is_sorted());
        // The example of docs/formats.md.
        assert_eq!(keys[4], b"\0\0\x4f\xe6\0a\x01\0v\0\x03click");
        for length in 0..12 {
            assert!(decode_list_key(&keys[4][..length]).is_err(), "{length}");
        }
    }
}
