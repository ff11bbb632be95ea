//! The data folders of a pipeline, opened together to be read: all of them, and none of another one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Part;
use crate::engine::recover::Standing;
use crate::folder::Folder;
use crate::stores::rocks::RocksStore;
use crate::stores::union::Union;
use crate::stores::{Store, StoreError};

/// How often the folders of a pipeline that runs are opened until all show the same epoch, and how long it waits in
/// between.
const TRIES: usize = 40;
const AGAIN: Duration = Duration::from_millis(25);

/// Why folders cannot be read as one.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They are not the folders of one pipeline.
    #[error("{0}")]
    NotOne(String),
    /// They stand at different epochs.
    #[error(
        "the stores stand at different epochs ({0}): the pipeline ended before each had the last one, or writes faster \
         than they can be opened; start it, and it makes them equal"
    )]
    Epochs(String),
}

/// The folders of all processes of a pipeline, opened for reading.
pub struct Parts {
    /// Each with what its store says, in the order of the processes.
    pub parts: Vec<Opened>,
    /// What all have in common; none of a pipeline of one process.
    pub pipeline: Option<String>,
}

/// One of them.
#[derive(Clone)]
pub struct Opened {
    /// Where it is.
    pub folder: Folder,
    /// Its store, at the epoch that was committed last.
    pub store: Arc<dyn Store>,
    /// What that says it holds.
    pub standing: Standing,
}

impl Opened {
    fn of(path: &Path) -> Result<Self, PartsError> {
        let store: Arc<dyn Store> = Arc::new(RocksStore::open_reader(path)?);
        let standing = Standing::of(&*store)?;
        if standing.epoch == 0 {
            return Err(StoreError::Empty(path.to_owned()).into());
        }
        Ok(Opened { folder: Folder::new(path), store, standing })
    }

    fn path(&self) -> String {
        self.folder.path().display().to_string()
    }
}

impl Parts {
    /// Opens the folders of a pipeline, given in any order. Where the pipeline runs, all at the same epoch.
    pub fn open(paths: &[PathBuf]) -> Result<Self, PartsError> {
        let mut parts = paths.iter().map(|path| Opened::of(path)).collect::<Result<Vec<_>, _>>()?;
        let pipeline = one_pipeline(&mut parts)?;
        for _ in 0..TRIES {
            let newest = parts.iter().map(|part| part.standing.epoch).max().unwrap_or(0);
            if parts.iter().all(|part| part.standing.epoch == newest) {
                return Ok(Parts { parts, pipeline });
            }
            std::thread::sleep(AGAIN);
            for part in parts.iter_mut().filter(|part| part.standing.epoch < newest) {
                *part = Opened::of(part.folder.path())?;
            }
        }
        let each = parts.iter().enumerate();
        let epochs = each.map(|(process, part)| format!("process {process}: {}", part.standing.epoch));
        Err(PartsError::Epochs(epochs.collect::<Vec<_>>().join(", ")))
    }

    /// All of them as one store.
    pub fn union(&self) -> Union<Arc<dyn Store>> {
        Union::new(self.parts.iter().map(|part| part.store.clone()).collect())
    }

    /// The first process's, which says of models, centres and the key what all say.
    pub fn first(&self) -> &Opened {
        &self.parts[0]
    }
}

/// Puts the folders into the order of their processes, and says which pipeline they are of; none of a pipeline of one
/// process. Refuses what is not all of one.
fn one_pipeline(parts: &mut [Opened]) -> Result<Option<String>, PartsError> {
    let refused = |why: String| Err(PartsError::NotOne(why));
    if let [only] = &*parts
        && only.standing.part.is_none()
    {
        return Ok(None);
    }
    let mut known: Vec<(Part, String)> = Vec::new();
    for opened in &*parts {
        let Some(part) = opened.standing.part.clone() else {
            let why = "has all of a pipeline of one process, and is no part of another: name it alone";
            return refused(format!("{} {why}", opened.path()));
        };
        known.push((part, opened.path()));
    }
    let Some((first, path)) = known.first().cloned() else {
        return refused("name the data folders of all processes of a pipeline".into());
    };
    let processes = first.share.processes;
    for (part, other) in &known {
        if part.pipeline != first.pipeline || part.share.processes != processes {
            return refused(format!("{path} and {other} are of different pipelines"));
        }
    }
    let mut names = vec![Vec::new(); processes];
    for (part, path) in &known {
        match names.get_mut(part.share.process) {
            Some(names) => names.push(path.as_str()),
            None => {
                return refused(format!(
                    "{path} says that it is process {} of {processes}",
                    part.share.process
                ));
            }
        }
    }
    for (process, names) in names.iter().enumerate() {
        if let [one, other, ..] = names[..] {
            return refused(format!(
                "{one} and {other} are both of process {process}: name the folder of each process once"
            ));
        }
    }
    let missing = names.iter().enumerate().filter(|(_, names)| names.is_empty());
    let missing: Vec<String> = missing.map(|(process, _)| process.to_string()).collect();
    if !missing.is_empty() {
        let which = if missing.len() == 1 { "process" } else { "processes" };
        let have: Vec<String> =
            known.iter().map(|(part, path)| format!("{path} of process {}", part.share.process)).collect();
        return refused(format!(
            "{}, of a pipeline of {processes} processes: name all its data folders; that of {which} {} is missing",
            have.join(", "),
            missing.join(" and ")
        ));
    }
    parts.sort_by_key(|opened| opened.standing.part.as_ref().map(|part| part.share.process));
    Ok(Some(first.pipeline))
}
