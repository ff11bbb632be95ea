//! The folders of a pipeline, made anew for another number of processes.
//!
//! What is made is a function of the records alone: those of a member go to the process that has the member now, the
//! catalogue to all, and views to none: the folders are pending, and the next start makes them. What a pipeline reads has its
//! offsets in every folder, as whichever process may read it next: the furthest before which no process has left anything
//! unread; where that is not known it is read from its beginning, since records that are read again change nothing.
//!
//! A tombstone is under a digest, which does not say whose it is. Of a member that has records it is found out; any other
//! goes to every folder. There it does what it is for: it waits, and is woken by the process that meets the member first,
//! which is the member's own; in the others nobody ever asks for it. To guess one process would be to lose it.
//!
//! Each folder is put together in one of its own name, `.resharding`, inside its place, and put in place once all are; while
//! that is there, nobody opens the folder. So what is broken off is never taken for whole, and the folders that are read stay
//! as they are, to the byte. Rejected lines, receipts and lists of batch jobs stay with these.

mod filling;
mod said;
mod settled;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::parts::{Parts, PartsError};
use crate::backups::{self, remove, sync};
use crate::digests::to_hex;
use crate::failpoints::reach;
use crate::stores::formats::meta;
use crate::stores::rocks::{RESHARDING, lock};
use crate::stores::{self, StoreError};
use filling::fill;
use settled::{are_alike, hold, is_settled};

/// What a folder is put together of; the store last, with which it is one.
const PARTS: [&str; 4] = ["models", "centres", "digest.key", "store"];
/// What all stores say alike of how their views are made, which the new ones say as well.
const SAID: [&[u8]; 5] = [meta::TRIMMED, meta::MEANING, meta::MODEL, meta::VARIANTS, meta::CENTRES];

/// Why there are no new folders.
#[derive(Debug, thiserror::Error)]
pub enum ReshardError {
    /// The folders are not those of one pipeline, or cannot be read.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// A file could not be read or written.
    #[error("{}: {why}{}", .path.display(), stores::advice(&why.to_string()))]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// Something is to be done first, or a place is taken.
    #[error("{0}")]
    Refused(String),
}

impl From<StoreError> for ReshardError {
    fn from(error: StoreError) -> Self {
        ReshardError::Parts(error.into())
    }
}

impl From<backups::BackupError> for ReshardError {
    fn from(error: backups::BackupError) -> Self {
        match error {
            backups::BackupError::Store(error) => error.into(),
            backups::BackupError::File { path, why } => ReshardError::File { path, why },
            backups::BackupError::Refused(why) => ReshardError::Refused(why),
        }
    }
}

fn file(path: &Path) -> impl Fn(io::Error) -> ReshardError {
    let path = path.to_owned();
    move |why| ReshardError::File { path: path.clone(), why }
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resharded {
    /// What the new folders have in common; none where there is one.
    pub pipeline: Option<String>,
    /// The epoch that they stand at.
    pub epoch: u64,
    /// The folders, in the order of their processes.
    pub folders: Vec<Made>,
    /// How many items are in the catalogue.
    pub items: u64,
    /// How many members have tombstones.
    pub tombstones: u64,
    /// How many sources, or partitions, have offsets.
    pub sources: u64,
}

/// A folder that was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Where it is.
    pub folder: String,
    /// How many members have records in it.
    pub members: u64,
    /// How many live events they have.
    pub live_events: u64,
    /// How many retractions.
    pub retractions: u64,
}

/// Makes the folders `to`, one for each process, of all folders of a pipeline.
pub fn reshard(from: &[PathBuf], to: &[PathBuf], plain: bool) -> Result<Resharded, ReshardError> {
    let _held = from.iter().map(|path| hold(path)).collect::<Result<Vec<_>, _>>()?;
    let parts = Parts::open(from)?;
    parts.parts.iter().try_for_each(is_settled)?;
    are_alike(&parts)?;
    let first = &parts.first();
    let key_file = first.folder.key_file();
    if !key_file.exists() {
        let gone = io::Error::new(io::ErrorKind::NotFound, "it is gone; restore it from a backup");
        return Err(file(&key_file)(gone));
    }
    let key = first.folder.key(first.standing.key.as_deref()).map_err(file(&key_file))?;
    let targets = places(to)?;
    let pipeline = (to.len() > 1).then(name).transpose()?;
    let resharded = fill(&parts, &targets, &key, pipeline, plain)?;
    reach("reshard-filled");
    for target in &targets {
        target.put_in_place()?;
        reach("reshard-placed");
    }
    for target in &targets {
        remove(&target.beside)?;
        sync(&target.data)?;
        reach("reshard-unmarked");
    }
    Ok(resharded)
}

/// A name that no other pipeline has.
fn name() -> Result<String, ReshardError> {
    let random = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    File::open(random).and_then(|mut file| file.read_exact(&mut bytes)).map_err(file(random))?;
    Ok(to_hex(&bytes))
}

/// A folder that is to be made.
struct Target {
    data: PathBuf,
    /// What it is put together in.
    beside: PathBuf,
    _lock: Option<File>,
}

/// Makes ready the places of new folders, which must be empty.
fn places(to: &[PathBuf]) -> Result<Vec<Target>, ReshardError> {
    let mut known = BTreeSet::new();
    for data in to {
        if !known.insert(std::path::absolute(data).map_err(file(data))?) {
            let why = format!("{} is named twice: each process has a folder of its own", data.display());
            return Err(ReshardError::Refused(why));
        }
        is_empty(data)?;
    }
    let ready = |data: &PathBuf| {
        fs::create_dir_all(data).map_err(file(data))?;
        let _lock = lock::lock(data)?;
        is_empty(data)?;
        // What an earlier one has left unfinished; the mark goes last.
        for part in PARTS {
            remove(&data.join(part))?;
        }
        let beside = data.join(RESHARDING);
        remove(&beside)?;
        fs::create_dir_all(&beside).map_err(file(&beside))?;
        sync(data)?;
        Ok(Target { data: data.clone(), beside, _lock })
    };
    to.iter().map(ready).collect()
}

/// Refuses a folder that holds anything but what an earlier one left unfinished.
fn is_empty(data: &Path) -> Result<(), ReshardError> {
    let unfinished = data.join(RESHARDING).exists();
    let entries = match fs::read_dir(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(file(data))?,
    };
    for entry in entries {
        let name = entry.map_err(file(data))?.file_name();
        let name = name.to_string_lossy();
        if !(unfinished && (name == RESHARDING || PARTS.contains(&&*name))) {
            let why =
                format!("is not empty: it holds {name}; name a folder that is not there, or holds nothing");
            return Err(ReshardError::Refused(format!("{} {why}", data.display())));
        }
    }
    Ok(())
}

impl Target {
    fn put_in_place(&self) -> Result<(), ReshardError> {
        for part in PARTS {
            let (from, to) = (self.beside.join(part), self.data.join(part));
            if from.exists() {
                fs::rename(&from, &to).map_err(file(&to))?;
            }
        }
        Ok(sync(&self.data)?)
    }
}
