//! What is published, as files: a model's own, and lists and items as JSON Lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::args::FilesKind;
use super::super::opening::of_all_members;
use super::super::{Context, Failure, now_ms};
use super::What;
use crate::engine::batches;
use crate::engine::recover::{self, Standing};
use crate::offline::Manifest;
use crate::offline::centres::{CENTRES, CentresFolder};
use crate::offline::model::{ITEMS, MANIFEST};
use crate::offline::trained_on::MEMBERS;
use crate::publications::Kind;
use crate::publications::publish::Draft;
use crate::records::{Record, write_json};
use crate::stores::rocks::RocksStore;
use crate::stores::{StoreError, Table, Tables, formats};

/// The file of lists: a line that says what they are ([`AboutLists`]), and one for each member ([`MemberList`]).
pub(super) const LISTS: &str = "lists.jsonl.zst";
/// The file of items: records, as in a log.
pub(super) const CATALOGUE: &str = "catalogue.jsonl.zst";
/// How strongly they are compressed: what takes as long as writing them.
const LEVEL: i32 = 3;

/// What lists are, in their file's first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AboutLists {
    /// How they were made.
    pub algorithm: String,
    /// The version of the model.
    pub model: Option<String>,
    /// How many items a list has at most.
    pub limit: u64,
    /// The epoch that they are made from.
    pub epoch: u64,
    /// The newest event that they cover, in milliseconds since 1970.
    pub as_of: Option<i64>,
    /// When they were made.
    pub made_at: i64,
}

/// A member's list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MemberList {
    /// Whose.
    pub member: String,
    /// Best first.
    pub items: Vec<RankedItem>,
}

/// An item of a list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RankedItem {
    /// Its id.
    pub item: String,
    /// Its score.
    pub score: f64,
}

/// Makes a draft; files that are made for it lie in `scratch`.
pub(super) fn draft(
    context: &Context,
    name: &str,
    what: &What<'_>,
    scratch: &Path,
) -> Result<Draft, Failure> {
    let draft = |kind, schema: &str, files| Draft {
        name: name.to_owned(),
        kind,
        schema: schema.to_owned(),
        counts: BTreeMap::new(),
        epoch: None,
        model: None,
        query: None,
        command: command(),
        made_at: now_ms(),
        files,
    };
    match what {
        What::Model(folder) => {
            let manifest = Manifest::load(folder)?;
            let files = [MANIFEST, ITEMS, MEMBERS].map(|file| folder.join(file));
            let files = files.into_iter().filter(|file| file.exists() || !file.ends_with(MEMBERS)).collect();
            let counts = [("items", manifest.counts.items), ("rank", manifest.rank as u64)];
            let trained_at: Option<jiff::Timestamp> = manifest.trained_at.parse().ok();
            Ok(Draft {
                counts: counts.map(|(name, count)| (name.to_owned(), count)).into(),
                model: Some(manifest.version),
                made_at: trained_at.map_or_else(now_ms, jiff::Timestamp::as_millisecond),
                ..draft(Kind::Model, "model/1", files)
            })
        }
        What::Lists => {
            let path = scratch.join(LISTS);
            let (about, members) = write_lists(context, &path)?;
            Ok(Draft {
                counts: [("members".to_owned(), members), ("limit".to_owned(), about.limit)].into(),
                epoch: Some(about.epoch),
                model: about.model,
                made_at: about.made_at,
                ..draft(Kind::Lists, "lists/1", vec![path])
            })
        }
        What::Catalogue => {
            let path = scratch.join(CATALOGUE);
            let (epoch, items) = write_catalogue(context, &path)?;
            Ok(Draft {
                counts: [("items".to_owned(), items)].into(),
                epoch: Some(epoch),
                ..draft(Kind::Catalogue, "records/1", vec![path])
            })
        }
        What::Centres(folder) => {
            let CentresFolder { manifest, .. } = CentresFolder::load(folder)?;
            let made_at: Option<jiff::Timestamp> = manifest.made_at.parse().ok();
            let counts = [("clusters", manifest.clusters as u64), ("rank", manifest.rank as u64)];
            Ok(Draft {
                counts: counts.map(|(name, count)| (name.to_owned(), count)).into(),
                epoch: Some(manifest.epoch),
                model: Some(manifest.model),
                made_at: made_at.map_or_else(now_ms, jiff::Timestamp::as_millisecond),
                ..draft(Kind::Centres, "centres/1", [MANIFEST, CENTRES].map(|file| folder.join(file)).into())
            })
        }
        What::Files(args) => {
            let kind = match args.kind {
                Some(FilesKind::Centres) => Kind::Centres,
                Some(FilesKind::Query) | None => Kind::Query,
            };
            let mut names: Vec<_> = args.files.iter().map(|file| file.file_name()).collect();
            names.sort_unstable();
            if let Some(twice) = names.windows(2).find(|two| two[0] == two[1]) {
                let name = twice[0].unwrap_or_default().display();
                return Err(Failure::Use(format!(
                    "two files are called {name}: give one of them another name"
                )));
            }
            Ok(draft(kind, "files", args.files.clone()))
        }
        #[cfg(feature = "query")]
        What::Query(result) => Ok(Draft {
            counts: [
                ("rows".to_owned(), result.rows),
                ("columns".to_owned(), result.query.columns.len() as u64),
            ]
            .into(),
            epoch: Some(result.epoch),
            query: Some(result.query.clone()),
            ..draft(Kind::Query, "query/1", vec![result.file.clone()])
        }),
        What::Again(version) => Err(Failure::Failed(format!("{version} is published already"))),
    }
}

/// The command as it was typed.
fn command() -> String {
    let words = std::env::args().skip(1);
    std::iter::once("nearline".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// The store of the data folder as of one moment.
fn store(context: &Context) -> Result<(RocksStore, Standing), Failure> {
    let store = RocksStore::open_reader(context.folder.path())?;
    let standing = Standing::of(&store)?;
    if standing.epoch == 0 {
        return Err(StoreError::Empty(context.folder.path().to_owned()).into());
    }
    Ok((store, standing))
}

fn write_lists(context: &Context, path: &Path) -> Result<(AboutLists, u64), Failure> {
    let (store, standing) = store(context)?;
    of_all_members(&context.folder, &standing, "what is published")?;
    let Some(batch) = batches::live(&store)? else {
        return Err(Failure::No("no batch job has made lists: make them with `nearline batch`".into()));
    };
    let about = AboutLists {
        algorithm: batch.algorithm,
        model: batch.model,
        limit: batch.limit,
        epoch: batch.epoch,
        as_of: batch.as_of,
        made_at: batch.made_at,
    };
    let mut lines = Lines::create(path)?;
    lines.json(&about)?;
    let mut members = 0;
    let prefix = batch.generation.to_be_bytes();
    let mut failed = None;
    store.scan(Table::BatchLists, &prefix, &prefix, &mut |key, value| {
        let line = formats::decode_ranked(key, value).map_err(Failure::from).and_then(|items| {
            let ranked = |(item, score): (&str, f64)| RankedItem { item: item.to_owned(), score };
            let member = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
            lines.json(&MemberList { member, items: items.into_iter().map(ranked).collect() })
        });
        members += 1;
        failed = line.err();
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    failed.map_or(Ok(()), Err)?;
    lines.finish()?;
    Ok((about, members))
}

fn write_catalogue(context: &Context, path: &Path) -> Result<(u64, u64), Failure> {
    let (store, standing) = store(context)?;
    let mut lines = Lines::create(path)?;
    let (mut items, mut line) = (0, Vec::new());
    recover::items::<Failure>(&store, &mut |item| {
        line.clear();
        write_json(&Record::Item(item), &mut line);
        items += 1;
        lines.line(&line)
    })?;
    if items == 0 {
        return Err(Failure::No("the data folder has no records of items to publish".into()));
    }
    lines.finish()?;
    Ok((standing.epoch, items))
}

/// A file of lines on its way.
struct Lines {
    path: PathBuf,
    out: zstd::Encoder<'static, BufWriter<File>>,
}

impl Lines {
    fn create(path: &Path) -> Result<Self, Failure> {
        let out = File::create(path).and_then(|file| {
            let mut out = zstd::Encoder::new(BufWriter::with_capacity(1 << 20, file), LEVEL)?;
            out.include_checksum(true)?;
            Ok(out)
        });
        let out =
            out.map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))?;
        Ok(Lines { path: path.to_owned(), out })
    }

    fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(value).map_err(|error| Failure::Failed(error.to_string()))?;
        line.push(b'\n');
        self.line(&line)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.out.write_all(line).map_err(|error| failed(&self.path, &error))
    }

    fn finish(self) -> Result<(), Failure> {
        let Lines { path, out } = self;
        out.finish().and_then(|mut out| out.flush()).map_err(|error| failed(&path, &error))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    let said = error.to_string();
    Failure::Failed(format!("cannot write {}: {said}{}", path.display(), crate::stores::advice(&said)))
}
