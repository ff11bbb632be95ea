//! Parquet as a log: the archive, and other people's files with the same columns.
//!
//! Each row becomes the line of JSON that it stands for, and is decoded as such: so a row is checked as a line is, and what
//! is wrong with it is said in the same words. A file is read once; one that is as it was when it was read to its end
//! yields nothing.

mod cells;
mod columns;
mod lines;

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::ParquetError;

pub use lines::{Lines, Slice};

use super::cutter::{Cut, Place};
use super::decoding::{Block, Decoding, Feed, Format};
use super::files::{Options, SourceError};
use super::watched::latest_at;
use super::{LogOffset, Offset, Source};
use crate::archive::ledger::Ledger;
use crate::repositories::{self, Object, Repository, RepositoryError};

/// How the names of Parquet files end.
const ENDING: &str = ".parquet";
/// How many of a file's last bytes tell it from another: its footer, or the end of that.
const TAIL: u64 = 4096;

/// Why Parquet cannot be read as records.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The file system's say.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The repository's.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Not Parquet, or damaged.
    #[error("it is not a Parquet file that can be read: {0}")]
    Parquet(#[from] ParquetError),
    /// Parquet, but not of the columns wanted; or damaged.
    #[error("{0}")]
    Wrong(String),
}

/// Whether what the command line names is Parquet: a URL of a repository, a file, an archive, or a folder of Parquet files,
/// also one with a folder for each value of a column (`day=2026-01-02`).
pub fn is_parquet(arg: &str) -> bool {
    if arg.starts_with("file://") || repositories::is_on_server(arg) {
        return true;
    }
    let path = Path::new(arg);
    path.is_file() && arg.ends_with(ENDING) || path.is_dir() && is_folder_of_parquet(path)
}

fn is_folder_of_parquet(folder: &Path) -> bool {
    if folder.join(Ledger::NAME).exists() {
        return true;
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let shown: Vec<PathBuf> = entries
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            !name.starts_with(b".") && !name.starts_with(b"_")
        })
        .collect();
    let counts = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() { name.contains('=') } else { name.ends_with(ENDING) }
    };
    !shown.is_empty() && shown.iter().all(counts)
}

/// Opens Parquet as a source.
pub fn open(
    arg: &str,
    options: &Options,
    offsets: &dyn Fn(&str) -> Option<Offset>,
) -> Result<Box<dyn Source>, SourceError> {
    let told = |source: RowsError| SourceError::Rows { name: arg.to_owned(), source };
    let (repository, files) = files(arg, options).map_err(told)?;
    if files.is_empty() {
        let none = RowsError::Wrong("there is no file in it whose name ends in .parquet".to_owned());
        return Err(told(none));
    }
    // Of several processes each reads whole files of its own.
    let is_own = |object: &Object| options.sharing(&object.name).has_whole();
    let known: Vec<(Object, Option<LogOffset>)> = files
        .into_iter()
        .filter(is_own)
        .map(|object| {
            let offset = offsets(&name_of(&repository, &object.name)).and_then(Offset::log);
            (object, offset)
        })
        .collect();
    let total = known.iter().map(|(object, _)| object.size).sum();
    let own = options.clone();
    let read = move |feed: Feed| {
        for (object, offset) in &known {
            let name = name_of(&repository, &object.name);
            let read = read_file(&repository, object, offset.as_ref(), (&own, &feed, &name));
            if let Err(source) = read
                && feed.failed(SourceError::Rows { name, source }).is_err()
            {
                return;
            }
            if feed.is_over() {
                return;
            }
        }
    };
    let decoding = Decoding::start(arg.to_owned(), options.threads, options.stop.clone(), read)?;
    // The size of files on a disk is known to whoever draws a bar.
    let local = Path::new(arg).exists();
    Ok(Box::new(if local { decoding } else { decoding.of_total(total) }))
}

/// What a file is called in offsets and rejected lines: its absolute path, or its URL.
fn name_of(repository: &Repository, name: &str) -> String {
    repository.path_of(name).map_or_else(|| repository.url_of(name), |path| path.display().to_string())
}

/// The files that an argument names, and the repository that they lie in. Of an archive those that are live.
fn files(arg: &str, options: &Options) -> Result<(Repository, Vec<Object>), RowsError> {
    let (at, file) = match arg.strip_suffix(ENDING) {
        Some(_) if !Path::new(arg).is_dir() => match arg.rsplit_once('/') {
            Some((folder, file)) => (if folder.is_empty() { "/" } else { folder }, Some(file)),
            None => (".", Some(arg)),
        },
        _ => (arg, None),
    };
    let path = Path::new(at.strip_prefix("file://").unwrap_or(at));
    if !repositories::is_on_server(at) && !path.is_dir() {
        return Err(RowsError::Wrong("there is no such folder".to_owned()));
    }
    let repository = Repository::open(at, &options.access)?;
    if let Some(file) = file {
        let object = repository.head(file)?;
        let object = object.ok_or_else(|| RowsError::Wrong("there is no such file".to_owned()))?;
        return Ok((repository, vec![object]));
    }
    let mut listed = repository.list("")?;
    if let Some(ledger) = Ledger::read(&repository)? {
        let live = |object: &Object| ledger.files.iter().any(|file| file.name == object.name);
        let found = listed.iter().filter(|object| live(object)).count();
        if found < ledger.files.len() {
            let missing = ledger.files.len() - found;
            let said = format!("{missing} of the files that its ledger names are not there");
            return Err(RowsError::Wrong(said));
        }
        listed.retain(live);
        return Ok((repository, listed));
    }
    let hidden = |name: &str| name.split('/').any(|part| part.starts_with('.') || part.starts_with('_'));
    listed.retain(|object| object.name.ends_with(ENDING) && !hidden(&object.name));
    Ok((repository, listed))
}

/// An object as a file to read from; from elsewhere it is fetched first, to a file without a name.
pub fn file_of(repository: &Repository, name: &str) -> Result<File, RowsError> {
    if let Some(path) = repository.path_of(name) {
        return Ok(File::open(path)?);
    }
    let mut file = tempfile::tempfile()?;
    let found = repository.get_all(name, &mut file)?;
    file.flush()?;
    file.seek(SeekFrom::Start(0))?;
    found.map(|_| file).ok_or_else(|| RowsError::Wrong("it is not there any more".to_owned()))
}

/// Feeds the rows of a file.
fn read_file(
    repository: &Repository,
    object: &Object,
    known: Option<&LogOffset>,
    (options, feed, name): (&Options, &Feed, &str),
) -> Result<(), RowsError> {
    let from = object.size.saturating_sub(TAIL);
    let head = repository.get_range(&object.name, from..object.size)?;
    let head = (head.len() as u32, blake3::hash(&head).to_hex().to_string());
    if known.is_some_and(|known| known.size == Some(object.size) && known.head == head) {
        return Ok(());
    }
    let source: Arc<str> = name.into();
    let mut lines = Lines::open(file_of(repository, &object.name)?)?;
    let mut place = Place::default();
    let mut told = 0;
    loop {
        let slice = lines.next_slice()?;
        let last = slice.rows == 0;
        let bytes = std::mem::take(&mut lines.text);
        let whole = Place { bytes: place.bytes + bytes.len() as u64, lines: place.lines + slice.rows };
        // In proportion to the rows: how many bytes of the file a row has is not known.
        let read = if last { object.size } else { object.size * whole.lines / lines.rows().max(1) };
        let offset = LogOffset {
            bytes: whole.bytes,
            lines: whole.lines,
            size: Some(object.size),
            head: head.clone(),
            tail: (0, String::new()),
            map: String::new(),
        };
        let block = Block {
            source: source.clone(),
            format: Format::Json,
            cut: Cut { bytes, place, rejected: Vec::new(), whole },
            // A file is begun again where it was not read to its end.
            offset: last.then_some(Offset::Log(offset)),
            bytes_read: read - told,
            latest_at: latest_at(options),
        };
        if feed.is_over() || feed.block(block).is_err() || last {
            return Ok(());
        }
        (place, told) = (whole, read);
    }
}

#[cfg(test)]
mod tests;
