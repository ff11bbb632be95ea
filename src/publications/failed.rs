//! Why the last attempt to publish came to nothing: kept beside the publication, so that whoever follows it knows.

use serde::{Deserialize, Serialize};

use super::{PublicationError, Publications, json, named};

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Failed {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Why.
    pub why: String,
}

impl Publications {
    /// Notes that an attempt failed.
    pub fn note_failure(&self, name: &str, failed: &Failed) -> Result<(), PublicationError> {
        named(name)?;
        Ok(self.repository.put(&object(name), json(failed))?)
    }

    /// The attempt that failed last, where none succeeded since.
    pub fn failure(&self, name: &str) -> Result<Option<Failed>, PublicationError> {
        let object = object(name);
        let Some(bytes) = self.repository.get(&object)? else { return Ok(None) };
        self.read(&object, &bytes).map(Some)
    }

    /// An attempt succeeded.
    pub fn clear_failure(&self, name: &str) -> Result<(), PublicationError> {
        Ok(self.repository.delete(&object(name))?)
    }
}

fn object(name: &str) -> String {
    format!("{name}/failed")
}
