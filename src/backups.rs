//! Backups: a data folder as it was at one epoch, in a folder of its own, and back again.
//!
//! A backup leaves the key of the digests out unless asked: with it, whoever finds the backup could try ids against what
//! was forgotten; without it, a restored folder could not keep them out. So the key is kept apart. A folder remembers
//! where backups of it were made, so that receipts of erasures can name those that still hold the member.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digests::{DigestKey, hex};
use crate::engine::recover::Standing;
use crate::failpoints::reach;
use crate::folder::{Folder, write_key};
use crate::stores::formats::meta;
use crate::stores::rocks::{RESTORING, RocksStore, lock};
use crate::stores::{self, Store, StoreError, Table, Tables, formats};

/// The format of backups.
pub const FORMAT: u32 = 1;
/// What a backup says of itself.
const MANIFEST: &str = "backup.json";
/// What is restored of a backup; the store last, with which a folder is one.
const PARTS: [&str; 5] = ["models", "centres", "receipts", "rejected.jsonl", "store"];

/// What a backup says of itself: `backup.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// The format of the backup: 1.
    pub format: u32,
    /// When it was made, RFC 3339 in UTC.
    pub made_at: String,
    /// The epoch that it holds.
    pub epoch: u64,
    /// How many live events.
    pub live_events: u64,
    /// The model that its lists are made with.
    pub model: Option<String>,
    /// The fingerprint of the key that its digests are made with.
    pub key: String,
    /// Whether that key is in it.
    pub with_key: bool,
    /// Whether the rejected lines are.
    pub with_rejected: bool,
}

/// Where a backup was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// The folder, by its full path.
    pub path: String,
    /// The epoch that it holds, or a later one.
    pub epoch: u64,
    /// When it was made, in milliseconds since 1970.
    pub at: i64,
}

/// Why there is no backup, or none was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{}: {why}{}", .path.display(), stores::advice(&why.to_string()))]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// The place is taken, or the backup is none, or the key is not its own.
    #[error("{0}")]
    Refused(String),
}

fn file(path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.to_owned();
    move |why| BackupError::File { path: path.clone(), why }
}

/// What goes into a backup besides store, models and receipts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct With {
    /// The key of the digests.
    pub key: bool,
    /// The rejected lines.
    pub rejected: bool,
}

/// Where backups of a folder were made, oldest first.
pub fn made(store: &dyn Tables) -> Result<Vec<Made>, StoreError> {
    let Some(value) = store.get(Table::Meta, meta::BACKUPS)? else { return Ok(Vec::new()) };
    serde_json::from_slice(&value)
        .map_err(|error| formats::damaged(Table::Meta, meta::BACKUPS, &error.to_string()))
}

/// Changes the list of backups.
fn remember(store: &dyn Store, change: impl FnOnce(&mut Vec<Made>)) -> Result<(), StoreError> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut list = made(store)?;
    change(&mut list);
    let mut write = store.begin();
    write.put(Table::Meta, meta::BACKUPS, &serde_json::to_vec(&list).unwrap_or_default());
    write.commit(true)
}

/// Takes a backup that is no more off the list; says whether it was on it.
pub fn forget(store: &dyn Store, path: &Path) -> Result<bool, StoreError> {
    let path = path.display().to_string();
    let mut was = false;
    remember(store, |list| {
        let before = list.len();
        list.retain(|made| made.path != path);
        was = list.len() < before;
    })?;
    Ok(was)
}

impl Made {
    /// Whether it can be seen where it was made.
    pub fn is_there(&self) -> bool {
        read_manifest(Path::new(&self.path)).is_ok()
    }
}

/// Makes a backup of an open folder: whole, or not there.
pub fn make(
    store: &dyn Store,
    folder: &Folder,
    to: &Path,
    with: With,
    now_ms: i64,
) -> Result<Backup, BackupError> {
    if to.exists() {
        let refused = format!("{} is there already; name a folder that is not", to.display());
        return Err(BackupError::Refused(refused));
    }
    let (Some(parent), Some(name)) = (to.parent(), to.file_name()) else {
        return Err(BackupError::Refused(format!("{} names no folder", to.display())));
    };
    fs::create_dir_all(parent).map_err(file(parent))?;
    let beside = parent.join(format!(".{}.unfinished", name.to_string_lossy()));
    // First, so that none is made that nobody knows of.
    let path = to.display().to_string();
    let epoch = Standing::of(store)?.epoch;
    remember(store, |list| {
        list.retain(|made| made.path != path);
        list.push(Made { path: path.clone(), epoch, at: now_ms });
    })?;
    let filled = remove(&beside).and_then(|()| fill(store, folder, &beside, with)).and_then(|backup| {
        reach("backup-filled");
        fs::rename(&beside, to).map_err(file(to))?;
        sync(parent)?;
        Ok(backup)
    });
    if filled.is_err() {
        let _ = remove(&beside);
        if !to.exists() {
            forget(store, to)?;
        }
    }
    filled
}

fn fill(store: &dyn Store, folder: &Folder, into: &Path, with: With) -> Result<Backup, BackupError> {
    fs::create_dir_all(into).map_err(file(into))?;
    store.checkpoint(&into.join("store"))?;
    // The store of the backup says what it holds, and can be opened.
    let standing = Standing::of(&RocksStore::open_reader(into)?)?;
    for (from, name) in
        [(folder.models(), "models"), (folder.centres(), "centres"), (folder.receipts(), "receipts")]
    {
        copy_folder(&from, &into.join(name))?;
    }
    let copied = |version: &&str| into.join("models").join(version).exists();
    if let Some(model) = standing.lists.models().into_iter().find(|version| !copied(version)) {
        let why = format!("model {model} was replaced while the backup was made; ask again");
        return Err(BackupError::Refused(why));
    }
    let gone = |centres: &formats::CentresInUse| !Folder::new(into).centres_of(&centres.version).exists();
    if let Some(centres) = standing.centres.filter(gone) {
        let why = format!("centres {} were replaced while the backup was made; ask again", centres.version);
        return Err(BackupError::Refused(why));
    }
    let key = folder.key(standing.key.as_deref()).map_err(file(&folder.key_file()))?;
    let own = Folder::new(into);
    if with.key {
        write_key(&own.key_file(), &key).map_err(file(into))?;
    }
    if with.rejected {
        copy_file(&folder.rejected(), &own.rejected())?;
    }
    let backup = Backup {
        format: FORMAT,
        made_at: jiff::Timestamp::now().to_string(),
        epoch: standing.epoch,
        live_events: standing.counts.live_events,
        model: standing.lists.model,
        key: key.fingerprint(),
        with_key: with.key,
        with_rejected: with.rejected,
    };
    let path = into.join(MANIFEST);
    let text = serde_json::to_string_pretty(&backup).unwrap_or_default() + "\n";
    let write = || {
        let mut file = File::create(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(file(&path))?;
    sync(into)?;
    Ok(backup)
}

/// Makes a data folder of a backup: whole, or without a store.
pub fn restore(from: &Path, folder: &Folder, key: Option<&Path>) -> Result<Backup, BackupError> {
    let backup = read_manifest(from)?;
    let data = folder.path();
    may_restore(data)?;
    // From here on no other process may begin a store there, nor another restore go on.
    fs::create_dir_all(data).map_err(file(data))?;
    let _lock = lock::lock(data)?;
    may_restore(data)?;
    let key = the_key(&backup, from, folder, key)?;
    let beside = data.join(RESTORING);
    remove(&beside)?;
    fs::create_dir_all(&beside).map_err(file(&beside))?;
    for part in PARTS {
        let (from, to) = (from.join(part), beside.join(part));
        if from.is_dir() {
            copy_folder(&from, &to)?;
        } else if from.exists() {
            copy_file(&from, &to)?;
        }
    }
    // A store that cannot be opened is not put in place.
    let standing = Standing::of(&RocksStore::open_reader(&beside)?)?;
    if standing.epoch != backup.epoch {
        let why = format!("its store holds epoch {}, and {MANIFEST} says {}", standing.epoch, backup.epoch);
        return Err(BackupError::Refused(format!("{}: {why}", from.display())));
    }
    write_key(&folder.key_file(), &key).map_err(file(&folder.key_file()))?;
    // The store comes last: with it the folder is one.
    for part in PARTS {
        reach("restore-part");
        let (from, to) = (beside.join(part), data.join(part));
        if from.exists() {
            remove(&to)?;
            fs::rename(&from, &to).map_err(file(&to))?;
        }
    }
    sync(data)?;
    remove(&beside)?;
    Ok(backup)
}

/// Refuses a folder that holds anything but a key and what an earlier restore left unfinished.
fn may_restore(data: &Path) -> Result<(), BackupError> {
    let unfinished = data.join(RESTORING).exists() && !data.join("store").exists();
    let left = |name: &str| unfinished && (name == RESTORING || PARTS.contains(&name));
    let entries = match fs::read_dir(data) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file(data)(error)),
    };
    for entry in entries {
        let name = entry.map_err(file(data))?.file_name();
        let name = name.to_string_lossy();
        if name != "digest.key" && !left(&name) {
            let why = format!(
                "{} is not empty: it holds {name}; restore into a folder that holds nothing, or the key alone",
                data.display()
            );
            return Err(BackupError::Refused(why));
        }
    }
    Ok(())
}

/// The key that was given, or the one in place, or the backup's own: it must be the one of the digests.
fn the_key(
    backup: &Backup,
    from: &Path,
    folder: &Folder,
    given: Option<&Path>,
) -> Result<DigestKey, BackupError> {
    let places = [folder.key_file(), Folder::new(from).key_file()];
    let Some(path) = given.map(Path::to_owned).or(places.into_iter().find(|path| path.exists())) else {
        let why = "the key of the digests is not in the backup: name its file with --key, or put it in place as \
                   digest.key; without it nothing that was forgotten would be recognised";
        return Err(BackupError::Refused(why.into()));
    };
    let text = fs::read_to_string(&path).map_err(file(&path))?;
    let key = hex::<32>(text.trim()).map(DigestKey::new);
    key.filter(|key| key.fingerprint() == backup.key).ok_or_else(|| {
        let why = format!("{} is not the key that the backup's digests are made with", path.display());
        BackupError::Refused(why)
    })
}

fn read_manifest(backup: &Path) -> Result<Backup, BackupError> {
    let path = backup.join(MANIFEST);
    let text = fs::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            BackupError::Refused(format!("{} is no backup: there is no {MANIFEST} in it", backup.display()))
        }
        _ => file(&path)(error),
    })?;
    let refused = |why: String| BackupError::Refused(format!("{}: {why}", path.display()));
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
    if value["format"] != FORMAT {
        let why = format!("the backup has format {}, and this nearline reads {FORMAT}", value["format"]);
        return Err(refused(why));
    }
    serde_json::from_value(value).map_err(|error| refused(error.to_string()))
}

/// Removes a file or folder, where it is there.
pub(crate) fn remove(path: &Path) -> Result<(), BackupError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(path)(error)),
        _ => Ok(()),
    }
}

/// Copies a folder, where there is one, but for what is being written in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<(), BackupError> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file(from)(error)),
    };
    fs::create_dir_all(to).map_err(file(to))?;
    for entry in entries {
        let entry = entry.map_err(file(from))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if from.is_dir() {
            copy_folder(&from, &to)?;
        } else {
            copy_file(&from, &to)?;
        }
    }
    sync(to)
}

/// Copies a file, where there is one.
fn copy_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    match fs::copy(from, to).and_then(|_| File::open(to)?.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(()),
        copied => copied.map_err(file(to)),
    }
}

pub(crate) fn sync(folder: &Path) -> Result<(), BackupError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(file(folder))
}

/// The JSON Schema of `backup.json`.
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Backup)).expect("a schema is JSON")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_in_the_repository_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/backup.schema.json");
        let text = serde_json::to_string_pretty(&super::schema()).unwrap() + "\n";
        if std::env::var_os("NEARLINE_REWRITE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text, "NEARLINE_REWRITE=1 writes it anew");
    }
}
