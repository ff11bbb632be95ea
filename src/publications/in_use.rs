//! Who uses which version, until when: what keeps a version from being taken out. A mark that is not renewed ends by itself,
//! so nobody who is gone holds anything for ever.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{PublicationError, Publications, json, now_ms, retried};

/// For how long a mark holds.
pub const HOLDS: Duration = Duration::from_secs(24 * 3600);
/// How long a version stays that is about to become the newest again.
pub(super) const PUBLISHING: Duration = Duration::from_secs(3600);
/// Who that is.
pub(super) const PUBLISHER: &str = "publisher";

/// Somebody uses a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InUse {
    /// The version.
    pub version: String,
    /// Until when, in milliseconds since 1970, unless it is said again.
    pub until: i64,
}

impl Publications {
    /// Says that somebody uses a version, in the place of what was said before.
    pub fn use_for(
        &self,
        name: &str,
        version: &str,
        who: &str,
        holds: Duration,
    ) -> Result<(), PublicationError> {
        let mark = InUse { version: version.to_owned(), until: now_ms() + holds.as_millis() as i64 };
        Ok(self.repository.put(&format!("{name}/in-use/{who}"), json(&mark))?)
    }

    /// Which versions are in use, and by whom.
    pub fn in_use(&self, name: &str) -> Result<Vec<(String, InUse)>, PublicationError> {
        let now = now_ms();
        let mut marks = Vec::new();
        for object in retried(|| Ok(self.repository.list(&format!("{name}/in-use"))?))? {
            let Some(bytes) = retried(|| Ok(self.repository.get(&object.name)?))? else { continue };
            let mark: InUse = self.read(&object.name, &bytes)?;
            if mark.until > now {
                let who = object.name.rsplit('/').next().unwrap_or_default().to_owned();
                marks.push((who, mark));
            }
        }
        Ok(marks)
    }
}
