//! The data folder: what lies where in it, and its key.
//!
//! ```text
//! store/           RocksDB
//! digest.key       the key of the digests, 32 bytes as hexadecimal, mode 0600
//! models/VERSION/  the models that lists were made with
//! centres/VERSION/ the centres of clusters in use
//! rejected.jsonl   lines that could not be taken
//! receipts/        what was erased
//! subscriptions.json  publications that are followed, and what is in use of them
//! alerts.json      alerts that are raised
//! publications/    what is being fetched of a publication
//! jobs.json        jobs: their last runs, and when the next one is
//! jobs.lock        held by the process that does jobs
//! nearline.sock    how commands reach the process that writes, mode 0600
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::digests::DigestKey;
use crate::failpoints::reach;

/// A data folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at a path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Folder(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file of the key.
    pub fn key_file(&self) -> PathBuf {
        self.0.join("digest.key")
    }

    /// The lines that could not be taken.
    pub fn rejected(&self) -> PathBuf {
        self.0.join("rejected.jsonl")
    }

    /// Receipts of what was erased.
    pub fn receipts(&self) -> PathBuf {
        self.0.join("receipts")
    }

    /// The folder of a model.
    pub fn model(&self, version: &str) -> PathBuf {
        self.models().join(version)
    }

    /// Where the models are that lists were made with.
    pub fn models(&self) -> PathBuf {
        self.0.join("models")
    }

    /// The folder of centres of clusters.
    pub fn centres_of(&self, version: &str) -> PathBuf {
        self.centres().join(version)
    }

    /// Where the centres of clusters are that are in use.
    pub fn centres(&self) -> PathBuf {
        self.0.join("centres")
    }

    /// What is known of the publications that are followed.
    pub fn subscriptions(&self) -> PathBuf {
        self.0.join("subscriptions.json")
    }

    /// Alerts that are raised.
    pub fn alerts(&self) -> PathBuf {
        self.0.join("alerts.json")
    }

    /// What is known of jobs.
    pub fn jobs(&self) -> PathBuf {
        self.0.join("jobs.json")
    }

    /// Held by the process that does jobs.
    pub fn jobs_lock(&self) -> PathBuf {
        self.0.join("jobs.lock")
    }

    /// Where publications are fetched to.
    pub fn publications(&self) -> PathBuf {
        self.0.join("publications")
    }

    /// The socket of the process that writes.
    pub fn socket(&self) -> PathBuf {
        self.0.join("nearline.sock")
    }

    /// The key. A folder that has none yet gets one; one whose store was written with another is refused, since
    /// nothing that was retracted or forgotten would be recognised: `written_with` is the fingerprint in the store.
    pub fn key(&self, written_with: Option<&str>) -> io::Result<DigestKey> {
        let path = self.key_file();
        let refused = |problem: &str| {
            let message = format!("{} {problem}; restore it from a backup", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let key = match fs::read_to_string(&path) {
            Ok(text) => crate::digests::hex::<32>(text.trim())
                .map(DigestKey::new)
                .ok_or_else(|| refused("does not hold 64 hexadecimal digits"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && written_with.is_none() => {
                fs::create_dir_all(&self.0)?;
                let mut bytes = [0; 32];
                File::open("/dev/urandom")?.read_exact(&mut bytes)?;
                let key = DigestKey::new(bytes);
                write_key(&path, &key)?;
                key
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(refused("is gone, and the store was written with it"));
            }
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
            }
        };
        match written_with {
            Some(known) if known != key.fingerprint() => {
                Err(refused("is not the key that the store was written with"))
            }
            _ => Ok(key),
        }
    }
}

/// Writes a file, over what is there, so that it is there whole or as it was before.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Writes a key so that it is there whole or not at all.
pub fn write_key(path: &Path, key: &DigestKey) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    writeln!(file, "{}", crate::digests::to_hex(key.bytes()))?;
    file.sync_all()?;
    reach("key-written");
    fs::rename(&temporary, path)?;
    reach("key-kept");
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
