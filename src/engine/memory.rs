//! A limit on memory: near it records are taken slowly rather than the process dying.
//!
//! What is on its way (batches, epochs, entries not yet in files) can be made small; what is live cannot. So near the
//! limit intake waits until all that was taken is on disk, lets the store write out what it holds, and where that is
//! not enough goes on in small epochs, one at a time, and says so. It waits for the committer alone, which waits for
//! nobody.

use std::time::{Duration, Instant};

/// From this part of the limit on memory is short.
const NEAR: (u64, u64) = (9, 10);
/// How many records an epoch has where memory is short.
pub const SMALL: usize = 4096;
/// How long intake pauses after a batch where the limit is passed.
pub const PAUSE: Duration = Duration::from_millis(100);
/// How often the store writes out what it holds, at most, and how often it is said that memory is short.
const EASE_EVERY: Duration = Duration::from_secs(1);
const SAY_EVERY: Duration = Duration::from_secs(60);

/// A limit, and how it was kept to.
pub struct Limit {
    bytes: u64,
    resident: fn() -> Option<u64>,
    eased: Option<Instant>,
    said: Option<Instant>,
    /// Whether epochs are to be small.
    pub short: bool,
}

/// Whether so long has passed since; notes that it has.
fn due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

impl Limit {
    /// A limit in bytes; `resident` measures.
    pub fn new(bytes: u64, resident: fn() -> Option<u64>) -> Self {
        Limit { bytes, resident, eased: None, said: None, short: false }
    }

    fn near(&self) -> u64 {
        self.bytes / NEAR.1 * NEAR.0
    }

    /// Whether memory is short now.
    pub fn is_near(&self) -> bool {
        (self.resident)().is_some_and(|resident| resident >= self.near())
    }

    /// Whether the store should write out what it holds.
    pub fn may_ease(&mut self) -> bool {
        due(&mut self.eased, EASE_EVERY)
    }

    /// Measures again once all is on disk. Says whether intake should pause.
    pub fn judge(&mut self) -> bool {
        let resident = (self.resident)().unwrap_or(0);
        self.short = resident >= self.near();
        if self.short && due(&mut self.said, SAY_EVERY) {
            let (resident, limit) = (resident >> 20, self.bytes >> 20);
            tracing::warn!(
                resident_mb = resident,
                limit_mb = limit,
                "memory is near `memory_limit`, and what is live needs it: records are taken slowly, in small epochs, \
                 and none is lost; take older events out with a `trim`, or give the process more memory and raise the \
                 limit (`nearline plan` says how much it needs)"
            );
        }
        resident > self.bytes
    }
}

/// The resident memory of this process, in bytes; none where the system does not say.
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_from_nine_tenths_of_the_limit_and_a_pause_is_due_beyond_it() {
        let mut limit = Limit::new(1000, || Some(899));
        assert!(!limit.is_near() && !limit.judge() && !limit.short);
        limit.resident = || Some(900);
        assert!(limit.is_near() && !limit.judge() && limit.short);
        limit.resident = || Some(1001);
        assert!(limit.is_near() && limit.judge() && limit.short);
        limit.resident = || None;
        assert!(!limit.is_near() && !limit.judge() && !limit.short);
        assert!(limit.may_ease() && !limit.may_ease());
    }

    #[test]
    fn resident_memory_is_what_was_touched() {
        // Other tests in this process take memory and give it back meanwhile.
        let grows = || {
            let before = resident()?;
            let touched = std::hint::black_box(vec![1_u8; 64 << 20]);
            let after = resident()?;
            drop(touched);
            Some(after > before + (48 << 20))
        };
        assert!((0..50).any(|_| grows().unwrap_or(true)));
    }
}
