//! Narrow places at which a test ends the process, as a kill would: `tests/failpoints`.
//!
//! Without the feature `failpoints` there is nothing of it in the program. (Our own, as the `fail` crate had its last
//! release in 2022, and more is not needed.)

/// Ends the process where the environment's `NEARLINE_FAILPOINT` names this place: `place`, or `place=3` for the third
/// time that it is reached. Nothing is flushed, dropped or said.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(place: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("NEARLINE_FAILPOINT").ok()?;
        let (name, times) = text.split_once('=').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU64::new(times.parse().unwrap_or(1))))
    });
    if let Some((name, left)) = wanted
        && name == place
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn reach(_place: &str) {}
