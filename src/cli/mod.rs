//! The command line: what was typed, what it means, and how it is answered.

mod archive;
pub mod args;
mod ask;
mod backup;
mod batch;
mod cluster;
mod commands;
mod demo;
mod erase;
mod evaluate;
mod fit;
mod jobs;
mod line_up;
mod mirrors;
mod model;
mod opening;
mod performance;
mod pipe;
mod plan;
mod processes;
mod produce;
mod publications;
mod publish;
mod query;
mod records;
mod reshard;
mod server;
mod show;
mod subscribe;
mod subscriptions;
mod takeover;
mod train;
mod train_progress;
mod train_saving;
mod tune;
mod variants;
mod verify;
mod watched;

use std::io;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use args::{Cli, Command};
pub use show::count;

use crate::backups::BackupError;
use crate::config::Config;
use crate::engine::EngineError;
use crate::engine::recover::OtherConfig;
use crate::erasure::ErasureError;
use crate::folder::Folder;
use crate::offline::ModelError;
use crate::records::MAX_ID;
use crate::serving::{Reader, Serving, ServingError};
use crate::sources::SourceError;
use crate::stores::StoreError;

/// Why a command did not do what it was asked, and with which exit code it says so.
#[derive(Debug)]
pub enum Failure {
    /// 1: the answer is no.
    No(String),
    /// 2: bad use, or a bad input file.
    Use(String),
    /// 3: the store or a source failed.
    Failed(String),
    /// 130: broken off by an interrupt; what was saved, and how to go on.
    Interrupted(String),
    /// 0: whoever reads the answer has seen enough of it, as `head` does.
    Unread,
}

impl Failure {
    /// The same with more to say.
    fn with(self, said: &str) -> Failure {
        match self {
            Failure::Use(text) => Failure::Use(text + said),
            Failure::Failed(text) => Failure::Failed(text + said),
            other => other,
        }
    }

    fn code(&self) -> u8 {
        match self {
            Failure::No(_) => 1,
            Failure::Use(_) => 2,
            Failure::Failed(_) => 3,
            Failure::Interrupted(_) => 130,
            Failure::Unread => 0,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::No(text) | Failure::Use(text) | Failure::Failed(text) | Failure::Interrupted(text) => {
                out.write_str(text)
            }
            Failure::Unread => out.write_str("nobody reads the answer"),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OfAnother { .. } | StoreError::InAll { .. } => Failure::Use(error.to_string()),
            error => Failure::Failed(error.to_string()),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Failure::Failed(error.to_string())
    }
}

impl From<ServingError> for Failure {
    fn from(error: ServingError) -> Self {
        match error {
            ServingError::OtherConfig(other) => other.into(),
            ServingError::Model(error) => error.into(),
            ServingError::Store(error) => error.into(),
            ServingError::Ended(error) => Failure::Failed(error.to_string()),
        }
    }
}

impl From<OtherConfig> for Failure {
    fn from(error: OtherConfig) -> Self {
        Failure::Use(error.to_string())
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Failure::Use(error.to_string())
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let text = error.to_string();
        if error.is_bad_input() { Failure::Use(text) } else { Failure::Failed(text) }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Refused(why) => Failure::Use(why),
            other => Failure::Failed(other.to_string()),
        }
    }
}

impl From<ErasureError> for Failure {
    fn from(error: ErasureError) -> Self {
        Failure::Failed(error.to_string())
    }
}

impl From<io::Error> for Failure {
    /// Of all that is written to, only standard output may be closed by who reads it: a process that does not answer
    /// is a failure, and says so (`engine/socket.rs`).
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Unread,
            _ => Failure::Failed(error.to_string()),
        }
    }
}

/// What every command gets.
#[derive(Clone)]
pub(crate) struct Context {
    pub folder: Folder,
    pub config: Config,
    /// The file that the config was read from, where one was named.
    pub config_file: Option<std::path::PathBuf>,
    pub json: bool,
}

impl Context {
    /// Asks something of the folder as it was committed last.
    fn read<T>(&self, ask: impl FnOnce(&Serving<'_>) -> Result<T, ServingError>) -> Result<T, Failure> {
        Ok(Reader::open(&self.folder, self.config.clone())?.read(ask)?)
    }
}

/// Does what was typed, and says with which code to exit.
pub fn run(cli: Cli) -> ExitCode {
    match answer(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Unread) => ExitCode::SUCCESS,
        Err(failure) => {
            show::aside(format_args!("nearline: {failure}"));
            ExitCode::from(failure.code())
        }
    }
}

fn answer(cli: Cli) -> Result<(), Failure> {
    if let Command::Config = cli.command {
        return show::text(crate::config::default_toml());
    }
    let config = Config::load(cli.config.as_deref()).map_err(|error| Failure::Use(error.to_string()))?;
    let context =
        Context { folder: Folder::new(cli.data), config, config_file: cli.config.clone(), json: cli.json };
    match cli.command {
        Command::Run(args) => pipe::run(&context, args),
        Command::Replay(args) => pipe::replay(&context, args),
        Command::Produce(args) => produce::produce(&context, &args),
        Command::Publish(args) => publish::publish(&context, &args),
        Command::Publications(args) => publications::publications(&context, &args),
        Command::Subscribe(args) => subscribe::subscribe(&context, &args),
        Command::Serve { listen, from } => server::serve(&context, &listen, from.as_deref()),
        Command::Get { member, list, limit, offset } => ask::get(&context, &member, list, offset, limit),
        Command::Popular { kind, window, country, limit } => {
            ask::popular(&context, kind, &window, country, limit)
        }
        Command::Variants(args) => variants::variants(&context, args),
        Command::Performance { days, list, by } => performance::performance(&context, days, list, by),
        Command::History { member, limit } => ask::history(&context, &member, limit),
        Command::Why { member, item } => ask::why(&context, &member, &item),
        Command::Similar { item, by, member, limit } => {
            ask::similar(&context, &item, by, member.as_deref(), limit)
        }
        Command::Query(args) => query::query(&context, &args),
        Command::Jobs(args) => jobs::jobs(&context, &args),
        Command::Train(args) => train::train(&context, args),
        Command::Cluster(args) => cluster::cluster(&context, &args),
        Command::Model { command } => model::model(&context, command),
        Command::Tune(args) => tune::tune(&context, args, cli.config.as_deref()),
        Command::Evaluate(args) => evaluate::evaluate(&context, args),
        Command::Check { sources } => records::check(&context, sources),
        Command::Verify { mirror: Some(name), .. } => mirrors::verify(&context, &name),
        Command::Verify { folders, workers, mirror: None } => verify::verify(&context, folders, workers),
        Command::Reshard(args) => reshard::reshard(&context, &args),
        Command::Export { without_key } => records::export(&context, without_key),
        Command::Forget(args) => erase::forget(&context, &args),
        Command::Archive { command } => archive::archive(&context, command),
        Command::Mirrors { command } => mirrors::mirrors(&context, command),
        Command::Backup(args) => backup::backup(&context, &args),
        Command::Restore { backup, key } => backup::restore(&context, &backup, key.as_deref()),
        Command::Plan(args) => plan::plan(&context, &args),
        Command::Batch(args) => batch::batch(&context, &args),
        Command::Status => ask::status(&context),
        Command::Config => Ok(()),
        Command::Demo { write, seed } => demo::demo(&context, write, seed),
        Command::BenchLog { out, events, members, items, seed, retract, behind } => {
            let size = crate::demo::BenchSize {
                events: events as usize,
                members: members as usize,
                items: items as usize,
            };
            demo::bench_log(&out, size, seed, retract, behind)
        }
    }
}

/// How an engine runs under a config, without a model: for benchmarks and tests.
pub fn pipe_options(config: &Config) -> crate::engine::EngineOptions {
    opening::engine_options(config, None, None)
}

/// Refuses what is no member's id.
pub(crate) fn member_id(member: &str) -> Result<(), Failure> {
    if (1..=MAX_ID).contains(&member.len()) {
        return Ok(());
    }
    Err(Failure::Use(format!("a member's id has 1 to {MAX_ID} bytes, and this one {}", member.len())))
}

/// The wall clock, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
