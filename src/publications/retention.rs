//! Retention: old versions are taken out, but for those that anybody needs.
//!
//! A version goes when it is not the newest, nobody says that it is in use, there are as many newer ones as are kept, and it is
//! older than versions are kept. Its manifest goes first: from there on there is no such version, and what is left of it
//! is what is left of one that was never finished. What is younger than the grace stays in any case.

use std::time::SystemTime;

use super::manifest::{self, MANIFEST};
use super::{PublicationError, Publications, now_ms, retried};
use crate::config::publications::Retention;
use crate::failpoints::reach;
use crate::repositories::Object;

/// What was taken out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    /// The publication.
    pub publication: String,
    /// The version.
    pub version: String,
    /// Whether it was never finished.
    pub unfinished: bool,
    /// How many bytes it had.
    pub bytes: u64,
}

struct Version {
    version: String,
    objects: Vec<Object>,
}

impl Version {
    fn is_whole(&self) -> bool {
        self.objects.iter().any(|object| object.name.ends_with(&format!("/{MANIFEST}")))
    }

    /// When it was last written to.
    fn newest(&self) -> i64 {
        self.objects.iter().map(|object| object.modified.as_millisecond()).max().unwrap_or(0)
    }
}

impl Publications {
    /// Takes out what nobody needs of a publication; with `dry` it is only said.
    pub fn collect(
        &self,
        name: &str,
        retention: Retention,
        dry: bool,
    ) -> Result<Vec<Removed>, PublicationError> {
        let Retention { keep, keep_for, grace } = retention;
        let now = now_ms();
        let mut versions = self.versions(name)?;
        versions.sort_by_key(|version| std::cmp::Reverse(version.newest()));
        let mut removed = Vec::new();
        let mut whole = 0;
        for version in versions {
            let (age, unfinished) = (now - version.newest(), !version.is_whole());
            whole += usize::from(!unfinished);
            let kept = if unfinished { false } else { whole <= keep || age <= keep_for.ms() };
            // Asked for each: it may have come into use while others were taken out.
            if kept || age <= grace.ms() || self.is_needed(name, &version.version)? {
                continue;
            }
            let bytes = version.objects.iter().map(|object| object.size).sum();
            if !dry {
                self.remove(name, &version)?;
            }
            removed.push(Removed {
                publication: name.to_owned(),
                version: version.version,
                unfinished,
                bytes,
            });
        }
        if !dry {
            self.drop_void_letters(name, now - grace.ms())?;
            let before = SystemTime::now().checked_sub(grace.duration()).unwrap_or(SystemTime::UNIX_EPOCH);
            self.repository.sweep_unfinished(name, before)?;
        }
        Ok(removed)
    }

    /// How many versions there are, whole, and how many bytes all of them have.
    pub fn kept(&self, name: &str) -> Result<(usize, u64), PublicationError> {
        let versions = self.versions(name)?;
        let bytes = versions.iter().flat_map(|version| &version.objects).map(|object| object.size).sum();
        Ok((versions.iter().filter(|version| version.is_whole()).count(), bytes))
    }

    fn versions(&self, name: &str) -> Result<Vec<Version>, PublicationError> {
        let mut versions: Vec<Version> = Vec::new();
        for object in retried(|| Ok(self.repository.list(name)?))? {
            let version = object.name.split('/').nth(1).filter(|part| manifest::is_version(part));
            let Some(version) = version.map(str::to_owned) else { continue };
            match versions.last_mut() {
                Some(last) if last.version == version => last.objects.push(object),
                _ => versions.push(Version { version, objects: vec![object] }),
            }
        }
        Ok(versions)
    }

    fn is_needed(&self, name: &str, version: &str) -> Result<bool, PublicationError> {
        let newest = retried(|| self.latest(name))?;
        Ok(newest.is_some_and(|newest| newest.version == version)
            || self.in_use(name)?.iter().any(|(_, mark)| mark.version == version))
    }

    fn remove(&self, name: &str, version: &Version) -> Result<(), PublicationError> {
        let manifest = format!("{name}/{}/{MANIFEST}", version.version);
        retried(|| Ok(self.repository.delete(&manifest)?))?;
        reach("publication-collected");
        for object in version.objects.iter().filter(|object| object.name != manifest) {
            retried(|| Ok(self.repository.delete(&object.name)?))?;
        }
        Ok(())
    }
}
