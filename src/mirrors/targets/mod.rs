//! The servers that mirrors are in: one file for each kind, behind one trait.
//!
//! Calls wait for their answer, within [`PATIENCE`]; they are made by threads that do nothing else.

#[cfg(feature = "cassandra")]
mod cassandra;
mod kafka;
mod memcached;
#[cfg(feature = "mysql")]
mod mysql;
mod redis;

use std::time::Duration;

use super::MirrorError;
use super::entries::{About, Body, Entry, Key};
use crate::config::{Mirror, Settings};

/// How long a server may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A server that a mirror is in.
pub trait Target: Send {
    /// Writes entries, and takes out those without a body. The server has acknowledged all of them when it returns; where it
    /// fails any part of them may be there.
    fn write(&mut self, entries: &[Entry]) -> Result<(), MirrorError>;

    /// Entries by their keys, in their order.
    fn get(&mut self, keys: &[Key]) -> Result<Vec<Option<Body>>, MirrorError>;

    /// Shows all entries that are there.
    fn each(&mut self, show: Show<'_>) -> Result<(), MirrorError>;

    /// Takes out what [`Target::each`] has come upon where it does not belong any more.
    fn tidy(&mut self) -> Result<(), MirrorError> {
        Ok(())
    }

    /// How many entries are asked for at a time.
    fn together(&self) -> usize {
        1_024
    }

    /// What the mirror said of itself last, the oldest of it where it is in several places; none where it is missing in one: a
    /// server that forgets all when it ends knows nothing of it.
    fn about(&mut self) -> Result<Option<About>, MirrorError> {
        Ok(about_of(self.get(&[Key::About])?.pop().flatten()))
    }

    /// Sees to it that what is written from now on is newer than what was written under this stamp, and moves that on: for
    /// servers that order writes by a clock.
    fn stamp(&mut self, stamp: &mut i64) {
        let _ = stamp;
    }
}

/// What a mirror says of itself, from its entry.
pub(super) fn about_of(body: Option<Body>) -> Option<About> {
    let Some(Body::About(text)) = body else { return None };
    serde_json::from_str(&text).ok()
}

/// Is shown entries; an error ends the showing.
pub type Show<'a> = &'a mut dyn FnMut(Key, Body) -> Result<(), MirrorError>;

/// What is told a server, from a mirror's config.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// The mirror, for errors.
    pub mirror: String,
    /// Its address as it is shown.
    pub url: String,
    /// Host and port of each server.
    pub hosts: Vec<String>,
    /// What stands behind them: a database, a keyspace.
    pub path: String,
    /// Who, where that is asked.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<String>,
    /// The file with the certificates of those who sign the server's.
    #[cfg_attr(
        not(any(feature = "cassandra", feature = "mysql")),
        expect(dead_code, reason = "for Cassandra and MySQL alone")
    )]
    pub ca: Option<std::path::PathBuf>,
    /// On how many nodes each entry is, of a keyspace or a topic that is to be made.
    pub replication: Option<u32>,
    /// How many partitions a topic has that is to be made.
    pub partitions: Option<u32>,
    /// Settings of librdkafka.
    pub settings: Settings,
    /// What stands before names, of keys and of tables.
    pub prefix: String,
    /// For how long an entry stays that is not written again, in seconds.
    pub expiry: Option<u64>,
}

impl Server {
    fn of(config: &Mirror) -> Result<Server, MirrorError> {
        let password = config.password.as_ref().map(|password| password.value("password")).transpose();
        let rest = config.url.split_once("://").map_or("", |(_, rest)| rest);
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Server {
            mirror: config.name.clone(),
            url: config.url.clone(),
            hosts: hosts.split(',').map(str::to_owned).collect(),
            path: path.to_owned(),
            user: config.user.clone(),
            password: password
                .map_err(|source| MirrorError::Setting { mirror: config.name.clone(), source })?,
            ca: config.ca.clone(),
            replication: config.replication,
            partitions: config.partitions,
            settings: config.settings.clone(),
            prefix: config.prefix.clone(),
            expiry: config.expiry.map(|expiry| (expiry.ms().max(0) as u64).div_ceil(1000)),
        })
    }

    /// What went wrong.
    pub fn failed(&self, doing: &str, error: impl std::fmt::Display) -> MirrorError {
        MirrorError::Server {
            mirror: self.mirror.clone(),
            url: self.url.clone(),
            message: format!("{doing}: {error}"),
        }
    }
}

/// Connects to the server of a mirror.
pub fn open(config: &Mirror) -> Result<Box<dyn Target>, MirrorError> {
    let server = Server::of(config)?;
    match config.url.split_once("://").map_or("", |(scheme, _)| scheme) {
        "memcached" => Ok(Box::new(memcached::Memcached::open(server)?)),
        "redis" => Ok(Box::new(redis::Redis::open(server)?)),
        "kafka" => Ok(Box::new(kafka::Kafka::open(server)?)),
        #[cfg(feature = "cassandra")]
        "cassandra" => Ok(Box::new(cassandra::Cassandra::open(server)?)),
        #[cfg(feature = "mysql")]
        "mysql" => Ok(Box::new(mysql::MySql::open(server)?)),
        #[cfg(not(feature = "cassandra"))]
        "cassandra" => Err(not_built_in(&server, "Cassandra", "cassandra")),
        #[cfg(not(feature = "mysql"))]
        "mysql" => Err(not_built_in(&server, "MySQL", "mysql")),
        _ => Err(MirrorError::Refused(format!("{} is no address of a mirror", config.url))),
    }
}

#[cfg(not(all(feature = "cassandra", feature = "mysql")))]
fn not_built_in(server: &Server, what: &str, feature: &str) -> MirrorError {
    MirrorError::Refused(format!(
        "the mirror {} is in {what}, and this nearline was built without it: build it with `cargo build --release \
         --features {feature}`",
        server.mirror
    ))
}

/// A runtime for a client that waits for it.
pub(super) fn runtime(server: &Server) -> Result<tokio::runtime::Runtime, MirrorError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| server.failed("no client could be started", error))
}

/// Waits for an answer, and not longer than the patience.
pub(super) fn within<T, E: std::fmt::Display>(
    runtime: &tokio::runtime::Runtime,
    server: &Server,
    doing: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, MirrorError> {
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await }) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(server.failed(doing, error)),
        Err(_) => Err(server.failed(doing, format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}
