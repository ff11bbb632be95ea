//! How Cassandra is reached where a repository is in it, `[cassandra]`, as written and as meant.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::number::{KeyError, within};
use super::settings::Setting;

/// The default of `object_mb`.
const OBJECT_MB: u32 = 256;

/// How Cassandra is reached as a repository.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Cassandra")]
pub struct Written {
    /// Who, where the cluster asks for that.
    pub user: String,
    /// With which password: a text, in which `${NAME}` is a variable of the environment, or { file = "PATH" }.
    pub password: Option<Setting>,
    /// A PEM file with the certificates that the nodes' are held against; with it connections are encrypted.
    pub ca: String,
    /// On how many nodes everything is, in a keyspace that is made where there is none; 0: the keyspace is there.
    pub replication: u32,
    /// How large an object may be, in MB: Cassandra is for results that fit.
    pub object_mb: u32,
}

impl Default for Written {
    fn default() -> Self {
        Written {
            user: String::new(),
            password: None,
            ca: String::new(),
            replication: 0,
            object_mb: OBJECT_MB,
        }
    }
}

/// How Cassandra is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Cassandra {
    /// Who.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<Setting>,
    /// A PEM file of certificates.
    pub ca: Option<PathBuf>,
    /// On how many nodes everything is, in a keyspace that is to be made.
    pub replication: Option<u32>,
    /// How many bytes an object may have.
    pub object: u64,
}

impl Default for Cassandra {
    fn default() -> Self {
        cassandra(Written::default()).expect("the defaults are right")
    }
}

pub(super) fn cassandra(written: Written) -> Result<Cassandra, KeyError> {
    if written.user.is_empty() != written.password.is_none() {
        let wanted = "must be given where there is a password, and a password where there is a user";
        return Err(KeyError::new(&["cassandra", "user"], wanted));
    }
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let object = within(&["cassandra", "object_mb"], written.object_mb.into(), 1, 16_384)?;
    Ok(Cassandra {
        user: text(written.user),
        password: written.password,
        ca: text(written.ca).map(PathBuf::from),
        replication: Some(written.replication).filter(|nodes| *nodes > 0),
        object: object * 1_000_000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_said_by_its_key() {
        for (text, key) in
            [("object_mb = 0", "object_mb"), ("user = \"me\"", "user"), ("password = \"x\"", "user")]
        {
            let error = cassandra(toml::from_str(text).unwrap()).unwrap_err();
            assert!(format!("{error:?}").contains(key), "{text}: {error:?}");
        }
        assert_eq!(Cassandra::default().object, 256_000_000);
    }
}
