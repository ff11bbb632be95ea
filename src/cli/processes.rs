//! One process of a pipeline of several: what it may do, and how it finds the others.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Failure;
use super::args::ProcessesArgs;
use crate::config::Config;
use crate::digests::{DigestKey, to_hex};
use crate::engine::peers::hello::{Hello, PROTOCOL};
use crate::engine::peers::{Peers, PeersError, connect};
use crate::engine::recover::Standing;
use crate::failpoints::reach;
use crate::folder::{Folder, write_key};
use crate::processes::reading::{Remote, TAG, Whole, answer};
use crate::processes::{Hosts, Part, Share};
use crate::stores::formats::meta;
use crate::stores::{Store, Table};
use crate::variants::MadeWith;

/// How a process joins the others.
pub struct Joining {
    pub share: Share,
    hosts: Hosts,
    stop: Arc<AtomicBool>,
    /// Where it answers over HTTP.
    http: Option<String>,
}

/// What a process has of the others once it runs.
pub struct Joined {
    pub share: Share,
    /// Where each answers over HTTP, by process.
    pub http: Vec<Option<String>>,
    /// All stores, read as one.
    pub whole: Arc<dyn Store>,
}

impl Joining {
    /// From what was typed; none where there is one process.
    pub fn of(
        args: &ProcessesArgs,
        config: &Config,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Self>, Failure> {
        let share = args.share();
        let Share { process, processes } = share;
        let hosts = args.hosts.as_deref();
        if processes == 1 {
            return match (process, hosts) {
                (0, _) => Ok(None),
                _ => Err(Failure::Use(format!(
                    "--process {process} wants --processes, of which there are then at least {}",
                    process + 1
                ))),
            };
        }
        if process >= processes {
            let last = processes - 1;
            return Err(Failure::Use(format!(
                "--process {process}: {processes} processes have numbers from 0 to {last}"
            )));
        }
        let hosts = hosts.ok_or_else(|| {
            Failure::Use("--processes wants --hosts FILE: a line HOST:PORT for each process, in order".into())
        })?;
        let hosts = Hosts::read(hosts, processes).map_err(|error| Failure::Use(error.to_string()))?;
        for (set, what) in [
            (config.archive.is_some(), "[archive]"),
            (!config.mirrors.is_empty(), "[mirrors]"),
            (!config.jobs.is_empty(), "[jobs]"),
            (!config.subscriptions.is_empty(), "[subscriptions]"),
        ] {
            if set {
                let said = format!(
                    "{what} of the config is for a pipeline of one process; leave it out of the config of these"
                );
                return Err(Failure::Use(said));
            }
        }
        Ok(Some(Joining { share, hosts, stop: stop.clone(), http: None }))
    }

    /// The same for a process that answers over HTTP, at a URL.
    pub fn answering(self, url: Option<String>) -> Self {
        let http = url.map(|url| reachable(&url, &self.hosts.0[self.share.process]));
        Joining { http, ..self }
    }

    /// From here on the others read this process's store, and this one theirs.
    pub fn read_each_other(&self, peers: &mut Peers, store: &Arc<dyn Store>) -> Result<Joined, Failure> {
        let pipeline = &peers.agreed.pipeline;
        let part = Part { pipeline: pipeline.clone(), share: self.share };
        if let Some(listener) = peers.listener.take() {
            let store = Arc::downgrade(store);
            std::thread::Builder::new()
                .name("readers".into())
                .spawn(move || answer_all(&listener, &store, &part))?;
        }
        let remote = |(process, address): (usize, &String)| {
            let remote = || Remote::new(address.clone(), pipeline.clone(), process);
            (process != self.share.process).then(remote)
        };
        let others = self.hosts.0.iter().enumerate().map(remote).collect();
        let whole = Arc::new(Whole::new(store.clone(), others));
        Ok(Joined { share: self.share, http: peers.said.http.clone(), whole })
    }

    /// Waits for the others and agrees with them, and keeps in the store what it is a part of.
    pub fn join(
        &self,
        (folder, store, standing): (&Folder, &dyn Store, &Standing),
        config: &Config,
        (lists, centres): (MadeWith, Option<String>),
        (workers, bulk): (usize, bool),
        key: &mut DigestKey,
    ) -> Result<Peers, Failure> {
        if let Some(part) = &standing.part
            && part.share != self.share
        {
            let Share { process, processes } = part.share;
            return Err(Failure::Use(format!(
                "{} is the part of process {process} of {processes}: start it with --process {process} --processes {processes}, or \
                 make folders for {} processes with `nearline reshard`",
                folder.path().display(),
                self.share.processes
            )));
        }
        if standing.part.is_none() && standing.epoch > 0 {
            return Err(Failure::Use(format!(
                "{} is the folder of a pipeline of one process; make folders for {} processes of it with `nearline reshard`",
                folder.path().display(),
                self.share.processes
            )));
        }
        let first = self.share.process == 0;
        let known = standing.part.as_ref().map(|part| part.pipeline.clone());
        let own = Hello {
            protocol: PROTOCOL,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            share: self.share,
            workers,
            bulk,
            pipeline: known.or_else(|| first.then(|| new_pipeline(key))),
            key: key.fingerprint(),
            key_for_new: (first && standing.epoch == 0).then(|| to_hex(key.bytes())),
            epoch: standing.epoch,
            synced: standing.synced,
            part: standing.part.is_some(),
            untold: standing.untold,
            anew: standing.is_to_be_made_anew()
                || (standing.epoch > 0
                    && (standing.meaning != Some(config.meaning_hash()) || standing.lists != lists)),
            meaning: to_hex(&config.meaning_hash()),
            lists,
            centres,
            http: self.http.clone(),
        };
        let peers = connect(&self.hosts, own, &self.stop).map_err(|error| match error {
            PeersError::Interrupted => Failure::Interrupted(error.to_string()),
            _ => Failure::Failed(error.to_string()),
        })?;
        if let Some(given) = &peers.agreed.key {
            write_key(&folder.key_file(), given)?;
            *key = given.clone();
        }
        let part = Part { pipeline: peers.agreed.pipeline.clone(), share: self.share };
        // One that was kept before the first epoch may be of other folders that are gone.
        if standing.part.as_ref() != Some(&part) {
            let mut change = store.begin();
            change.put(Table::Meta, meta::PART, &serde_json::to_vec(&part).unwrap_or_default());
            change.commit(true)?;
            reach("part-kept");
        }
        Ok(peers)
    }
}

/// A new pipeline's name: of the key, which no other has.
fn new_pipeline(key: &DigestKey) -> String {
    to_hex(&key.member("pipeline"))
}

/// How long whoever calls may take to say what for.
const SAY: Duration = Duration::from_secs(5);

/// Answers whoever calls to read the store, for as long as there is one.
fn answer_all(listener: &TcpListener, store: &Weak<dyn Store>, part: &Part) {
    for call in listener.incoming() {
        if store.strong_count() == 0 {
            return;
        }
        let (store, part) = (store.clone(), part.clone());
        let answered = call.and_then(|stream| {
            let named = std::thread::Builder::new().name("called".into());
            named.spawn(move || answer_one(stream, &store, &part)).map(drop)
        });
        if let Err(error) = answered {
            tracing::debug!(%error, "a call of another process was not answered");
        }
    }
}

/// Answers one who says in time what for.
fn answer_one(mut stream: TcpStream, store: &Weak<dyn Store>, part: &Part) {
    let mut tag = [0];
    let said = stream.set_read_timeout(Some(SAY)).and_then(|()| stream.read_exact(&mut tag));
    // A process that was begun anew calls until this one, which was with it before, has ended.
    if said.is_ok()
        && tag == [TAG]
        && let Some(store) = store.upgrade()
        && let Err(error) = answer(stream, &store, part)
    {
        tracing::debug!(%error, "another process does not read the store");
    }
}

/// Where others reach what listens at a URL: at all interfaces by the name that the hosts have.
fn reachable(url: &str, host: &str) -> String {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    ["0.0.0.0", "[::]"].iter().fold(url.to_owned(), |url, all| url.replacen(all, name, 1))
}

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn who_listens_everywhere_is_reached_by_the_name_that_the_hosts_have() {
        assert_eq!(reachable("http://0.0.0.0:80", "a.example:71"), "http://a.example:80");
        assert_eq!(reachable("https://[::]:80", "[::1]:71"), "https://[::1]:80");
        assert_eq!(reachable("http://10.0.0.1:80", "a.example:71"), "http://10.0.0.1:80");
    }
}
