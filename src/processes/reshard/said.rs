//! What new folders say of themselves: what those before said that still holds.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Serialize;

use super::{Made, SAID};
use crate::digests::DigestKey;
use crate::engine::committed::Counts;
use crate::processes::parts::{Opened, Parts};
use crate::processes::{Part, Share};
use crate::stores::formats::{self, meta};
use crate::stores::union::Union;
use crate::stores::{Store, StoreError, Table, Tables, Transaction};
use crate::{archive, backups, mirrors};

/// What the new stores say of themselves.
pub(super) struct Said {
    /// What all say.
    alike: Vec<(Vec<u8>, Vec<u8>)>,
    /// What was counted so far.
    counts: Counts,
    pipeline: Option<String>,
}

impl Said {
    pub(super) fn of(
        parts: &Parts,
        union: &Union<Arc<dyn Store>>,
        key: &DigestKey,
        pipeline: Option<String>,
    ) -> Result<Self, StoreError> {
        let Opened { store, standing, .. } = parts.first();
        let mut alike: Vec<(Vec<u8>, Vec<u8>)> = vec![
            (meta::FORMAT.to_vec(), formats::FORMAT.to_be_bytes().to_vec()),
            (meta::EPOCH.to_vec(), standing.epoch.to_be_bytes().to_vec()),
            (meta::KEY.to_vec(), key.fingerprint().into_bytes()),
            (meta::PENDING.to_vec(), formats::NOTHING.to_vec()),
        ];
        for key in SAID {
            alike.extend(store.get(Table::Meta, key)?.map(|value| (key.to_vec(), value)));
        }
        // What stands by is let go of, as whenever views are made anew.
        union.scan(Table::Meta, meta::TRAINED_ON, &[], &mut |key, value| {
            alike.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        alike.extend(elsewhere(parts)?);
        let counts = parts.parts.iter().fold(Counts::default(), |sum, part| sum.and(part.standing.counts));
        Ok(Said { alike, counts, pipeline })
    }

    /// Says it in the store of a process; `all` are the folders of all.
    pub(super) fn put(&self, share: Share, all: &[Made], change: &mut dyn Transaction) {
        self.alike.iter().for_each(|(key, value)| change.put(Table::Meta, key, value));
        let made = &all[share.process];
        let mut counts = Counts { live_events: made.live_events, members: made.members, ..Counts::default() };
        if share.process == 0 {
            // What was read before is counted once, and so is who was met and has nothing left.
            let here = all.iter().map(|made| made.members).sum();
            let members = counts.members + self.counts.members.saturating_sub(here);
            counts = Counts { live_events: made.live_events, members, ..self.counts };
        }
        change.put(Table::Meta, meta::COUNTS, &json(&counts));
        if let Some(pipeline) = &self.pipeline {
            let part = Part { pipeline: pipeline.clone(), share };
            change.put(Table::Meta, meta::PART, &json(&part));
            let epoch = self.alike.iter().find(|(key, _)| key == meta::EPOCH);
            epoch.iter().for_each(|(_, epoch)| change.put(Table::Meta, meta::SYNCED, epoch));
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Where else there may be something of members, for the receipts of those who are forgotten: backups of the folders
/// before, and their archives and mirrors, which are not the new folders' own.
fn elsewhere(parts: &Parts) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
    let (mut made, mut archives, mut mirrors) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for part in &parts.parts {
        made.extend(backups::made(&*part.store)?);
        archives.extend(archive::left(&*part.store)?);
        archives.extend(archive::ArchiveState::of(&*part.store)?.map(|state| state.repository));
        mirrors.extend(mirrors::left(&*part.store)?);
        mirrors.extend(mirrors::states(&*part.store)?.into_iter().map(|(_, state)| state.url));
    }
    made.sort_by(|a, b| (a.at, &a.path).cmp(&(b.at, &b.path)));
    made.dedup_by(|a, b| a.path == b.path);
    let mut said = Vec::new();
    if !made.is_empty() {
        said.push((meta::BACKUPS.to_vec(), json(&made)));
    }
    for (key, urls) in [(meta::ARCHIVES_LEFT, archives), (meta::MIRRORS_LEFT, mirrors)] {
        if !urls.is_empty() {
            said.push((key.to_vec(), json(&urls)));
        }
    }
    Ok(said)
}
