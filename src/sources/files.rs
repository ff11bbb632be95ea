//! Sources from the command line: files, folders, pipes, standard input and topics.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::decoding::{Decoding, Format};
use super::kafka::{self, KafkaError};
use super::parquet::{self, RowsError};
use super::reading::Reading;
use super::sharing::Sharing;
use super::watched::{Named, Watched, latest_at, own_plan, plan_of};
use super::{Offset, Source};
use crate::config::Access;
use crate::config::columns::{ColumnMap, MapError};
use crate::processes::Share;
use crate::sources::compressed::Stored;
use crate::sources::cutter::Place;
use crate::sources::decoding::{Block, Feed};

/// How sources are read.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many threads decode.
    pub threads: usize,
    /// Whether files are watched for growth, and folders for new files, once they are read.
    pub follow: bool,
    /// How rows of columns become records; without it they must have our own header.
    pub map: Option<ColumnMap>,
    /// How far past the clock an event may be, in milliseconds.
    pub max_ahead_ms: i64,
    /// The clock, in milliseconds since 1970.
    pub now: fn() -> i64,
    /// How much of a file is read and decoded at once, in bytes.
    pub block_bytes: usize,
    /// Ends every source soon after it is set.
    pub stop: Arc<AtomicBool>,
    /// How topics of Kafka are read.
    pub kafka: kafka::Options,
    /// How repositories on servers are reached.
    pub access: Access,
    /// Which process of several reads: partitions and pieces of files are shared out.
    pub share: Share,
    /// Whether files are this process's alone all the same.
    pub own_files: bool,
}

impl Options {
    /// How a file is shared out.
    pub(super) fn sharing(&self, name: &str) -> Sharing {
        Sharing::of(if self.own_files { Share::WHOLE } else { self.share }, name)
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            follow: false,
            map: None,
            max_ahead_ms: 24 * 3_600_000,
            now: || jiff::Timestamp::now().as_millisecond(),
            block_bytes: 1 << 20,
            stop: Arc::default(),
            kafka: kafka::Options::default(),
            access: Access::default(),
            share: Share::WHOLE,
            own_files: false,
        }
    }
}

/// A source that cannot be read, or not to its end. What was read before stands.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such file, or it may not be read.
    #[error("cannot read {name}: {source}")]
    Unreadable {
        /// The source.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// What is stored cannot be decompressed.
    #[error(
        "{name} is damaged or cut off: its {} data cannot be read on after line {line} ({source}); the lines before \
         were taken; replace the file by a whole one and run again",
        stored.as_str()
    )]
    Damaged {
        /// The source.
        name: String,
        /// How it is stored.
        stored: Stored,
        /// The last line that was read.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// Its name says that it is compressed, and it is not, or otherwise.
    #[error("{name} is not {}, as its name says; rename it or replace it", expected.as_str())]
    Misnamed {
        /// The source.
        name: String,
        /// What its name says.
        expected: Stored,
    },
    /// Its columns cannot be mapped.
    #[error("{name}: {source}")]
    Map {
        /// The source.
        name: String,
        /// Why.
        source: MapError,
    },
    /// Its header cannot be read.
    #[error("{name}: the header cannot be read: {problem}")]
    Header {
        /// The source.
        name: String,
        /// Why.
        problem: String,
    },
    /// It is of a kind that is not read.
    #[error(
        "{name}: sources are files, folders, s3://BUCKET/PREFIX, hdfs://HOST:PORT/FOLDER, kafka://HOST:PORT/TOPIC, and `-` for standard input"
    )]
    Unknown {
        /// The source.
        name: String,
    },
    /// Topics cannot be read.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Rows of Parquet cannot be read.
    #[error("{name}: {source}")]
    Rows {
        /// The file, or what was named.
        name: String,
        /// Why.
        source: RowsError,
    },
    /// It is a source that a column map cannot be laid on.
    #[error(
        "{name}: messages are JSON, one record each, and columns of Parquet have their names: --map is for CSV"
    )]
    NoColumns {
        /// The source.
        name: String,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread to read with: {source}")]
    Thread {
        /// Why.
        source: io::Error,
    },
    /// A decoding thread is gone.
    #[error(
        "{name}: a thread that decodes ended before its time; this is an error in nearline, please report it"
    )]
    Decoder {
        /// The source.
        name: String,
    },
}

impl SourceError {
    /// Whether the input or its use is at fault, not the machine: exit code 2, not 3.
    pub fn is_bad_input(&self) -> bool {
        match self {
            SourceError::Kafka(error) => error.is_bad_use(),
            SourceError::Rows { source: RowsError::Repository(error), .. } => error.is_bad_use(),
            SourceError::Thread { .. } | SourceError::Decoder { .. } | SourceError::Damaged { .. } => false,
            _ => true,
        }
    }
}

/// Opens what the command line names: one source for all of its files and folders, in their order, and one for
/// standard input (`-`), for each named pipe, for each address of topics and for each folder or file of Parquet.
///
/// `offsets` says how far a log has been read, by its name: the absolute path, as batches carry it. A file that is
/// as it was when it was read to its end yields nothing.
pub fn open(
    args: &[String],
    options: &Options,
    offsets: &dyn Fn(&str) -> Option<Offset>,
) -> Result<Vec<Box<dyn Source>>, SourceError> {
    let (mut named, mut paths, mut streams, mut topics) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut tables = Vec::new();
    for arg in args {
        if arg == "-" {
            streams.push((arg.clone(), None));
            continue;
        }
        if arg.starts_with(kafka::SCHEME) {
            topics.push(arg);
            continue;
        }
        if parquet::is_parquet(arg) {
            tables.push(arg);
            continue;
        }
        if arg.contains("://") {
            return Err(SourceError::Unknown { name: arg.clone() });
        }
        let path = std::path::absolute(arg).map_err(|source| unreadable(arg, source))?;
        let kind = fs::metadata(&path).map_err(|source| unreadable(arg, source))?;
        if kind.is_dir() || kind.is_file() {
            named.push(Named { path, folder: kind.is_dir() });
            paths.push(arg.as_str());
        } else {
            streams.push((arg.clone(), Some(path)));
        }
    }
    if let (Some(topic), Some(_)) = (topics.iter().chain(&tables).next(), &options.map) {
        return Err(SourceError::NoColumns { name: (*topic).clone() });
    }
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    if !named.is_empty() {
        let watched = Watched::new(named, options.clone(), offsets)?;
        let read = move |feed: Feed| watched.read(&feed);
        sources.push(Box::new(Decoding::start(
            paths.join(", "),
            options.threads,
            options.stop.clone(),
            read,
        )?));
    }
    for (name, path) in streams {
        let (named, own) = (name.clone(), options.clone());
        let read = move |feed: Feed| {
            if let Err(error) = read_stream(&named, path, &own, &feed) {
                // Where nobody waits, nobody needs to know.
                let _ = feed.failed(error);
            }
        };
        sources.push(Box::new(Decoding::start(name, options.threads, options.stop.clone(), read)?));
    }
    for table in tables {
        sources.push(parquet::open(table, options, offsets)?);
    }
    for topic in topics {
        sources.push(kafka::open(topic, options, offsets)?);
    }
    Ok(sources)
}

/// An error of reading.
pub(super) fn unreadable(name: &str, source: io::Error) -> SourceError {
    SourceError::Unreadable { name: name.to_owned(), source }
}

/// Reads a stream, which cannot be read again, to its end.
fn read_stream(name: &str, path: Option<PathBuf>, options: &Options, feed: &Feed) -> Result<(), SourceError> {
    let mut stream: Box<dyn io::Read + Send> = match path {
        None => Box::new(io::stdin()),
        Some(path) => Box::new(fs::File::open(path).map_err(|source| unreadable(name, source))?),
    };
    let head = magic(&mut stream).map_err(|source| unreadable(name, source))?;
    let stored = Stored::by_magic(&head);
    let stream = io::Read::chain(io::Cursor::new(head), stream);
    let mut reading = Reading::new(stored, stream, Place::default(), options.block_bytes, true)
        .map_err(|source| unreadable(name, source))?;
    let source: Arc<str> = name.into();
    let told = |reading: &Reading, error| damaged(name, stored, reading, error);
    let is_json = |first: Option<u8>| first.is_none_or(|first| first == b'{' || first == b'[');
    let plan = match &options.map {
        Some(map) => plan_of(name, map, &mut reading, false)?,
        None if is_json(reading.peek().map_err(|error| unreadable(name, error))?) => None,
        // A broken line must not stop what follows it, so nothing but our own header makes a stream CSV.
        None if reading.has_own_header().map_err(|error| unreadable(name, error))? => {
            own_plan(name, ",", &mut reading, false)?
        }
        None => None,
    };
    let format = match plan {
        Some(plan) => Format::Rows(plan),
        None if options.map.is_some() => return Ok(()),
        None => Format::Json,
    };
    while let Some(cut) = reading.next(true).map_err(|error| told(&reading, error))? {
        let block = Block {
            source: source.clone(),
            format: format.clone(),
            cut,
            offset: None,
            bytes_read: reading.newly_stored(),
            latest_at: latest_at(options),
        };
        if feed.is_over() || feed.block(block).is_err() {
            break;
        }
    }
    Ok(())
}

/// What is wrong with a log that cannot be read on.
pub(super) fn damaged(name: &str, stored: Stored, reading: &Reading, source: io::Error) -> SourceError {
    match stored {
        Stored::Plain => unreadable(name, source),
        _ => SourceError::Damaged { name: name.to_owned(), stored, line: reading.whole().lines, source },
    }
}

/// The first bytes, as many as it takes to tell how the stream is stored.
fn magic(stream: &mut dyn io::Read) -> io::Result<Vec<u8>> {
    const MAGIC: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];
    let mut head = Vec::new();
    let mut byte = [0];
    while MAGIC.iter().any(|magic| magic.len() > head.len() && magic.starts_with(&head)) {
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

/// What Nearline keeps beside the store in a data folder.
const OWN: [&str; 7] = [
    "acknowledged",
    "alerts.json",
    "digest.key",
    "digest.new",
    "loads",
    "rejected.jsonl",
    "subscriptions.json",
];
/// Its folders.
const OWN_FOLDERS: [&str; 4] = ["models", "publications", "receipts", "store"];

/// The folders in a folder, which are not read; hidden ones and those of a data folder do not count.
pub(super) fn folders_of(folder: &Path) -> Vec<PathBuf> {
    let data_folder = folder.join("store").join("CURRENT").exists();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let counts = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        let own = data_folder && OWN_FOLDERS.iter().any(|own| name == *own);
        path.is_dir() && !own && !name.as_encoded_bytes().starts_with(b".")
    };
    entries.filter(counts).collect()
}

/// The files of a folder that are logs, by name; hidden ones are not.
///
/// A folder may be the data folder too; what Nearline itself keeps there is no log.
pub(super) fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let data_folder = folder.join("store").join("CURRENT").exists();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let own = data_folder && path.file_name().is_some_and(|name| OWN.iter().any(|own| name == *own));
        if !hidden && !own && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
