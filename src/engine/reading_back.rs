//! The start of the ingest thread: the records read back into the graph, and the views made anew where they must be.

use std::sync::Arc;

use crossbeam_channel::bounded;
use nearline_dataflows::line_up::LineUp;
use nearline_dataflows::members::Control;

use super::ingest::EpochRecords;
use super::messages::{Mode, ToCommit};
use super::pipeline::Pipeline;
use super::recover::{self, Standing};
use super::{Beside, EngineError, GivenLineUp, batches, centres};
use crate::failpoints::reach;
use crate::records::{self, RecordType};
use crate::sources::Batch;
use crate::stores::{Store, Table, formats};

impl Pipeline<'_> {
    /// Reads the records back; makes the views anew where they were made with something else. Gives back the
    /// line-up whose lists are to be built now.
    pub(super) fn recover(
        &mut self,
        records: &dyn Store,
        store: &dyn Store,
        standing: &Standing,
        live: Option<GivenLineUp>,
        beside: Option<Beside>,
    ) -> Result<Option<GivenLineUp>, EngineError> {
        let lists = live.as_ref().map(|live| live.made_with().clone()).unwrap_or_default();
        let empty = standing.epoch == 0;
        let same = standing.meaning == Some(self.options.meaning_hash) && standing.lists == lists;
        // A load that was broken off in the first epoch leaves records of no epoch.
        let rebuild = self.options.rebuild || standing.is_to_be_made_anew() || (!empty && !same);
        self.send(ToCommit::Made { meaning: self.options.meaning_hash, lists: lists.clone() })?;
        let (standby, to_build) = self.stand_by(beside, standing, rebuild)?;
        if rebuild {
            let mut mark = store.begin();
            mark.put(Table::Meta, formats::meta::PENDING, formats::NOTHING);
            if self.options.untold {
                mark.put(Table::Meta, formats::meta::UNTOLD, formats::NOTHING);
            }
            mark.commit(true)?;
            reach("rebuild-marked");
            Table::VIEWS.into_iter().try_for_each(|table| store.clear(table))?;
            reach("rebuild-cleared");
            let mut clean = store.begin();
            [formats::meta::NOW, formats::meta::TRENDING]
                .iter()
                .for_each(|key| clean.delete(Table::Meta, key));
            clean.commit(true)?;
        }
        batches::clear_leftovers(store)?;
        if standing.centres.is_some() && self.centres.is_none() {
            centres::clear(store)?;
        }
        recover::tombstones(records, &mut |digest, tombstone| {
            self.ingest.remember(digest, tombstone);
            Ok(())
        })?;
        let (mode, control) =
            if rebuild { (Mode::Rebuild, Control::Later) } else { (Mode::Discard, Control::Clean) };
        let live_events = self.read_back(records, standing, mode, &control)?;
        let live = live.map(|live| live.numbered(&mut |id| self.ingest.item(id)));
        self.models.live = lists;
        let live = live.unwrap_or_else(|| LineUp::one(None));
        let mut controls = vec![Control::Live(live), Control::Standby(standby)];
        if let Some(centres) = self.options.centres.clone() {
            if !rebuild {
                self.feed_factors(&centres)?;
            }
            controls.push(Control::Centres(Some(centres)));
        }
        let last = if rebuild {
            self.send(ToCommit::Live(live_events))?;
            Mode::EndRebuild
        } else {
            controls.push(Control::Clean);
            Mode::Discard
        };
        self.close(last, controls)?;
        self.settled()?;
        Ok(to_build)
    }

    /// Reads all records back, as epochs of their own; says how many live events there were, where it counts them. One
    /// thread reads while this one goes on with what was read.
    fn read_back(
        &mut self,
        records: &dyn Store,
        standing: &Standing,
        mode: Mode,
        control: &Control,
    ) -> Result<u64, EngineError> {
        let mut live = 0;
        let (batches, read) = bounded(1);
        // What others are told of records is looked at before they are taken.
        let together = self.together.is_some();
        std::thread::scope(|scope| {
            let reading = std::thread::Builder::new().name("recover".into()).spawn_scoped(scope, move || {
                // Whoever takes them has stopped, and says why.
                let mut send = |batch| batches.send(batch).map_err(|_| EngineError::Stopped);
                if together {
                    recover::records(records, standing, &mut send)
                } else {
                    recover::records_unchecked(records, standing, &mut send)
                }
            });
            let reading = reading.map_err(|error| EngineError::Workers(error.to_string()))?;
            if together {
                live = self.read_back_together(&read, mode, control)? as usize;
                drop(read);
                return reading.join().map_err(|_| EngineError::Stopped)?;
            }
            for batch in read {
                live += self.put_back(batch, mode)?;
                self.ingest.records = EpochRecords::default();
                self.close(mode, vec![control.clone()])?;
            }
            reading.join().map_err(|_| EngineError::Stopped)?
        })?;
        Ok(live as u64)
    }

    /// Takes a batch that was read back; says how many live events it has, where they are counted.
    pub(super) fn put_back(&mut self, mut batch: Batch, mode: Mode) -> Result<usize, EngineError> {
        let mut live = 0;
        if mode == Mode::Rebuild {
            let is_event = |index: &usize| records::type_of(batch.bytes(*index)) == RecordType::Event;
            live = (0..batch.len()).filter(is_event).count();
        }
        // Where the views are made anew, so are the digests: what is verified is not taken for granted.
        let stored = if mode == Mode::Rebuild { batch.forget_digests() } else { Vec::new() };
        let batch = Arc::new(batch);
        self.ingest.take_checking(&batch, 0, usize::MAX).map_err(|index| {
            let digest = stored.get(index).copied().or_else(|| batch.digest(index));
            let key = formats::key_of(batch.bytes(index), digest.unwrap_or_default());
            formats::damaged(Table::Records, &key, "is not in normal form")
        })?;
        Ok(live)
    }
}
