//! The ingest thread of a pipeline of several processes: what it does in step with the others.

use std::sync::Arc;
use std::time::Instant;

use nearline_dataflows::members::Control;
use nearline_dataflows::types::Epoch;

use super::EngineError;
use super::messages::{Mode, ToCommit};
use super::peers::NewNames;
use super::pipeline::Pipeline;
use super::recover::{self, Standing};
use crate::failpoints::reach;
use crate::records::{self, Record};
use crate::sources::{Batch, Rejected};
use crate::stores::formats::meta;
use crate::stores::{Store, Table};

/// How many items are told at a time.
const TOLD: usize = 16_384;

impl Pipeline<'_> {
    /// Takes records of a batch from `from` on, at most `limit`, for the processes that have their members; says up to
    /// which it came.
    pub(super) fn gather(&mut self, batch: &Batch, from: usize, limit: usize) -> usize {
        let Some(together) = &mut self.together else { return batch.len() };
        if from == 0 {
            self.ingest.refused.clear();
        }
        let end = batch.len().min(from.saturating_add(limit));
        for index in from..end {
            let bytes = batch.bytes(index);
            let record = records::decode(bytes).expect("a batch holds records in normal form");
            if let Err((reason, detail)) = together.gather(&record, bytes, self.ingest) {
                self.ingest.refused.push(detail.clone());
                let rejected = Rejected { line: 0, offset: 0, reason, detail, raw: Vec::new() };
                together.refuse(&batch.source, rejected);
            }
        }
        if end == batch.len() {
            together.read(batch);
        }
        if !together.is_empty() {
            self.opened.get_or_insert_with(Instant::now);
        }
        end
    }

    /// Takes a batch, and closes epochs that are full.
    pub(super) fn take_together(&mut self, batch: &Batch) -> Result<(), EngineError> {
        let mut taken = 0;
        loop {
            let room = self.room();
            taken = self.gather(batch, taken, room);
            if self.room() == 0 {
                self.close_together()?;
            }
            if taken == batch.len() {
                return Ok(());
            }
        }
    }

    /// Closes the epoch with all other processes; says whether none of them has anything more to bring.
    pub(super) fn close_together(&mut self) -> Result<bool, EngineError> {
        if !self.options.bulk {
            self.room_to_close()?;
        }
        let finishing = self.meet()?;
        if self.options.bulk {
            self.close(Mode::Bulk, vec![Control::Later])?;
        } else {
            self.close(Mode::Whole, Vec::new())?;
        }
        Ok(finishing)
    }

    /// Brings what was gathered to the next epoch, and takes what all bring; says whether none has anything more to bring.
    fn meet(&mut self) -> Result<bool, EngineError> {
        let epoch: Epoch = self.epoch + 1;
        let Some(together) = &mut self.together else { return Ok(true) };
        let share = together.share();
        let all = together.exchange(epoch)?;
        let mut names = NewNames::default();
        all.brought.iter().for_each(|brought| names.merge(&brought.names));
        self.ingest.learn(&names);
        // Of the batch that was taken last, not of these.
        let refused = std::mem::take(&mut self.ingest.refused);
        for brought in &all.brought {
            let batch = brought.batch().ok_or(EngineError::Garbled(brought.from))?;
            if self.telling || brought.from != share.process {
                // What goes to all counts where it was read.
                let to_all = |(record, _): &(Record<'_>, &[u8])| {
                    matches!(record, Record::Item(_) | Record::Trim { .. })
                };
                self.ingest.records.on_the_way += batch.records().filter(to_all).count() as u64;
            }
            self.ingest.take(&Arc::new(batch), 0, usize::MAX);
        }
        self.ingest.refused = refused;
        self.ingest.records.offsets = all.offsets;
        self.ingest.records.rejected.extend(all.rejected);
        let elsewhere =
            all.brought.iter().flat_map(|brought| &brought.forgotten).filter(|member| !share.owns(member));
        self.ingest.records.elsewhere = elsewhere.cloned().collect();
        Ok(all.brought.iter().all(|brought| brought.finishing))
    }

    /// Waits until no process has anything more to bring, and takes what the others bring until then.
    pub(super) fn finish_together(&mut self) -> Result<(), EngineError> {
        self.say_finishing(true);
        while !self.close_together()? {
            let next = self.epoch + 1;
            if let Some(together) = &mut self.together {
                together.wait_for(next)?;
            }
        }
        Ok(())
    }

    fn say_finishing(&mut self, finishing: bool) {
        if let Some(together) = &mut self.together {
            together.finishing = finishing;
        }
    }

    /// Reads all records back, in step with the others, who may have more of them or fewer.
    pub(super) fn read_back_together(
        &mut self,
        read: &crossbeam_channel::Receiver<Batch>,
        mode: Mode,
        control: &Control,
    ) -> Result<u64, EngineError> {
        let mut live = 0;
        loop {
            let batch = read.recv().ok();
            self.say_finishing(batch.is_none());
            if let (Some(batch), Some(together)) = (&batch, &mut self.together) {
                batch.records().for_each(|(record, _)| together.note(&record, self.ingest));
            }
            let ended = self.meet()?;
            live += batch.map_or(Ok(0), |batch| self.put_back(batch, mode))?;
            self.ingest.records = Default::default();
            self.close(mode, vec![control.clone()])?;
            if ended {
                self.say_finishing(false);
                return Ok(live as u64);
            }
        }
    }

    /// After stores that ended with different epochs: what each store is to have that others may not, some at a time.
    pub(super) fn tell_all(&mut self, store: &dyn Store, standing: &Standing) -> Result<(), EngineError> {
        self.telling = true;
        let mut batch = Batch::new("store".into());
        if standing.trimmed >= 0 {
            batch.push(&Record::Trim { at: standing.trimmed });
        }
        reach("all-to-be-told");
        recover::items::<EngineError>(store, &mut |item| {
            batch.push(&Record::Item(item));
            if batch.len() < TOLD {
                return Ok(());
            }
            let some = std::mem::replace(&mut batch, Batch::new("store".into()));
            self.gather(&some, 0, usize::MAX);
            self.close_together().map(drop)
        })?;
        self.gather(&batch, 0, usize::MAX);
        self.say_finishing(true);
        while !self.close_together()? {}
        self.say_finishing(false);
        self.telling = false;
        self.settled()?;
        let mut told = store.begin();
        told.delete(Table::Meta, meta::UNTOLD);
        told.commit(true)?;
        Ok(())
    }

    /// From here on the others may close their connections: all that there is is on disk everywhere.
    pub(super) fn may_part(&self) {
        if let Some(together) = &self.together {
            together.ending();
        }
    }

    /// Writes the offsets of all that every process has on disk, before this one ends.
    pub(super) fn keep_offsets(&self) -> Result<(), EngineError> {
        reach("offsets-to-keep");
        let (reply, answer) = crossbeam_channel::bounded(1);
        self.send(ToCommit::KeepOffsets(reply))?;
        answer.recv().map_err(|_| self.committed.failure().map_or(EngineError::Stopped, EngineError::Failed))
    }
}
