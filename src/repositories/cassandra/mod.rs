//! Cassandra, and what speaks like it (ScyllaDB), for results that fit: `cassandra://HOST:PORT,HOST:PORT/KEYSPACE/PREFIX`.
//!
//! An object's bytes are chunks under a name of their own, its *generation*, and one row says which generation it is. So chunks go
//! up first, unseen, and the row makes an object of them at one moment. Small objects lie in the row. Whoever reads an
//! object reads one generation or is told that it is gone: never some of one and some of another.
//!
//! What is written but not an object yet (an upload), or not any more, has a row too, in the same partition, and these rows
//! change in one lightweight transaction. So at each moment either an object or a loose row names each chunk, and what was broken
//! off is found without looking at all chunks. `tables.rs` has the rows (`statements.rs`), `writing.rs` and `reading.rs` what is done with
//! them, `problem.rs` what goes wrong.

mod problem;
mod reading;
mod statements;
mod tables;
#[cfg(test)]
pub(super) mod tests;
mod writing;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path as Name;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use tokio::sync::OnceCell;

use self::problem::{Problem, patiently};
use self::tables::{At, Tables};
use super::{Place, Repository, RepositoryError};
use crate::cassandra::Cluster;
use crate::config;

/// What errors call it.
const NAME: &str = "Cassandra";
/// The folder of objects whose names have but one part. No part of a name is this.
const TOP: &str = ".";
/// Objects of so many bytes at most lie in their row.
const SMALL: usize = 16 << 10;
/// A chunk has so many bytes, but for the last.
const CHUNK: usize = 512 << 10;

/// Opens a repository: `rest` is `HOST:PORT,HOST:PORT/KEYSPACE/PREFIX`. Nothing is asked of the cluster yet.
pub(super) fn open(url: &str, rest: &str, access: &config::Cassandra) -> Result<Repository, RepositoryError> {
    let address = || RepositoryError::Address { url: url.to_owned() };
    let mut parts = rest.splitn(3, '/');
    let (hosts, keyspace) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let prefix = Name::parse(parts.next().unwrap_or_default()).map_err(|_| address())?;
    if !hosts.split(',').all(is_host) || !is_keyspace(keyspace) {
        return Err(address());
    }
    let password = access.password.as_ref().map(|password| password.value("password")).transpose();
    let cluster = Cluster {
        hosts: hosts.split(',').map(str::to_owned).collect(),
        keyspace: keyspace.to_owned(),
        user: access.user.clone(),
        password: password.map_err(|error| RepositoryError::Setting { table: "cassandra", error })?,
        ca: access.ca.clone(),
        replication: access.replication,
    };
    // A session has work of its own between our calls: it keeps its connections alive.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .thread_name("cassandra")
        .build()
        .map_err(RepositoryError::Runtime)?;
    let store = Cassandra(Arc::new(Inner {
        cluster,
        repository: format!("/{prefix}"),
        limit: access.object,
        tables: OnceCell::new(),
        folders: Mutex::default(),
    }));
    Ok(Repository {
        url: url.trim_end_matches('/').to_owned(),
        store: Arc::new(store.clone()),
        // It is in the key of each row.
        prefix: Name::default(),
        place: Place::Cassandra(store),
        runtime,
    })
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "9042"));
    !name.is_empty() && !name.contains('@') && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Keyspaces are named so, and the name goes into a statement.
fn is_keyspace(name: &str) -> bool {
    (1..=48).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Objects in a keyspace.
#[derive(Clone)]
pub(super) struct Cassandra(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    /// What the repository is called in the keys of rows: `/PREFIX`.
    repository: String,
    /// No object may have more bytes.
    limit: u64,
    /// There once we are connected, which is when it is first asked for something.
    tables: OnceCell<Tables>,
    /// Folders that are known to be known.
    folders: Mutex<HashSet<String>>,
}

impl Cassandra {
    /// How many bytes an object may have.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// The tables; connects where that was not done.
    async fn tables(&self) -> Result<&Tables, Problem> {
        let open = || Tables::open(&self.0.cluster);
        self.0.tables.get_or_try_init(|| patiently(open)).await
    }

    fn at(&self, location: &Name) -> At {
        At {
            repository: self.0.repository.clone(),
            folder: folder_of(location.as_ref()).to_owned(),
            name: location.to_string(),
        }
    }

    /// Sees to it that a folder is found, before anything is in it.
    async fn know(&self, folder: &str) -> Result<(), Problem> {
        let known = || self.0.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(folder) {
            return Ok(());
        }
        let tables = self.tables().await?;
        patiently(|| tables.put_folder(&self.0.repository, folder)).await?;
        known().insert(folder.to_owned());
        Ok(())
    }
}

/// In which folder an object is.
fn folder_of(name: &str) -> &str {
    name.split_once('/').map_or(TOP, |(folder, _)| folder)
}

/// The names of all that lies in a folder.
fn names_in(folder: &str) -> Range<String> {
    // '0' is the byte after '/'.
    format!("{folder}/")..format!("{folder}0")
}

impl PartialEq for Cassandra {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cassandra {}

impl fmt::Display for Cassandra {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{NAME}({}{})", self.0.cluster.keyspace, self.0.repository)
    }
}

impl fmt::Debug for Cassandra {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

fn not_implemented(operation: &str) -> object_store::Error {
    object_store::Error::NotImplemented { operation: operation.to_owned(), implementer: NAME.to_owned() }
}

#[async_trait]
impl ObjectStore for Cassandra {
    async fn put_opts(
        &self,
        location: &Name,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let new = match options.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => return Err(not_implemented("put_opts with PutMode::Update")),
        };
        let put = self.put_whole(self.at(location), Bytes::from(payload), new).await;
        put.map(written).map_err(|problem| problem.of(location.as_ref()))
    }

    async fn put_multipart_opts(
        &self,
        location: &Name,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        match self.begin(self.at(location)).await {
            Ok(upload) => Ok(Box::new(upload)),
            Err(problem) => Err(problem.of(location.as_ref())),
        }
    }

    async fn get_opts(&self, location: &Name, options: GetOptions) -> object_store::Result<GetResult> {
        self.read(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Name>>,
    ) -> BoxStream<'static, object_store::Result<Name>> {
        let store = self.clone();
        let delete = move |location: Name| {
            let store = store.clone();
            async move {
                let deleted = store.delete_one(&store.at(&location)).await;
                deleted.map_err(|problem| problem.of(location.as_ref()))?;
                Ok(location)
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Name>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let all = async move {
            let listed = store.listed(prefix.as_ref()).await;
            listed.map_err(|problem| problem.of(prefix.as_ref()))
        };
        stream::once(all).map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Name>) -> object_store::Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        let (mut folders, mut objects) = (BTreeSet::new(), Vec::new());
        let all = self.listed(prefix.as_ref()).await.map_err(|problem| problem.of(prefix.as_ref()))?;
        for object in all {
            let below: Vec<_> = object.location.prefix_match(&prefix).into_iter().flatten().collect();
            match &below[..] {
                [folder, _, ..] => drop(folders.insert(prefix.clone().join(folder.clone()))),
                _ => objects.push(object),
            }
        }
        if prefix.is_root() {
            let begun = self.begun(&folders).await.map_err(|problem| problem.of(""))?;
            folders.extend(begun);
        }
        let common_prefixes = folders.into_iter().collect();
        Ok(ListResult { common_prefixes, objects, extensions: Default::default() })
    }

    async fn copy_opts(&self, _: &Name, _: &Name, _: CopyOptions) -> object_store::Result<()> {
        Err(not_implemented("copy_opts"))
    }
}

fn written(generation: String) -> PutResult {
    PutResult { e_tag: Some(generation), version: None, extensions: Default::default() }
}

/// A moment of the cluster's clock.
fn moment(at: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(at.max(0) as u64)
}
