//! The other side of a job: its process ends when the process that began it does, however that ends.
//!
//! Its standard input is a pipe that nothing is written to. The system closes it with the process at the other end, also where
//! that was killed without a word.

use std::io::Read;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// The variable that says that this process is a job, and which one.
pub const VARIABLE: &str = "NEARLINE_JOB";
/// How long it may take to put things in order, before it ends at once.
pub const GRACE: Duration = Duration::from_secs(10);

/// In the process of a job: ends with its parent. Elsewhere it does nothing.
pub fn end_with_parent() {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    let watch = || {
        // Whatever comes there is nothing to a job.
        let mut bytes = [0; 64];
        while std::io::stdin().read(&mut bytes).is_ok_and(|read| read > 0) {}
        // As if somebody had ended it: what can be put in order is.
        let _ = kill_process(getpid(), Signal::TERM);
        std::thread::sleep(GRACE);
        std::process::exit(130);
    };
    // Without it the job goes on, and that is all.
    let _ = std::thread::Builder::new().name("parent".into()).spawn(watch);
}
