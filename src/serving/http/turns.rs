//! Turns: who waits to have a list made on the threads that answer, and what one takes. So a list that would come too late
//! is not begun, and nobody waits to be told so.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Of what the last one took so much goes into what one is said to take: an eighth.
const SHARE: u64 = 8;

/// Those who wait, and what one takes.
#[derive(Debug)]
pub(super) struct Turns {
    waiting: AtomicUsize,
    /// In nanoseconds.
    takes: AtomicU64,
    threads: usize,
}

/// One who waits for a turn, or has it.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    asked: Instant,
}

impl Turns {
    /// On so many threads.
    pub fn new(threads: usize) -> Self {
        Turns { waiting: AtomicUsize::new(0), takes: AtomicU64::new(0), threads: threads.max(1) }
    }

    /// A turn that comes within a time, by what is known; none where others would take longer.
    pub async fn within(&self, time: Duration) -> Option<Turn<'_>> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let turn = Turn { turns: self, asked: Instant::now() };
        let ahead = self.takes.load(Ordering::Relaxed).saturating_mul(before as u64) / self.threads as u64;
        if Duration::from_nanos(ahead) > time {
            return None;
        }
        // Whoever needs next to no time comes first.
        tokio::task::yield_now().await;
        (turn.asked.elapsed() <= time).then_some(turn)
    }
}

impl Turn<'_> {
    /// What it was used for is done, and was begun then.
    pub fn used(self, began: Instant) {
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let before = self.turns.takes.load(Ordering::Relaxed);
        let now = if before == 0 { took } else { before - before / SHARE + took / SHARE };
        self.turns.takes.store(now, Ordering::Relaxed);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_would_wait_too_long_is_told_so_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (turns, time) = (Turns::new(1), Duration::from_millis(250));
        runtime.block_on(async {
            let first = turns.within(time).await.unwrap();
            first.used(Instant::now() - Duration::from_millis(100));
            // Two of a hundred milliseconds are in time behind each other, and a fourth is not.
            let (a, b, c) = (turns.within(time).await, turns.within(time).await, turns.within(time).await);
            assert!(a.is_some() && b.is_some() && c.is_some());
            assert!(turns.within(time).await.is_none());
            assert!(turns.within(time).await.is_none(), "who was turned away is not waited for");
            drop((a, b, c));
            assert!(turns.within(time).await.is_some());
        });
    }
}
