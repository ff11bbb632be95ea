//! Objects read and listed.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::path::Path as Name;
use object_store::{GetOptions, GetResult, GetResultPayload, ObjectMeta};

use super::problem::{Problem, patiently};
use super::tables::{At, DROPPED, Entry, UPLOAD};
use super::{Cassandra, NAME, TOP, folder_of, moment, names_in};

/// So many chunks are on their way at a time.
const AHEAD: usize = 8;

impl Cassandra {
    /// What is known of an object, and its bytes as they are asked for.
    pub(super) async fn read(&self, location: &Name, options: GetOptions) -> object_store::Result<GetResult> {
        let at = self.at(location);
        let entry = self.entry(&at).await.map_err(|problem| problem.of(location.as_ref()))?;
        let meta = meta(location.clone(), &entry);
        options.check_preconditions(&meta)?;
        let wrong = |error| object_store::Error::Generic { store: NAME, source: Box::new(error) };
        let range = match options.range {
            _ if options.head => 0..0,
            Some(range) => range.as_range(entry.size).map_err(wrong)?,
            None => 0..entry.size,
        };
        let bytes = match &entry.bytes {
            Some(bytes) => {
                let part = bytes.slice(range.start as usize..range.end as usize);
                stream::once(async { Ok(part) }).boxed()
            }
            None => self.chunks(at, entry, range.clone()),
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(bytes),
            meta,
            range,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    async fn entry(&self, at: &At) -> Result<Entry, Problem> {
        let tables = self.tables().await?;
        let entry = patiently(|| tables.entry(at, false)).await?.ok_or(Problem::None)?;
        let is_right = match &entry.bytes {
            Some(bytes) => bytes.len() as u64 == entry.size && entry.chunk == 0,
            None => entry.chunk > 0,
        };
        if is_right { Ok(entry) } else { Err(Problem::Lost) }
    }

    /// The bytes of a range, in chunks; all of one generation.
    fn chunks(
        &self,
        at: At,
        entry: Entry,
        range: Range<u64>,
    ) -> BoxStream<'static, object_store::Result<Bytes>> {
        let numbers = range.start / entry.chunk..range.end.div_ceil(entry.chunk);
        let store = self.clone();
        let chunk = move |number: u64| {
            let (store, at, entry, range) = (store.clone(), at.clone(), entry.clone(), range.clone());
            async move {
                let bytes = store.chunk(&at, &entry, number).await.map_err(|problem| problem.of(&at.name))?;
                let begin = number * entry.chunk;
                let from = range.start.max(begin) - begin;
                let to = (range.end - begin).min(bytes.len() as u64);
                Ok(bytes.slice(from as usize..to as usize))
            }
        };
        stream::iter(numbers).map(chunk).buffered(AHEAD).boxed()
    }

    /// A chunk of the length that it must have.
    async fn chunk(&self, at: &At, entry: &Entry, number: u64) -> Result<Bytes, Problem> {
        let tables = self.tables().await?;
        let wanted = entry.chunk.min(entry.size - number * entry.chunk);
        match patiently(|| tables.chunk(&entry.generation, number)).await? {
            Some(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            _ => {
                let now = patiently(|| tables.entry(at, true)).await?;
                let same = now.is_some_and(|now| now.generation == entry.generation);
                Err(if same { Problem::Lost } else { Problem::Replaced })
            }
        }
    }

    /// All objects below a folder; the empty name is the whole repository.
    pub(super) async fn listed(&self, under: &str) -> Result<Vec<ObjectMeta>, Problem> {
        let tables = self.tables().await?;
        let repository = &self.0.repository;
        let places = match under {
            "" => {
                let folders = patiently(|| tables.folders(repository)).await?;
                let whole = |folder: String| match &*folder {
                    // All names that there can be.
                    TOP => (folder, String::new()..char::MAX.to_string()),
                    _ => (folder.clone(), names_in(&folder)),
                };
                folders.into_iter().map(whole).collect()
            }
            _ => vec![(folder_of(&format!("{under}/")).to_owned(), names_in(under))],
        };
        let mut all = Vec::new();
        for (folder, names) in places {
            let list = || tables.list(repository, &folder, (&names.start, &names.end));
            for (name, entry) in patiently(list).await? {
                let location = Name::parse(&name).map_err(Problem::answer)?;
                all.push(meta(location, &entry));
            }
        }
        Ok(all)
    }

    /// Folders in which there is nothing but what was begun or dropped: they are there, for somebody to sweep them.
    pub(super) async fn begun(&self, known: &BTreeSet<Name>) -> Result<Vec<Name>, Problem> {
        let tables = self.tables().await?;
        let repository = &self.0.repository;
        let mut begun = Vec::new();
        for folder in patiently(|| tables.folders(repository)).await? {
            let name = Name::parse(&folder).ok().filter(|name| folder != TOP && !known.contains(name));
            let Some(name) = name else { continue };
            for kind in [UPLOAD, DROPPED] {
                if !patiently(|| tables.loose(repository, &folder, kind)).await?.is_empty() {
                    begun.push(name.clone());
                    break;
                }
            }
        }
        Ok(begun)
    }
}

fn meta(location: Name, entry: &Entry) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: moment(entry.at).into(),
        size: entry.size,
        e_tag: Some(entry.generation.clone()),
        version: None,
    }
}
