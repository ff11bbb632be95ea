//! What a publication is: `publication.json`, and the pointer `latest`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format that this program writes, and the only one it reads.
pub const FORMAT: u32 = 1;
/// The name of the manifest, in a version's folder.
pub const MANIFEST: &str = "publication.json";
/// The name of the pointer, in a publication's folder.
pub const LATEST: &str = "latest";

/// What a version of a publication is, `publication.json`. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// The format of this file.
    pub format: u32,
    /// The publication's name.
    pub name: String,
    /// BLAKE3, as 64 hexadecimal digits, of its kind and of the names, sizes and hashes of its files.
    pub version: String,
    /// What it holds.
    pub kind: Kind,
    /// What its files look like, as a name and the number of the format: `model/1`.
    pub schema: String,
    /// How many of what it holds, by name.
    pub counts: BTreeMap<String, u64>,
    /// The epoch of the data folder that it was made from, where it was made from one.
    pub epoch: Option<u64>,
    /// The version of the model that it is, or was made with.
    pub model: Option<String>,
    /// The query whose result it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// The command that published it.
    pub command: String,
    /// When it was made, in milliseconds since 1970.
    pub made_at: i64,
    /// Its files, by name.
    pub files: Vec<PublishedFile>,
}

/// What a publication holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A model.
    Model,
    /// Lists of a batch job.
    Lists,
    /// Records of items.
    Catalogue,
    /// Centres of clusters.
    Centres,
    /// The result of a query.
    Query,
}

impl Kind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Model => "model",
            Kind::Lists => "lists",
            Kind::Catalogue => "catalogue",
            Kind::Centres => "centres",
            Kind::Query => "query",
        }
    }
}

/// A query whose result was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// What was asked.
    pub sql: String,
    /// The columns of the result, in their order.
    pub columns: Vec<QueryColumn>,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A file of a publication.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishedFile {
    /// Its name.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
    /// BLAKE3 of its bytes, as 64 hexadecimal digits.
    pub blake3: String,
}

/// Which version is the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latest {
    /// The format of this file.
    pub format: u32,
    /// The version.
    pub version: String,
    /// When it became the newest, in milliseconds since 1970.
    pub published_at: i64,
}

impl Publication {
    /// The version that a kind and files make.
    pub fn version_of(kind: Kind, files: &[PublishedFile]) -> String {
        let mut text = format!("nearline publication 1\nkind {}\n", kind.as_str());
        for PublishedFile { name, size, blake3 } in files {
            text += &format!("file {name} {size} {blake3}\n");
        }
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// How many bytes its files have.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Why this cannot be what it is read as, where it cannot. Its files' names become those of files here.
    pub(super) fn problem(&self, name: &str, version: &str) -> Option<String> {
        let Publication { format, kind, files, .. } = self;
        if *format != FORMAT {
            return Some(format!("it has format {format}, and this program reads format {FORMAT}"));
        }
        if let Some(file) = files.iter().find(|file| !is_file_name(&file.name)) {
            return Some(format!("{:?} cannot be the name of a file of a publication", file.name));
        }
        let own = Publication::version_of(*kind, files);
        if (&*self.name, &*self.version, &*own) != (name, version, version) {
            let Publication { name, version, .. } = self;
            return Some(format!("it says that it is {name} {version}, and its files make {own}"));
        }
        None
    }
}

/// Whether a text can be the name of a file of a publication.
pub fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=128).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.') && name != MANIFEST
}

/// Whether a text can be a version.
pub(super) fn is_version(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The JSON Schema of `publication.json`.
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Publication)).expect("a schema is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_the_one_checked_in() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/publication.schema.json");
        if std::env::var_os("NEARLINE_REWRITE").is_some() {
            std::fs::write(path, serde_json::to_string_pretty(&schema()).unwrap() + "\n").unwrap();
        }
        let checked_in: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(checked_in == schema(), "{path} differs from the types: NEARLINE_REWRITE=1 rewrites it");
    }

    #[test]
    fn a_version_is_of_the_kind_and_all_of_its_files_and_no_name_leads_elsewhere() {
        let file = |name: &str, size| PublishedFile { name: name.into(), size, blake3: "0".repeat(64) };
        let version = |kind, files: &[PublishedFile]| Publication::version_of(kind, files);
        let one = version(Kind::Model, &[file("a", 1)]);
        for other in [
            version(Kind::Query, &[file("a", 1)]),
            version(Kind::Model, &[file("b", 1)]),
            version(Kind::Model, &[file("a", 2)]),
            version(Kind::Model, &[file("a", 1), file("b", 1)]),
        ] {
            assert!(is_version(&other) && other != one);
        }
        for name in ["", "..", "a/b", ".hidden", "publication.json", "a b"] {
            assert!(!is_file_name(name), "{name}");
        }
        assert!(is_file_name("items.parquet"));
    }
}
