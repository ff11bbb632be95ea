//! Forgotten members taken out of the archive: the files that hold them are written anew without them, and so is what waits
//! to be archived.
//!
//! Of a forgotten member everything goes that was archived up to the epoch of the forget, but for events that are still
//! live: those that happened after what the forget covers. Retractions go, since the tombstone has them as digests, and so
//! do the events that they took out.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;

use super::rows::Rows;
use super::{Archive, ArchiveError};
use crate::digests::DigestKey;
use crate::engine::recover::Standing;
use crate::failpoints::reach;
use crate::records::{self, Record};
use crate::repositories::Repository;
use crate::sources::parquet::RowsError;
use crate::stores::formats::{self, RecordKind};
use crate::stores::{StoreError, Table};

/// How much is fetched at a time where a file is looked into, in bytes.
const LOOK: u64 = 64 << 10;
/// Which column is that of the members.
const MEMBER: usize = 2;

/// Members who are forgotten, each with the epoch of the forget.
pub type Forgotten<'a> = HashMap<&'a str, u64>;

impl Archive {
    /// The files that hold something of the members that is to go, by URL.
    pub fn holding(&self, forgotten: &Forgotten<'_>) -> Result<Vec<String>, ArchiveError> {
        let key = self.digest_key()?;
        self.with_ledger(|ledger| {
            let mut urls = Vec::new();
            for file in &ledger.files {
                if self.may_hold(&file.name, file.bytes, forgotten)?
                    && self.without(&file.name, forgotten, &key)?.is_some()
                {
                    urls.push(self.repository.url_of(&file.name));
                }
            }
            Ok(urls)
        })
    }

    /// Takes the members out of the queue and of all files; says which of these were written anew or deleted, by URL.
    pub fn erase(&self, forgotten: &Forgotten<'_>) -> Result<Vec<String>, ArchiveError> {
        let key = self.digest_key()?;
        self.with_ledger(|ledger| {
            // First what waits: from here on nothing of them is archived.
            self.erase_queued(forgotten, &key)?;
            reach("archive-unqueued");
            let mut urls = Vec::new();
            for file in ledger.files.clone() {
                if !self.may_hold(&file.name, file.bytes, forgotten)? {
                    continue;
                }
                let Some(mut kept) = self.without(&file.name, forgotten, &key)? else { continue };
                let new = match kept.is_empty() {
                    true => Vec::new(),
                    false => vec![self.put_day(file.day(), &mut kept, ledger, 0)?],
                };
                reach("archive-rewritten");
                urls.push(self.repository.url_of(&file.name));
                self.replace(ledger, &[file.name], new)?;
            }
            Ok(urls)
        })
    }

    fn digest_key(&self) -> Result<DigestKey, ArchiveError> {
        let standing = Standing::of(&*self.store)?;
        let told = |source| ArchiveError::Spill { path: self.folder.key_file(), source };
        self.folder.key(standing.key.as_deref()).map_err(told)
    }

    /// What a file holds without the members; nothing where it holds nothing of them that is to go.
    fn without(
        &self,
        name: &str,
        forgotten: &Forgotten<'_>,
        key: &DigestKey,
    ) -> Result<Option<Rows>, ArchiveError> {
        let mut kept = Rows::default();
        let rows = self.read_file(name)?;
        for (epoch, normal) in rows.iter() {
            if !self.is_gone(epoch, normal, forgotten, key)? {
                kept.push(epoch, normal);
            }
        }
        Ok((kept.len() < rows.len()).then_some(kept))
    }

    /// Whether a record goes with a member who is forgotten.
    fn is_gone(
        &self,
        epoch: u64,
        normal: &[u8],
        forgotten: &Forgotten<'_>,
        key: &DigestKey,
    ) -> Result<bool, StoreError> {
        let Ok(record) = records::decode(normal) else { return Ok(false) };
        let Some(forgot) = record.member().and_then(|member| forgotten.get(member)) else { return Ok(false) };
        if epoch > *forgot {
            return Ok(false);
        }
        let Record::Event(event) = record else { return Ok(true) };
        let mut stored = Vec::new();
        let digest = formats::digest_bytes(key.event(normal));
        formats::record_key(event.member, RecordKind::Event, &digest, &mut stored);
        Ok(self.store.get(Table::Records, &stored)?.is_none())
    }

    fn erase_queued(&self, forgotten: &Forgotten<'_>, key: &DigestKey) -> Result<(), ArchiveError> {
        let mut change = self.store.begin();
        let (mut failed, mut changed, mut taken) = (None, false, (0, 0));
        self.store.scan(Table::ArchiveQueue, &[], &[], &mut |queued, value| {
            let mut kept = Vec::new();
            formats::begin_queued(&mut kept);
            let mut gone = 0;
            let mut inner = Ok(());
            let read = formats::queue_epoch(queued).and_then(|epoch| {
                formats::each_queued(queued, value, &mut |normal| match self
                    .is_gone(epoch, normal, forgotten, key)
                {
                    Ok(true) => {
                        gone += 1;
                        taken = (taken.0 + 1, taken.1 + normal.len() as u64);
                    }
                    Ok(false) => formats::push_queued(normal, &mut kept),
                    Err(error) => inner = Err(error),
                })
            });
            if let Err(error) = read.and(inner) {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            if gone > 0 {
                changed = true;
                change.put(Table::ArchiveQueue, queued, &kept);
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if changed {
            change.commit(true)?;
            self.waiting.take_off(taken.0, taken.1);
        }
        Ok(())
    }

    /// Whether a file may hold one of the members, by its statistics and its filter.
    fn may_hold(&self, name: &str, bytes: u64, forgotten: &Forgotten<'_>) -> Result<bool, ArchiveError> {
        let told = |source: ParquetError| ArchiveError::File {
            file: self.repository.url_of(name),
            source: RowsError::Parquet(source),
        };
        let properties = ReaderProperties::builder().set_read_bloom_filter(true).build();
        let options = ReadOptionsBuilder::new().with_reader_properties(properties).build();
        let object = Ranged { repository: self.repository.clone(), name: name.to_owned(), bytes };
        let reader = SerializedFileReader::new_with_options(object, options).map_err(told)?;
        for group in 0..reader.metadata().num_row_groups() {
            let group = reader.get_row_group(group).map_err(told)?;
            let filter = group.get_column_bloom_filter(MEMBER);
            if forgotten.keys().any(|member| filter.is_none_or(|filter| filter.check(*member))) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// An object that is read here and there.
struct Ranged {
    repository: Arc<Repository>,
    name: String,
    bytes: u64,
}

impl Length for Ranged {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Ranged {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let length = self.bytes.saturating_sub(start).min(LOOK);
        self.get_bytes(start, length as usize).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let read = self.repository.get_range(&self.name, start..start + length as u64);
        read.map(Bytes::from).map_err(|error| ParquetError::External(Box::new(error)))
    }
}
