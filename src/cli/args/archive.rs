//! What `archive` is told.

use clap::Subcommand;

/// What `archive` does.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Where the archive is, how far, and what waits. Asks the folder alone, not the repository.
    #[command(after_help = "Example:\n  nearline archive status --json")]
    Status,
    /// The files that are live, by URL or path, one a line: what to read where no record may be seen twice, also in the
    /// moments in which files are put together.
    #[command(after_help = "Example:\n  nearline archive files > files.txt\n  \
        duckdb -c \"select count(*) from read_parquet([$(nearline archive files | sed \"s/.*/'&'/\" | paste -sd,)])\"")]
    Files,
    /// Archive what waits, now.
    #[command(after_help = "Example:\n  nearline archive ship")]
    Ship,
    /// Put the small files of each day together, now; a pipeline does so by itself where there are many.
    #[command(after_help = "Example:\n  nearline archive compact")]
    Compact,
    /// Make the archive anew, from what the store holds: after its files were damaged or lost, or in a folder that was
    /// restored or copied.
    #[command(after_help = "Example:\n  nearline archive backfill\n\n\
        Holds live events, the catalogue, retractions and digests of who was forgotten; events that were retracted or\n\
        forgotten before are in it no more.")]
    Backfill,
    /// Compare the archive's records with the store's, one by one.
    #[command(
        after_help = "Example:\n  nearline archive verify && echo right\n\nExit code 1 where they differ."
    )]
    Verify,
    /// Turn the archive off. Its files stay where they are, and nothing of them is erased by `forget` any more: receipts
    /// say so.
    #[command(after_help = "Example:\n  nearline archive leave")]
    Leave,
}
