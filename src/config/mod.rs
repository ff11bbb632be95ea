//! The config: what a person may set, as written (`written.rs`) and as meant (`meant.rs`).
//!
//! One TOML file, `nearline.toml`. Every key has a default and [`default_toml`] documents each of them. What is
//! wrong is refused with the file, the line and the key. Part of the config has *meaning*: the kinds, what the
//! lists are made by, and the variants. That part is hashed into the store ([`Config::meaning_hash`]), since a view made under
//! another meaning is another view. The rest says how to run, and changes nothing that is stored.

mod cassandra;
pub mod columns;
mod edited;
pub mod jobs;
mod kinds;
mod meant;
mod mirrors;
mod number;
mod place;
pub mod publications;
mod quoting;
mod schema;
mod settings;
mod size;
mod span;
mod variants;
mod written;

use std::io;
use std::path::{Path, PathBuf};

pub use cassandra::Cassandra;
pub use edited::{Edit, edited};
pub use kinds::{KindTable, MAX_KINDS, MAX_WEIGHT};
pub use meant::{
    Archive, Clusters, Config, ContinueWatching, Kafka, Lists, MAX_CLUSTER_ITERATIONS, MAX_CLUSTERS,
    MAX_LIST, MAX_RANK, MAX_WORKERS, Run, Serve, Store, Traces, Train, Transform,
};
pub use mirrors::Mirror;
pub use number::KeyError;
pub use schema::schema;
pub use settings::{Access, Setting, SettingError, Settings};
pub use size::Size;
pub use span::Span;
pub use variants::{Variant, Variants};
pub use written::{Scope, Token};

/// The file that is read where no other is named.
pub const FILE: &str = "nearline.toml";

/// The default config with a comment for every key, as `nearline config` prints it.
pub fn default_toml() -> &'static str {
    include_str!("default.toml")
}

/// A config that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML, or holds an unknown key or a value that cannot be.
    #[error("{file}, line {line}: {}{problem}", if key.is_empty() { String::new() } else { format!("`{key}`: ") })]
    Key {
        /// The file's name.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The key with the tables it lies in, joined by dots; empty where the text is not TOML.
        key: String,
        /// What is wrong with it, and what is wanted.
        problem: String,
    },
}

impl Config {
    /// Reads a config file. Without a name it is `nearline.toml`, where that exists, and else the default.
    pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
        let (path, optional) = file.map_or((Path::new(FILE), true), |file| (file, false));
        match std::fs::read_to_string(path) {
            Ok(text) => Config::parse(&text, &path.display().to_string()),
            Err(error) if optional && error.kind() == io::ErrorKind::NotFound => Ok(Config::default()),
            Err(source) => Err(ConfigError::Unreadable { file: path.to_path_buf(), source }),
        }
    }

    /// Reads a config from its text; `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Config, ConfigError> {
        let refuse = |line, key, problem| ConfigError::Key { file: file.to_owned(), line, key, problem };
        let written: written::Written = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            refuse(place::line_at(text, offset), place::key_at(text, offset), error.message().to_owned())
        })?;
        Config::try_from(written)
            .map_err(|KeyError { key, problem }| refuse(place::line_of(text, &key), key.join("."), problem))
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::try_from(written::Written::default()).expect("a test reads the default config")
    }
}

#[cfg(test)]
mod tests;
