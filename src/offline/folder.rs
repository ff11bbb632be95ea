//! A model's folder: `manifest.json`, `items.parquet`, and `members.digests` where it was trained here.
//!
//! It never changes once it is there. It is written beside its place and renamed into it, so a model is whole or
//! absent; and its version, the hash of its content, is checked whenever it is loaded.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::items_file::{self, ItemsError, OURS, Rows};
use super::items_writer;
use super::manifest::{FORMAT, Manifest};
use super::model::Model;
use super::trained_on::TrainedOn;

/// The name of the manifest in a model's folder.
pub const MANIFEST: &str = "manifest.json";
/// The name of the file of item factors in a model's folder.
pub const ITEMS: &str = "items.parquet";

/// A model that cannot be loaded or saved.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
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
    /// A file that is not what a model is made of.
    #[error("{}: {problem}; {remedy}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A folder that nothing can be put in.
    #[error("cannot write in {}: {why}; choose another folder, or see who may write there", path.display())]
    Unwritable {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: std::io::ErrorKind,
    },
    /// The place is taken.
    #[error(
        "{} holds something else ({found}), and it is never written over; choose another folder or move that one away",
        path.display()
    )]
    Taken {
        /// The folder.
        path: PathBuf,
        /// What lies there.
        found: String,
    },
}

impl ModelError {
    pub(super) fn refused(path: &Path, problem: String, remedy: &'static str) -> ModelError {
        ModelError::Refused { path: path.to_path_buf(), problem, remedy }
    }
}

/// What to do about a model that came to harm.
const COPY_AGAIN: &str = "copy the model's folder again from where it was trained, or train it anew";

impl Model {
    /// Loads a model from its folder, and checks that it is whole and unchanged.
    pub fn load(folder: &Path) -> Result<Model, ModelError> {
        let manifest = Manifest::load(folder)?;
        let refuse = |path: &Path, problem| ModelError::refused(path, problem, COPY_AGAIN);
        let items_path = folder.join(ITEMS);
        let mut rows = Rows::default();
        items_file::read(&items_path, OURS, &mut rows)
            .map_err(|error| items_error("read", &items_path, error))?;
        let Rows { ids: items, values: factors, rank } = rows;
        if rank != manifest.rank {
            let problem = format!("its factors are {rank} long, and {MANIFEST} says {}", manifest.rank);
            return Err(refuse(&items_path, problem));
        }
        let mut model =
            Model::of_sorted(manifest, items, factors).map_err(|problem| refuse(&items_path, problem))?;
        let hash = model.content_hash();
        if hash != model.manifest.version {
            let version = &model.manifest.version;
            let problem = format!(
                "wrong checksum: {ITEMS} and {MANIFEST} hash to {hash}, and the version is {version}"
            );
            return Err(refuse(folder, problem));
        }
        model.trained_on = TrainedOn::read(folder, &hash)?;
        Ok(model)
    }

    /// Whether a model could be saved there, to be asked before one is trained: the folder can be made, and nothing lies
    /// there but perhaps a model, which may turn out to be the same.
    pub fn may_save(folder: &Path) -> Result<(), ModelError> {
        let something = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        if (something && Manifest::load(folder).is_err()) || folder.is_file() {
            return Err(ModelError::Taken { path: folder.to_path_buf(), found: "no whole model".into() });
        }
        beside(folder).map(drop)
    }

    /// Writes the model to a folder that does not exist yet, whole or not at all. Where the same version lies
    /// there already, there is nothing to do.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        if folder.exists() && !self.may_take(folder)? {
            return Ok(());
        }
        put_whole(folder, |beside| {
            self.trained_on.as_ref().map_or(Ok(()), |trained_on| trained_on.write(beside))?;
            self.write_into(beside)
        })
    }

    /// The same without what tells whom it was trained on: for others.
    pub(super) fn save_for_others(&self, folder: &Path) -> Result<(), ModelError> {
        if folder.exists() && !self.may_take(folder)? {
            return Ok(());
        }
        put_whole(folder, |beside| self.write_into(beside))
    }

    fn write_into(&self, folder: &Path) -> Result<(), ModelError> {
        let items = folder.join(ITEMS);
        items_writer::write(&items, self.items(), self.factors().as_slice(), self.manifest.rank)
            .and_then(|file| Ok(file.sync_all()?))
            .map_err(|error| items_error("write", &items, error))?;
        let path = folder.join(MANIFEST);
        let text = serde_json::to_string_pretty(&self.manifest).expect("a manifest is JSON") + "\n";
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            sync_folder(folder)
        };
        write().map_err(|source| ModelError::Io { doing: "write", path: path.clone(), source })
    }

    /// Whether the model is still to be written to this folder: not where its very version lies there.
    fn may_take(&self, folder: &Path) -> Result<bool, ModelError> {
        let empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        if empty {
            return Ok(true);
        }
        let taken = |found: String| Err(ModelError::Taken { path: folder.to_path_buf(), found });
        match Model::load(folder) {
            Ok(known) if known.manifest.version == self.manifest.version => Ok(false),
            Ok(known) => taken(format!("model {}", known.manifest.version)),
            Err(_) => taken("no whole model".into()),
        }
    }
}

/// Puts a folder in its place whole or not at all: `write` fills one beside it, which is then renamed.
pub(super) fn put_whole(
    folder: &Path,
    write: impl FnOnce(&Path) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    let (parent, beside) = beside(folder)?;
    write(beside.path())?;
    // Owner-only is how temporary folders are made; a model is for others to read too.
    open_up(beside.path()).map_err(io("set the mode of", beside.path()))?;
    fs::rename(beside.path(), folder).map_err(io("put the model in", folder))?;
    // Renamed away: there is nothing left to clean up.
    let _ = beside.keep();
    sync_folder(parent).map_err(io("sync", parent))
}

/// The folder that a model's folder lies in, made where there is none, and a new one in it to be renamed.
fn beside(folder: &Path) -> Result<(&Path, tempfile::TempDir), ModelError> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The kind alone: the words of the system would name a folder that nobody asked for.
    let unwritable =
        |error: std::io::Error| ModelError::Unwritable { path: parent.to_path_buf(), why: error.kind() };
    if parent.exists() && !parent.is_dir() {
        return Err(unwritable(std::io::ErrorKind::NotADirectory.into()));
    }
    fs::create_dir_all(parent).map_err(unwritable)?;
    let beside = tempfile::Builder::new().prefix(".nearline-model-").tempdir_in(parent);
    Ok((parent, beside.map_err(unwritable)?))
}

pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ModelError {
    let path = path.to_path_buf();
    move |source| ModelError::Io { doing, path, source }
}

impl Manifest {
    /// Reads the manifest of a model's folder.
    pub fn load(folder: &Path) -> Result<Manifest, ModelError> {
        let path = folder.join(MANIFEST);
        let refuse = |problem, remedy| ModelError::refused(&path, problem, remedy);
        let text = fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => refuse(
                "there is no such file, so this is no model".into(),
                "name the folder that `nearline train --out` wrote, or make one with `nearline model import`",
            ),
            _ => ModelError::Io { doing: "read", path: path.clone(), source },
        })?;
        let format: Result<OnlyFormat, _> = serde_json::from_slice(&text);
        if let Ok(OnlyFormat { format }) = format
            && format != FORMAT
        {
            let problem = format!("the model has format {format}, and this program reads format {FORMAT}");
            return Err(refuse(problem, "use the program that wrote the model, or train it anew"));
        }
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| refuse(error.to_string(), COPY_AGAIN))?;
        manifest.problem().map_or(Ok(manifest), |problem| Err(refuse(problem, COPY_AGAIN)))
    }
}

#[derive(serde::Deserialize)]
struct OnlyFormat {
    format: u32,
}

fn items_error(doing: &'static str, path: &Path, error: ItemsError) -> ModelError {
    match error {
        ItemsError::Io(source) => io(doing, path)(source),
        other => ModelError::refused(path, other.to_string(), COPY_AGAIN),
    }
}

pub(super) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(unix)]
fn open_up(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn open_up(_: &Path) -> std::io::Result<()> {
    Ok(())
}
