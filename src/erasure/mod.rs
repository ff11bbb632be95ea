//! Forgetting to the last byte: from a forget that is committed to a data folder that holds the member nowhere.
//!
//! A forget takes a member out of every view at once, and marks the member in the same commit (`engine/erasing.rs`). An
//! erasure makes all marks good together: it goes through the rejected lines, takes the ids out of the marks, has the
//! store write all its files anew, keeps a receipt, and lifts the marks. Broken off at any point, it is begun again by
//! whoever opens the folder next.

pub mod models;
pub mod receipt;

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use self::models::Models;
pub use self::receipt::{By, Receipt};
use self::receipt::{FORMAT, Files, Forgotten};
use crate::archive::{self, Archive, ArchiveError};
use crate::backups::{self, Backup, BackupError, With};
use crate::digests::{DigestKey, to_hex};
use crate::engine::Handle;
use crate::engine::erasing::{self, Erasing, Mark, Removed};
use crate::engine::recover::Standing;
use crate::engine::socket;
use crate::failpoints::reach;
use crate::folder::Folder;
use crate::mirrors::{self, MirrorError, Mirrors};
use crate::processes::Share;
use crate::records::{self, Record, write_json};
use crate::sources::redaction::Ids;
use crate::sources::rejected::RejectedLog;
use crate::stores::long_read::LongRead;
use crate::stores::{Erased, Store, StoreError, Table, formats};

/// Why nothing was erased, or not all.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The store failed.
    #[error("{0}{LATER}")]
    Store(#[from] StoreError),
    /// A file of the folder could not be gone through or written.
    #[error("{doing}: {why}{LATER}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        why: String,
    },
    /// The archive could not be gone through.
    #[error("{0}{LATER}")]
    Archive(#[from] ArchiveError),
    /// A mirror could not be brought to where nothing of the members is in it.
    #[error("{0}{LATER}")]
    Mirror(#[from] MirrorError),
    /// What mirrors are to have is not known yet.
    #[error("the views are being made anew, and mirrors cannot be brought to where they are{LATER}")]
    Unsettled,
    /// Another process has the member.
    #[error(
        "{member} belongs to process {owner} of the pipeline: say it there (--data), or over HTTP at any process"
    )]
    OfAnother {
        /// Who was to be forgotten.
        member: String,
        /// Which process has them.
        owner: usize,
    },
    /// The records of the forget were not taken.
    #[error("the forget was not taken: {0}")]
    Refused(String),
}

/// What is to be done where an erasure failed.
const LATER: &str = "; members that were forgotten are in no view, but their bytes may still be on the disk, in the archive or in a mirror: say \
                     `nearline forget --pending` when the cause is gone";

fn file<E: std::fmt::Display>(doing: &'static str) -> impl FnOnce(E) -> ErasureError {
    move |error| ErasureError::File { doing, why: error.to_string() }
}

/// Erases, one time after the other.
pub struct Eraser {
    store: Arc<dyn Store>,
    folder: Folder,
    rejected: RejectedLog,
    long_read: Arc<LongRead>,
    archive: Option<Arc<Archive>>,
    mirrors: Option<Arc<Mirrors>>,
    at_work: Mutex<()>,
}

impl Eraser {
    /// For the process that holds the folder.
    pub fn new(
        store: Arc<dyn Store>,
        folder: Folder,
        rejected: RejectedLog,
        long_read: Arc<LongRead>,
    ) -> Self {
        Eraser { store, folder, rejected, long_read, archive: None, mirrors: None, at_work: Mutex::new(()) }
    }

    /// Erases in this archive too.
    pub fn with_archive(mut self, archive: Option<Arc<Archive>>) -> Self {
        self.archive = archive;
        self
    }

    /// Erases in these mirrors too.
    pub fn with_mirrors(mut self, mirrors: Option<Arc<Mirrors>>) -> Self {
        self.mirrors = mirrors;
        self
    }

    /// How many members were forgotten whose bytes are still on the disk.
    pub fn pending(&self) -> Result<usize, StoreError> {
        Ok(erasing::marks(&*self.store)?.len())
    }

    /// Forgets members and erases them; also those whose erasure was still to be made.
    pub fn forget(
        &self,
        members: &[String],
        now_ms: i64,
        handle: &Handle,
    ) -> Result<(Receipt, PathBuf), ErasureError> {
        let mut lines = Vec::new();
        let mut asked = Vec::new();
        let share = Standing::of(&*self.store)?.part.map_or(Share::WHOLE, |part| part.share);
        if let Some(member) = members.iter().find(|member| !share.owns(member)) {
            return Err(ErasureError::OfAnother { member: member.clone(), owner: share.owner(member) });
        }
        for member in members {
            let at = newest(&*self.store, member)?.map_or(now_ms, |newest| newest.max(now_ms));
            write_json(&Record::Forget { member, at }, &mut lines);
            asked.push((member.as_str(), at));
        }
        let answer = socket::submit(&String::from_utf8_lossy(&lines), handle, i64::MAX);
        if let Some(refused) = answer.error.or(answer.rejected.into_iter().next()) {
            return Err(ErasureError::Refused(refused));
        }
        let erased = self.make_good(&asked, answer.epoch, By::Command)?;
        erased.ok_or_else(|| ErasureError::Refused("no member was named".into()))
    }

    /// Erases those whose erasure is still to be made; nothing where there is nobody.
    pub fn erase(&self, by: By) -> Result<Option<(Receipt, PathBuf)>, ErasureError> {
        if self.pending()? == 0 { Ok(None) } else { self.make_good(&[], 0, by) }
    }

    fn make_good(
        &self,
        asked: &[(&str, i64)],
        epoch: u64,
        by: By,
    ) -> Result<Option<(Receipt, PathBuf)>, ErasureError> {
        let _at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = Standing::of(&*self.store)?;
        let key =
            self.folder.key(standing.key.as_deref()).map_err(file("the folder's key cannot be read"))?;
        let mut marks = erasing::marks(&*self.store)?;
        if marks.is_empty() && asked.is_empty() {
            return Ok(None);
        }
        let named = marks.iter().filter_map(|(_, erasing)| erasing.member.as_deref());
        let ids: Vec<&str> = named.chain(asked.iter().map(|(member, _)| *member)).collect();
        reach("erase-begins");
        let rejected_redacted = self.redact(&ids)?;
        reach("erase-redacted");
        let archived = self.erase_archived(&mut marks, (asked, epoch))?;
        reach("erase-archived");
        // What the views let go of leaves the servers too, and the queue, which names it.
        if let Some(mirrors) = &self.mirrors
            && !mirrors.bring_all_up()?
        {
            return Err(ErasureError::Unsettled);
        }
        reach("erase-mirrored");
        let models = Models::of(&self.folder).map_err(file("a model of the folder cannot be read"))?;
        let mut change = self.store.begin();
        for (mark, erasing) in &mut marks {
            if let Some(member) = erasing.member.take() {
                erasing.models = models.mark(&member, &mark.digest, &mut *change);
            }
            erasing::put(mark, erasing, &mut *change);
        }
        let asked_models = |(member, _): &(&str, i64)| models.mark(member, &key.member(member), &mut *change);
        let asked_models: Vec<Vec<String>> = asked.iter().map(asked_models).collect();
        change.commit(true)?;
        reach("erase-unnamed");
        let Erased { files, bytes, bytes_after } = self.long_read.without(|| self.store.erase())?;
        let receipt = Receipt {
            format: FORMAT,
            erased_at: jiff::Timestamp::now().to_string(),
            key: key.fingerprint(),
            by,
            members: forgotten(&marks, asked, &asked_models, epoch, &key),
            files: Files { rewritten: files, bytes, bytes_after },
            rejected_redacted,
            models_unknown: models.unknown,
            backups: self.backups()?,
            archived,
            archives_left: archive::left(&*self.store)?,
            mirrors: self
                .mirrors
                .iter()
                .flat_map(|mirrors| mirrors.all())
                .map(|mirror| mirror.url().to_owned())
                .collect(),
            mirrors_left: mirrors::left(&*self.store)?,
        };
        reach("erase-rewritten");
        let path = receipt.keep(&self.folder).map_err(file("the receipt could not be written"))?;
        reach("erase-kept");
        let mut change = self.store.begin();
        marks.iter().for_each(|(mark, _)| change.delete(Table::Meta, &mark.key()));
        change.commit(true)?;
        Ok(Some((receipt, path)))
    }

    /// Takes the members out of the archive; says which of its files held them. These are noted in the marks first: whoever
    /// makes good an erasure that was broken off finds them rewritten already.
    fn erase_archived(
        &self,
        marks: &mut [(Mark, Erasing)],
        (asked, epoch): (&[(&str, i64)], u64),
    ) -> Result<Vec<String>, ErasureError> {
        let noted = |marks: &[(Mark, Erasing)]| -> BTreeSet<String> {
            marks.iter().flat_map(|(_, erasing)| erasing.archived.iter().cloned()).collect()
        };
        let mut forgotten: archive::Forgotten<'_> =
            asked.iter().map(|(member, _)| (*member, epoch)).collect();
        for (mark, erasing) in &*marks {
            if let Some(member) = erasing.member.as_deref() {
                let up_to = forgotten.entry(member).or_insert(mark.epoch);
                *up_to = mark.epoch.max(*up_to);
            }
        }
        let Some(archive) = self.archive.as_ref().filter(|_| !forgotten.is_empty()) else {
            return Ok(noted(marks).into_iter().collect());
        };
        let mut all = noted(marks);
        all.extend(archive.holding(&forgotten)?);
        let note = marks.first().map(|(mark, erasing)| {
            (*mark, Erasing { archived: all.iter().cloned().collect(), ..erasing.clone() })
        });
        if let Some((mark, erasing)) = &note {
            let mut change = self.store.begin();
            erasing::put(mark, erasing, &mut *change);
            change.commit(true)?;
        }
        all.extend(archive.erase(&forgotten)?);
        if let (Some((_, noted)), Some((_, erasing))) = (note, marks.first_mut()) {
            *erasing = noted;
        }
        Ok(all.into_iter().collect())
    }

    /// The backups that were made so far: also those that were made after a forget and before its bytes were gone.
    fn backups(&self) -> Result<Vec<receipt::Backup>, StoreError> {
        let made = backups::made(&*self.store)?.into_iter();
        Ok(made.map(|made| receipt::Backup { reachable: made.is_there(), made }).collect())
    }

    /// Makes a backup of the folder, between erasures.
    pub fn back_up(&self, to: &Path, with: With, now_ms: i64) -> Result<Backup, BackupError> {
        let _at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        backups::make(&*self.store, &self.folder, to, with, now_ms)
    }

    /// Takes a backup that was destroyed off the list; says whether it was on it.
    pub fn forget_backup(&self, path: &Path) -> Result<bool, StoreError> {
        backups::forget(&*self.store, path)
    }

    /// Takes the members out of the rejected lines.
    fn redact(&self, ids: &[&str]) -> Result<u64, ErasureError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let redacted = Ids::new(ids.iter().copied())
            .map_err(io::Error::other)
            .and_then(|ids| self.rejected.redact(&|line, cut| ids.held_by(line, cut)));
        redacted.map_err(file("the rejected lines could not be gone through"))
    }
}

/// What a receipt says of members: of those that are marked, and of those that were asked for and of whom nothing was
/// there that was not forgotten before.
fn forgotten(
    marks: &[(Mark, Erasing)],
    asked: &[(&str, i64)],
    asked_models: &[Vec<String>],
    epoch: u64,
    key: &DigestKey,
) -> Vec<Forgotten> {
    let of_mark = |(mark, erasing): &(Mark, Erasing)| Forgotten {
        member_digest: to_hex(&mark.digest),
        at: erasing.at,
        epoch: mark.epoch,
        removed: erasing.removed,
        models: erasing.models.clone(),
    };
    let mut members: Vec<Forgotten> = marks.iter().map(of_mark).collect();
    for ((member, at), models) in asked.iter().zip(asked_models) {
        let member_digest = to_hex(&key.member(member));
        if !members.iter().any(|known| known.member_digest == member_digest) {
            members.push(Forgotten {
                member_digest,
                at: *at,
                epoch,
                removed: Removed::default(),
                models: models.clone(),
            });
        }
    }
    members
}

/// When a member's newest live event was.
fn newest(store: &dyn Store, member: &str) -> Result<Option<i64>, StoreError> {
    let mut prefix = Vec::new();
    formats::member_prefix(member, &mut prefix);
    prefix.push(b'e');
    let mut newest = None;
    let mut damage = None;
    let mut normal = Vec::new();
    store.scan(Table::Records, &prefix, &prefix, &mut |key, value| {
        match formats::record_of(key, value, &mut normal).map(|()| records::decode(&normal)) {
            Ok(Ok(Record::Event(event))) => newest = newest.max(Some(event.at)),
            Ok(_) => damage = Some(formats::damaged(Table::Records, key, "is not in normal form")),
            Err(error) => damage = Some(error),
        }
        if damage.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    damage.map_or(Ok(newest), Err)
}
