//! Publications: results of offline jobs, named, versioned and immutable, in a repository.
//!
//! ```text
//! NAME/VERSION/FILE…             what is published
//! NAME/VERSION/publication.json  what it is, written once its files are there: before, there is no such version
//! NAME/latest                    which version is the newest; whoever follows a publication looks at this alone
//! NAME/in-use/WHO                what somebody uses, until when
//! NAME/letters/ID                who is still to be told
//! NAME/failed                    why the last attempt came to nothing
//! ```
//!
//! `publish.rs` writes, `fetch.rs` reads and checks, `follow.rs` looks for what is new, `retention.rs` takes out what nobody
//! needs. `letters.rs` tells others (`webhook.rs` signed messages), `subscriptions.rs` is a running pipeline that
//! takes over what is published (`following.rs`, a thread for each), `board.rs` what is known of that, and `alerts.rs` when somebody is to look at it. What a
//! publication holds is nothing to this module: the command line makes files of models, lists and items, and takes them in.

pub mod alerts;
pub mod board;
mod failed;
pub mod fetch;
pub mod follow;
mod following;
pub mod in_use;
pub mod letters;
pub mod manifest;
pub mod publish;
pub mod retention;
pub mod subscriptions;
pub mod webhook;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use failed::Failed;
pub use manifest::{Kind, Latest, Publication};

use crate::config::Access;
use crate::config::publications::plain;
use crate::repositories::{Repository, RepositoryError};

/// How often something is tried again that a repository did not do, and for how long at most.
const TRIES: u32 = 6;
const PATIENCE: Duration = Duration::from_secs(300);
/// How long the first pause in between is; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(100);

/// What cannot be done with publications.
#[derive(Debug, thiserror::Error)]
pub enum PublicationError {
    /// The repository's say.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A file or folder of this machine.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// No name of a publication.
    #[error("{name:?} cannot be the name of a publication: {wanted}")]
    Name {
        /// What was given.
        name: String,
        /// What a name is.
        wanted: String,
    },
    /// There is no such publication, or version of it.
    #[error("{url} holds no publication {name}{}", version.as_ref().map_or(String::new(), |version| format!(" of version {version}")))]
    None {
        /// The repository.
        url: String,
        /// The publication.
        name: String,
        /// The version.
        version: Option<String>,
    },
    /// What is there is not what was published.
    #[error("{url}: {problem}; it is not used; publish it again, or publish another version")]
    Damaged {
        /// The object.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// What is to be published cannot be.
    #[error("{} cannot be published: {problem}", path.display())]
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
}

impl PublicationError {
    /// Whether what was given is at fault, and not the repository.
    pub fn is_bad_use(&self) -> bool {
        match self {
            PublicationError::Repository(error) => error.is_bad_use(),
            PublicationError::Name { .. } | PublicationError::Refused { .. } => true,
            _ => false,
        }
    }

    fn is_passing(&self) -> bool {
        matches!(self, PublicationError::Repository(error) if error.is_passing())
    }

    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| PublicationError::Io { doing, path: path.to_path_buf(), source }
    }
}

/// A repository of publications.
#[derive(Debug)]
pub struct Publications {
    repository: Repository,
}

impl Publications {
    /// Opens a repository by its URL.
    pub fn open(url: &str, access: &Access) -> Result<Self, PublicationError> {
        Ok(Publications { repository: Repository::open(url, access)? })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        self.repository.url()
    }

    /// Whether looking into it costs next to nothing: it is a folder.
    pub fn is_folder(&self) -> bool {
        self.repository.path_of("").is_some()
    }

    /// The names of all publications.
    pub fn names(&self) -> Result<Vec<String>, PublicationError> {
        let folders = retried(|| Ok(self.repository.folders("")?))?;
        Ok(folders.into_iter().filter(|name| plain(name).is_ok()).collect())
    }

    /// Which version of a publication is the newest; none where it was never published.
    pub fn latest(&self, name: &str) -> Result<Option<Latest>, PublicationError> {
        named(name)?;
        let object = format!("{name}/{}", manifest::LATEST);
        let Some(bytes) = self.repository.get(&object)? else { return Ok(None) };
        self.read(&object, &bytes).map(Some)
    }

    /// What a version of a publication is; none where there is no such version, or not whole.
    pub fn publication(&self, name: &str, version: &str) -> Result<Option<Publication>, PublicationError> {
        named(name)?;
        let object = format!("{name}/{version}/{}", manifest::MANIFEST);
        let Some(bytes) = self.repository.get(&object)? else { return Ok(None) };
        let publication: Publication = self.read(&object, &bytes)?;
        match publication.problem(name, version) {
            None => Ok(Some(publication)),
            Some(problem) => Err(self.damaged(&object, problem)),
        }
    }

    /// The newest version, or the one that is named.
    pub fn find(&self, name: &str, version: Option<&str>) -> Result<Publication, PublicationError> {
        let none = |version: Option<&str>| PublicationError::None {
            url: self.url().to_owned(),
            name: name.to_owned(),
            version: version.map(str::to_owned),
        };
        let version = match version {
            Some(version) => version.to_owned(),
            None => retried(|| self.latest(name))?.ok_or_else(|| none(None))?.version,
        };
        retried(|| self.publication(name, &version))?.ok_or_else(|| none(Some(&version)))
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        object: &str,
        bytes: &[u8],
    ) -> Result<T, PublicationError> {
        serde_json::from_slice(bytes)
            .map_err(|error| self.damaged(object, format!("it cannot be read: {error}")))
    }

    fn damaged(&self, object: &str, problem: String) -> PublicationError {
        PublicationError::Damaged { url: self.repository.url_of(object), problem }
    }
}

/// Refuses what is no name of a publication.
pub fn named(name: &str) -> Result<(), PublicationError> {
    plain(name).map_err(|wanted| PublicationError::Name { name: name.to_owned(), wanted })
}

/// Does something again where a repository did not do it, with longer and longer pauses in between.
fn retried<T>(mut attempt: impl FnMut() -> Result<T, PublicationError>) -> Result<T, PublicationError> {
    let (began, mut pause) = (Instant::now(), PAUSE);
    for _ in 1..TRIES {
        match attempt() {
            Err(error) if error.is_passing() && began.elapsed() < PATIENCE => {
                tracing::warn!(%error, "tried again in {pause:?}");
                std::thread::sleep(pause);
                pause *= 2;
            }
            done => return done,
        }
    }
    attempt()
}

/// JSON as it is kept in a repository: for people to read.
pub(crate) fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The wall clock, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests;
