//! Following a publication: a look at one small object, as often as is wanted.

use std::os::unix::fs::MetadataExt;

use super::manifest::{self, Latest};
use super::{PublicationError, Publications};

/// Looks whether there is another version than it saw last.
#[derive(Debug, Default)]
pub struct Follower {
    seen: Option<Latest>,
    /// Where the repository is a folder: what the file system said of the pointer when it was read last. A pointer is
    /// replaced by another file, so its number and its time tell.
    stamp: Option<(u64, i64, i64)>,
}

impl Follower {
    /// One that has seen this.
    pub fn since(seen: Option<Latest>) -> Self {
        Follower { seen, stamp: None }
    }

    /// What is the newest version, where it became that since the last look.
    pub fn look(
        &mut self,
        publications: &Publications,
        name: &str,
    ) -> Result<Option<Latest>, PublicationError> {
        let stamp = stamp(publications, name);
        if stamp.is_some() && stamp == self.stamp {
            return Ok(None);
        }
        let latest = publications.latest(name)?;
        self.stamp = stamp;
        if latest.is_none() || latest == self.seen {
            return Ok(None);
        }
        self.seen.clone_from(&latest);
        Ok(latest)
    }
}

fn stamp(publications: &Publications, name: &str) -> Option<(u64, i64, i64)> {
    let path = publications.repository.path_of(&format!("{name}/{}", manifest::LATEST))?;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}
