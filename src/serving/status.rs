//! `nearline status`: what a data folder holds and how fresh it is.

use std::collections::BTreeMap;

use serde::Serialize;

use super::clusters::ClustersStatus;
use super::{Serving, ServingError};
use crate::archive::{ArchiveState, Queue};
use crate::backups::{self, Made};
use crate::engine::batches;
use crate::engine::committed::Counts;
use crate::engine::erasing;
use crate::engine::recover;
use crate::erasure::models::{self, ModelStatus};
use crate::jobs;
use crate::jobs::history::JobState;
use crate::mirrors::{self, MirrorStatus};
use crate::processes::Part;
use crate::publications::alerts::{self, Raised};
use crate::publications::board::{self, Followed};
use crate::sources::{Offset, PartitionOffset, kafka};
use crate::stores::{StoreError, Table, formats};
use crate::variants::Variants;

/// The event that set *now*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct NowEvent {
    /// Whose.
    pub member: String,
    /// On what.
    pub item: String,
    /// What.
    pub kind: String,
}

/// How far a source has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    /// Its name.
    pub source: String,
    /// Lines that were read and committed; of a partition of a topic, the offset that is read next.
    pub lines: u64,
    /// Bytes, after decompression; 0 of a partition.
    pub bytes: u64,
    /// Whether it was read to its end.
    pub at_end: bool,
    /// What there is to say of a partition of a topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<PartitionStatus>,
}

/// How far a partition of a topic has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// The brokers that it was read from.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: i32,
    /// The offset that is read next.
    pub next: u64,
    /// The offset behind the newest message, where the brokers said it.
    pub end: Option<u64>,
    /// How many messages are not read and committed yet, where that is known.
    pub lag: Option<u64>,
    /// How often reading had to go on elsewhere, as messages that were to be read were not there.
    pub resets: u64,
}

impl SourceStatus {
    fn of(source: String, offset: Offset) -> Self {
        match offset {
            Offset::Log(offset) => SourceStatus {
                source,
                lines: offset.lines,
                bytes: offset.bytes,
                at_end: offset.size.is_some(),
                kafka: None,
            },
            Offset::Partition(PartitionOffset { next, resets, brokers, .. }) => {
                let (topic, partition) = kafka::topic_of(&source).unwrap_or_default();
                let topic = topic.to_owned();
                let kafka = PartitionStatus { brokers, topic, partition, next, end: None, lag: None, resets };
                SourceStatus { source, lines: next, bytes: 0, at_end: false, kafka: Some(kafka) }
            }
        }
    }
}

/// What a data folder holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusAnswer {
    /// The folder.
    pub data: String,
    /// Whether a process holds it for writing.
    pub running: bool,
    /// Which part of a pipeline of several processes the folder is; none where it has all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// The epoch that was committed last.
    pub epoch: u64,
    /// The newest event's time, in milliseconds since 1970.
    pub now: Option<i64>,
    /// The event that set it.
    pub now_event: Option<NowEvent>,
    /// How long ago that was by the wall clock, in milliseconds.
    pub lag_ms: Option<i64>,
    /// Counts of records.
    pub counts: Counts,
    /// Whether the views lag behind the records: inside a bulk load or a rebuild.
    pub views_pending: bool,
    /// The model that lists are made with.
    pub model: Option<String>,
    /// The variants, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variants: Option<Variants>,
    /// The model that stands by: it is being built, or was live before and could be again at once.
    pub standby: Option<formats::Standby>,
    /// The models that are kept, and of how many members who were forgotten since each was trained.
    pub models: Vec<ModelStatus>,
    /// Sources and how far each was read.
    pub sources: Vec<SourceStatus>,
    /// Members who were forgotten and whose bytes are still on the disk.
    pub to_erase: u64,
    /// Where backups were made.
    pub backups: Vec<Made>,
    /// The clusters that members are found in; none where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<ClustersStatus>,
    /// The lists of the last batch job.
    pub batch: Option<formats::OfflineBatch>,
    /// Where the archive is and how far; none where there is none.
    pub archive: Option<ArchiveState>,
    /// What waits to be archived.
    pub archive_waiting: Queue,
    /// Where mirrors are and how far.
    pub mirrors: Vec<MirrorStatus>,
    /// Publications that are followed.
    pub publications: Vec<Followed>,
    /// What a running pipeline does by itself.
    pub jobs: Vec<JobState>,
    /// Alerts that are raised.
    pub alerts: Vec<Raised>,
    /// Lines in `rejected.jsonl`, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Bytes of the store on disk.
    pub on_disk: u64,
    /// Of these, in the files of each table; what was written last is not in them yet.
    pub sizes: BTreeMap<String, u64>,
}

impl StatusAnswer {
    /// Fills in how far topics go: the offset behind the newest message of a partition.
    pub fn reach(&mut self, end: impl Fn(&PartitionStatus) -> Option<u64>) {
        for source in &mut self.sources {
            if let Some(at) = &mut source.kafka {
                at.end = end(at);
                at.lag = at.end.map(|end| end.saturating_sub(at.next));
                source.at_end = at.lag == Some(0);
            }
        }
    }
}

impl Serving<'_> {
    /// How far sources were read.
    pub fn sources(&self) -> Result<Vec<SourceStatus>, StoreError> {
        let mut sources = Vec::new();
        recover::each(self.tables, Table::Offsets, &mut |key, value| {
            let offset: Offset = serde_json::from_slice(value)
                .map_err(|error| formats::damaged(Table::Offsets, key, &error.to_string()))?;
            sources.push(SourceStatus::of(String::from_utf8_lossy(key).into_owned(), offset));
            Ok(())
        })?;
        Ok(sources)
    }

    /// What the store counts. Not what is known of the epoch: a part's and the whole's are of one.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let counts = self.tables.get(Table::Meta, formats::meta::COUNTS)?;
        let damaged = |error: serde_json::Error| {
            formats::damaged(Table::Meta, formats::meta::COUNTS, &error.to_string())
        };
        Ok(counts
            .map(|value| serde_json::from_slice(&value).map_err(damaged))
            .transpose()?
            .unwrap_or_default())
    }

    /// What the folder holds. `now_ms` is the wall clock.
    pub fn status(&self, now_ms: i64) -> Result<StatusAnswer, ServingError> {
        let sources = self.sources()?;
        let part = self.tables.get(Table::Meta, formats::meta::PART)?;
        let now_event = self.tables.get(Table::Meta, formats::meta::NOW_EVENT)?;
        let rejected = crate::sources::rejected::counts(&self.known.folder.rejected()).unwrap_or_default();
        Ok(StatusAnswer {
            data: self.known.folder.path().display().to_string(),
            running: std::os::unix::net::UnixStream::connect(self.known.folder.socket()).is_ok(),
            part: part.and_then(|value| serde_json::from_slice(&value).ok()),
            epoch: self.standing.epoch,
            now: self.standing.now,
            now_event: now_event.and_then(|value| serde_json::from_slice(&value).ok()),
            lag_ms: self.standing.now.map(|now| now_ms - now),
            counts: self.counts()?,
            views_pending: self.standing.pending,
            model: self.standing.lists.model.clone(),
            variants: self.standing.lists.variants.clone(),
            standby: self.standing.standby.clone(),
            models: models::status(self.tables, &self.known.folder)?,
            sources,
            to_erase: erasing::marks(self.tables)?.len() as u64,
            backups: backups::made(self.tables)?,
            clusters: self.clusters()?,
            batch: batches::live(self.tables)?,
            archive: ArchiveState::of(self.tables)?,
            archive_waiting: Queue::of(self.tables)?,
            mirrors: mirrors::status(self.tables)?,
            publications: board::kept(&self.known.folder.subscriptions()),
            jobs: jobs::board::kept(&self.known.folder.jobs()).unwrap_or_default(),
            alerts: alerts::kept(&self.known.folder.alerts()),
            rejected: rejected.into_iter().collect(),
            on_disk: self.store.size(),
            sizes: self.store.sizes().into_iter().map(|(table, size)| (table.to_owned(), size)).collect(),
        })
    }
}
