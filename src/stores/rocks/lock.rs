//! The lock that keeps other writers away from a data folder.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{StoreError, failed};

/// For how long a writer waits for one that is going. A process that was killed gives its files up a moment after it is
/// gone; and where a process starts another, the lock is shared with that one until it has become the other program.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it looks again.
const AGAIN: Duration = Duration::from_millis(5);

/// Keeps other writers away for as long as the file is open. RocksDB has a lock of its own, which is given up where it
/// is opened anew; a file system that has no locks leaves it at that.
pub(crate) fn lock(data: &Path) -> Result<Option<File>, StoreError> {
    let folder = File::open(data).map_err(|error| failed("be opened", data, error))?;
    let began = Instant::now();
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(Some(folder)),
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => std::thread::sleep(AGAIN),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Held(data.to_owned())),
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::lock;
    use crate::stores::StoreError;
    use crate::stores::rocks::{RocksOptions, RocksStore};

    #[test]
    fn other_writers_are_kept_away_also_while_an_erasure_opens_the_store_anew() {
        let folder = tempfile::tempdir().unwrap();
        let open = || RocksStore::open(folder.path(), RocksOptions::default());
        let store = open().unwrap();
        assert!(matches!(open(), Err(StoreError::Held(_))));
        // As in an erasure, when the lock of RocksDB is given up.
        drop(store.db.write().unwrap().take());
        assert!(matches!(open(), Err(StoreError::Held(_))));
        drop(store);
        assert!(open().is_ok());
    }

    /// A process that is being started has every open file until it runs its own program.
    #[test]
    fn a_folder_that_was_given_up_is_had_again_while_other_processes_are_started() {
        let folder = tempfile::tempdir().unwrap();
        let enough = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let starting = scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
            let refused = (0..4_000).filter(|_| lock(folder.path()).is_err()).count();
            enough.store(true, Ordering::Relaxed);
            starting.join().unwrap();
            assert_eq!(refused, 0);
        });
    }
}
