//! What commands about the data folder as a whole are told: `forget`, `backup`, `reshard`, `plan`.

use std::path::PathBuf;

use clap::Args;

/// Flags of `forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The members' ids.
    #[arg(value_name = "MEMBER", required_unless_present_any = ["file", "pending"])]
    pub members: Vec<String>,
    /// Also the members that this file names, an id a line; `-` for standard input.
    #[arg(long = "members", value_name = "FILE", id = "file")]
    pub file: Option<PathBuf>,
    /// Write the receipt to this file too; it is always kept in `receipts/` of the data folder.
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Only erase what was forgotten before and is still on the disk.
    #[arg(long, conflicts_with_all = ["members", "file"])]
    pub pending: bool,
}

/// Flags of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// A folder that is not there yet.
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
    /// Put the key of the digests in too: whoever has the backup can then try whether an id was forgotten.
    #[arg(long)]
    pub with_key: bool,
    /// Put the rejected lines in too.
    #[arg(long)]
    pub with_rejected: bool,
    /// Make none: the backup there was destroyed, and receipts need name it no more.
    #[arg(long, conflicts_with_all = ["with_key", "with_rejected"])]
    pub gone: bool,
}

/// Flags of `reshard`.
#[derive(Debug, Args)]
pub struct ReshardArgs {
    /// The data folders of all processes of the pipeline as it is.
    #[arg(value_name = "FROM", required = true)]
    pub from: Vec<PathBuf>,
    /// A data folder to make, which is not there yet: one for each process, in their order. With a single one the pipeline is
    /// of one process.
    #[arg(long, value_name = "DIR", required = true)]
    pub to: Vec<PathBuf>,
}

/// What there will be.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// How many members with live events.
    #[arg(long)]
    pub members: u64,
    /// How many items.
    #[arg(long)]
    pub items: u64,
    /// How many live events.
    #[arg(long)]
    pub events: u64,
    /// The length of the model's factors; 0 without a model.
    #[arg(long, default_value_t = 64)]
    pub rank: u64,
    /// The length of lists; the config's unless given.
    #[arg(long)]
    pub length: Option<u64>,
    /// How many combinations of item, kind, country and hour have events; as many as events unless given, which is the
    /// most.
    #[arg(long)]
    pub cells: Option<u64>,
    /// How many pairs of items are seen together (`lists.basket`); as many as events unless given, or as there can be.
    #[arg(long)]
    pub pairs: Option<u64>,
    /// How many events were retracted by their fields.
    #[arg(long, default_value_t = 0)]
    pub retracted: u64,
    /// How many events have an id of their own, or a context that hardly any other has: they take more memory.
    #[arg(long, default_value_t = 0)]
    pub with_own: u64,
    /// The length of an id, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 6)]
    pub id_bytes: u64,
    /// The length of an event's context and of its own id, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 16)]
    pub context_bytes: u64,
}
