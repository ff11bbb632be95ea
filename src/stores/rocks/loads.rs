//! How many loads a store has taken in, in a small file beside it, for whoever reads while it is written.
//!
//! A load brings whole files, of which the write-ahead log knows nothing. A reader that has read the list of files before
//! one was taken in, and the log after the commit that speaks of it, would see an epoch without its records. The number
//! grows between the two, so that the reader sees it change, and begins again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The file, as the process has it that writes.
pub(super) struct Loads {
    file: File,
    count: AtomicU64,
}

/// The number as it is written; none where there was never a load.
pub(super) fn count(data: &Path) -> Option<Vec<u8>> {
    std::fs::read(data.join("loads")).ok()
}

impl Loads {
    /// Opens the file, or makes it; goes on from its number.
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        let known = count(data)
            .and_then(|said| u64::from_str_radix(std::str::from_utf8(&said).ok()?.trim_end(), 16).ok());
        let path = data.join("loads");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let loads = Loads { file, count: AtomicU64::new(known.unwrap_or(0)) };
        // A process before may have taken one in and not come to count it.
        loads.one_more()?;
        Ok(loads)
    }

    /// Counts a load that was taken in, before anything speaks of what it brought.
    pub(super) fn one_more(&self) -> io::Result<()> {
        let count = self.count.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.file.write_all_at(format!("{count:016x}\n").as_bytes(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_changes_with_every_load_and_every_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = vec![count(folder.path())];
        for _ in 0..3 {
            let loads = Loads::open(folder.path()).unwrap();
            seen.push(count(folder.path()));
            loads.one_more().unwrap();
            seen.push(count(folder.path()));
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all);
        std::fs::write(folder.path().join("loads"), b"\xff?").unwrap();
        Loads::open(folder.path()).unwrap().one_more().unwrap();
        assert_eq!(count(folder.path()).unwrap(), b"0000000000000002\n");
    }
}
