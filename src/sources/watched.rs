//! Files and folders, read in order and, where asked, watched for growth.
//!
//! A file is opened, read from its offset to its end and closed again; while it is followed that happens whenever its
//! size or identity has changed. What was replaced is read anew from its start: records are a set, so that is
//! harmless.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::compressed::Stored;
use super::csv::{Plan, header};
use super::cutter::{Cut, Place};
use super::decoding::{Block, Closed, Feed, Format};
use super::files::{Options, SourceError, damaged, files_of, folders_of, unreadable};
use super::reading::Reading;
use super::{LogOffset, Offset};
use crate::config::columns::{ColumnMap, Encoding, MapError, Names};

/// How often followed files are looked at.
const POLL: Duration = Duration::from_millis(20);
/// How many bytes tell a file from another.
const HEAD: u64 = 4096;

/// A path that was named.
#[derive(Debug)]
pub struct Named {
    /// The absolute path.
    pub path: PathBuf,
    /// Whether it is a folder.
    pub folder: bool,
}

/// Files and folders to read.
pub struct Watched {
    named: Vec<Named>,
    files: Vec<Tracked>,
    /// The paths of the files.
    known: HashSet<PathBuf>,
    options: Options,
}

/// A file and how far it was read.
struct Tracked {
    path: PathBuf,
    name: Arc<str>,
    /// Whether it was found in a folder, and not named itself.
    found: bool,
    offset: Option<LogOffset>,
    /// Size, device, inode and time of the last change when it was last looked at.
    seen: Option<(u64, u64, u64, (i64, i64))>,
}

/// A file that stands where its next block begins.
struct Opened {
    reading: Reading,
    format: Format,
    stored: Stored,
    head: (u32, String),
    /// Stored bytes before those that are read.
    left_out: u64,
}

/// Why the reading of a file ended early.
enum End {
    Closed,
    Failed(SourceError),
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        End::Closed
    }
}

impl From<SourceError> for End {
    fn from(error: SourceError) -> Self {
        End::Failed(error)
    }
}

impl Watched {
    /// The files that there are now, with their offsets.
    pub fn new(
        named: Vec<Named>,
        options: Options,
        offsets: &dyn Fn(&str) -> Option<Offset>,
    ) -> Result<Watched, SourceError> {
        for Named { path, .. } in named.iter().filter(|named| named.folder) {
            for folder in folders_of(path) {
                tracing::warn!(folder = %folder.display(), "a folder in a folder is not read; name it too");
            }
        }
        let mut watched = Watched { named, files: Vec::new(), known: HashSet::new(), options };
        watched.find(offsets)?;
        Ok(watched)
    }

    /// Adds files that were not there before.
    fn find(&mut self, offsets: &dyn Fn(&str) -> Option<Offset>) -> Result<(), SourceError> {
        for Named { path, folder } in &self.named {
            let listed = if *folder {
                files_of(path).map_err(|source| unreadable(&path.to_string_lossy(), source))?
            } else {
                vec![path.clone()]
            };
            for path in listed {
                if self.known.insert(path.clone()) {
                    let name: Arc<str> = path.to_string_lossy().into();
                    let offset = offsets(&name).and_then(Offset::log);
                    self.files.push(Tracked { path, name, found: *folder, offset, seen: None });
                }
            }
        }
        Ok(())
    }

    /// Reads all files, and goes on where they are followed.
    pub fn read(mut self, feed: &Feed) {
        loop {
            for file in &mut self.files {
                let outcome = file.look(&self.options, feed);
                let closed = match outcome {
                    Ok(()) => false,
                    Err(End::Closed) => true,
                    Err(End::Failed(error)) => feed.failed(error).is_err(),
                };
                if closed || feed.is_over() {
                    return;
                }
            }
            if !self.options.follow {
                return;
            }
            thread::sleep(POLL);
            if feed.is_over() {
                return;
            }
            if let Err(error) = self.find(&|_| None) {
                // A folder may be gone for a moment.
                tracing::debug!(%error, "a folder cannot be listed now");
            }
        }
    }
}

impl Tracked {
    /// Reads what is new in the file.
    fn look(&mut self, options: &Options, feed: &Feed) -> Result<(), End> {
        let about = match fs::metadata(&self.path) {
            Ok(about) => about,
            Err(error) if options.follow && error.kind() == io::ErrorKind::NotFound => {
                self.seen = None;
                return Ok(());
            }
            Err(error) => return Err(unreadable(&self.name, error).into()),
        };
        let seen = (about.len(), about.dev(), about.ino(), (about.mtime(), about.mtime_nsec()));
        if self.seen.replace(seen) == Some(seen) {
            return Ok(());
        }
        match self.read(&about, options, feed) {
            // A file that is followed may be in the middle of being written.
            Err(End::Failed(SourceError::Damaged { source, name, .. }))
                if options.follow && source.kind() == io::ErrorKind::UnexpectedEof =>
            {
                tracing::debug!(name, "compressed data ends early; waiting for more");
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn read(&mut self, about: &Metadata, options: &Options, feed: &Feed) -> Result<(), End> {
        let told = |source| unreadable(&self.name, source);
        let mut file = File::open(&self.path).map_err(told)?;
        let head = read_at(&mut file, 0, HEAD).map_err(told)?;
        if let Some(offset) = &self.offset {
            let least = if Stored::by_magic(&head) == Stored::Plain { offset.bytes } else { 0 };
            if about.len() < offset.size.unwrap_or(least) || !is_mark(&head, &offset.head) {
                self.replaced("it shrank or begins otherwise");
            } else if offset.size == Some(about.len()) {
                // What is compressed would have to be read from its start to be told.
                let plain = Stored::by_magic(&head) == Stored::Plain;
                let length = u64::from(offset.tail.0);
                let same = !plain
                    || offset.bytes < length
                    || is_mark(
                        &read_at(&mut file, offset.bytes - length, length).map_err(told)?,
                        &offset.tail,
                    );
                if same {
                    return Ok(());
                }
                self.replaced("it has the length that it had, and other lines");
            }
        }
        let stored = Stored::by_magic(&head);
        let (expected, _) = Stored::by_name(&self.name);
        if expected != Stored::Plain && expected != stored {
            // An empty file has not begun yet.
            let misnamed = SourceError::Misnamed { name: self.name.to_string(), expected };
            return if head.is_empty() { Ok(()) } else { Err(misnamed.into()) };
        }
        let mut reading = self.reading(stored, Place::default(), options, 0)?;
        let Some(format) = self.format(options, stored, &mut reading)? else { return Ok(()) };
        let mut left_out = 0;
        if let Some(offset) = self.offset.clone()
            && offset.bytes > reading.whole().bytes
        {
            match self.resume(stored, &offset, options)? {
                Some((resumed, seeked)) => (reading, left_out) = (resumed, seeked),
                None => self.replaced("it is not what it was before the end of the last line that was read"),
            }
            if let Format::Rows(plan) = &format {
                reading.set_quoting(plan.quoting());
            }
        }
        self.read_blocks(Opened { reading, format, stored, head: mark(&head), left_out }, options, feed)
    }

    fn replaced(&mut self, how: &str) {
        tracing::warn!(file = %self.name, "the file was replaced ({how}); it is read from its start");
        self.offset = None;
    }

    /// Feeds the blocks of the file.
    fn read_blocks(&mut self, opened: Opened, options: &Options, feed: &Feed) -> Result<(), End> {
        let Opened { mut reading, format, stored, head, left_out } = opened;
        let whole = reading.whole();
        let none = (0, String::new());
        let tail = self
            .offset
            .as_ref()
            .filter(|offset| offset.bytes == whole.bytes)
            .map(|offset| offset.tail.clone());
        let mut offset = LogOffset {
            bytes: whole.bytes,
            lines: whole.lines,
            size: None,
            head,
            tail: tail.unwrap_or(none),
            map: String::new(),
        };
        let sharing = options.sharing(&self.name);
        let quoting = match &format {
            Format::Rows(plan) => plan.quoting(),
            _ => None,
        };
        let send = |cut: Cut, offset: Option<&LogOffset>, bytes_read| {
            if feed.is_over() {
                return Err(Closed);
            }
            feed.block(Block {
                source: self.name.clone(),
                format: format.clone(),
                cut,
                offset: offset.map(|offset| Offset::Log(offset.clone())),
                bytes_read,
                latest_at: latest_at(options),
            })
        };
        loop {
            match reading.next(!options.follow) {
                Ok(Some(cut)) => {
                    advance(&mut offset, &cut);
                    self.offset = Some(offset.clone());
                    let own = sharing.own(cut, quoting);
                    let last = own.len().saturating_sub(1);
                    // How far the file is read goes with what is ours of it, or with its end.
                    for (place, piece) in own.into_iter().enumerate() {
                        send(piece, (place == last).then_some(&offset), reading.newly_stored())?;
                    }
                }
                Ok(None) => break,
                Err(error) => return Err(damaged(&self.name, stored, &reading, error).into()),
            }
        }
        offset.size = Some(left_out + reading.stored());
        self.offset = Some(offset.clone());
        let place = reading.whole();
        let nothing = Cut { bytes: Vec::new(), place, rejected: Vec::new(), whole: place };
        send(nothing, Some(&offset), reading.newly_stored())?;
        Ok(())
    }

    fn reading(
        &self,
        how: Stored,
        place: Place,
        options: &Options,
        seek: u64,
    ) -> Result<Reading, SourceError> {
        let open = || {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(seek))?;
            Reading::new(how, file, place, options.block_bytes, false)
        };
        open().map_err(|source| unreadable(&self.name, source))
    }

    /// Goes on from an offset; none where the bytes before it are others than they were. With it, how many stored
    /// bytes were left out.
    fn resume(
        &self,
        how: Stored,
        offset: &LogOffset,
        options: &Options,
    ) -> Result<Option<(Reading, u64)>, SourceError> {
        let tail = u64::from(offset.tail.0).min(offset.bytes);
        let place = Place { bytes: offset.bytes, lines: offset.lines };
        let seek = if how == Stored::Plain { offset.bytes - tail } else { 0 };
        let mut reading = self.reading(how, place, options, seek)?;
        let last = match reading.skip(offset.bytes - seek, tail) {
            Ok(last) => last,
            Err(error) => return Err(damaged(&self.name, how, &reading, error)),
        };
        let same = last.is_some_and(|last| is_mark(&last, &offset.tail));
        Ok(same.then_some((reading, seek)))
    }

    /// What the lines are; none while that cannot be told yet.
    fn format(
        &self,
        options: &Options,
        stored: Stored,
        reading: &mut Reading,
    ) -> Result<Option<Format>, SourceError> {
        let (_, name) = Stored::by_name(&self.name);
        let ending = Path::new(name).extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let ending = ending.as_deref().unwrap_or_default();
        let json = match (ending, &options.map) {
            ("jsonl" | "ndjson", _) | ("json", None) => true,
            ("csv" | "tsv", _) | (_, Some(_)) => false,
            (_, None) => match reading.peek().map_err(|error| damaged(&self.name, stored, reading, error))? {
                None => return Ok(None),
                Some(first) => first == b'{' || first == b'[',
            },
        };
        if json {
            return Ok(Some(Format::Json));
        }
        if self.found && options.map.is_none() && !matches!(ending, "csv" | "tsv") {
            tracing::warn!(file = %self.name, "neither JSON nor called .csv: the file is left out");
            return Ok(None);
        }
        let plan = match &options.map {
            Some(map) => plan_of(&self.name, map, reading, options.follow)?,
            None => {
                let delimiter = if ending == "tsv" { "\t" } else { "," };
                own_plan(&self.name, delimiter, reading, options.follow)?
            }
        };
        Ok(plan.map(Format::Rows))
    }
}

/// The latest event that is taken now.
pub fn latest_at(options: &Options) -> i64 {
    (options.now)().saturating_add(options.max_ahead_ms)
}

/// A map laid on a log, whose header is read where it has one; none where the log is empty yet. `whole`: a header
/// must have its line end.
pub fn plan_of(
    name: &str,
    map: &ColumnMap,
    reading: &mut Reading,
    whole: bool,
) -> Result<Option<Arc<Plan>>, SourceError> {
    let has_header = matches!(map.names, Names::Header | Names::Given { header: true, .. });
    let columns = if has_header {
        match read_header(name, &map.delimiter, map.encoding, reading, whole)? {
            Some(columns) => Some(columns),
            None => return Ok(None),
        }
    } else {
        None
    };
    let plan = Plan::new(map, columns.as_deref()).map_err(|source| map_error(name, source))?;
    reading.set_quoting(plan.quoting());
    Ok(Some(Arc::new(plan)))
}

/// The plan of a log with our own header.
pub fn own_plan(
    name: &str,
    delimiter: &str,
    reading: &mut Reading,
    whole: bool,
) -> Result<Option<Arc<Plan>>, SourceError> {
    let Some(columns) = read_header(name, delimiter, Encoding::Utf8, reading, whole)? else {
        return Ok(None);
    };
    let plan = Plan::own(&columns, delimiter).map_err(|source| map_error(name, source))?;
    reading.set_quoting(plan.quoting());
    Ok(Some(Arc::new(plan)))
}

fn map_error(name: &str, source: MapError) -> SourceError {
    SourceError::Map { name: name.to_owned(), source }
}

fn read_header(
    name: &str,
    delimiter: &str,
    encoding: Encoding,
    reading: &mut Reading,
    whole: bool,
) -> Result<Option<Vec<String>>, SourceError> {
    reading.set_quoting(<[u8; 1]>::try_from(delimiter.as_bytes()).ok().map(|[byte]| byte));
    let row = reading.first_row(whole).map_err(|source| unreadable(name, source))?;
    let told = |problem: String| SourceError::Header { name: name.to_owned(), problem };
    row.map(|row| header(&row, delimiter, encoding).map_err(|problem| told(problem.detail))).transpose()
}

/// The offset after a block.
fn advance(offset: &mut LogOffset, cut: &Cut) {
    if cut.whole.bytes == cut.place.bytes + cut.bytes.len() as u64 && !cut.bytes.is_empty() {
        offset.tail = mark(&cut.bytes[cut.bytes.len().saturating_sub(HEAD as usize)..]);
    } else if cut.whole.bytes != offset.bytes {
        offset.tail = (0, String::new());
    }
    (offset.bytes, offset.lines) = (cut.whole.bytes, cut.whole.lines);
}

fn mark(bytes: &[u8]) -> (u32, String) {
    (bytes.len() as u32, blake3::hash(bytes).to_hex().to_string())
}

/// Whether bytes begin with those that a mark was made of.
fn is_mark(bytes: &[u8], known: &(u32, String)) -> bool {
    known.0 == 0 || bytes.get(..known.0 as usize).is_some_and(|bytes| mark(bytes) == *known)
}

fn read_at(file: &mut File, start: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
