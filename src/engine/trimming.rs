//! A trim of a long history, step by step: each step is a trim of its own, to a time on the way, in an epoch of its own.
//!
//! What an epoch takes out is held several times over until it is on disk, and is written in one piece, which every
//! reader reads. A trim of millions of events at once would need gigabytes for both. Every state on the way is that of a
//! smaller trim, and one that is broken off is gone on with when its record is read again.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::EngineError;
use super::pipeline::Pipeline;
use crate::records::{self, Record, RecordType};
use crate::sources::Batch;
use crate::stores::{Store, StoreError, Table, formats};

/// About how many events a step takes out.
const STEP: u64 = 200_000;
const HOUR: i64 = 3_600_000;

/// Where the first trim of a batch is, from a record on.
pub(super) fn next_trim(batch: &Batch, from: usize) -> Option<(usize, i64)> {
    (from..batch.len()).find_map(|index| {
        let bytes = batch.bytes(index);
        if records::type_of(bytes) != RecordType::Other {
            return None;
        }
        match records::decode(bytes) {
            Ok(Record::Trim { at }) => Some((index, at)),
            _ => None,
        }
    })
}

/// Times on the way, each about as many events after the one before.
#[derive(Debug)]
struct Steps {
    at: i64,
    width: i64,
}

impl Steps {
    /// From a time on, before which there is nothing, towards another; with so many events in all.
    fn new(from: i64, to: i64, events: u64) -> Self {
        let steps = (events / STEP + 1) as i64;
        Steps { at: from, width: ((to - from) / steps).max(1) }
    }

    /// The next time. `count` says how many events there are from one hour to another, both included; or any number
    /// above the second where there are more.
    fn next<E>(&mut self, count: &mut dyn FnMut([u32; 2], u64) -> Result<u64, E>) -> Result<i64, E> {
        self.width = self.width.saturating_mul(4);
        let hour = |at: i64| u32::try_from(at.max(0) / HOUR).unwrap_or(u32::MAX);
        // Hours are what is counted by, and no step is shorter.
        while self.width > HOUR
            && count([hour(self.at), hour(self.at.saturating_add(self.width))], STEP)? > STEP
        {
            self.width /= 2;
        }
        self.at = self.at.saturating_add(self.width);
        Ok(self.at)
    }
}

impl Pipeline<'_> {
    /// Trims to times on the way to `to`, where there is much to take out.
    pub(super) fn approach(&mut self, to: i64) -> Result<(), EngineError> {
        if self.options.bulk {
            return Ok(());
        }
        self.close_live()?;
        self.settled()?;
        let live = self.committed.counts().live_events;
        if live <= STEP {
            return Ok(());
        }
        let Some((kinds, oldest)) = counted(self.store)? else { return Ok(()) };
        let mut steps = Steps::new(i64::from(oldest) * HOUR, to, live);
        loop {
            let store = self.store;
            let at = steps.next(&mut |hours, most| count(store, &kinds, hours, most))?;
            if at >= to {
                return Ok(());
            }
            let mut batch = Batch::new("trim".into());
            batch.push(&Record::Trim { at });
            self.ingest.take(&Arc::new(batch), 0, 1);
            self.ingest.records.on_the_way = 1;
            self.close_live()?;
            self.settled()?;
        }
    }
}

/// The kinds that are counted, and the hour of the oldest event; none where nothing is.
fn counted(store: &dyn Store) -> Result<Option<(Vec<String>, u32)>, StoreError> {
    let (mut from, mut kinds, mut oldest) = (Vec::new(), Vec::new(), u32::MAX);
    loop {
        let mut found = None;
        store.scan(Table::Popularity, &[], &from, &mut |key, _| {
            found = Some(formats::decode_cell_key(key).map(|cell| (cell.kind.to_owned(), cell.hour)));
            ControlFlow::Break(())
        })?;
        let Some((kind, hour)) = found.transpose()? else { break };
        formats::kind_prefix(&kind, Some(u32::MAX), &mut from);
        from.push(0xff);
        oldest = oldest.min(hour);
        kinds.push(kind);
    }
    Ok((!kinds.is_empty()).then_some((kinds, oldest)))
}

/// How many events of these kinds there are from one hour to another; no further than until there are more than `most`.
fn count(store: &dyn Store, kinds: &[String], [first, last]: [u32; 2], most: u64) -> Result<u64, StoreError> {
    let (mut events, mut damage) = (0, None);
    for kind in kinds {
        let (mut prefix, mut from) = (Vec::new(), Vec::new());
        formats::kind_prefix(kind, None, &mut prefix);
        formats::kind_prefix(kind, Some(first), &mut from);
        store.scan(Table::Popularity, &prefix, &from, &mut |key, value| {
            let read = formats::decode_cell_key(key)
                .and_then(|cell| Ok((cell.hour, formats::decode_count(Table::Popularity, key, value)?)));
            match read {
                Ok((hour, _)) if hour > last => return ControlFlow::Break(()),
                Ok((_, count)) => events += count,
                Err(error) => damage = Some(error),
            }
            if events > most || damage.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if events > most {
            break;
        }
    }
    damage.map_or(Ok(events), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many events each step takes out, of events at these times in order, until all are.
    fn taken(times: &[i64], to: i64) -> Vec<u64> {
        let mut steps = Steps::new(times[0], to, times.len() as u64);
        let (mut left, mut all) = (times, Vec::new());
        loop {
            let between = |from: i64, to: i64| {
                times.partition_point(|time| *time < to) - times.partition_point(|time| *time < from)
            };
            let mut count = |[first, last]: [u32; 2], _| -> Result<u64, ()> {
                Ok(between(i64::from(first) * HOUR, (i64::from(last) + 1) * HOUR) as u64)
            };
            let at = steps.next(&mut count).unwrap();
            let some = left.partition_point(|time| *time <= at.min(to));
            all.push(some as u64);
            left = &left[some..];
            if at >= to {
                return all;
            }
        }
    }

    #[test]
    fn steps_come_to_the_end_and_none_takes_out_too_much() {
        let even: Vec<i64> = (0..5_000_000).map(|event| event * 700).collect();
        let all = taken(&even, 5_000_000 * 700);
        assert_eq!(all.iter().sum::<u64>(), 5_000_000);
        assert!(all.iter().all(|some| *some <= STEP) && all.len() < 80, "{all:?}");
        // Nearly all of them on one day, after years of nothing much and before years of nothing at all.
        let few = (0..1_000).map(|day| day * 24 * HOUR);
        let late: Vec<i64> = few.chain((0..4_000_000).map(|event| 1_000 * 24 * HOUR + event * 80)).collect();
        let all = taken(&late, 9_000 * 24 * HOUR);
        assert_eq!(all.iter().sum::<u64>(), 4_001_000);
        assert!(all.iter().all(|some| *some <= STEP) && all.len() < 200, "{all:?}");
    }

    #[test]
    fn the_next_trim_of_a_batch_is_found_from_any_record_on() {
        let mut batch = Batch::new("test".into());
        for at in [3, 5] {
            batch.push(&Record::Forget { member: "m", at });
            batch.push(&Record::Trim { at });
        }
        let found: Vec<_> = (0..5).map(|from| next_trim(&batch, from)).collect();
        assert_eq!(found, [Some((1, 3)), Some((1, 3)), Some((3, 5)), Some((3, 5)), None]);
    }
}
