//! Sources read as a person would have them read, a file for each subject; here is what all of them use.

mod blocks;
mod growth;
mod kept_aside;
mod pipes;
mod real_logs;
mod rows;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::columns::ColumnMap;
use crate::records::write_json;

fn options() -> Options {
    Options { threads: 2, now: || 1_800_000_000_000, ..Options::default() }
}

fn mapped(map: &str) -> Options {
    Options { map: Some(ColumnMap::parse(map).unwrap()), ..options() }
}

/// All that sources yield.
#[derive(Default)]
struct Read {
    records: Vec<Vec<u8>>,
    rejected: Vec<Rejected>,
    offsets: BTreeMap<String, LogOffset>,
    bytes: u64,
    errors: Vec<String>,
}

impl Read {
    fn lines(&self) -> Vec<String> {
        let line = |normal: &Vec<u8>| {
            let mut out = Vec::new();
            write_json(&records::decode(normal).unwrap(), &mut out);
            String::from_utf8(out).unwrap().trim_end().to_owned()
        };
        self.records.iter().map(line).collect()
    }

    fn reasons(&self) -> Vec<(u64, u64, &'static str)> {
        self.rejected.iter().map(|line| (line.line, line.offset, line.reason.as_str())).collect()
    }

    fn add(&mut self, batch: Batch) {
        self.records.extend(batch.records().map(|(_, bytes)| bytes.to_vec()));
        self.rejected.extend(batch.rejected);
        self.bytes += batch.bytes_read;
        if let Some(offset) = batch.offset.and_then(Offset::log) {
            self.offsets.insert(batch.source.to_string(), offset);
        }
    }
}

fn read_from(paths: &[&Path], options: &Options, offsets: &BTreeMap<String, LogOffset>) -> Read {
    let args: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let mut read = Read { offsets: offsets.clone(), ..Read::default() };
    for mut source in open(&args, options, &|name| offsets.get(name).cloned().map(Offset::Log)).unwrap() {
        loop {
            match source.next() {
                Ok(Some(batch)) => read.add(batch),
                Ok(None) => break,
                Err(error) => read.errors.push(error.to_string()),
            }
        }
    }
    read
}

fn read(path: &Path, options: &Options) -> Read {
    read_from(&[path], options, &BTreeMap::new())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn file(folder: &tempfile::TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn append(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes.as_ref()).unwrap();
}

fn event(number: usize) -> String {
    format!(
        "{{\"member\":\"m{number}\",\"item\":\"i{}\",\"kind\":\"play\",\"value\":1,\"at\":{number}}}",
        number % 7
    )
}

fn log(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| event(number) + "\n").collect()
}

fn gzip(bytes: &str) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes.as_bytes()).unwrap();
    out.finish().unwrap()
}
