//! Repositories: where publications and the archive lie, by URL. A folder (`file:///…`, or its path), or a bucket of S3
//! and what speaks like it (`s3://BUCKET/PREFIX`).
//!
//! An object appears whole or not at all, and what is said to be there is on disk. Names are paths with `/` below the
//! repository's URL. Calls wait for their answer; they are not for threads that serve others. S3 is asked again by itself
//! where it does not answer or says that it is busy.

mod failure;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, RetryConfig, WriteMultipart};
use tokio::runtime::Runtime;

pub use failure::RepositoryError;

use crate::config::Settings;

/// Objects are sent in parts of so many bytes.
const PART: usize = 8 << 20;
/// So many parts are on their way at a time.
const PARTS: usize = 4;

/// For how long a server that does not answer is asked again, before that is an error.
const PATIENCE: Duration = Duration::from_secs(20);

/// A place for objects, by URL.
pub struct Repository {
    url: String,
    store: Arc<dyn ObjectStore>,
    /// What stands before every name; empty for a folder.
    prefix: Name,
    /// The folder, where it is one.
    folder: Option<PathBuf>,
    runtime: Runtime,
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

/// The first setting that S3 has no name for.
pub fn unknown(settings: &Settings) -> Option<&str> {
    settings.0.keys().map(String::as_str).find(|key| AmazonS3ConfigKey::from_str(key).is_err())
}

impl Repository {
    /// Opens a repository; a folder that is not there is made.
    pub fn open(url: &str, s3: &Settings) -> Result<Repository, RepositoryError> {
        let folder = match url.split_once("://") {
            Some(("s3", rest)) => return Repository::bucket(url, rest, s3),
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
            folder: Some(folder),
            runtime: runtime()?,
            url,
        })
    }

    fn bucket(url: &str, rest: &str, s3: &Settings) -> Result<Repository, RepositoryError> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(RepositoryError::Address { url: url.to_owned() });
        }
        // The client of HTTP takes the process's choice, and there may be none yet. Another's stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = s3.read().map_err(RepositoryError::Setting)?;
        let known = |(key, value): (String, String)| Some((AmazonS3ConfigKey::from_str(&key).ok()?, value));
        let store = settings
            .into_iter()
            .filter_map(known)
            .fold(AmazonS3Builder::from_env(), |builder, (key, value)| builder.with_config(key, value))
            .with_bucket_name(bucket)
            .with_retry(RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() })
            .build()
            .map_err(|error| RepositoryError::of(url, "open", "", error))?;
        let prefix = Name::parse(prefix).map_err(|_| RepositoryError::Address { url: url.to_owned() })?;
        Ok(Repository {
            url: url.trim_end_matches('/').to_owned(),
            store: Arc::new(store),
            prefix,
            folder: None,
            runtime: runtime()?,
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
        self.folder.as_ref().map(|folder| folder.join(name))
    }

    /// Puts an object, over what is there.
    pub fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) -> Result<(), RepositoryError> {
        self.runtime
            .block_on(self.store.put(&self.at(name)?, bytes.into().into()))
            .map_err(|error| self.failed("write", name, error))?;
        Ok(())
    }

    /// Puts an object where there is none of its name; says whether it did. Of several who try, one does.
    pub fn put_new(&self, name: &str, bytes: impl Into<Vec<u8>>) -> Result<bool, RepositoryError> {
        let at = self.at(name)?;
        let put = self.store.put_opts(&at, bytes.into().into(), PutMode::Create.into());
        match self.runtime.block_on(put) {
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
            let upload =
                self.store.put_multipart(&at).await.map_err(|error| self.failed("write", name, error))?;
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
                        upload
                            .wait_for_capacity(PARTS)
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
            upload.finish().await.map_err(|error| self.failed("write", name, error))?;
            Ok(sent)
        })
    }

    /// An object's bytes; none where there is no such object.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RepositoryError> {
        let at = self.at(name)?;
        let got = self.runtime.block_on(async { self.store.get(&at).await?.bytes().await });
        self.found("read", name, got.map(Vec::from))
    }

    /// Part of an object's bytes.
    pub fn get_range(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, RepositoryError> {
        let at = self.at(name)?;
        self.runtime
            .block_on(self.store.get_range(&at, range))
            .map(Vec::from)
            .map_err(|error| self.failed("read", name, error))
    }

    /// Writes an object to where bytes go; says how many there were, and none where there is no such object.
    pub fn get_all(&self, name: &str, out: &mut dyn Write) -> Result<Option<u64>, RepositoryError> {
        let at = self.at(name)?;
        self.runtime.block_on(async {
            let got = self.store.get(&at).await;
            let Some(got) = self.found("read", name, got)? else { return Ok(None) };
            let mut stream = got.into_stream();
            let mut count = 0;
            while let Some(part) = stream.next().await {
                let part = part.map_err(|error| self.failed("read", name, error))?;
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
        let got = self.runtime.block_on(self.store.head(&at));
        Ok(self.found("look at", name, got)?.and_then(|meta| self.object(meta)))
    }

    /// All objects whose names begin with a folder's, by name. The empty name is the whole repository.
    pub fn list(&self, under: &str) -> Result<Vec<Object>, RepositoryError> {
        let at = self.at(under)?;
        let all: Vec<ObjectMeta> = self
            .runtime
            .block_on(self.store.list(Some(&at)).try_collect())
            .map_err(|error| self.failed("list", under, error))?;
        let mut all: Vec<Object> = all.into_iter().filter_map(|meta| self.object(meta)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The names of the folders that lie directly in a folder, sorted.
    pub fn folders(&self, under: &str) -> Result<Vec<String>, RepositoryError> {
        let at = self.at(under)?;
        let listed = self
            .runtime
            .block_on(self.store.list_with_delimiter(Some(&at)))
            .map_err(|error| self.failed("list", under, error))?;
        let mut names: Vec<String> =
            listed.common_prefixes.iter().filter_map(|prefix| prefix.filename().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Takes out an object; one that is not there is no error.
    pub fn delete(&self, name: &str) -> Result<(), RepositoryError> {
        let at = self.at(name)?;
        let done = self.runtime.block_on(self.store.delete(&at));
        self.found("delete", name, done).map(drop)
    }

    /// Takes out what uploads that were broken off left in a folder before a moment. In a bucket nobody sees such parts, and the
    /// bucket's own rules see to them.
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
        let Some(folder) = self.path_of(under).filter(|folder| folder.is_dir()) else { return Ok(0) };
        let failed = |source| RepositoryError::Io { doing: "clear up in", path: folder.clone(), source };
        sweep(&folder, before).map_err(failed)
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
    let opened = File::open(file).map_err(|source| RepositoryError::Io {
        doing: "read",
        path: file.to_path_buf(),
        source,
    })?;
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
