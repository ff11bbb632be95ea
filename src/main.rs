//! The `nearline` binary: reads the command line and hands it to the library.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use nearline::cli::{self, args::Cli};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, which the bindings do not name: the place in `enum mi_option_e` of mimalloc.h.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Gives memory back after a tenth of a second instead of a whole one. A bulk load uses large buffers for shorter
/// than that: the largest resident memory falls by a tenth, and nothing becomes slower.
fn give_memory_back() {
    #[expect(unsafe_code, reason = "the bindings have no safe function for it")]
    // SAFETY: setting an option is unsafe beside other threads, and there are none yet.
    unsafe {
        libmimalloc_sys::mi_option_set_default(PURGE_DELAY, 100);
    }
}

/// A store has some hundred files, and whoever reads it has all of them open.
fn have_files_open() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it is refused it stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn main() -> ExitCode {
    give_memory_back();
    have_files_open();
    nearline::jobs::parent::end_with_parent();
    // Cassandra's client warns of each connection that breaks and each look through a table: we say ourselves what that means.
    let filter =
        EnvFilter::try_from_env("NEARLINE_LOG").unwrap_or_else(|_| EnvFilter::new("warn,scylla=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Where nobody listens any more, a log that said so there would end the thread.
        .log_internal_errors(false)
        .init();
    cli::run(Cli::parse())
}
