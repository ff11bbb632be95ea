//! What an erasure says of itself: a receipt that names nobody.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backups::Made;
use crate::engine::erasing::Removed;
use crate::folder::Folder;

/// The format of receipts.
pub const FORMAT: u32 = 1;

/// What was erased, and what could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The format of the receipt: 1.
    pub format: u32,
    /// When the bytes were gone, RFC 3339 in UTC.
    pub erased_at: String,
    /// The fingerprint of the key that digests of members are made with.
    pub key: String,
    /// What made the erasure.
    pub by: By,
    /// The members that were forgotten, oldest first.
    pub members: Vec<Forgotten>,
    /// Files of the store.
    pub files: Files,
    /// Lines of `rejected.jsonl` of which nothing but source, position and reason is left.
    pub rejected_redacted: u64,
    /// The models of the folder, by version, of which it is not known whom they were trained on.
    #[serde(default)]
    pub models_unknown: Vec<String>,
    /// Backups of this folder from before, which hold the members until they are destroyed or made anew.
    pub backups: Vec<Backup>,
    /// Files of the archive that held one of the members, by URL; others are in their place.
    #[serde(default)]
    pub archived: Vec<String>,
    /// Repositories that held the archive of this folder before it was turned off there: what they hold is not erased.
    #[serde(default)]
    pub archives_left: Vec<String>,
    /// Addresses of the mirrors, in which nothing of the members is left.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// Addresses of mirrors that were given up: what they hold is not erased.
    #[serde(default)]
    pub mirrors_left: Vec<String>,
}

/// A backup that was not erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// Where and when it was made.
    #[serde(flatten)]
    pub made: Made,
    /// Whether it can be seen there. One that cannot may have been moved, or be on a disk that is not mounted.
    pub reachable: bool,
}

/// What made an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// `nearline forget`.
    Command,
    /// The end of a process into which forgets had been piped.
    End,
    /// The start of a process: the one before had ended between the forget and the erasure.
    Start,
}

/// A member that was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forgotten {
    /// The keyed digest of the member's id, 32 hexadecimal digits: what is left of the member.
    pub member_digest: String,
    /// Everything up to this moment is forgotten, in milliseconds since 1970.
    pub at: i64,
    /// The epoch from which on the member is gone.
    pub epoch: u64,
    /// What was taken out of the store.
    pub removed: Removed,
    /// The models of the folder, by version, that were trained on the member.
    #[serde(default)]
    pub models: Vec<String>,
}

/// What was written anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Files {
    /// How many files there were, all of which are gone.
    pub rewritten: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// How many bytes the files have that took their place.
    pub bytes_after: u64,
}

impl Receipt {
    /// Keeps the receipt in the folder; says where.
    pub fn keep(&self, folder: &Folder) -> io::Result<PathBuf> {
        let receipts = folder.receipts();
        fs::create_dir_all(&receipts)?;
        let epoch = self.members.iter().map(|member| member.epoch).max().unwrap_or(0);
        let when: String = self.erased_at.chars().filter(char::is_ascii_alphanumeric).collect();
        let path = receipts.join(format!("forget-{epoch}-{when}.json"));
        self.write(&path)?;
        Ok(path)
    }

    /// Writes the receipt to a file, whole or not at all.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".nearline-receipt-").tempfile_in(parent)?;
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)? + "\n";
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(parent)?.sync_all()
    }
}

/// The JSON Schema of a receipt.
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Receipt)).expect("a schema is JSON")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_in_the_repository_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/receipt.schema.json");
        let text = serde_json::to_string_pretty(&super::schema()).unwrap() + "\n";
        if std::env::var_os("NEARLINE_REWRITE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text, "NEARLINE_REWRITE=1 writes it anew");
    }
}
