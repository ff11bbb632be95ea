//! The lock that keeps other writers away from a data folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::{StoreError, failed};

/// Keeps other writers away for as long as the file is open. RocksDB has a lock of its own, which is given up where it
/// is opened anew; a file system that has no locks leaves it at that.
pub(crate) fn lock(data: &Path) -> Result<Option<File>, StoreError> {
    let folder = File::open(data).map_err(|error| failed("be opened", data, error))?;
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => Err(StoreError::Held(data.to_owned())),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
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
}
