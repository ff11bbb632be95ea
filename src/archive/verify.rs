//! Whether the archive says what the store says: its records, with those that wait, must come to the store's live events and
//! catalogue. (Every view is a function of these, and `nearline verify` says whether the views are what they should be.)

use std::collections::HashSet;
use std::ops::ControlFlow;

use nearline_dataflows::types::Member;
use serde::Serialize;

use super::{ArchiveError, ArchiveState, Ledger, each_queued, each_row};
use crate::config::Config;
use crate::engine::recover::Standing;
use crate::folder::Folder;
use crate::offline::live::Gatherer;
use crate::records::{self, Record};
use crate::repositories::Repository;
use crate::sources::Batch;
use crate::stores::{Store, Table, formats};

/// How many records are gathered at a time.
const CHUNK: usize = 65_536;
/// How many differences are shown.
const SHOWN: usize = 5;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The epoch of the store.
    pub epoch: u64,
    /// The epoch up to which all is archived.
    pub archived: u64,
    /// Records that the archive has, and that wait.
    pub records: u64,
    /// Live events of the store.
    pub live_events: u64,
    /// Items of its catalogue.
    pub items: u64,
    /// What is live in the store and not in the archive.
    pub missing: u64,
    /// What is live in the archive and not in the store.
    pub beyond: u64,
    /// Records that are in the archive more than once.
    pub repeated: u64,
    /// Some of what is missing.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Whether the two agree.
    pub fn equal(&self) -> bool {
        self.missing == 0 && self.beyond == 0 && self.repeated == 0
    }
}

/// Compares the archive of a folder with its store, which stays as it is meanwhile: a reader, or one that nobody writes to.
pub fn verify(folder: &Folder, config: &Config, store: &dyn Store) -> Result<Verdict, ArchiveError> {
    let refused = |why: &str| ArchiveError::Refused(why.to_owned());
    let state = ArchiveState::of(store)?.ok_or_else(|| refused("this folder has no archive"))?;
    let standing = Standing::of(store)?;
    if super::anew(store)?.is_some() {
        return Err(refused(
            "the archive is still to be made from the store: start `nearline run`, or say `nearline archive backfill`",
        ));
    }
    let repository = Repository::open(&state.repository, &config.access)?;
    let ledger = Ledger::read(&repository)?.ok_or_else(|| refused("the ledger of the archive is gone"))?;
    let key = folder
        .key(standing.key.as_deref())
        .map_err(|source| ArchiveError::Spill { path: folder.key_file(), source })?;
    let mut gatherer = Gatherer::new(config.kinds.names.iter().map(String::as_str), key.clone());
    let mut verdict = Verdict { epoch: standing.epoch, archived: ledger.archived, ..Verdict::default() };
    let mut batch = Batch::new("archive".into());
    // Sixteen bytes of each record but for tombstones, of which several may say the same.
    let mut all: Vec<u128> = Vec::new();
    let mut take = |normal: &[u8]| {
        if !matches!(records::decode(normal), Ok(Record::Tombstone(_) | Record::Trim { .. })) {
            let hash = blake3::hash(normal);
            all.push(hash.as_bytes().first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes)));
        }
        batch.push_normal(normal);
        verdict.records += 1;
        if batch.len() == CHUNK {
            gatherer.take(&std::mem::replace(&mut batch, Batch::new("archive".into())));
        }
    };
    for file in &ledger.files {
        each_row(&repository, &file.name, &mut |_, normal| take(normal))?;
    }
    each_queued(store, ledger.archived + 1, &mut |epoch, normal| {
        if epoch <= standing.epoch {
            take(normal);
        }
        ControlFlow::Continue(())
    })?;
    if standing.trimmed >= 0 {
        let mut normal = Vec::new();
        records::encode(&Record::Trim { at: standing.trimmed }, &mut normal);
        take(&normal);
    }
    gatherer.take(&batch);
    all.sort_unstable();
    verdict.repeated = all.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
    drop(all);
    let live = gatherer.finish();
    let mut found: HashSet<(Member, [u64; 2])> = HashSet::new();
    for member in live.members_by_id() {
        found.extend(live.events(member).iter().map(|event| (member, live.digest(&key, member, event))));
    }
    let mut failed = None;
    store.scan(Table::Records, &[], &[], &mut |stored, _| {
        let mut show = || -> Option<()> {
            let (length, rest) = stored.split_first()?;
            let (member, rest) = rest.split_at_checked(usize::from(*length) + 1)?;
            if rest.first() != Some(&b'e') {
                return Some(());
            }
            let member = std::str::from_utf8(member).ok()?;
            let digest = formats::digest_of(stored)?;
            verdict.live_events += 1;
            let known = live.members.get(member).map(Member);
            if !known.is_some_and(|known| found.remove(&(known, digest))) {
                verdict.missing += 1;
                if verdict.examples.len() < SHOWN {
                    verdict.examples.push(format!("an event of member {member}"));
                }
            }
            Some(())
        };
        if show().is_none() {
            failed = Some(formats::damaged(Table::Records, stored, "cannot be read"));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    verdict.beyond = found.len() as u64;
    let mut items = 0;
    store.scan(Table::Items, &[], &[], &mut |id, value| {
        items += 1;
        let same = formats::decode_item(id, value).map(|(at, _, body)| {
            let item = std::str::from_utf8(id).ok().and_then(|id| live.items.get(id));
            let known = item.and_then(|item| live.catalogue().get(&nearline_dataflows::types::Item(item)));
            known.is_some_and(|known| known.at == at && *known.body == *body)
        });
        match same {
            Ok(true) => {}
            Ok(false) => {
                verdict.missing += 1;
                if verdict.examples.len() < SHOWN {
                    verdict.examples.push(format!("the item {}", String::from_utf8_lossy(id)));
                }
            }
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    verdict.items = items;
    verdict.beyond += (live.catalogue().len() as u64).saturating_sub(items);
    Ok(verdict)
}
