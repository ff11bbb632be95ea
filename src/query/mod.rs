//! Offline queries: SQL over the archive and the store, answered by DataFusion (feature `query`).
//!
//! `tables.rs` says which tables and columns there are. `archived.rs` is the table of the archive's files, of which only those are
//! read whose day may match, and `bridge.rs` how DataFusion reads them from a repository. `stored.rs` reads tables off the
//! store, which is opened once, so that all of an answer is of one epoch. `output.rs` writes what comes. A query reads and
//! changes nothing; what it holds in memory is bounded, and the rest of it goes to temporary files.

mod archived;
mod bridge;
mod output;
mod stored;
pub mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::{DataFusionError, SchemaError, Spans};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext, col, lit};
use futures_util::TryStreamExt;

use self::archived::Archived;
pub use self::output::{Format, Sink};
use self::stored::Stored;
use crate::archive::ledger::Ledger;
use crate::archive::{ArchiveError, ArchiveState, Queue};
use crate::config::Config;
use crate::engine::erasing;
use crate::engine::recover::Standing;
use crate::folder::Folder;
use crate::repositories::Repository;
use crate::stores::StoreError;
use crate::stores::rocks::RocksStore;

/// How often a query is begun anew where files of the archive went away meanwhile.
const TRIES: usize = 4;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The query cannot be answered.
    #[error("the query cannot be answered: {0}")]
    Sql(String),
    /// It would not fit into memory.
    #[error("the query needs more memory than it may use: {0}; give it more with --memory")]
    Memory(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It could not be read to its end.
    #[error("the query was broken off: {0}")]
    Failed(String),
    /// What is said cannot be written.
    #[error("the answer cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

impl QueryError {
    /// Whether the query is at fault.
    pub fn is_bad_use(&self) -> bool {
        match self {
            QueryError::Sql(_) | QueryError::Memory(_) => true,
            QueryError::Archive(error) => error.is_bad_use(),
            _ => false,
        }
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The query.
    pub sql: &'a str,
    /// How many rows at most.
    pub limit: Option<usize>,
    /// How much memory it may use, in bytes.
    pub memory: usize,
}

/// What there is to say of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answered {
    /// How many rows it has.
    pub rows: u64,
    /// The columns and their types.
    pub columns: Vec<(String, String)>,
    /// The epoch of the store.
    pub epoch: u64,
    /// Where `records` come from, where they were asked for.
    pub records_from: Option<RecordsFrom>,
}

/// Where the table `records` comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordsFrom {
    /// The store: there is no archive.
    Store,
    /// The archive, up to an epoch; so many records are not in it yet.
    Archive {
        /// The epoch.
        archived: u64,
        /// Records that wait.
        waiting: u64,
    },
}

/// Asks; rows go to `sink`.
pub fn ask(
    folder: &Folder,
    config: &Config,
    question: &Question<'_>,
    sink: &mut Sink,
) -> Result<Answered, QueryError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for _ in 1..TRIES {
        let world = World::open(folder, config)?;
        match runtime.block_on(world.answer(question, sink)) {
            // Files were put together, or a member was erased; nothing was said yet.
            Err(error) if world.lost_a_file() && sink.is_untouched() => {
                tracing::debug!(%error, "files of the archive went away: the query is begun anew");
            }
            other => return other,
        }
    }
    let world = World::open(folder, config)?;
    runtime.block_on(world.answer(question, sink))
}

/// What is read: the store at one moment, and the archive as its ledger says it.
struct World {
    store: Arc<RocksStore>,
    standing: Standing,
    /// Members who are forgotten and not erased yet, each with the epoch of the forget.
    forgotten: Vec<(String, u64)>,
    archive: Option<Arc<Archived>>,
    /// What there is to say of it.
    archive_state: Option<RecordsFrom>,
    /// Whether records were read off the store.
    stored_read: Arc<AtomicBool>,
}

impl World {
    fn open(folder: &Folder, config: &Config) -> Result<World, QueryError> {
        let store = Arc::new(RocksStore::open_reader(folder.path())?);
        let standing = Standing::of(&*store)?;
        if standing.epoch == 0 {
            return Err(StoreError::Empty(folder.path().to_owned()).into());
        }
        let mut forgotten = Vec::new();
        for (mark, erasing) in erasing::marks(&*store)? {
            forgotten.extend(erasing.member.map(|member| (member, mark.epoch)));
        }
        let (mut archive, mut archive_state) = (None, None);
        let known = ArchiveState::of(&*store)?;
        // One that is still to be made from the store holds nothing, or what was trimmed.
        let waiting = Queue::of(&*store)?;
        if let Some(known) = known.filter(|known| known.version > 0 && !waiting.anew) {
            let repository =
                Repository::open(&known.repository, &config.access).map_err(ArchiveError::from)?;
            let ledger = Ledger::read(&repository).map_err(ArchiveError::from)?;
            let ledger = ledger.ok_or(ArchiveError::Gone(known.repository))?;
            archive_state =
                Some(RecordsFrom::Archive { archived: ledger.archived, waiting: waiting.records });
            archive = Some(Arc::new(Archived::new(Arc::new(repository), &ledger)));
        }
        Ok(World { store, standing, forgotten, archive, archive_state, stored_read: Arc::default() })
    }

    fn lost_a_file(&self) -> bool {
        self.archive.as_ref().is_some_and(|archive| archive.lost_a_file())
    }

    /// The tables, in a session of their own.
    fn session(&self, memory: usize) -> Result<SessionContext, DataFusionError> {
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema("nearline", "tables")
            .with_information_schema(false);
        config.options_mut().sql_parser.collect_spans = true;
        let pool = Arc::new(FairSpillPool::new(memory));
        let environment = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc()?;
        let session = SessionContext::new_with_config_rt(config, environment);
        for table in Stored::ALL {
            let over = table.over(self.store.clone(), Arc::default())?;
            session.register_table(table.name(), Arc::new(over))?;
        }
        let records = match &self.archive {
            Some(archive) => {
                archive.register(&session);
                session.read_table(archive.clone())?
            }
            None => {
                let over = Stored::Records.over(self.store.clone(), self.stored_read.clone())?;
                session.read_table(Arc::new(over))?
            }
        };
        session.register_table("records", self.shown(records)?.into_view())?;
        Ok(session)
    }

    /// Records without what is left of who was forgotten, and without those who are to be erased.
    fn shown(&self, records: DataFrame) -> Result<DataFrame, DataFusionError> {
        let mut records =
            records.filter(col("type").in_list(vec![lit("tombstone"), lit("key"), lit("forget")], true))?;
        for (member, epoch) in &self.forgotten {
            let gone = col("member").eq(lit(member.as_str())).and(col("epoch").lt_eq(lit(*epoch as i64)));
            records = records.filter(col("member").is_null().or(gone.is_not_true()))?;
        }
        Ok(records)
    }

    async fn answer(&self, question: &Question<'_>, sink: &mut Sink) -> Result<Answered, QueryError> {
        let wrong = |error: DataFusionError| told(&error, question.sql);
        let session = self.session(question.memory).map_err(|error| QueryError::Failed(error.to_string()))?;
        let plan = session.state().create_logical_plan(question.sql).await.map_err(wrong)?;
        let only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        if only.verify_plan(&plan).is_err() {
            let refused = "only SELECT, WITH and EXPLAIN are answered: a query changes nothing";
            return Err(QueryError::Sql(refused.to_owned()));
        }
        let explains = matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
        let mut frame = session.execute_logical_plan(plan).await.map_err(wrong)?;
        if let Some(limit) = question.limit.filter(|_| !explains) {
            frame = frame.limit(0, Some(limit)).map_err(wrong)?;
        }
        let mut stream = frame.execute_stream().await.map_err(wrong)?;
        let schema = stream.schema();
        let columns: Vec<(String, String)> = schema
            .fields()
            .iter()
            .map(|field| (field.name().clone(), tables::type_name(field.data_type())))
            .collect();
        sink.begin(&schema, explains)?;
        let mut rows = 0;
        while let Some(batch) = stream.try_next().await.map_err(wrong)? {
            rows += batch.num_rows() as u64;
            if sink.write(&batch)?.is_break() {
                break;
            }
        }
        let asked = self.archive.as_ref().is_some_and(|archive| archive.was_read());
        let stored = self.stored_read.load(Ordering::Relaxed);
        let records_from = match &self.archive_state {
            Some(state) => asked.then(|| state.clone()),
            None => stored.then_some(RecordsFrom::Store),
        };
        Ok(Answered { rows, columns, epoch: self.standing.epoch, records_from })
    }
}

/// What is wrong with a query, and where.
fn told(error: &DataFusionError, sql: &str) -> QueryError {
    let root = error.find_root();
    match root {
        DataFusionError::ResourcesExhausted(why) => {
            return QueryError::Memory(why.lines().next().unwrap_or_default().to_owned());
        }
        // What is read is at fault, and not the query.
        DataFusionError::IoError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::ParquetError(_)
        | DataFusionError::External(_) => {
            return QueryError::Failed(root.strip_backtrace());
        }
        _ => {}
    }
    let mut text = root.strip_backtrace();
    for prefix in
        ["Schema error: ", "Error during planning: ", "SQL error: ", "Arrow error: ", "Execution error: "]
    {
        text = text.strip_prefix(prefix).map(str::to_owned).unwrap_or(text);
    }
    if let Some(inner) = text.strip_prefix("ParserError(\"").and_then(|text| text.strip_suffix("\")")) {
        text = inner.replace("\\\"", "\"");
    }
    if text.contains("table '") && text.contains("' not found") {
        let names: Vec<&str> = tables::TABLES.iter().map(|table| table.name).collect();
        text = text.replace("nearline.tables.", "");
        text += &format!("; there are {}", names.join(", "));
    }
    let mut place = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    if place.is_none()
        && let DataFusionError::SchemaError(schema, _) = root
        && let SchemaError::FieldNotFound { field, .. } = &**schema
    {
        place = Spans::first(field.spans());
    }
    if let Some(span) = place {
        let (line, column) = (span.start.line as usize, span.start.column as usize);
        let shown = sql.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        text +=
            &format!("\n  {shown}\n  {}^ line {line}, column {column}", " ".repeat(column.saturating_sub(1)));
    }
    QueryError::Sql(text)
}
