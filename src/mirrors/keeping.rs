//! The threads that keep mirrors beside a pipeline, one for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::mirror::Step;
use super::{MirrorError, Mirrors};
use crate::engine::Handle;

/// How long a mirror that has everything waits to be woken by a commit: entries may run out, too.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked whether to stop where no commits come any more.
const ENDED: Duration = Duration::from_millis(100);
/// How long nothing is tried after a failure, and at most after several.
const AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];

/// Keeps mirrors until it is told to stop.
pub struct Keeper {
    mirrors: Arc<Mirrors>,
    stop: Arc<AtomicBool>,
    handle: Handle,
    threads: Vec<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the threads.
    pub fn start(mirrors: Arc<Mirrors>, handle: &Handle) -> std::io::Result<Keeper> {
        let mut keeper =
            Keeper { mirrors, stop: Arc::default(), handle: handle.clone(), threads: Vec::new() };
        for index in 0..keeper.mirrors.all().len() {
            let (mirrors, stop, handle) = (keeper.mirrors.clone(), keeper.stop.clone(), handle.clone());
            let keep = move || keep(&mirrors, index, &handle, &stop);
            keeper.threads.push(std::thread::Builder::new().name("mirror".into()).spawn(keep)?);
        }
        Ok(keeper)
    }

    /// Brings all mirrors up to the store, and ends.
    pub fn finish(mut self) -> Result<(), MirrorError> {
        self.end();
        self.mirrors.bring_all_up().map(drop)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.handle.committed().wake();
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    /// Ends it; what waits goes on waiting, in the store.
    fn drop(&mut self) {
        self.end();
    }
}

fn keep(mirrors: &Mirrors, index: usize, handle: &Handle, stop: &AtomicBool) {
    let Some(mirror) = mirrors.all().get(index) else { return };
    let mut again = AGAIN[0];
    let mut failing = false;
    // How much had been queued when it was last counted what waits.
    let mut counted = None;
    while !stop.load(Ordering::Relaxed) {
        let seen = handle.committed().epoch();
        let queued = mirrors.mirroring().queued();
        if counted.is_none_or(|counted| queued - counted > mirror.config.queue / 8) {
            counted = Some(queued);
            if let Err(error) = mirror.let_go_of_too_much().and_then(|()| Ok(mirrors.empty()?)) {
                tracing::warn!(%error, mirror = mirror.name(), "what waits for the mirror could not be counted");
            }
        }
        match mirrors.step(mirror) {
            Ok(step) => {
                if failing {
                    tracing::info!(mirror = mirror.name(), "the mirror answers again");
                }
                (failing, again) = (false, AGAIN[0]);
                if step == Step::Whole && handle.committed().epoch() == seen {
                    mirror.is_level();
                }
                if step != Step::More {
                    rest(handle, seen, stop);
                    mirror.may_lack();
                }
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "nothing is mirrored for now; it is tried again");
                }
                failing = true;
                std::thread::park_timeout(again);
                again = (again * 2).min(AGAIN[1]);
            }
        }
    }
}

/// Waits until there may be more to do than there was as of an epoch.
fn rest(handle: &Handle, seen: u64, stop: &AtomicBool) {
    handle.committed().wait_beyond(seen, stop, LOOK);
    if handle.committed().has_ended() {
        std::thread::park_timeout(ENDED);
    }
}
