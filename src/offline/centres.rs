//! Centres of clusters on disk: a folder of `manifest.json` and `centres.npy`, which never changes once it is there. Its
//! version is a hash of what members are found by: the centres and the model that they were made with.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use std::sync::Arc;

use nearline_dataflows::clusters::Centres;
use nearline_factors::Factors;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::folder::{MANIFEST, io, put_whole, sync_folder};
use super::model::ModelError;
use super::npy;

/// The format that this program writes, and the only one it reads.
const FORMAT: u32 = 1;
/// The file of the centres: clusters × rank, floats of single precision, each row of length 1.
pub const CENTRES: &str = "centres.npy";
/// What to do about centres that came to harm.
const AGAIN: &str = "copy the folder again, or make centres anew with `nearline cluster`";

/// What centres say of themselves, `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CentresManifest {
    /// The format of the folder.
    pub format: u32,
    /// BLAKE3, as 64 hexadecimal digits, of the centres and the model's version.
    pub version: String,
    /// The version of the model whose members' factors they are centres of.
    pub model: String,
    /// The length of a centre.
    pub rank: usize,
    /// How many there are.
    pub clusters: usize,
    /// How many members were nearest to each when they were made.
    pub members: Vec<u64>,
    /// The sum of 1 - cos over all members: with the starts, and after each time that centres moved.
    pub inertia: Vec<f64>,
    /// What the starts were drawn from.
    pub seed: u64,
    /// The epoch of the factors that they were made from.
    pub epoch: u64,
    /// When they were made, RFC 3339 in UTC.
    pub made_at: String,
}

/// Centres and what they say of themselves.
#[derive(Debug, Clone)]
pub struct CentresFolder {
    /// What they say of themselves.
    pub manifest: CentresManifest,
    /// The centres, ready for the graph.
    pub centres: Arc<Centres>,
}

impl CentresFolder {
    /// Of centres that were just made; format, version, rank and number of `manifest` are worked out.
    pub fn new(manifest: CentresManifest, centres: Factors) -> Self {
        let version = hash(&manifest.model, &centres);
        let (rank, clusters) = (centres.rank(), centres.rows());
        let made = Centres::new(version.clone(), manifest.model.clone(), centres);
        let manifest = CentresManifest { format: FORMAT, version, rank, clusters, ..manifest };
        CentresFolder { manifest, centres: Arc::new(made) }
    }

    /// Loads centres from their folder, and checks that they are whole and unchanged.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(MANIFEST);
        let refuse = |path: &Path, problem: String| ModelError::refused(path, problem, AGAIN);
        let text = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                refuse(&path, "there is no such file, so these are no centres".into())
            }
            _ => io("read", &path)(error),
        })?;
        let manifest: CentresManifest =
            serde_json::from_slice(&text).map_err(|error| refuse(&path, error.to_string()))?;
        if manifest.format != FORMAT {
            let problem = format!(
                "the centres have format {}, and this program reads format {FORMAT}",
                manifest.format
            );
            return Err(refuse(&path, problem));
        }
        let path = folder.join(CENTRES);
        let file = File::open(&path).map_err(io("read", &path))?;
        let array = npy::read(&mut BufReader::new(file)).map_err(|error| refuse(&path, error.to_string()))?;
        let centres =
            Factors::new(array.rank, array.values).map_err(|error| refuse(&path, error.to_string()))?;
        let counted = manifest.members.len() == centres.rows() && centres.rows() > 0;
        let found = hash(&manifest.model, &centres);
        if found != manifest.version || !counted || centres.rank() != manifest.rank {
            let problem = format!(
                "wrong checksum: {CENTRES} and {MANIFEST} hash to {found}, and the version is {}",
                manifest.version
            );
            return Err(refuse(folder, problem));
        }
        let made = Centres::new(manifest.version.clone(), manifest.model.clone(), centres);
        Ok(CentresFolder { manifest, centres: Arc::new(made) })
    }

    /// Writes them to a folder that does not exist yet, whole or not at all. Where the same version lies there already,
    /// there is nothing to do.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        if folder.exists() {
            let found = match CentresFolder::load(folder) {
                Ok(known) if known.manifest.version == self.manifest.version => return Ok(()),
                Ok(known) => format!("centres {}", known.manifest.version),
                Err(_) => "no whole centres".into(),
            };
            return Err(ModelError::Taken { path: folder.to_path_buf(), found });
        }
        put_whole(folder, |beside| self.write_into(beside))
    }

    fn write_into(&self, folder: &Path) -> Result<(), ModelError> {
        let path = folder.join(CENTRES);
        let rows = self.centres.factors();
        npy::write(&path, rows.as_slice(), rows.rank())
            .and_then(|file| file.sync_all())
            .map_err(io("write", &path))?;
        let path = folder.join(MANIFEST);
        let text = serde_json::to_string_pretty(&self.manifest).expect("a manifest is JSON") + "\n";
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            sync_folder(folder)
        };
        write().map_err(io("write", &path))
    }
}

/// The version of centres: what the clusters of members follow from, and nothing else.
fn hash(model: &str, centres: &Factors) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"nearline centres 1\n").update(model.as_bytes()).update(&[0]);
    hasher.update(&(centres.rank() as u64).to_le_bytes());
    for x in centres.as_slice() {
        hasher.update(&x.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The JSON Schema of the manifest.
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(CentresManifest)).expect("a schema is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(model: &str) -> CentresFolder {
        let manifest = CentresManifest {
            format: 0,
            version: String::new(),
            model: model.into(),
            rank: 0,
            clusters: 0,
            members: vec![3, 4],
            inertia: vec![2.5, 1.25],
            seed: 1,
            epoch: 7,
            made_at: "2026-01-02T03:04:05Z".into(),
        };
        CentresFolder::new(manifest, Factors::new(3, vec![1.0, 0.0, 0.0, 0.6, 0.8, -0.0]).unwrap())
    }

    #[test]
    fn centres_come_back_as_they_were_saved_and_are_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let (there, one) = (folder.path().join("centres"), made("one"));
        one.save(&there).unwrap();
        let back = CentresFolder::load(&there).unwrap();
        assert_eq!(back.manifest, one.manifest);
        assert_eq!(back.centres.factors(), one.centres.factors());
        one.save(&there).unwrap();
        assert!(matches!(made("two").save(&there), Err(ModelError::Taken { .. })));
        assert_ne!(made("two").manifest.version, one.manifest.version);
    }

    #[test]
    fn a_changed_number_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("centres");
        made("one").save(&there).unwrap();
        let path = there.join(CENTRES);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(CentresFolder::load(&there).unwrap_err().to_string().contains("wrong checksum"));
        std::fs::remove_file(&path).unwrap();
        assert!(CentresFolder::load(&there).is_err());
    }

    #[test]
    fn the_schema_in_the_repository_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/centres.schema.json");
        let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("NEARLINE_REWRITE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text, "NEARLINE_REWRITE=1 writes it anew");
    }
}
