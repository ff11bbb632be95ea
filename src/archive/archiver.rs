//! The thread that archives beside a pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Archive, ArchiveError, anew};

/// How often it looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(100);
/// How long it waits after a failure, and at most after several.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Archives until it is told to stop.
pub struct Archiver {
    archive: Arc<Archive>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Archiver {
    /// Starts the thread.
    pub fn start(archive: Arc<Archive>) -> std::io::Result<Archiver> {
        let stop = Arc::new(AtomicBool::new(false));
        let (own, told) = (archive.clone(), stop.clone());
        let thread = std::thread::Builder::new().name("archiver".into()).spawn(move || work(&own, &told))?;
        Ok(Archiver { archive, stop, thread: Some(thread) })
    }

    /// Archives all that waits, and ends.
    pub fn finish(mut self) -> Result<u64, ArchiveError> {
        self.end();
        self.archive.drain()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Drop for Archiver {
    /// Ends it; what waits goes on waiting, in the store.
    fn drop(&mut self) {
        self.end();
    }
}

fn work(archive: &Archive, stop: &AtomicBool) {
    let mut shipped = Instant::now();
    let mut again = AGAIN[0];
    let mut not_before = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        std::thread::park_timeout(LOOK);
        let waiting = &archive.waiting;
        let due = waiting.bytes() >= archive.config.roll
            || (waiting.records() > 0 && shipped.elapsed() >= archive.config.every)
            || anew(&*archive.store).is_ok_and(|anew| anew.is_some());
        if !due || Instant::now() < not_before || stop.load(Ordering::Relaxed) {
            continue;
        }
        match archive.ship().and_then(|done| archive.compact(false).map(|_| done)) {
            Ok(done) => {
                again = AGAIN[0];
                if done.records > 0 {
                    shipped = Instant::now();
                } else {
                    // Nothing of it is committed yet, or a load is under way.
                    not_before = Instant::now() + AGAIN[0];
                }
            }
            Err(error) => {
                tracing::warn!(%error, waiting = waiting.records(), "nothing is archived for now; it is tried again");
                not_before = Instant::now() + again;
                again = (again * 2).min(AGAIN[1]);
            }
        }
    }
}
