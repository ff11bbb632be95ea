//! The stores of a pipeline of several processes, read as if they were one.
//!
//! What is kept by member is in the store of the process that has the member. A count is in one of the stores, whichever.
//! The catalogue, and most of what a store says of itself, is in all of them and alike; of that one copy is shown. So the
//! union of the parts has the entries that the store of one process would have, and whoever reads tables reads it as such.
//! Whether the parts are what they should be is not asked here: `processes/placement.rs` does.
//!
//! Entries come in the order of their keys: a page is read of each part, and the least key of all pages is shown next.

use std::borrow::Cow;
use std::ops::{ControlFlow, Deref};
use std::path::Path;
use std::sync::Arc;

use super::formats::{self, meta};
use super::{Store, StoreError, Table, Tables, Transaction};
use crate::engine::committed::Counts;
use crate::processes::Share;
use crate::sources::Offset;

/// In which stores of a pipeline the entries of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// In that of the process that has the member.
    Owner,
    /// In one of them, whichever.
    One,
    /// In all of them, alike.
    All,
    /// In some of them; together they say what is known.
    Some,
    /// In each its own, which are of no use to others: queues.
    Own,
}

impl Keeping {
    /// That of a table.
    pub fn of(table: Table) -> Self {
        match table {
            Table::Records | Table::BatchLists => Keeping::Owner,
            _ if Table::OF_MEMBERS.contains(&table) => Keeping::Owner,
            Table::Meta | Table::Items => Keeping::All,
            Table::Offsets | Table::Tombstones => Keeping::Some,
            Table::ArchiveQueue | Table::MirrorQueue => Keeping::Own,
            _ => Keeping::One,
        }
    }
}

/// The member that an entry is about, by the key of a table that is kept by member.
pub fn member_of(table: Table, key: &[u8]) -> Option<&str> {
    let member = match table {
        Table::Records => key.get(1..usize::from(*key.first()?) + 2)?,
        Table::BatchLists => key.get(8..)?,
        _ if Table::OF_MEMBERS.contains(&table) => key,
        _ => return None,
    };
    std::str::from_utf8(member).ok()
}

/// Several parts, in the order of their processes, as one.
pub struct Union<P> {
    parts: Vec<P>,
    /// Which of them is asked first for what all have.
    nearest: usize,
}

impl<P> Union<P>
where
    P: Deref + Sync,
    P::Target: Tables,
{
    /// Of the parts of all processes of a pipeline, in the order of their numbers.
    pub fn new(parts: Vec<P>) -> Self {
        Union { parts, nearest: 0 }
    }

    /// The same, which asks this process first for what all have.
    pub fn nearest(self, process: usize) -> Self {
        Union { nearest: process, ..self }
    }

    /// Shows every key with the values that are under it, each with the number of the process, in the order of the keys,
    /// until told to break.
    pub fn each_held(
        &self,
        table: Table,
        (prefix, from): (&[u8], &[u8]),
        show: &mut dyn FnMut(&[u8], &[(usize, &[u8])]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut cursors: Vec<Cursor<'_, P::Target>> =
            self.parts.iter().map(|part| Cursor::new(&**part, table, (prefix, from))).collect();
        let mut holders = Vec::with_capacity(cursors.len());
        loop {
            cursors.iter_mut().try_for_each(Cursor::fill)?;
            let Some(least) = cursors.iter().filter_map(Cursor::key).min() else { return Ok(()) };
            holders.clear();
            holders.extend((0..cursors.len()).filter(|part| cursors[*part].key() == Some(least)));
            let held: Vec<(usize, &[u8])> =
                holders.iter().map(|part| (*part, cursors[*part].value())).collect();
            if show(least, &held).is_break() {
                return Ok(());
            }
            holders.iter().for_each(|part| cursors[*part].place += 1);
        }
    }

    fn owner(&self, member: &str) -> usize {
        Share { process: 0, processes: self.parts.len() }.owner(member)
    }

    /// The value that the first has that has one.
    fn first(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let others = (0..self.parts.len()).filter(|part| *part != self.nearest);
        for part in std::iter::once(self.nearest).chain(others) {
            if let Some(value) = self.parts[part].get(table, key)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

/// Whether what is under a key is made of what all parts have under it.
fn is_combined(table: Table, key: &[u8]) -> bool {
    match table {
        Table::Meta => [meta::COUNTS, meta::EPOCH, meta::SYNCED, meta::PART].contains(&key),
        _ => Keeping::of(table) == Keeping::Some,
    }
}

/// What all together say under a key: of counts the sum, of epochs the least, of sources how far one has read them, of a
/// forgotten member what any remembers. Whose part it is, the whole does not say.
fn combined(
    table: Table,
    key: &[u8],
    values: &mut dyn Iterator<Item = &[u8]>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let damaged = |error: serde_json::Error| formats::damaged(table, key, &error.to_string());
    Ok(match table {
        Table::Meta if key == meta::PART => None,
        Table::Meta if key == meta::COUNTS => {
            let mut sum: Option<Counts> = None;
            for value in values {
                let counts = serde_json::from_slice(value).map_err(damaged)?;
                sum = Some(sum.map_or(counts, |sum| sum.and(counts)));
            }
            sum.map(|sum| serde_json::to_vec(&sum).unwrap_or_default())
        }
        Table::Tombstones => {
            let mut all: Option<formats::TombstoneValue> = None;
            for value in values {
                let tombstone = formats::decode_tombstone(key, value)?;
                match &mut all {
                    Some(all) => all.merge(tombstone),
                    None => all = Some(tombstone),
                }
            }
            all.map(|all| formats::encode_tombstone(&all))
        }
        Table::Offsets => {
            let mut furthest: Option<(u64, &[u8])> = None;
            for value in values {
                let read = serde_json::from_slice::<Offset>(value).map_err(damaged)?.read();
                if furthest.is_none_or(|(known, _)| known < read) {
                    furthest = Some((read, value));
                }
            }
            furthest.map(|(_, value)| value.to_vec())
        }
        _ => values.min().map(<[u8]>::to_vec),
    })
}

impl<P> Tables for Union<P>
where
    P: Deref + Sync,
    P::Target: Tables,
{
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match Keeping::of(table) {
            Keeping::Own => Ok(None),
            Keeping::Owner => match member_of(table, key) {
                Some(member) => self.parts[self.owner(member)].get(table, key),
                None => Ok(None),
            },
            _ if is_combined(table, key) => {
                let mut values = Vec::new();
                for part in &self.parts {
                    values.extend(part.get(table, key)?);
                }
                combined(table, key, &mut values.iter().map(Vec::as_slice))
            }
            _ => self.first(table, key),
        }
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let keeping = Keeping::of(table);
        if keeping == Keeping::Own {
            return Ok(());
        }
        // The records of one member, as a rule.
        if table == Table::Records
            && let Some(member) = member_of(table, prefix)
        {
            return self.parts[self.owner(member)].scan(table, prefix, from, show);
        }
        let mut failed = None;
        self.each_held(table, (prefix, from), &mut |key, held| {
            let value = match keeping {
                Keeping::Owner => {
                    let owner = member_of(table, key).map(|member| self.owner(member));
                    let own = held.iter().find(|(part, _)| Some(*part) == owner);
                    Ok(own.map(|(_, value)| Cow::Borrowed(*value)))
                }
                _ if is_combined(table, key) => {
                    let all = combined(table, key, &mut held.iter().map(|(_, value)| *value));
                    all.map(|value| value.map(Cow::Owned))
                }
                _ => {
                    let nearest = held.iter().find(|(part, _)| *part == self.nearest);
                    Ok(nearest.or(held.first()).map(|(_, value)| Cow::Borrowed(*value)))
                }
            };
            match value {
                Ok(Some(value)) => show(key, &value),
                Ok(None) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Each part's only grows, and so does the sum.
    fn version(&self) -> Option<u64> {
        self.parts.iter().try_fold(0_u64, |sum, part| Some(sum.wrapping_add(part.version()?)))
    }
}

/// How many entries the first page of a part has at most: many a reader wants few. Each page after it has four times as
/// many, up to the most, and about so many bytes.
const FIRST: usize = 16;
const MOST: usize = 16_384;
const BYTES: usize = 1 << 20;

/// How far a part has been shown.
struct Cursor<'a, T: ?Sized> {
    tables: &'a T,
    table: Table,
    prefix: &'a [u8],
    /// From which key on the next page is; none where there is none.
    next: Option<Vec<u8>>,
    /// How many entries it has at most.
    most: usize,
    /// Keys and values of the page, one after the other.
    bytes: Vec<u8>,
    /// For each entry, where its key begins, where that ends, and where its value does.
    entries: Vec<(usize, usize, usize)>,
    /// Which of them comes next.
    place: usize,
}

impl<'a, T: Tables + ?Sized> Cursor<'a, T> {
    fn new(tables: &'a T, table: Table, (prefix, from): (&'a [u8], &[u8])) -> Self {
        let (bytes, entries) = (Vec::new(), Vec::new());
        Cursor { tables, table, prefix, next: Some(from.to_vec()), most: FIRST, bytes, entries, place: 0 }
    }

    /// Reads the next page, where all of this one was shown.
    fn fill(&mut self) -> Result<(), StoreError> {
        if self.place < self.entries.len() {
            return Ok(());
        }
        let Some(from) = self.next.take() else { return Ok(()) };
        self.bytes.clear();
        self.entries.clear();
        self.place = 0;
        let (bytes, entries, most) = (&mut self.bytes, &mut self.entries, self.most);
        let mut full = false;
        self.tables.scan(self.table, self.prefix, &from, &mut |key, value| {
            let start = bytes.len();
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
            entries.push((start, start + key.len(), bytes.len()));
            full = entries.len() >= most || bytes.len() >= BYTES;
            if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        self.next = full.then(|| {
            let (start, end, _) = self.entries[self.entries.len() - 1];
            // The least key after the last one.
            [&self.bytes[start..end], &[0]].concat()
        });
        self.most = (self.most * 4).min(MOST);
        Ok(())
    }

    /// The key of the entry that comes next; none at the end.
    fn key(&self) -> Option<&[u8]> {
        self.entries.get(self.place).map(|(start, end, _)| &self.bytes[*start..*end])
    }

    /// The value of that entry; nothing at the end.
    fn value(&self) -> &[u8] {
        self.entries.get(self.place).map_or(&[], |(_, end, value)| &self.bytes[*end..*value])
    }
}

/// Stores are read as one, and written to each by its process.
impl Store for Union<Arc<dyn Store>> {
    fn begin(&self) -> Box<dyn Transaction + '_> {
        Box::new(Unwritten)
    }

    fn begin_load(&self) -> Box<dyn Transaction + '_> {
        self.begin()
    }

    fn at_one_moment(&self, read: &mut dyn FnMut(&dyn Tables)) -> Result<(), StoreError> {
        at_one_moment(&self.parts, &[], &mut |moments| {
            read(&Union::new(moments.to_vec()).nearest(self.nearest));
        })
    }

    fn clear(&self, _table: Table) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn commit_turned<'s>(&'s self, change: Box<dyn Transaction + 's>) -> Result<(), StoreError> {
        change.commit(true)
    }

    fn checkpoint(&self, _to: &Path) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }
}

/// Shows the moments of stores, one after the other, all held until the last was shown.
fn at_one_moment(
    stores: &[Arc<dyn Store>],
    held: &[&dyn Tables],
    read: &mut dyn FnMut(&[&dyn Tables]),
) -> Result<(), StoreError> {
    let Some((first, rest)) = stores.split_first() else {
        read(held);
        return Ok(());
    };
    let mut shown = Ok(());
    first.at_one_moment(&mut |moment| {
        let held = [held, &[moment]].concat();
        shown = at_one_moment(rest, &held, read);
    })?;
    shown
}

/// A transaction of what cannot be written to.
pub(crate) struct Unwritten;

impl Transaction for Unwritten {
    fn put(&mut self, _table: Table, _key: &[u8], _value: &[u8]) {}

    fn delete(&mut self, _table: Table, _key: &[u8]) {}

    fn size(&self) -> usize {
        0
    }

    fn commit(self: Box<Self>, _synced: bool) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }
}

#[cfg(test)]
#[path = "union_tests.rs"]
mod tests;
