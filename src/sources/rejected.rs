//! `rejected.jsonl`: the lines that could not be taken, kept aside and counted by reason.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{RAW, Rejected};

/// Appends to `rejected.jsonl`, and takes out of it what must be forgotten. Clones share the file.
#[derive(Debug, Clone)]
pub struct RejectedLog(Arc<Mutex<Log>>);

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: BufWriter<File>,
    counts: BTreeMap<String, u64>,
}

/// A line of `rejected.jsonl`.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    source: &'a str,
    line: u64,
    offset: u64,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
    /// Set where what the line held was taken out.
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted: Option<bool>,
}

/// Says whether a rejected line holds what must go; it may have been cut at its end.
pub type Holds<'a> = &'a dyn Fn(&[u8], bool) -> bool;

impl RejectedLog {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> io::Result<RejectedLog> {
        // What a crash left of a redaction.
        match fs::remove_file(beside(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let log = Log { path: path.to_owned(), file: appending(path)?, counts: BTreeMap::new() };
        Ok(RejectedLog(Arc::new(Mutex::new(log))))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a line of a source.
    pub fn append(&mut self, source: &str, rejected: &Rejected) -> io::Result<()> {
        let raw = &rejected.raw[..rejected.raw.len().min(RAW)];
        let text = as_text(raw);
        let reason = rejected.reason.as_str();
        let line = Line {
            source,
            line: rejected.line,
            offset: rejected.offset,
            reason,
            detail: Some(&rejected.detail),
            raw: text,
            raw_base64: text.is_none().then(|| STANDARD.encode(raw)),
            redacted: None,
        };
        let mut log = self.log();
        serde_json::to_writer(&mut log.file, &line)?;
        log.file.write_all(b"\n")?;
        *log.counts.entry(reason.to_owned()).or_default() += 1;
        Ok(())
    }

    /// Hands what was appended to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.log().file.flush()
    }

    /// How many lines were appended, by reason.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.log().counts.clone()
    }

    /// Takes out of the file what lines hold that must go: of each such line source, position and reason stay. Says how
    /// many there were. The file is replaced by another one, whole, and lines may be appended meanwhile.
    pub fn redact(&self, holds: Holds<'_>) -> io::Result<u64> {
        let (path, so_far) = {
            let mut log = self.log();
            log.file.flush()?;
            (log.path.clone(), log.file.get_ref().metadata()?.len())
        };
        let beside = beside(&path);
        let mut old = BufReader::new(File::open(&path)?);
        let mut new = BufWriter::new(File::create(&beside)?);
        new.get_ref().set_permissions(fs::metadata(&path)?.permissions())?;
        let mut redacted = copy((&mut old).take(so_far), &mut new, holds)?;
        // What was appended meanwhile is little; nothing more comes while this holds the log.
        let mut log = self.log();
        log.file.flush()?;
        redacted += copy(&mut old, &mut new, holds)?;
        if redacted == 0 {
            fs::remove_file(&beside)?;
            return Ok(0);
        }
        new.flush()?;
        new.get_ref().sync_all()?;
        fs::rename(&beside, &path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        log.file = appending(&path)?;
        Ok(redacted)
    }
}

/// Where the file is written anew.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn appending(path: &Path) -> io::Result<BufWriter<File>> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    // A process that was killed may have left half a line.
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(BufWriter::new(file))
}

/// Copies lines, and takes out what must go; says of how many lines.
fn copy(mut lines: impl BufRead, out: &mut impl Write, holds: Holds<'_>) -> io::Result<u64> {
    let mut redacted = 0;
    let mut bytes = Vec::new();
    while lines.read_until(b'\n', &mut bytes)? > 0 {
        match redact_line(&bytes, holds) {
            Some(without) => {
                redacted += 1;
                out.write_all(&without)?;
            }
            None => out.write_all(&bytes)?,
        }
        bytes.clear();
    }
    Ok(redacted)
}

/// The line without what it held, where that must go. One that cannot be read, which a crash cut off, goes as a whole.
fn redact_line(bytes: &[u8], holds: Holds<'_>) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Read {
        source: String,
        line: u64,
        offset: u64,
        reason: String,
        raw: Option<String>,
        raw_base64: Option<String>,
    }
    let Ok(line) = serde_json::from_slice::<Read>(bytes) else {
        return holds(bytes, true).then(Vec::new);
    };
    let encoded = line.raw_base64.and_then(|raw| STANDARD.decode(raw).ok());
    let raw = line.raw.map(String::into_bytes).or(encoded)?;
    // A character that was cut at the limit is left out.
    if !holds(&raw, raw.len() + 3 >= RAW) {
        return None;
    }
    let without = Line {
        source: &line.source,
        line: line.line,
        offset: line.offset,
        reason: &line.reason,
        // It may quote the line.
        detail: None,
        raw: None,
        raw_base64: None,
        redacted: Some(true),
    };
    let mut without = serde_json::to_vec(&without).unwrap_or_default();
    without.push(b'\n');
    Some(without)
}

/// How many lines a file holds, by reason; none where there is no file. Lines that cannot be read are left out.
pub fn counts(path: &Path) -> io::Result<BTreeMap<String, u64>> {
    #[derive(Deserialize)]
    struct Counted {
        reason: String,
    }
    let mut counts = BTreeMap::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(counts),
        Err(error) => return Err(error),
    };
    for line in BufReader::new(file).split(b'\n') {
        if let Ok(Counted { reason }) = serde_json::from_slice(&line?) {
            *counts.entry(reason).or_default() += 1;
        }
    }
    Ok(counts)
}

/// The text of the bytes; a character that was cut at the limit is left out.
fn as_text(raw: &[u8]) -> Option<&str> {
    match std::str::from_utf8(raw) {
        Ok(text) => Some(text),
        Err(error) if raw.len() == RAW && error.error_len().is_none() => {
            std::str::from_utf8(&raw[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}
