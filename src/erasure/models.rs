//! Models that were trained on members who were forgotten since: found while the ids are known, and marked for good.
//!
//! A model holds nothing of a member that could be taken out; it can only be trained anew. So the mark, a model's version
//! with a member's keyed digest, stays where the model goes and comes back.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::offline::ModelError;
use crate::offline::trained_on::TrainedOn;
use crate::stores::formats::meta;
use crate::stores::{StoreError, Table, Tables, Transaction};

/// The models of a folder, and whom they were trained on.
pub(super) struct Models {
    known: Vec<(String, TrainedOn)>,
    /// Versions of which it is not known.
    pub(super) unknown: Vec<String>,
}

/// A model of a folder, as `status` tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelStatus {
    /// Its version.
    pub version: String,
    /// Whether it is known whom it was trained on: not of a model that was imported.
    pub members_known: bool,
    /// How many members were forgotten since whom it was trained on.
    pub trained_on_forgotten: u64,
}

/// The versions of the models in a folder, sorted.
pub fn versions(folder: &Folder) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder.models()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
    let names = names?.into_iter().filter_map(|name| name.into_string().ok());
    let mut versions: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    versions.sort();
    Ok(versions)
}

impl Models {
    pub(super) fn of(folder: &Folder) -> Result<Self, ModelError> {
        let models = folder.models();
        let mut of = Models { known: Vec::new(), unknown: Vec::new() };
        let found =
            versions(folder).map_err(|source| ModelError::Io { doing: "look into", path: models, source })?;
        for version in found {
            match TrainedOn::read(&folder.model(&version), &version)? {
                Some(members) => of.known.push((version, members)),
                None => of.unknown.push(version),
            }
        }
        Ok(of)
    }

    /// The versions that were trained on a member, each of which is marked.
    pub(super) fn mark(&self, member: &str, digest: &[u8; 16], change: &mut dyn Transaction) -> Vec<String> {
        let trained = self.known.iter().filter(|(_, members)| members.holds(member));
        let versions: Vec<String> = trained.map(|(version, _)| version.clone()).collect();
        for version in &versions {
            change.put(Table::Meta, &[meta::TRAINED_ON, version.as_bytes(), digest].concat(), b"");
        }
        versions
    }
}

/// What is known of the models in a folder.
pub fn status(store: &dyn Tables, folder: &Folder) -> Result<Vec<ModelStatus>, StoreError> {
    let mut marks: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    store.scan(Table::Meta, meta::TRAINED_ON, &[], &mut |key, _| {
        let version = &key[meta::TRAINED_ON.len()..key.len().saturating_sub(16).max(meta::TRAINED_ON.len())];
        *marks.entry(version.to_vec()).or_default() += 1;
        ControlFlow::Continue(())
    })?;
    let of = |version: String| ModelStatus {
        members_known: folder.model(&version).join(crate::offline::trained_on::MEMBERS).exists(),
        trained_on_forgotten: marks.get(version.as_bytes()).copied().unwrap_or(0),
        version,
    };
    Ok(versions(folder).unwrap_or_default().into_iter().map(of).collect())
}
