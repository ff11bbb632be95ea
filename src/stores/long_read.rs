//! A moment of a store that is held for long, and whoever must have it let go of.
//!
//! While a moment is held, what was removed since cannot leave the disk, and the store cannot be opened anew. So an
//! erasure asks for it: the long read ends early, and begins again when the erasure is done.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Lets long reads and erasures take turns.
#[derive(Debug, Default)]
pub struct LongRead {
    held: RwLock<()>,
    wanted: AtomicUsize,
}

impl LongRead {
    /// Waits until nobody erases; none does until the guard is dropped.
    pub fn hold(&self) -> RwLockReadGuard<'_, ()> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the moment is to be let go of.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire) > 0
    }

    /// Does something while no moment is held: asks for it, and waits.
    pub fn without<T>(&self, work: impl FnOnce() -> T) -> T {
        self.wanted.fetch_add(1, Ordering::AcqRel);
        let done = {
            let _nobody = self.held.write().unwrap_or_else(PoisonError::into_inner);
            work()
        };
        self.wanted.fetch_sub(1, Ordering::AcqRel);
        done
    }
}
