//! Sharing out blocks of rows among threads. A block's result may not depend on who computes it or when; the
//! blocks are the same whatever the number of threads.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Cuts `out` into blocks of `size` elements and runs `work(state, block number, block)` once for each, on
/// `threads` threads of which the caller's is one; each thread has a `state` of its own. `watch` is called on
/// the caller's thread with the number of blocks done so far, once with all of them, and may break off the rest.
pub(crate) fn for_blocks<T: Send, S>(
    threads: usize,
    (out, size): (&mut [T], usize),
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize, &mut [T]) + Sync,
    watch: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let blocks = out.len().div_ceil(size);
    let queue = Mutex::new(out.chunks_mut(size).enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let (done, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let turn = |state: &mut S| {
        let Some((number, block)) = next() else { return false };
        work(state, number, block);
        done.fetch_add(1, Ordering::Relaxed);
        !stopped.load(Ordering::Relaxed)
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(blocks) {
            scope.spawn(|| {
                let mut state = state();
                while turn(&mut state) {}
            });
        }
        let mut state = state();
        while turn(&mut state) {
            let so_far = done.load(Ordering::Relaxed);
            if so_far < blocks && watch(so_far).is_break() {
                stopped.store(true, Ordering::Relaxed);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    // Only here are the other threads known to be done.
    watch(blocks)
}

/// [`for_blocks`] of one element each, without a watcher.
pub(crate) fn for_each<T: Send, S>(
    threads: usize,
    out: &mut [T],
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize, &mut T) + Sync,
) {
    let work = |state: &mut S, number: usize, block: &mut [T]| {
        for element in block {
            work(state, number, element);
        }
    };
    // A watcher that never breaks: the answer carries nothing.
    let _ = for_blocks(threads, (out, 1), state, work, &mut |_| ControlFlow::Continue(()));
}
