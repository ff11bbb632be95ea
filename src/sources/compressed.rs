//! Logs as they are stored: plain, gzip or zstd, told apart by their first bytes.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a log is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// As it is.
    Plain,
    /// gzip, of one member or several.
    Gzip,
    /// Zstandard, of one frame or several.
    Zstd,
}

impl Stored {
    /// By the first four bytes.
    pub fn by_magic(head: &[u8]) -> Stored {
        match head {
            [0x1f, 0x8b, ..] => Stored::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Stored::Zstd,
            _ => Stored::Plain,
        }
    }

    /// By a file's name, and the name without that ending.
    pub fn by_name(name: &str) -> (Stored, &str) {
        if let Some(inner) = name.strip_suffix(".gz") {
            (Stored::Gzip, inner)
        } else if let Some(inner) = name.strip_suffix(".zst") {
            (Stored::Zstd, inner)
        } else {
            (Stored::Plain, name)
        }
    }

    /// What it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Stored::Plain => "plain",
            Stored::Gzip => "gzip",
            Stored::Zstd => "zstd",
        }
    }

    /// The bytes of a log out of those that are stored.
    pub fn open(self, stored: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        let buffered = |stored| BufReader::with_capacity(1 << 17, stored);
        Ok(match self {
            Stored::Plain => Box::new(stored),
            Stored::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(stored))),
            Stored::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered(stored))?),
        })
    }
}

/// Counts the bytes that are read through it.
pub struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    /// Counts into `count`.
    pub fn new(inner: R, count: Arc<AtomicU64>) -> Self {
        Counted { inner, count }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
