//! One process of a pipeline of several: what it may do, and how it finds the others.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Failure;
use super::args::ProcessesArgs;
use crate::config::Config;
use crate::digests::{DigestKey, to_hex};
use crate::engine::peers::hello::{Hello, PROTOCOL};
use crate::engine::peers::{Peers, PeersError, connect};
use crate::engine::recover::Standing;
use crate::folder::{Folder, write_key};
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

impl Joining {
    /// From what was typed; none where there is one process.
    pub fn of(
        args: &ProcessesArgs,
        config: &Config,
        listen: Option<&str>,
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
        let http = listen.map(|listen| reachable(listen, &hosts.0[process]));
        Ok(Some(Joining { share, hosts, stop: stop.clone(), http }))
    }

    /// Waits for the others and agrees with them, and keeps in the store what it is a part of.
    pub fn join(
        &self,
        (folder, store, standing): (&Folder, &dyn Store, &Standing),
        config: &Config,
        lists: MadeWith,
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
            key_for_new: first.then(|| to_hex(key.bytes())),
            epoch: standing.epoch,
            synced: standing.synced,
            anew: standing.is_to_be_made_anew()
                || (standing.epoch > 0
                    && (standing.meaning != Some(config.meaning_hash()) || standing.lists != lists)),
            meaning: to_hex(&config.meaning_hash()),
            lists,
            centres: standing.centres.as_ref().map(|centres| centres.version.clone()),
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
        if standing.part.is_none() {
            let part = Part { pipeline: peers.agreed.pipeline.clone(), share: self.share };
            let mut change = store.begin();
            change.put(Table::Meta, meta::PART, &serde_json::to_vec(&part).unwrap_or_default());
            change.commit(true)?;
        }
        Ok(peers)
    }
}

/// A new pipeline's name: of the key, which no other has.
fn new_pipeline(key: &DigestKey) -> String {
    to_hex(&key.member("pipeline"))
}

/// Where others reach what listens at an address: at one of all interfaces by the name that the hosts have.
fn reachable(listen: &str, host: &str) -> String {
    let (at, port) = listen.rsplit_once(':').unwrap_or((listen, "80"));
    let everywhere = matches!(at, "0.0.0.0" | "[::]" | "");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    format!("{}:{port}", if everywhere { name } else { at })
}
