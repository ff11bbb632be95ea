//! What can be typed behind `nearline model`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::offline::export::To;

/// What is done with a model.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Check a model and print what it says of itself.
    #[command(
        after_help = "Example:\n  nearline model show model\n\nWithout DIR it is the model that the data folder's lists are made with."
    )]
    Show {
        /// The model's folder.
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Make a model of item factors from elsewhere, or check and copy one of ours.
    #[command(after_help = "Example:\n  nearline model import factors.npy --ids items.txt --out model\n  \
        nearline model import als/itemFactors --out model --lambda 0.05\n\n\
        SOURCE is one of\n  \
        FACTORS.npy    items x rank, floats of half, single or double precision; with a file of --ids\n  \
        a folder       with `items.npy`, and `items.txt` or `items.json` for its ids\n  \
        itemFactors    of Spark MLlib, Parquet with `id` and `features`; a folder or one file\n  \
        a model        that `train`, `import` or `export --format nearline` wrote\n\n\
        The kinds' weights and the transform are those of the config: only a model says its own.")]
    Import(ImportArgs),
    /// Write a model's item factors for other programs to read.
    #[command(after_help = "Example:\n  nearline model export model --to factors\n  \
        nearline model export --to als --format spark\n\n\
        Without DIR it is the model that the data folder's lists are made with. Nothing is written over.")]
    Export(ExportArgs),
    /// Let a model take over: its lists are built beside the live ones, which stay fresh, and then become the live
    /// ones in one epoch.
    #[command(after_help = "Example:\n  nearline model use model-of-today\n\n\
        Waits until it has taken over; where a pipeline is running, interrupting the wait breaks nothing off there.\n\
        The live model again gives up what is being built. `run.keep_previous` in the config says for how long\n\
        `nearline model rollback` can go back at once.")]
    Use {
        /// The model's folder.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Let the model before take over again, at once; or give up what is being built.
    #[command(after_help = "Example:\n  nearline model rollback")]
    Rollback,
}

/// Flags of `model import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// What holds the item factors.
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,
    /// The ids of an array's rows, in their order: one a line, or a JSON array where the name ends in .json.
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,
    /// The folder that the model is written to.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Refuse factors of another length.
    #[arg(long, value_name = "N")]
    pub rank: Option<usize>,
    /// The weight of every pair of a member and an item; the config's unless given.
    #[arg(long)]
    pub alpha0: Option<f32>,
    /// How strongly members' factors are held small, above zero; the config's unless given.
    #[arg(long)]
    pub lambda: Option<f32>,
    /// The power of the number of pairs in that; the config's unless given.
    #[arg(long)]
    pub nu: Option<f32>,
}

/// Flags of `model export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The model's folder.
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// The folder that is written.
    #[arg(long, value_name = "PATH")]
    pub to: PathBuf,
    /// In which form.
    #[arg(long, value_enum, default_value = "npy")]
    pub format: To,
}
