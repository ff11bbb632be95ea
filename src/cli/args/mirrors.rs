//! What `mirrors` is told.

use clap::Subcommand;

/// What `mirrors` does.
#[derive(Debug, Subcommand)]
pub enum MirrorsCommand {
    /// Which mirrors there are, how far each is, and what waits for it. Asks the folder alone, not the servers.
    #[command(after_help = "Example:\n  nearline mirrors status --json")]
    Status,
    /// Bring mirrors to where the store is, now; a pipeline does so by itself.
    #[command(after_help = "Example:\n  nearline mirrors ship cache")]
    Ship {
        /// Its name; all of them unless given.
        name: Option<String>,
    },
    /// Fill a mirror anew: write everything, and take out what the store has not. After its server was cleared or restored.
    #[command(after_help = "Example:\n  nearline mirrors fill cache")]
    Fill {
        /// Its name.
        name: String,
    },
    /// Give a mirror up: nothing is written to it any more, and `forget` does not reach it. What it holds stays there.
    #[command(after_help = "Example:\n  nearline mirrors leave cache")]
    Leave {
        /// Its name.
        name: String,
    },
}
