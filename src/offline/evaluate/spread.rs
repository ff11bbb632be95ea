//! Work shared out to all cores, taken in again in its own order: the sums do not depend on timing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Applies `each` to every piece of work and hands the results to `take` in order, with how many there were so far.
pub fn spread<W: Sync, T: Send>(
    work: &[W],
    each: &(impl Fn(&W) -> T + Sync),
    take: &mut dyn FnMut(T, usize),
) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::sync_channel(4 * threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(piece) = work.get(place) else { return };
                    if send.send((place, each(piece))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let mut early = BTreeMap::new();
        let mut done = 0;
        for (place, result) in receive {
            early.insert(place, result);
            while let Some(result) = early.remove(&done) {
                done += 1;
                take(result, done);
            }
        }
    });
}
