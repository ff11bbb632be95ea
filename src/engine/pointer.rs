//! What the committer writes while a model takes over: the standby lists slice by slice, and then the pointer.

use std::ops::ControlFlow;

use super::committer::{Committing, Halt};
use super::gathered::WholeEpoch;
use super::mirroring;
use super::observer::Commit;
use super::storing::Job;
use super::writer::put_made_with;
use crate::failpoints::reach;
use crate::stores::formats::{Standby, meta};
use crate::stores::{Table, Transaction};

impl Committing<'_> {
    /// Keeps which model stands by, and clears what is left of another's lists.
    pub(super) fn stand_by(&mut self, standby: Option<Standby>) -> Result<(), Halt> {
        self.storing.wait()?;
        if self.standby != standby {
            let mut change = self.store.begin();
            put_standby(standby.as_ref(), &mut *change);
            change.commit(true)?;
            self.standby = standby;
        }
        reach("standing-by");
        for table in Table::STANDBY {
            let mut empty = true;
            self.store.scan(table, &[], &[], &mut |_, _| {
                empty = false;
                ControlFlow::Break(())
            })?;
            if !empty {
                self.store.clear(table)?;
            }
        }
        Ok(())
    }

    /// Lists that nobody reads yet, and how far their building is.
    pub(super) fn commit_slice(&mut self, slice: &WholeEpoch, built: u32, members: u32) -> Result<(), Halt> {
        reach("slice");
        let mut change = self.store.begin();
        slice.deltas.iter().for_each(|delta| self.writer.write_view(delta, &mut *change));
        if let Some(standby) = &mut self.standby {
            (standby.built, standby.members) = (built, members);
        }
        put_standby(self.standby.as_ref(), &mut *change);
        let (epoch, counts) = (slice.epoch, self.writer.counts);
        Ok(self.storing.send(Job::Close { epoch, change, synced: false, counts, told: None })?)
    }

    /// Moves the pointer, and with it what the lists are made with.
    pub(super) fn commit_turn(&mut self, epoch: &WholeEpoch) -> Result<(), Halt> {
        let Some((live, standby)) = self.turn.take() else { return Ok(()) };
        // All that was written so far goes to where the lists were before.
        self.storing.wait()?;
        let mut change = self.store.begin();
        self.writer.write_made(&self.key.fingerprint(), &mut *change);
        put_made_with(&live, &mut *change);
        put_standby(standby.as_ref(), &mut *change);
        self.standby = standby;
        mirroring::fill_anew(epoch.epoch, self.mirrors.as_ref(), &mut *change);
        self.put_epoch(epoch.epoch, &mut *change);
        reach("turn");
        self.store.commit_turned(change)?;
        reach("turned");
        self.committed.publish(epoch.epoch, self.writer.counts);
        if let Some(observer) = &self.observer {
            let (epoch, counts) = (epoch.epoch, self.writer.counts);
            observer.after(&Commit { epoch, counts, turned: true, ..Commit::default() });
        }
        Ok(())
    }
}

fn put_standby(standby: Option<&Standby>, change: &mut dyn Transaction) {
    match standby {
        Some(standby) => {
            change.put(Table::Meta, meta::STANDBY, &serde_json::to_vec(standby).unwrap_or_default());
        }
        None => change.delete(Table::Meta, meta::STANDBY),
    }
}
