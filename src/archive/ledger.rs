//! The ledger of an archive: which files are live, and up to which epoch all is in them.
//!
//! An object that is put whole, after the files that it names and before those are deleted that it names no more. So a
//! crash leaves files that no ledger names, which the next one who writes sweeps out.

use serde::{Deserialize, Serialize};

use super::ArchiveError;
use crate::repositories::{Repository, RepositoryError};

/// The format of ledgers.
const FORMAT: u32 = 1;

/// What an archive consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The format of the ledger: 1.
    pub format: u32,
    /// How often it was put: another number each time.
    pub version: u64,
    /// The fingerprint of the data folder's key: whose archive it is.
    pub key: String,
    /// The epoch up to which all is archived.
    pub archived: u64,
    /// The files, by name.
    pub files: Vec<ArchivedFile>,
}

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedFile {
    /// Its name, below the repository's URL.
    pub name: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many records.
    pub records: u64,
    /// The epochs of these: the first
    pub from: u64,
    /// and the last.
    pub to: u64,
}

impl ArchivedFile {
    /// The folder that it lies in: that of a day.
    pub fn day(&self) -> &str {
        self.name.rsplit_once('/').map_or("", |(day, _)| day)
    }
}

impl Ledger {
    /// The object's name. What begins with `_` is no data to Spark and its like.
    pub const NAME: &str = "_nearline/ledger.json";

    /// One without files.
    pub fn new(key: String) -> Ledger {
        Ledger { format: FORMAT, version: 0, key, archived: 0, files: Vec::new() }
    }

    /// Reads a repository's ledger; none where there is none.
    pub fn read(repository: &Repository) -> Result<Option<Ledger>, RepositoryError> {
        let Some(bytes) = repository.get(Ledger::NAME)? else { return Ok(None) };
        let damaged = |problem: String| RepositoryError::Failed {
            url: repository.url().to_owned(),
            doing: "read",
            name: Ledger::NAME.to_owned(),
            problem,
            passing: false,
        };
        let ledger: Ledger = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if ledger.format != FORMAT {
            let said = format!("its format is {}, and this nearline reads {FORMAT}", ledger.format);
            return Err(damaged(said));
        }
        Ok(Some(ledger))
    }

    /// Puts it, as the next version.
    pub fn put(&mut self, repository: &Repository) -> Result<(), ArchiveError> {
        self.version += 1;
        self.files.sort_by(|a, b| a.name.cmp(&b.name));
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        repository.put(Ledger::NAME, text).inspect_err(|_| self.version -= 1)?;
        Ok(())
    }
}
