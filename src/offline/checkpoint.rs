//! Checkpoints: training as it was after an iteration, on disk, to be gone on from to the same bits
//! (docs/formats.md, "Checkpoints").
//!
//! Factors of items and of members are kept: an iteration may begin from either. A file is written beside its place, synced
//! and renamed into it, so that a crash leaves the one before; the newest two stay.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use nearline_factors::{Factors, State};
use serde::{Deserialize, Serialize};

pub use super::origin::Origin;

/// The first line of a checkpoint, with the format that this program writes and the only one it reads.
const HEAD: &[u8] = b"nearline checkpoint 1\n";
/// What the first line of every format begins with.
const ANY_HEAD: &[u8] = b"nearline checkpoint ";
/// The bytes of the hash at the end.
const HASH: usize = 32;
/// How many checkpoints stay: should the newest come to harm on the disk, there is the one before.
const KEPT: usize = 2;
/// What a file is called while it is written.
const UNFINISHED: &str = "unfinished";

/// Training as it was after an iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The loss after each iteration so far.
    pub losses: Vec<f64>,
    /// What training goes on from.
    pub state: State,
}

/// The folder that the checkpoints of one training lie in.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    origin: Origin,
}

/// A checkpoint that cannot be written or gone on from.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system's say.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Not a whole checkpoint.
    #[error("cannot go on from {}: {problem}; {remedy}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// A whole checkpoint of something else.
    #[error(
        "cannot go on from {}: {difference}; train as it was begun, or name another folder and begin anew",
        path.display()
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// What differs.
        difference: String,
    },
}

/// The line of JSON after the first one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    iteration: usize,
    members: usize,
    items: usize,
    losses: Vec<f64>,
    origin: Origin,
}

impl Checkpoints {
    /// Those of a training in a folder, which is made where there is none.
    pub fn open(folder: &Path, origin: Origin) -> Result<Self, CheckpointError> {
        fs::create_dir_all(folder).map_err(io("create", folder))?;
        Ok(Checkpoints { folder: folder.to_path_buf(), origin })
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The iteration of the newest one in a folder, whatever it is of.
    pub fn newest_in(folder: &Path) -> Result<Option<usize>, CheckpointError> {
        Ok(iterations_in(folder)?.last().copied())
    }

    /// The newest one, whole and of this very training; none where there is none.
    pub fn load(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let iterations = iterations_in(&self.folder)?;
        let Some(newest) = iterations.last() else { return Ok(None) };
        let path = self.folder.join(file_name(*newest));
        let bytes = fs::read(&path).map_err(io("read", &path))?;
        let damaged = |problem: String| {
            let remedy = match iterations.len() {
                0 | 1 => "remove the file and begin anew".to_owned(),
                more => format!("remove the file to go on from iteration {}", iterations[more - 2]),
            };
            CheckpointError::Damaged { path: path.clone(), problem, remedy }
        };
        let (origin, checkpoint) = decode(&bytes).map_err(damaged)?;
        match origin.difference(&self.origin) {
            Some(difference) => Err(CheckpointError::Other { path, difference }),
            None => Ok(Some(checkpoint)),
        }
    }

    /// Saves one, on disk when this returns, and removes those that are no longer kept.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let beside = self.folder.join(UNFINISHED);
        let bytes = encode(&self.origin, checkpoint);
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(&bytes)?;
            file.sync_all()
        };
        write().map_err(io("write", &beside))?;
        let path = self.folder.join(file_name(checkpoint.state.iteration));
        fs::rename(&beside, &path).map_err(io("put a checkpoint at", &path))?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(io("sync", &self.folder))?;
        let mut old = iterations_in(&self.folder)?;
        old.truncate(old.len().saturating_sub(KEPT));
        for iteration in old {
            let path = self.folder.join(file_name(iteration));
            fs::remove_file(&path).map_err(io("remove", &path))?;
        }
        Ok(())
    }
}

fn encode(origin: &Origin, checkpoint: &Checkpoint) -> Vec<u8> {
    let Checkpoint { losses, state: State { iteration, members, items } } = checkpoint;
    let header = Header {
        iteration: *iteration,
        members: members.rows(),
        items: items.rows(),
        losses: losses.clone(),
        origin: origin.clone(),
    };
    let mut bytes = HEAD.to_vec();
    serde_json::to_writer(&mut bytes, &header).expect("numbers and names are JSON");
    bytes.push(b'\n');
    for factors in [items, members] {
        bytes.extend(factors.as_slice().iter().flat_map(|number| number.to_le_bytes()));
    }
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

/// What a file says it is of, and the checkpoint; the error says what is wrong with the file.
fn decode(bytes: &[u8]) -> Result<(Origin, Checkpoint), String> {
    if bytes.starts_with(ANY_HEAD) && !bytes.starts_with(HEAD) {
        return Err("it has another format, and this program reads format 1".into());
    }
    let whole = bytes.len().checked_sub(HASH).map(|end| bytes.split_at(end));
    let (content, hash) = whole.ok_or("it is cut off")?;
    let rest = content.strip_prefix(HEAD).ok_or("it is no checkpoint")?;
    if blake3::hash(content).as_bytes() != hash {
        return Err("it is damaged: its content does not have the hash that it ends with".into());
    }
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or("it has no header")?;
    let Header { iteration, members, items, losses, origin } = serde_json::from_slice(&rest[..end])
        .map_err(|error| format!("its header cannot be read: {error}"))?;
    let (numbers, odd) = rest[end + 1..].as_chunks::<4>();
    let whole = items.checked_add(members).and_then(|rows| rows.checked_mul(origin.rank));
    if !odd.is_empty() || whole != Some(numbers.len()) || losses.len() != iteration {
        return Err("its header does not fit what follows".into());
    }
    let (items, members) = numbers.split_at(items * origin.rank);
    let factors = |numbers: &[[u8; 4]]| {
        let numbers = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Factors::new(origin.rank, numbers).map_err(|error| error.to_string())
    };
    let state = State { iteration, members: factors(members)?, items: factors(items)? };
    Ok((origin, Checkpoint { losses, state }))
}

/// The iterations that a folder has checkpoints of, in order; of a folder that is not there, none.
fn iterations_in(folder: &Path) -> Result<Vec<usize>, CheckpointError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io("read", folder))?,
    };
    let mut iterations = Vec::new();
    for entry in entries {
        let name = entry.map_err(io("read", folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("iteration-"));
        iterations.extend(number.and_then(|number| number.parse::<usize>().ok()));
    }
    iterations.sort_unstable();
    Ok(iterations)
}

fn file_name(iteration: usize) -> String {
    format!("iteration-{iteration:04}")
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.to_path_buf();
    move |source| CheckpointError::Io { doing, path, source }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
