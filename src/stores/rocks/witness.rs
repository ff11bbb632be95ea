//! A witness of what was acknowledged: a small file beside the store that names the newest epoch that was synced.
//!
//! RocksDB must take the end of a log for torn where a crash has cut it, so damage that looks like a tear takes
//! whole epochs away without a word. The witness is written after the sync, so it is never ahead of a sound store;
//! a store that is behind it has lost what was acknowledged. It is not synced itself: a process that is killed
//! leaves it exact, and after a power cut it may lag, which weakens it and harms nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::stores::StoreError;

/// The file of a data folder.
pub(super) struct Witness {
    file: File,
    path: PathBuf,
}

/// Where it lies.
fn place(data: &Path) -> PathBuf {
    data.join("acknowledged")
}

/// An epoch as the file says it: 16 digits, and as many of their hash, by which a damaged file is told.
fn said(epoch: u64) -> String {
    let digits = format!("{epoch:016x}");
    let hash = blake3::hash(digits.as_bytes()).to_hex();
    format!("{digits} {}\n", &hash[..16])
}

/// How often the file is read before it is said to be damaged, and how long to wait in between: whoever writes it
/// meanwhile may have written half of it.
const TRIES: usize = 5;
const AGAIN: Duration = Duration::from_millis(2);

/// The newest epoch that was acknowledged; 0 where nothing is known of any.
pub(super) fn acknowledged(data: &Path) -> Result<u64, StoreError> {
    patiently(|| read(data))
}

fn patiently(mut read: impl FnMut() -> Result<u64, StoreError>) -> Result<u64, StoreError> {
    for _ in 1..TRIES {
        match read() {
            Err(StoreError::Witness(_)) => std::thread::sleep(AGAIN),
            said => return said,
        }
    }
    read()
}

fn read(data: &Path) -> Result<u64, StoreError> {
    let path = place(data);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(super::failed("be opened", data, format!("{}: {error}", path.display()))),
    };
    let digits = bytes.get(..16).and_then(|digits| std::str::from_utf8(digits).ok());
    let epoch = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match epoch {
        // Made, and never written: the first commit was cut off.
        None if bytes.is_empty() => Ok(0),
        Some(epoch) if said(epoch).as_bytes() == bytes => Ok(epoch),
        _ => Err(StoreError::Witness(path)),
    }
}

/// Refuses a store whose newest epoch is older than one that was acknowledged.
pub(super) fn check(data: &Path, acknowledged: u64, stored: u64) -> Result<(), StoreError> {
    if stored >= acknowledged {
        return Ok(());
    }
    Err(StoreError::Lost { path: data.to_owned(), stored, acknowledged, witness: place(data) })
}

impl Witness {
    /// Opens the file, or makes it.
    pub(super) fn open(data: &Path) -> Result<Self, StoreError> {
        let path = place(data);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file =
            file.map_err(|error| super::failed("be opened", data, format!("{}: {error}", path.display())))?;
        Ok(Witness { file, path })
    }

    /// Says that an epoch is on disk. Where that fails, less will be noticed later: nothing is lost by it.
    pub(super) fn write(&self, epoch: u64) {
        if let Err(error) = self.file.write_all_at(said(epoch).as_bytes(), 0) {
            tracing::warn!(file = %self.path.display(), %error, "the newest epoch could not be noted beside the store");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_says_what_it_was_told_and_a_damaged_one_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(acknowledged(folder.path()).unwrap(), 0);
        let witness = Witness::open(folder.path()).unwrap();
        assert_eq!(acknowledged(folder.path()).unwrap(), 0);
        for epoch in [1, 77, u64::MAX] {
            witness.write(epoch);
            assert_eq!(acknowledged(folder.path()).unwrap(), epoch);
        }
        let bytes = std::fs::read(place(folder.path())).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                std::fs::write(place(folder.path()), &flipped).unwrap();
                assert!(matches!(read(folder.path()), Err(StoreError::Witness(_))), "{at}.{bit}");
            }
        }
        assert!(matches!(acknowledged(folder.path()), Err(StoreError::Witness(_))));
    }

    #[test]
    fn a_witness_that_is_being_written_is_looked_at_again() {
        let damaged = || Err(StoreError::Witness(PathBuf::from("acknowledged")));
        let mut seen = [damaged(), damaged(), Ok(7), Ok(8)].into_iter();
        assert_eq!(patiently(|| seen.next().unwrap()).unwrap(), 7);
        let mut looks = 0;
        let said = patiently(|| {
            looks += 1;
            damaged()
        });
        assert!(matches!(said, Err(StoreError::Witness(_))));
        assert_eq!(looks, TRIES);
    }
}
