//! From the queue to files, some epochs at a time.

use std::ops::ControlFlow;

use super::rows::Rows;
use super::{Archive, ArchiveError, each_queued, epoch_of, queued_up_to};
use crate::failpoints::reach;
use crate::stores::Table;

/// What was shipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shipped {
    /// How many records.
    pub records: u64,
    /// Whether more is waiting.
    pub more: bool,
}

impl Archive {
    /// Archives what waits, or a part of it where it is much: whole epochs. Makes the archive anew first, where it is to be.
    pub fn ship(&self) -> Result<Shipped, ArchiveError> {
        if super::anew(&*self.store)?.is_some() && !self.make_anew(false)? {
            // Not while a load is under way: a moment of the store would hold a part of it.
            return Ok(Shipped::default());
        }
        self.with_ledger(|ledger| {
            let committed = epoch_of(&*self.store)?;
            let (mut rows, mut last, mut more) = (Rows::default(), 0, false);
            each_queued(&*self.store, ledger.archived + 1, &mut |epoch, normal| {
                let full = rows.bytes() as u64 >= self.config.roll && epoch != last;
                if full || epoch > committed {
                    more |= epoch <= committed;
                    return ControlFlow::Break(());
                }
                rows.push(epoch, normal);
                last = epoch;
                ControlFlow::Continue(())
            })?;
            let records = rows.len() as u64;
            let bytes = rows.bytes() as u64;
            if !rows.is_empty() {
                let mut files = Vec::new();
                for (day, mut of_day) in rows.by_day() {
                    files.push(self.put_day(&day, &mut of_day, ledger, 0)?);
                    reach("archive-file");
                }
                ledger.files.extend(files);
                ledger.archived = last;
                ledger.put(&self.repository)?;
                reach("archive-ledger");
            }
            let done = queued_up_to(&*self.store, ledger.archived)?;
            if records > 0 || !done.is_empty() {
                self.note(ledger, |change| {
                    done.iter().for_each(|key| change.delete(Table::ArchiveQueue, key));
                })?;
                reach("archive-noted");
                self.waiting.take_off(records, bytes);
            }
            Ok(Shipped { records, more })
        })
    }

    /// Archives all that waits, and puts small files together.
    pub fn drain(&self) -> Result<u64, ArchiveError> {
        let mut records = 0;
        loop {
            let shipped = self.ship()?;
            records += shipped.records;
            if !shipped.more {
                break;
            }
        }
        self.compact(false)?;
        Ok(records)
    }
}
