//! Jobs: commands of nearline that a running pipeline does by itself at certain times, so that training, clustering and batch
//! lists need nobody.
//!
//! A job is a process of the same program (`child.rs`), over the same data folder and with the same config: it reads the store
//! as a reader, or asks through the socket, as when somebody types it. `scheduler.rs` begins runs when it is time and `run.rs`
//! sees one through, with its retries; `history.rs` is what is known of runs and `board.rs` keeps it in `jobs.json` of the data
//! folder: what is noted there is on disk before a process begins and after it has ended. So a run that is broken off by a
//! crash is found by the next start, and made good. `alerts.rs` says when somebody is to look.

pub mod alerts;
pub mod board;
mod child;
pub mod history;
pub mod parent;
mod run;
mod scheduler;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

pub use run::{Publisher, Way};
pub use scheduler::Scheduler;

use crate::folder::Folder;

/// What cannot be done with jobs.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// There is no such job.
    #[error("the config has no job {name}; {}", if .known.is_empty() { "give it a table [jobs.NAME]".to_owned() } else { format!("it has {}", .known.join(", ")) })]
    None {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A run of it is under way.
    #[error("a run of the job {0} is under way; wait for its end")]
    UnderWay(String),
    /// Another process does the jobs of the folder.
    #[error("another process does the jobs of this folder; wait for its end")]
    Held,
    /// The process is ending.
    #[error("the process that does the jobs is ending; ask again")]
    Ending,
    /// A file of the data folder.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The history cannot be read.
    #[error("{} cannot be read: {problem}; remove it to begin without a history", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl JobsError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| JobsError::Io { doing, path: path.to_path_buf(), source }
    }
}

/// The right to do the jobs of a folder; the system takes it back from a process that ends, however that does.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, where no other process has it.
    pub fn take(folder: &Folder) -> Result<Lock, JobsError> {
        let path = folder.jobs_lock();
        let file = File::create(&path).map_err(JobsError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(JobsError::Held),
            Err(TryLockError::Error(source)) => Err(JobsError::Io { doing: "lock", path, source }),
        }
    }
}
