//! The tables, and what is asked of them and written to them. `schemas/repository.cql` makes them, docs/formats.md says what stands
//! in them.
//!
//! Rows of objects, uploads and dropped bytes are written by lightweight transactions and by nothing else, several rows of a
//! partition at once where they change together. Reads and writes are of a majority of all nodes that hold a row, in all data
//! centres: whoever reads what was said to be there finds it, wherever that is.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::response::query_result::QueryResult;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlTimestamp, CqlValue, Row};

use super::problem::Problem;
use super::statements::Statements;
use crate::cassandra::{Cluster, connect};

/// The tables as they are made.
const SCHEMA: &str = include_str!("../../../schemas/repository.cql");
/// Their names.
const NAMES: [&str; 3] = ["nearline_objects_1", "nearline_chunks_1", "nearline_folders_1"];
/// Kinds of rows that name bytes of no object.
pub(super) const UPLOAD: &str = "upload";
pub(super) const DROPPED: &str = "dropped";
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// So many chunks lie in a partition: 8 MiB.
const IN_PART: u64 = 16;

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At {
    pub repository: String,
    /// The first part of its name, or `.` where it has but one.
    pub folder: String,
    pub name: String,
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// What its bytes are called; another one each time that it is written.
    pub generation: String,
    pub size: u64,
    /// How large a chunk is; 0 where the bytes are in the row.
    pub chunk: u64,
    /// When it was put there, in milliseconds since 1970, by the clock of the cluster.
    pub at: i64,
    /// The bytes that are in the row; none where they were not asked for.
    pub bytes: Option<Bytes>,
}

/// What an object is to be.
#[derive(Debug, Clone)]
pub(super) struct New {
    pub generation: String,
    pub size: u64,
    pub chunk: u64,
    /// The bytes that go into the row; with none, they were sent before in an upload of this generation.
    pub bytes: Option<Bytes>,
}

/// Bytes that are no object's: of an upload that has begun, or dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loose {
    pub generation: String,
    /// The object that they were for.
    pub object: String,
    /// There are no more than so many.
    pub size: u64,
    pub chunk: u64,
    /// When they were last written to, or dropped.
    pub at: i64,
}

/// A session and its statements.
pub(super) struct Tables {
    session: Session,
    statements: Statements,
}

impl Tables {
    /// Connects, and makes the tables where they are not there.
    pub async fn open(cluster: &Cluster) -> Result<Tables, Problem> {
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::Quorum)
            .serial_consistency(Some(SerialConsistency::Serial))
            .request_timeout(Some(ANSWER))
            .build();
        let builder = SessionBuilder::new().default_execution_profile_handle(profile.into_handle());
        let session = connect(cluster, builder).await?;
        make(&session, &cluster.keyspace).await?;
        Ok(Tables { statements: Statements::prepare(&session).await?, session })
    }

    /// What is known of an object; `for_certain` also ends what somebody else has begun to write and not ended.
    pub async fn entry(&self, at: &At, for_certain: bool) -> Result<Option<Entry>, Problem> {
        let look = if for_certain { &self.statements.look_for_certain } else { &self.statements.look };
        let found = self.session.execute_unpaged(look, (&at.repository, &at.folder, &at.name)).await?;
        let rows = found.into_rows_result().map_err(Problem::answer)?;
        let row = rows
            .maybe_first_row::<(String, i64, i32, CqlTimestamp, Option<Bytes>)>()
            .map_err(Problem::answer)?;
        Ok(row.map(|(generation, size, chunk, at, bytes)| Entry {
            generation,
            size: size as u64,
            chunk: chunk as u64,
            at: at.0,
            bytes,
        }))
    }

    /// Puts an object in the place of another, or where there is none. Its upload ends with that, and the bytes that were there
    /// are dropped. It comes to nothing where there is another object than that, or the upload is gone.
    pub async fn put(&self, at: &At, old: Option<&Entry>, new: &New) -> Result<bool, Problem> {
        let text = |text: &str| Some(CqlValue::Text(text.to_owned()));
        let mut change = Change::default();
        let mut row = vec![
            text(&new.generation),
            Some(CqlValue::BigInt(new.size as i64)),
            Some(CqlValue::Int(new.chunk as i32)),
            new.bytes.as_ref().map(|bytes| CqlValue::Blob(bytes.to_vec())),
        ];
        row.extend(at.values(&at.name));
        row.push(old.and_then(|old| text(&old.generation)));
        change.add(&self.statements.put, row);
        if new.bytes.is_none() {
            change.add(&self.statements.end, at.values(&new.generation).into());
        }
        if let Some(old) = old.filter(|old| old.chunk > 0) {
            change.add(&self.statements.drop, old.loose(at).values(at));
        }
        self.change(change).await
    }

    /// Takes out an object where it is still that one.
    pub async fn take(&self, at: &At, old: &Entry) -> Result<bool, Problem> {
        let mut change = Change::default();
        let mut row: Vec<_> = at.values(&at.name).into();
        row.push(Some(CqlValue::Text(old.generation.clone())));
        change.add(&self.statements.take, row);
        if old.chunk > 0 {
            change.add(&self.statements.drop, old.loose(at).values(at));
        }
        self.change(change).await
    }

    /// Begins an upload.
    pub async fn begin(&self, at: &At, upload: &Loose) -> Result<(), Problem> {
        // Where the answer to the first attempt was lost it is there: the name is nobody else's.
        let mut change = Change::default();
        change.add(&self.statements.begin, upload.values(at));
        self.change(change).await.map(drop)
    }

    /// Says that an upload goes on, and whether it is still there.
    pub async fn touch(&self, at: &At, generation: &str) -> Result<bool, Problem> {
        let mut change = Change::default();
        change.add(&self.statements.touch, at.values(generation).into());
        self.change(change).await
    }

    /// Ends an upload whose bytes are to be taken out, where it did not end yet; with `unless_touched`, where nothing was
    /// written since.
    pub async fn give_up(&self, at: &At, upload: &Loose, unless_touched: bool) -> Result<bool, Problem> {
        let mut change = Change::default();
        let mut row: Vec<_> = at.values(&upload.generation).into();
        if unless_touched {
            row.push(Some(CqlValue::Timestamp(CqlTimestamp(upload.at))));
        }
        change.add(if unless_touched { &self.statements.end_if } else { &self.statements.end }, row);
        change.add(&self.statements.drop, upload.values(at));
        self.change(change).await
    }

    /// Takes out dropped bytes. Whoever still writes some of them writes in vain.
    pub async fn clear(&self, at: &At, dropped: &Loose) -> Result<(), Problem> {
        let parts = dropped.size.div_ceil((dropped.chunk * IN_PART).max(1));
        for part in 0..parts as i32 {
            self.session.execute_unpaged(&self.statements.take_part, (&dropped.generation, part)).await?;
        }
        let mut change = Change::default();
        change.add(&self.statements.end_dropped, at.values(&dropped.generation).into());
        self.change(change).await.map(drop)
    }

    /// Uploads that have begun in a folder, or bytes that were dropped there.
    pub async fn loose(&self, repository: &str, folder: &str, kind: &str) -> Result<Vec<Loose>, Problem> {
        let rows =
            self.session.execute_iter(self.statements.loose.clone(), (repository, folder, kind)).await?;
        let rows = rows
            .rows_stream::<(String, String, i64, i32, CqlTimestamp)>()
            .map_err(Problem::answer)?
            .map_ok(|(generation, object, size, chunk, at)| Loose {
                generation,
                object,
                size: size as u64,
                chunk: chunk as u64,
                at: at.0,
            });
        Ok(rows.try_collect().await?)
    }

    /// Names and what is known of the objects in a folder whose names lie in a range.
    pub async fn list(
        &self,
        repository: &str,
        folder: &str,
        names: (&str, &str),
    ) -> Result<Vec<(String, Entry)>, Problem> {
        let (from, to) = names;
        let rows =
            self.session.execute_iter(self.statements.list.clone(), (repository, folder, from, to)).await?;
        let rows = rows
            .rows_stream::<(String, String, i64, i32, CqlTimestamp)>()
            .map_err(Problem::answer)?
            .map_ok(|(name, generation, size, chunk, at)| {
                let entry =
                    Entry { generation, size: size as u64, chunk: chunk as u64, at: at.0, bytes: None };
                (name, entry)
            });
        Ok(rows.try_collect().await?)
    }

    /// Folders that there may be.
    pub async fn folders(&self, repository: &str) -> Result<Vec<String>, Problem> {
        let rows = self.session.execute_iter(self.statements.folders.clone(), (repository,)).await?;
        let rows = rows.rows_stream::<(String,)>().map_err(Problem::answer)?;
        Ok(rows.map_ok(|(folder,)| folder).try_collect().await?)
    }

    /// Says that there may be a folder.
    pub async fn put_folder(&self, repository: &str, folder: &str) -> Result<(), Problem> {
        self.session.execute_unpaged(&self.statements.put_folder, (repository, folder)).await?;
        Ok(())
    }

    /// A chunk, by its number.
    pub async fn chunk(&self, generation: &str, number: u64) -> Result<Option<Bytes>, Problem> {
        let key = (generation, (number / IN_PART) as i32, number as i32);
        let found = self.session.execute_unpaged(&self.statements.chunk, key).await?;
        let rows = found.into_rows_result().map_err(Problem::answer)?;
        Ok(rows.maybe_first_row::<(Bytes,)>().map_err(Problem::answer)?.map(|(bytes,)| bytes))
    }

    /// Writes a chunk.
    pub async fn put_chunk(&self, generation: &str, number: u64, bytes: &Bytes) -> Result<(), Problem> {
        let row = (generation, (number / IN_PART) as i32, number as i32, bytes);
        self.session.execute_unpaged(&self.statements.put_chunk, row).await?;
        Ok(())
    }

    /// Writes rows of a partition at once, where all conditions hold; says whether they did.
    async fn change(&self, change: Change) -> Result<bool, Problem> {
        let answer = match &change.batch.statements[..] {
            [scylla::statement::batch::BatchStatement::PreparedStatement(one)] => {
                self.session.execute_unpaged(one, &change.rows[0]).await?
            }
            _ => self.session.batch(&change.batch, &change.rows).await?,
        };
        was_applied(answer)
    }

    #[cfg(test)]
    pub fn session(&self) -> &Session {
        &self.session
    }
}

/// Writes to one partition.
struct Change {
    batch: Batch,
    rows: Vec<Vec<Option<CqlValue>>>,
}

impl Default for Change {
    fn default() -> Self {
        Change { batch: Batch::new(BatchType::Unlogged), rows: Vec::new() }
    }
}

impl Change {
    fn add(&mut self, statement: &PreparedStatement, row: Vec<Option<CqlValue>>) {
        self.batch.append_statement(statement.clone());
        self.rows.push(row);
    }
}

impl At {
    /// The key of a row in the partition.
    fn values(&self, name: &str) -> [Option<CqlValue>; 3] {
        [&self.repository, &self.folder, name].map(|text| Some(CqlValue::Text(text.to_owned())))
    }
}

impl Entry {
    /// Its bytes, once they are nobody's.
    pub fn loose(&self, at: &At) -> Loose {
        Loose {
            generation: self.generation.clone(),
            object: at.name.clone(),
            size: self.size,
            chunk: self.chunk,
            at: self.at,
        }
    }
}

impl Loose {
    fn values(&self, at: &At) -> Vec<Option<CqlValue>> {
        let mut row: Vec<_> = at.values(&self.generation).into();
        row.extend([
            Some(CqlValue::Text(self.object.clone())),
            Some(CqlValue::BigInt(self.size as i64)),
            Some(CqlValue::Int(self.chunk as i32)),
        ]);
        row
    }
}

/// Makes the tables. Where they are there nothing is asked for that a mere user may not do.
async fn make(session: &Session, keyspace: &str) -> Result<(), Problem> {
    let there = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let there =
        session.query_unpaged(there, (keyspace,)).await?.into_rows_result().map_err(Problem::answer)?;
    let there: Vec<String> = there
        .rows::<(String,)>()
        .map_err(Problem::answer)?
        .map(|row| row.map(|(name,)| name))
        .collect::<Result<_, _>>()
        .map_err(Problem::answer)?;
    if NAMES.iter().all(|name| there.iter().any(|one| one == name)) {
        return Ok(());
    }
    let plain: String =
        SCHEMA.lines().filter(|line| !line.starts_with("--")).flat_map(|line| [line, "\n"]).collect();
    for statement in plain.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        session.query_unpaged(statement, ()).await?;
    }
    Ok(())
}

/// Whether the conditions of a lightweight transaction held.
fn was_applied(answer: QueryResult) -> Result<bool, Problem> {
    let rows = answer.into_rows_result().map_err(Problem::answer)?;
    let row = rows.first_row::<Row>().map_err(Problem::answer)?;
    match row.columns.first() {
        Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
        _ => Err(Problem::answer("it does not say whether it was applied")),
    }
}
