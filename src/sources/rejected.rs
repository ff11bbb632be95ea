//! `rejected.jsonl`: the lines that could not be taken, kept aside and counted by reason.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{RAW, Rejected};

/// Appends to `rejected.jsonl`.
#[derive(Debug)]
pub struct RejectedLog {
    file: BufWriter<File>,
    counts: BTreeMap<String, u64>,
}

/// A line of `rejected.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    line: u64,
    offset: u64,
    reason: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
}

impl RejectedLog {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> io::Result<RejectedLog> {
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
        Ok(RejectedLog { file: BufWriter::new(file), counts: BTreeMap::new() })
    }

    /// Appends a line of a source.
    pub fn append(&mut self, source: &str, rejected: &Rejected) -> io::Result<()> {
        let raw = &rejected.raw[..rejected.raw.len().min(RAW)];
        let text = as_text(raw);
        let line = Line {
            source,
            line: rejected.line,
            offset: rejected.offset,
            reason: rejected.reason.as_str(),
            detail: &rejected.detail,
            raw: text,
            raw_base64: text.is_none().then(|| STANDARD.encode(raw)),
        };
        serde_json::to_writer(&mut self.file, &line)?;
        self.file.write_all(b"\n")?;
        *self.counts.entry(rejected.reason.as_str().to_owned()).or_default() += 1;
        Ok(())
    }

    /// Hands what was appended to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// How many lines were appended, by reason.
    pub fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }
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
