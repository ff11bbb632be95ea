//! What can be typed behind `nearline variants`.

use clap::{Args, Subcommand};

use crate::serving::performance::MAX_DAYS;

/// Flags of `variants`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct VariantsArgs {
    /// What to do; how they do side by side unless given.
    #[command(subcommand)]
    pub command: Option<VariantsCommand>,
    /// Events of how many UTC days, that of the newest event included.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DAYS)))]
    pub days: u32,
    /// Only events in this list.
    #[arg(long)]
    pub list: Option<String>,
    /// The variant that the others are compared with; the one with the greatest share unless given.
    #[arg(long, value_name = "VARIANT")]
    pub against: Option<String>,
}

/// What is done with variants.
#[derive(Debug, Subcommand)]
pub enum VariantsCommand {
    /// Give every member one variant: its lists are built beside the live ones, which stay fresh, and then become the
    /// live ones in one epoch. Its model is the live one from there on.
    #[command(after_help = "Example:\n  nearline variants promote larger_model\n\n\
        Waits until it has taken over; where a pipeline is running, interrupting the wait breaks nothing off there.\n\
        `nearline model rollback` goes back at once, for as long as `run.keep_previous` in the config says. It holds\n\
        until the config says something else of its variants.")]
    Promote {
        /// The variant's name.
        variant: String,
    },
}
