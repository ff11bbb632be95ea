//! A publication on its way into a repository: its files, then what it is, then that it is the newest.
//!
//! Wherever this is broken off, there is the version before or this one, whole. The version is the hash of what is
//! published, so doing it again finds what is there already.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::manifest::{self, FORMAT, Kind, Latest, Publication, PublishedFile, Query};
use super::{PublicationError, Publications, in_use, json, named, now_ms, retried};
use crate::failpoints::reach;

/// So much of a file is read at a time.
const CHUNK: usize = 1 << 20;
/// How often a publication is begun anew where its objects vanish meanwhile.
const ROUNDS: usize = 3;

/// What is to be published.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The publication's name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// What its files look like.
    pub schema: String,
    /// How many of what it holds.
    pub counts: BTreeMap<String, u64>,
    /// The epoch of the data folder that it was made from.
    pub epoch: Option<u64>,
    /// The version of the model that it is, or was made with.
    pub model: Option<String>,
    /// The query whose result it is.
    pub query: Option<Query>,
    /// The command that publishes it.
    pub command: String,
    /// When it was made.
    pub made_at: i64,
    /// Its files.
    pub files: Vec<PathBuf>,
}

/// What was published.
#[derive(Debug, Clone)]
pub struct Published {
    /// What it is.
    pub publication: Publication,
    /// When it became the newest version.
    pub published_at: i64,
    /// Whether this version was there already, and only became the newest.
    pub known: bool,
}

impl Publications {
    /// Publishes files; `progress` is told of bytes as they are read, each twice: once to know what they are, once to send
    /// them. `also` runs just before the version becomes the newest.
    pub fn publish(
        &self,
        draft: &Draft,
        progress: &dyn Fn(u64),
        also: &mut dyn FnMut(&Publication, i64) -> Result<(), PublicationError>,
    ) -> Result<Published, PublicationError> {
        named(&draft.name)?;
        let mut sources = Vec::new();
        for path in &draft.files {
            sources.push((looked_at(path, progress)?, path.as_path()));
        }
        sources.sort();
        let files: Vec<PublishedFile> = sources.iter().map(|(file, _)| file.clone()).collect();
        let publication = Publication {
            format: FORMAT,
            name: draft.name.clone(),
            version: Publication::version_of(draft.kind, &files),
            kind: draft.kind,
            schema: draft.schema.clone(),
            counts: draft.counts.clone(),
            epoch: draft.epoch,
            model: draft.model.clone(),
            query: draft.query.clone(),
            command: draft.command.clone(),
            made_at: draft.made_at,
            files,
        };
        for _ in 0..ROUNDS {
            let known = self.is_there(&publication)?;
            if known {
                sources.iter().for_each(|(file, _)| progress(file.size));
            } else if !self.put(&publication, &sources, progress)? {
                continue;
            }
            let published = self.let_be_newest(publication.clone(), known, also)?;
            // What nobody needed any more a moment ago may have been taken out just then.
            if !known || self.is_known(&publication)? {
                return Ok(published);
            }
        }
        Err(self.damaged(&draft.name, "what is written there vanishes again".to_owned()))
    }

    /// Lets a version that is there be the newest once more.
    pub fn publish_again(
        &self,
        publication: Publication,
        also: &mut dyn FnMut(&Publication, i64) -> Result<(), PublicationError>,
    ) -> Result<Published, PublicationError> {
        let Publication { name, version, .. } = &publication;
        retried(|| self.use_for(name, version, in_use::PUBLISHER, in_use::PUBLISHING))?;
        self.check(&publication)?;
        self.let_be_newest(publication, true, also)
    }

    /// Whether a version is there, whole: all of it is read and checked. It then stays for the time that it takes to make it
    /// the newest.
    fn is_there(&self, publication: &Publication) -> Result<bool, PublicationError> {
        let Publication { name, version, .. } = publication;
        if !self.is_known(publication)? {
            return Ok(false);
        }
        retried(|| self.use_for(name, version, in_use::PUBLISHER, in_use::PUBLISHING))?;
        match self.check(publication) {
            // What is damaged is not there.
            Err(error @ PublicationError::Damaged { .. }) => {
                tracing::warn!(%error, "a version that is there is damaged");
                Ok(false)
            }
            checked => checked.and_then(|()| self.is_known(publication)),
        }
    }

    fn is_known(&self, publication: &Publication) -> Result<bool, PublicationError> {
        match retried(|| self.publication(&publication.name, &publication.version)) {
            Err(PublicationError::Damaged { .. }) => Ok(false),
            found => Ok(found?.is_some()),
        }
    }

    /// Puts files and manifest; says whether all of it is there then.
    fn put(
        &self,
        publication: &Publication,
        sources: &[(PublishedFile, &Path)],
        progress: &dyn Fn(u64),
    ) -> Result<bool, PublicationError> {
        let Publication { name, version, .. } = publication;
        let object = |file: &str| format!("{name}/{version}/{file}");
        for (file, _) in sources {
            self.repository.fits(&object(&file.name), file.size)?;
        }
        for (file, path) in sources {
            retried(|| {
                let mut hashed = Hashed::open(path, progress)?;
                self.repository.put_all(&object(&file.name), &mut hashed)?;
                if hashed.is(file) {
                    return Ok(());
                }
                let problem = "it changes while it is published".to_owned();
                Err(PublicationError::Refused { path: path.to_path_buf(), problem })
            })?;
            reach("publication-file");
        }
        // A server that lost what it had said it had must not make half a publication of it.
        let there = retried(|| Ok(self.repository.list(&format!("{name}/{version}"))?))?;
        let whole = sources.iter().all(|(file, _)| {
            there.iter().any(|found| found.name == object(&file.name) && found.size == file.size)
        });
        if whole {
            // Where there is one that cannot be read it is replaced: what it names is this and nothing else.
            retried(|| Ok(self.repository.put(&object(manifest::MANIFEST), json(publication))?))?;
            reach("publication-manifest");
        }
        Ok(whole)
    }

    fn let_be_newest(
        &self,
        publication: Publication,
        known: bool,
        also: &mut dyn FnMut(&Publication, i64) -> Result<(), PublicationError>,
    ) -> Result<Published, PublicationError> {
        let published_at = now_ms();
        also(&publication, published_at)?;
        reach("publication-letters");
        let Publication { name, version, .. } = &publication;
        let latest = Latest { format: FORMAT, version: version.clone(), published_at };
        retried(|| Ok(self.repository.put(&format!("{name}/{}", manifest::LATEST), json(&latest))?))?;
        reach("publication-latest");
        Ok(Published { publication, published_at, known })
    }
}

/// What a file is.
fn looked_at(path: &Path, progress: &dyn Fn(u64)) -> Result<PublishedFile, PublicationError> {
    let refused =
        |problem: &str| PublicationError::Refused { path: path.to_path_buf(), problem: problem.to_owned() };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if !manifest::is_file_name(&name) {
        return Err(refused("its name must have letters, digits, `-`, `_` and `.`, and not begin with `.`"));
    }
    if !path.is_file() {
        return Err(refused("it is no file that can be read"));
    }
    let mut hashed = Hashed::open(path, progress)?;
    let mut chunk = vec![0; CHUNK];
    while hashed.read(&mut chunk).map_err(PublicationError::io("read", path))? > 0 {}
    Ok(PublishedFile { name, size: hashed.size, blake3: hashed.hash() })
}

/// A file that is read and hashed at once.
struct Hashed<'a> {
    file: File,
    hasher: blake3::Hasher,
    size: u64,
    progress: &'a dyn Fn(u64),
}

impl<'a> Hashed<'a> {
    fn open(path: &Path, progress: &'a dyn Fn(u64)) -> Result<Self, PublicationError> {
        let file = File::open(path).map_err(PublicationError::io("read", path))?;
        Ok(Hashed { file, hasher: blake3::Hasher::new(), size: 0, progress })
    }

    fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    fn is(&self, file: &PublishedFile) -> bool {
        self.size == file.size && self.hash() == file.blake3
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(out)?;
        self.hasher.update(&out[..read]);
        self.size += read as u64;
        (self.progress)(read as u64);
        Ok(read)
    }
}
