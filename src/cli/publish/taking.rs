//! What is published, taken over by a running pipeline: a model as by `model use`, lists as the offline rung, items as
//! records.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use super::super::cluster;
use super::contents::{AboutLists, CATALOGUE, LISTS, MemberList, RankedItem};
use crate::batch::Batches;
use crate::engine::batches::BatchList;
use crate::engine::socket::{Adopt, LatestAt, Wanted};
use crate::engine::{Handle, TakeoverError};
use crate::folder::Folder;
use crate::publications::subscriptions::{NotTaken, Take};
use crate::publications::{Kind, Publication};
use crate::sources::json::Decoder;
use crate::sources::{self, Batch};
use crate::stores::formats::OfflineBatch;

/// How many lists are handed on at a time, and how many bytes of records.
const LISTS_AT_A_TIME: usize = 128;
const RECORDS_AT_A_TIME: usize = 1 << 20;

/// How a running pipeline takes over.
pub fn taking(
    adopt: Adopt,
    (data, handle): (Folder, Handle),
    batches: Arc<Batches>,
    latest_at: LatestAt,
) -> Take {
    Arc::new(move |publication: &Publication, folder: &Path| match publication.kind {
        Kind::Model => {
            let line_up = adopt(&Wanted::Use(folder.to_owned())).map_err(NotTaken::for_now)?;
            match handle.use_line_up(line_up) {
                Ok(_) => Ok(()),
                // Whoever asked for another meanwhile wants that one.
                Err(error @ TakeoverError::Replaced(_)) => Err(NotTaken::for_good(error.to_string())),
                Err(error) => Err(NotTaken::for_now(error.to_string())),
            }
        }
        Kind::Lists => lists(&folder.join(LISTS), &batches, &handle).map_err(NotTaken::for_now),
        Kind::Catalogue => catalogue(&folder.join(CATALOGUE), &handle, &latest_at).map_err(NotTaken::for_now),
        Kind::Centres => match cluster::take(&data, &handle, Some(folder)) {
            Ok(_) => Ok(()),
            // Their model may be on its way.
            Err(failure) => Err(NotTaken::for_now(failure.to_string())),
        },
        other => Err(NotTaken::for_good(format!("a pipeline has no use for {}", other.as_str()))),
    })
}

/// Opens a compressed file, and what errors call it.
fn open(path: &Path) -> Result<impl BufRead + use<>, String> {
    let opened = File::open(path).and_then(zstd::Decoder::new);
    Ok(BufReader::with_capacity(1 << 20, opened.map_err(|error| format!("{}: {error}", path.display()))?))
}

fn lists(path: &Path, batches: &Batches, handle: &Handle) -> Result<(), String> {
    let wrong = |line: u64, why: String| format!("{}, line {line}: {why}", path.display());
    let mut lines = open(path)?.lines().zip(1..);
    let mut line = || -> Result<Option<(String, u64)>, String> {
        let Some((line, number)) = lines.next() else { return Ok(None) };
        line.map(|line| Some((line, number))).map_err(|error| wrong(number, error.to_string()))
    };
    let (first, _) = line()?.ok_or_else(|| wrong(1, "the file is empty".to_owned()))?;
    let about: AboutLists = serde_json::from_str(&first).map_err(|error| wrong(1, error.to_string()))?;
    let AboutLists { algorithm, model, limit, epoch, as_of, made_at } = about;
    let made = OfflineBatch { generation: 0, epoch, as_of, made_at, algorithm, model, limit, members: 0 };
    let mut next = || {
        let mut some = Vec::new();
        while some.len() < LISTS_AT_A_TIME {
            let Some((line, number)) = line()? else { break };
            let list: MemberList =
                serde_json::from_str(&line).map_err(|error| wrong(number, error.to_string()))?;
            let entries = list.items.into_iter().map(|RankedItem { item, score }| (item, score)).collect();
            some.push(BatchList { member: list.member, entries });
        }
        Ok(Some(some).filter(|some| !some.is_empty()))
    };
    batches.take(made, &mut next, handle).map(drop).map_err(|error| error.to_string())
}

/// Items are taken as any records are: the newer version of each stays, so an older catalogue changes nothing.
fn catalogue(path: &Path, handle: &Handle, latest_at: &LatestAt) -> Result<(), String> {
    let mut lines = open(path)?;
    let mut records = Vec::new();
    loop {
        let read = lines.read_until(b'\n', &mut records);
        let read = read.map_err(|error| format!("{}: {error}", path.display()))?;
        if records.len() >= RECORDS_AT_A_TIME || (read == 0 && !records.is_empty()) {
            let mut batch = Batch::new("publication".into());
            let start = sources::Place::default();
            sources::decode_lines(&records, start, latest_at(), &mut Decoder::default(), &mut batch);
            if let Some(line) = batch.rejected.first() {
                return Err(format!("{}: a record cannot be taken: {}", path.display(), line.detail));
            }
            handle.submit(batch).map_err(|error| error.to_string())?;
            records.clear();
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// How a pipeline that holds a data folder is called where it says what it uses: by its machine, and the folder.
pub fn who(folder: &Path) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let host: String = host.trim().chars().filter(plain).take(48).collect();
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let folder = blake3::hash(folder.as_os_str().as_encoded_bytes()).to_hex();
    format!("{}-{}", if host.is_empty() { "pipeline" } else { &host }, &folder[..8])
}
