//! Repositories: where publications and the archive lie, by URL. A folder (`file:///…`, or its path), a bucket of S3
//! and what speaks like it (`s3://BUCKET/PREFIX`), a folder of HDFS (`hdfs://HOST:PORT/FOLDER`), or, for publications that fit,
//! a keyspace of Cassandra (`cassandra://HOST:PORT/KEYSPACE/PREFIX`).
//!
//! An object appears whole or not at all, and what is said to be there is on disk. Names are paths with `/` below the
//! repository's URL. Calls wait for their answer; they are not for threads that serve others.

#[cfg(feature = "cassandra")]
mod cassandra;
mod failure;
#[cfg(feature = "hdfs")]
mod hdfs;
mod s3;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, WriteMultipart};
use tokio::runtime::Runtime;

pub use failure::RepositoryError;
pub use s3::unknown as unknown_of_s3;

use crate::config::{Access, Settings};

/// Objects are sent in parts of so many bytes.
const PART: usize = 8 << 20;
/// So many parts are on their way at a time.
const PARTS: usize = 4;

/// For how long a server that does not answer is asked again, before that is an error.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first pause before it is asked again, where the client does not do so itself.
const PAUSE: Duration = Duration::from_millis(100);
/// For how long an answer of a client that sets no bound itself is waited for.
const ANSWER: Duration = Duration::from_secs(60);

/// What the URLs of repositories in Cassandra begin with.
const CASSANDRA: &str = "cassandra";

/// A place for objects, by URL.
pub struct Repository {
    url: String,
    store: Arc<dyn ObjectStore>,
    /// What stands before every name; empty for a folder.
    prefix: Name,
    place: Place,
    runtime: Runtime,
}

/// What kind of place it is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    S3,
    Hdfs,
    #[cfg(feature = "cassandra")]
    Cassandra(cassandra::Cassandra),
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name, below the repository's URL.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
    /// When it was put there.
    pub modified: Timestamp,
}

/// The first setting of `[hdfs]` that is none: Hadoop's have dots in their names.
pub fn unknown_of_hdfs(settings: &Settings) -> Option<&str> {
    let ours = ["user", "kerberos_principal", "kerberos_keytab", "kerberos_cache"];
    settings.0.keys().map(String::as_str).find(|key| !ours.contains(key) && !key.contains('.'))
}

/// Whether an address is that of a repository for what fits: publications that are not too large, and no archive.
pub fn is_for_what_fits(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| scheme == CASSANDRA)
}

/// Whether an address is that of a repository on a server, for anything.
pub fn is_on_server(url: &str) -> bool {
    ["s3://", "hdfs://"].iter().any(|scheme| url.starts_with(scheme))
}

impl Repository {
    /// Opens a repository; a folder that is not there is made.
    pub fn open(url: &str, access: &Access) -> Result<Repository, RepositoryError> {
        let folder = match url.split_once("://") {
            Some(("s3", rest)) => return s3::open(url, rest, &access.s3),
            #[cfg(feature = "hdfs")]
            Some(("hdfs", rest)) => return hdfs::open(url, rest, &access.hdfs),
            #[cfg(not(feature = "hdfs"))]
            Some(("hdfs", _)) => {
                return Err(RepositoryError::NotBuiltIn { url: url.to_owned(), feature: "hdfs" });
            }
            #[cfg(feature = "cassandra")]
            Some((CASSANDRA, rest)) => return cassandra::open(url, rest, &access.cassandra),
            #[cfg(not(feature = "cassandra"))]
            Some((CASSANDRA, _)) => {
                return Err(RepositoryError::NotBuiltIn { url: url.to_owned(), feature: "cassandra" });
            }
            Some(("file", path)) if path.starts_with('/') => PathBuf::from(path),
            Some(_) => return Err(RepositoryError::Address { url: url.to_owned() }),
            None if url.is_empty() => return Err(RepositoryError::Address { url: url.to_owned() }),
            None => PathBuf::from(url),
        };
        Repository::folder(&folder)
    }

    fn folder(folder: &Path) -> Result<Repository, RepositoryError> {
        let failed = |source| RepositoryError::Io { doing: "make", path: folder.to_path_buf(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        let url = format!("file://{}", folder.display());
        let store = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|error| RepositoryError::of(&url, "open", "", error))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Repository {
            store: Arc::new(store),
            prefix: Name::default(),
            place: Place::Folder(folder),
            runtime: runtime()?,
            url,
        })
    }

    /// The URL, whole.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of an object.
    pub fn url_of(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    /// Where an object lies, where the repository is a folder.
    pub fn path_of(&self, name: &str) -> Option<PathBuf> {
        match &self.place {
            Place::Folder(folder) => Some(folder.join(name)),
            _ => None,
        }
    }

    /// Refuses an object that is too large for this repository, before anything of it is sent.
    #[cfg_attr(not(feature = "cassandra"), expect(unused_variables, reason = "a feature"))]
    pub fn fits(&self, name: &str, size: u64) -> Result<(), RepositoryError> {
        match &self.place {
            #[cfg(feature = "cassandra")]
            Place::Cassandra(store) if size > store.limit() => Err(RepositoryError::TooLarge {
                url: self.url.clone(),
                name: name.to_owned(),
                size,
                limit: store.limit(),
            }),
            _ => Ok(()),
        }
    }

    /// Puts an object, over what is there.
    pub fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) -> Result<(), RepositoryError> {
        let at = self.at(name)?;
        let payload = PutPayload::from(bytes.into());
        self.answer(|| self.store.put(&at, payload.clone()))
            .map(drop)
            .map_err(|error| self.failed("write", name, error))
    }

    /// Puts an object where there is none of its name; says whether it did. Of several who try, one does.
    pub fn put_new(&self, name: &str, bytes: impl Into<Vec<u8>>) -> Result<bool, RepositoryError> {
        let at = self.at(name)?;
        let put = self.store.put_opts(&at, bytes.into().into(), PutMode::Create.into());
        // Not again where no answer comes: what is there then may be ours.
        match self.runtime.block_on(self.bounded(put)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed("write", name, error)),
        }
    }

    /// Puts what is read until its end, in parts, over what is there; nothing appears before the last byte is there. Says
    /// how many bytes there were.
    pub fn put_all(&self, name: &str, bytes: &mut dyn Read) -> Result<u64, RepositoryError> {
        let at = self.at(name)?;
        self.runtime.block_on(async {
            let upload = self
                .bounded(self.store.put_multipart(&at))
                .await
                .map_err(|error| self.failed("write", name, error))?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
            let mut sent = 0;
            loop {
                let mut part = Vec::with_capacity(PART);
                let read = bytes.take(PART as u64).read_to_end(&mut part);
                let sending = match read {
                    Ok(0) => break,
                    Ok(_) => {
                        sent += part.len() as u64;
                        upload.put(part.into());
                        self.bounded(upload.wait_for_capacity(PARTS))
                            .await
                            .map_err(|error| self.failed("write", name, error))
                    }
                    Err(source) => Err(RepositoryError::Sent { name: name.to_owned(), source }),
                };
                if let Err(error) = sending {
                    // What is left of it is nobody's; where even this fails, the bucket's rules see to it.
                    let _ = upload.abort().await;
                    return Err(error);
                }
            }
            self.bounded(upload.finish()).await.map_err(|error| self.failed("write", name, error))?;
            Ok(sent)
        })
    }

    /// An object's bytes; none where there is no such object.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RepositoryError> {
        let at = self.at(name)?;
        let got = self.answer(|| async { self.store.get(&at).await?.bytes().await });
        self.found("read", name, got.map(Vec::from))
    }

    /// Part of an object's bytes.
    pub fn get_range(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, RepositoryError> {
        let at = self.at(name)?;
        self.answer(|| self.store.get_range(&at, range.clone()))
            .map(Vec::from)
            .map_err(|error| self.failed("read", name, error))
    }

    /// Writes an object to where bytes go; says how many there were, and none where there is no such object.
    pub fn get_all(&self, name: &str, out: &mut dyn Write) -> Result<Option<u64>, RepositoryError> {
        let at = self.at(name)?;
        self.runtime.block_on(async {
            let got = self.bounded(self.store.get(&at)).await;
            let Some(got) = self.found("read", name, got)? else { return Ok(None) };
            let mut stream = got.into_stream();
            let mut count = 0;
            loop {
                let part = self.bounded(stream.next().map(Option::transpose)).await;
                let Some(part) = part.map_err(|error| self.failed("read", name, error))? else { break };
                out.write_all(&part)
                    .map_err(|source| RepositoryError::Received { name: name.to_owned(), source })?;
                count += part.len() as u64;
            }
            Ok(Some(count))
        })
    }

    /// What is known of an object; none where there is no such object.
    pub fn head(&self, name: &str) -> Result<Option<Object>, RepositoryError> {
        let at = self.at(name)?;
        let got = self.answer(|| self.store.head(&at));
        Ok(self.found("look at", name, got)?.and_then(|meta| self.object(meta)))
    }

    /// All objects whose names begin with a folder's, by name. The empty name is the whole repository.
    pub fn list(&self, under: &str) -> Result<Vec<Object>, RepositoryError> {
        let mut all = self.listed(under)?;
        all.retain(|object| !self.is_draft(&object.name));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// All that lies in a folder, with what is not whole yet.
    fn listed(&self, under: &str) -> Result<Vec<Object>, RepositoryError> {
        let at = self.at(under)?;
        let all: Vec<ObjectMeta> = self
            .answer(|| self.store.list(Some(&at)).try_collect())
            .map_err(|error| self.failed("list", under, error))?;
        Ok(all.into_iter().filter_map(|meta| self.object(meta)).collect())
    }

    /// The names of the folders that lie directly in a folder, sorted.
    pub fn folders(&self, under: &str) -> Result<Vec<String>, RepositoryError> {
        let at = self.at(under)?;
        let listed = self
            .answer(|| self.store.list_with_delimiter(Some(&at)))
            .map_err(|error| self.failed("list", under, error))?;
        let mut names: Vec<String> =
            listed.common_prefixes.iter().filter_map(|prefix| prefix.filename().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Takes out an object; one that is not there is no error.
    pub fn delete(&self, name: &str) -> Result<(), RepositoryError> {
        let at = self.at(name)?;
        let done = self.answer(|| self.store.delete(&at));
        self.found("delete", name, done).map(drop)
    }

    /// Takes out what uploads that were broken off left in a folder before a moment; says how many there were. In a bucket nobody
    /// sees such parts, and the bucket's own rules see to them.
    pub fn sweep_unfinished(&self, under: &str, before: SystemTime) -> Result<usize, RepositoryError> {
        fn sweep(folder: &Path, before: SystemTime) -> io::Result<usize> {
            let mut swept = 0;
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    swept += sweep(&entry.path(), before)?;
                } else if is_unfinished(&entry.file_name()) && entry.metadata()?.modified()? < before {
                    std::fs::remove_file(entry.path())?;
                    swept += 1;
                }
            }
            Ok(swept)
        }
        if self.place == Place::Hdfs {
            let old = |object: &Object| SystemTime::from(object.modified) < before;
            let mut left = self.listed(under)?;
            left.retain(|object| self.is_draft(&object.name) && old(object));
            left.iter().try_for_each(|object| self.delete(&object.name))?;
            return Ok(left.len());
        }
        #[cfg(feature = "cassandra")]
        if let Place::Cassandra(store) = &self.place {
            let swept = self.runtime.block_on(store.sweep(under, before));
            return swept.map_err(|error| self.failed("clear up in", under, error));
        }
        let Some(folder) = self.path_of(under).filter(|folder| folder.is_dir()) else { return Ok(0) };
        let failed = |source| RepositoryError::Io { doing: "clear up in", path: folder.clone(), source };
        sweep(&folder, before).map_err(failed)
    }

    /// Waits for an answer to what may be asked more than once; asks again where that may help and the client does not do so itself.
    fn answer<T, F: Future<Output = Result<T, object_store::Error>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, object_store::Error> {
        let (began, mut pause) = (Instant::now(), PAUSE);
        self.runtime.block_on(async {
            loop {
                match self.bounded(ask()).await {
                    Err(error)
                        if self.place == Place::Hdfs
                            && failure::is_worth_asking_again(&error)
                            && began.elapsed() < PATIENCE =>
                    {
                        tracing::debug!(%error, url = self.url, "asked again in {pause:?}");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_secs(2));
                    }
                    done => return done,
                }
            }
        })
    }

    /// Waits for an answer, not for ever where the client sets no bound itself.
    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<T, object_store::Error> {
        if self.place != Place::Hdfs {
            return work.await;
        }
        let late = || {
            let problem = format!("no answer within {} s", ANSWER.as_secs());
            object_store::Error::Generic { store: "HDFS", source: problem.into() }
        };
        tokio::time::timeout(ANSWER, work).await.unwrap_or_else(|_| Err(late()))
    }

    /// Whether an object is one that is still being written, or was when its writer ended.
    fn is_draft(&self, name: &str) -> bool {
        let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
        let number = last.rsplit_once(".tmp.").map(|(_, number)| number);
        self.place == Place::Hdfs
            && last.starts_with('.')
            && number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    }

    fn at(&self, name: &str) -> Result<Name, RepositoryError> {
        let refused = |_| RepositoryError::Name { name: name.to_owned() };
        let below = Name::parse(name).map_err(refused)?;
        Ok(self.prefix.parts().chain(below.parts()).collect())
    }

    fn object(&self, meta: ObjectMeta) -> Option<Object> {
        let name = match self.prefix.as_ref() {
            "" => meta.location.as_ref(),
            prefix => meta.location.as_ref().strip_prefix(prefix)?.strip_prefix('/')?,
        };
        let modified = Timestamp::from_millisecond(meta.last_modified.timestamp_millis()).ok()?;
        Some(Object { name: name.to_owned(), size: meta.size, modified })
    }

    fn found<T>(
        &self,
        doing: &'static str,
        name: &str,
        got: Result<T, object_store::Error>,
    ) -> Result<Option<T>, RepositoryError> {
        match got {
            Ok(got) => Ok(Some(got)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(doing, name, error)),
        }
    }

    fn failed(&self, doing: &'static str, name: &str, error: object_store::Error) -> RepositoryError {
        RepositoryError::of(&self.url, doing, name, error)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the repository {}", self.url)
    }
}

/// Reads a whole file into a repository.
pub fn put_file(repository: &Repository, name: &str, file: &Path) -> Result<u64, RepositoryError> {
    let failed = |source| RepositoryError::Io { doing: "read", path: file.to_path_buf(), source };
    let opened = File::open(file).map_err(failed)?;
    repository.fits(name, opened.metadata().map_err(failed)?.len())?;
    repository.put_all(name, &mut io::BufReader::with_capacity(1 << 20, opened))
}

/// Whether a file is one that `object_store` writes before it is put in its place: `NAME#NUMBER`.
fn is_unfinished(name: &std::ffi::OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.rsplit_once('#')).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn runtime() -> Result<Runtime, RepositoryError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("repository")
        .build()
        .map_err(RepositoryError::Runtime)
}

#[cfg(test)]
mod tests;
