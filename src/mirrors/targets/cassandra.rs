//! Cassandra, and what speaks like it (ScyllaDB): a partition for each member. The address is
//! `cassandra://HOST:PORT,HOST:PORT/KEYSPACE`; the keyspace is there, or `replication` says how it is to be made; tables
//! are made in it where they are not there.
//!
//! Cassandra keeps of two writes the one with the later stamp. Ours are stamped with the wall clock, and never with less than
//! before, also where the clock was set back or another process goes on (`Target::stamp`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::timestamp_generator::TimestampGenerator;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use tokio::runtime::Runtime;

use super::super::MirrorError;
use super::super::entries::{Body, Entry, Key};
use super::{Server, Show, Target, runtime, within};
use crate::cassandra::{Cluster, connect};

/// What is written in one go is stamped with less than so many microseconds more than where it begins, if the clock stands still.
const BEYOND: i64 = 100_000;
/// So many requests are under way at a time.
const UNDER_WAY: usize = 128;
/// So many writes are sent in one request; they are of neighbours, so that few nodes have a part in each.
const IN_ONE: usize = 16;

/// Stamps that only grow.
struct Stamps(AtomicI64);

impl TimestampGenerator for Stamps {
    fn next_timestamp(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        let next = |last: i64| now.max(last + 1);
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        last.map_or(now, next)
    }
}

/// The statements that are used.
struct Statements {
    put_list: PreparedStatement,
    take_list: PreparedStatement,
    put_count: PreparedStatement,
    take_count: PreparedStatement,
    put_one: PreparedStatement,
    take_one: PreparedStatement,
    get_list: PreparedStatement,
    get_count: PreparedStatement,
    get_one: PreparedStatement,
}

/// A session.
pub(super) struct Cassandra {
    server: Server,
    session: Session,
    statements: Statements,
    stamps: Arc<Stamps>,
    /// Whether stamps have begun after those of the connection before.
    begun: bool,
    runtime: Runtime,
}

impl Cassandra {
    pub fn open(server: Server) -> Result<Cassandra, MirrorError> {
        let runtime = runtime(&server)?;
        let stamps = Arc::new(Stamps(AtomicI64::new(0)));
        let cluster = Cluster {
            hosts: server.hosts.clone(),
            keyspace: server.path.clone(),
            user: server.user.clone(),
            password: server.password.clone(),
            ca: server.ca.clone(),
            replication: server.replication,
        };
        let builder = SessionBuilder::new().timestamp_generator(stamps.clone());
        let session = within(&runtime, &server, "connect", connect(&cluster, builder))?;
        for statement in schema(&server.prefix) {
            within(&runtime, &server, "make the tables", session.query_unpaged(statement, ()))?;
        }
        let statements = statements(&runtime, &server, &session)?;
        Ok(Cassandra { server, session, statements, stamps, begun: false, runtime })
    }

    /// Adds a write to the others of its kind.
    fn one(&self, Entry { key, body }: &Entry) -> (PreparedStatement, Row) {
        let Statements { put_list, take_list, put_count, take_count, put_one, take_one, .. } =
            &self.statements;
        let ttl = self.server.expiry.map_or(0, |seconds| i32::try_from(seconds).unwrap_or(i32::MAX));
        match (key.clone(), body.clone()) {
            (Key::List { list, member }, Some(Body::List { model, items })) if !member.is_empty() => {
                (put_list.clone(), Row::PutList(member, list, model, items, ttl))
            }
            (Key::List { list, member }, _) if !member.is_empty() => {
                (take_list.clone(), Row::TakeList(member, list))
            }
            (Key::Count { kind, hour, item, country }, Some(Body::Count(events))) => {
                let hour = i32::try_from(hour).unwrap_or(i32::MAX);
                (put_count.clone(), Row::PutCount(kind, hour, item, country, events as i64, ttl))
            }
            (Key::Count { kind, hour, item, country }, _) => {
                let hour = i32::try_from(hour).unwrap_or(i32::MAX);
                (take_count.clone(), Row::TakeCount(kind, hour, item, country))
            }
            (Key::List { list, .. }, Some(Body::List { items, .. })) => {
                (put_one.clone(), Row::PutOne(list, items))
            }
            (Key::About, Some(Body::About(about))) => {
                (put_one.clone(), Row::PutOne("about".to_owned(), about))
            }
            (Key::List { list, .. }, _) => (take_one.clone(), Row::TakeOne(list)),
            (Key::About, _) => (take_one.clone(), Row::TakeOne("about".to_owned())),
        }
    }
}

/// The values of a write.
enum Row {
    PutList(String, String, Option<String>, String, i32),
    TakeList(String, String),
    PutCount(String, i32, String, String, i64, i32),
    TakeCount(String, i32, String, String),
    PutOne(String, String),
    TakeOne(String),
}

impl SerializeRow for Row {
    fn serialize(
        &self,
        context: &scylla::serialize::row::RowSerializationContext<'_>,
        writer: &mut scylla::serialize::writers::RowWriter<'_>,
    ) -> Result<(), scylla::serialize::SerializationError> {
        match self {
            Row::PutList(member, list, model, items, ttl) => {
                (member, list, model, items, ttl).serialize(context, writer)
            }
            Row::TakeList(member, list) => (member, list).serialize(context, writer),
            Row::PutCount(kind, hour, item, country, events, ttl) => {
                (kind, hour, item, country, events, ttl).serialize(context, writer)
            }
            Row::TakeCount(kind, hour, item, country) => {
                (kind, hour, item, country).serialize(context, writer)
            }
            Row::PutOne(name, value) => (name, value).serialize(context, writer),
            Row::TakeOne(name) => (name,).serialize(context, writer),
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// The tables, as docs/mirrors.md has them.
fn schema(prefix: &str) -> Vec<String> {
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {prefix}_lists (member text, list text, model text, items text, PRIMARY KEY \
             (member, list))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {prefix}_popularity (kind text, hour int, item text, country text, events \
             bigint, PRIMARY KEY ((kind, hour), item, country))"
        ),
        format!("CREATE TABLE IF NOT EXISTS {prefix}_global (name text PRIMARY KEY, value text)"),
    ]
}

fn statements(runtime: &Runtime, server: &Server, session: &Session) -> Result<Statements, MirrorError> {
    let prefix = &server.prefix;
    let prepare = |statement: String| -> Result<PreparedStatement, MirrorError> {
        let mut prepared = within(runtime, server, "prepare", session.prepare(statement))?;
        prepared.set_is_idempotent(true);
        Ok(prepared)
    };
    Ok(Statements {
        put_list: prepare(format!(
            "INSERT INTO {prefix}_lists (member, list, model, items) VALUES (?, ?, ?, ?) USING TTL ?"
        ))?,
        take_list: prepare(format!("DELETE FROM {prefix}_lists WHERE member = ? AND list = ?"))?,
        put_count: prepare(format!(
            "INSERT INTO {prefix}_popularity (kind, hour, item, country, events) VALUES (?, ?, ?, ?, ?) USING TTL ?"
        ))?,
        take_count: prepare(format!(
            "DELETE FROM {prefix}_popularity WHERE kind = ? AND hour = ? AND item = ? AND country = ?"
        ))?,
        put_one: prepare(format!("INSERT INTO {prefix}_global (name, value) VALUES (?, ?)"))?,
        take_one: prepare(format!("DELETE FROM {prefix}_global WHERE name = ?"))?,
        get_list: prepare(format!("SELECT model, items FROM {prefix}_lists WHERE member = ? AND list = ?"))?,
        get_count: prepare(format!(
            "SELECT events FROM {prefix}_popularity WHERE kind = ? AND hour = ? AND item = ? AND country = ?"
        ))?,
        get_one: prepare(format!("SELECT value FROM {prefix}_global WHERE name = ?"))?,
    })
}

impl Target for Cassandra {
    fn write(&mut self, entries: &[Entry]) -> Result<(), MirrorError> {
        // In the order of the ring, so that a request is of few nodes.
        let mut writes: Vec<_> = entries.iter().map(|entry| self.one(entry)).collect();
        writes.sort_by_cached_key(|(statement, row)| {
            statement.calculate_token(row).ok().flatten().map_or(0, |token| token.value())
        });
        let mut requests = Vec::new();
        while !writes.is_empty() {
            let rest = writes.split_off(writes.len().min(IN_ONE));
            let (statements, rows): (Vec<_>, Vec<_>) =
                std::mem::replace(&mut writes, rest).into_iter().unzip();
            let mut batch = Batch::new(BatchType::Unlogged);
            batch.set_is_idempotent(true);
            statements.into_iter().for_each(|statement| batch.append_statement(statement));
            requests.push((batch, rows));
        }
        let (session, server) = (&self.session, &self.server);
        let all = async {
            let send =
                |(batch, rows): (Batch, Vec<Row>)| async move { session.batch(&batch, rows).await.map(drop) };
            stream::iter(requests).map(send).buffer_unordered(UNDER_WAY).try_collect::<()>().await
        };
        within(&self.runtime, server, "write", all)
    }

    fn get(&mut self, keys: &[Key]) -> Result<Vec<Option<Body>>, MirrorError> {
        let (session, server, runtime) = (&self.session, &self.server, &self.runtime);
        let Statements { get_list, get_count, get_one, .. } = &self.statements;
        let one = |name: &str| -> Result<Option<String>, MirrorError> {
            let found = within(runtime, server, "read", session.execute_unpaged(get_one, (name,)))?;
            let rows = found.into_rows_result().map_err(|error| server.failed("read", error))?;
            let row = rows.maybe_first_row::<(String,)>().map_err(|error| server.failed("read", error))?;
            Ok(row.map(|(value,)| value))
        };
        let get = |key: &Key| -> Result<Option<Body>, MirrorError> {
            match key {
                Key::About => Ok(one("about")?.map(Body::About)),
                Key::List { list, member } if member.is_empty() => {
                    Ok(one(list)?.map(|items| Body::List { model: None, items }))
                }
                Key::List { list, member } => {
                    let ask = session.execute_unpaged(get_list, (member, list));
                    let rows = within(runtime, server, "read", ask)?
                        .into_rows_result()
                        .map_err(|error| server.failed("read", error))?;
                    let row = rows
                        .maybe_first_row::<(Option<String>, String)>()
                        .map_err(|error| server.failed("read", error))?;
                    Ok(row.map(|(model, items)| Body::List { model, items }))
                }
                Key::Count { kind, hour, item, country } => {
                    let hour = i32::try_from(*hour).unwrap_or(i32::MAX);
                    let ask = session.execute_unpaged(get_count, (kind, hour, item, country));
                    let rows = within(runtime, server, "read", ask)?
                        .into_rows_result()
                        .map_err(|error| server.failed("read", error))?;
                    let row =
                        rows.maybe_first_row::<(i64,)>().map_err(|error| server.failed("read", error))?;
                    Ok(row.map(|(events,)| Body::Count(events as u64)))
                }
            }
        };
        keys.iter().map(get).collect()
    }

    fn each(&mut self, show: Show<'_>) -> Result<(), MirrorError> {
        let (session, server, prefix) = (&self.session, &self.server, &self.server.prefix);
        let failed = |error: &dyn std::fmt::Display| server.failed("read", error);
        self.runtime.block_on(async {
            let lists = format!("SELECT member, list, model, items FROM {prefix}_lists");
            let rows = session.query_iter(lists, ()).await.map_err(|error| failed(&error))?;
            let mut rows = rows
                .rows_stream::<(String, String, Option<String>, String)>()
                .map_err(|error| failed(&error))?;
            while let Some((member, list, model, items)) =
                rows.try_next().await.map_err(|error| failed(&error))?
            {
                show(Key::List { list, member }, Body::List { model, items })?;
            }
            let counts = format!("SELECT kind, hour, item, country, events FROM {prefix}_popularity");
            let rows = session.query_iter(counts, ()).await.map_err(|error| failed(&error))?;
            let mut rows =
                rows.rows_stream::<(String, i32, String, String, i64)>().map_err(|error| failed(&error))?;
            while let Some((kind, hour, item, country, events)) =
                rows.try_next().await.map_err(|error| failed(&error))?
            {
                let hour = u32::try_from(hour).unwrap_or_default();
                show(Key::Count { kind, hour, item, country }, Body::Count(events as u64))?;
            }
            let global = format!("SELECT name, value FROM {prefix}_global");
            let rows = session.query_iter(global, ()).await.map_err(|error| failed(&error))?;
            let mut rows = rows.rows_stream::<(String, String)>().map_err(|error| failed(&error))?;
            while let Some((name, value)) = rows.try_next().await.map_err(|error| failed(&error))? {
                if name != "about" {
                    show(Key::list(&name, ""), Body::List { model: None, items: value })?;
                }
            }
            Ok(())
        })
    }

    fn stamp(&mut self, stamp: &mut i64) {
        if !std::mem::replace(&mut self.begun, true) {
            self.stamps.0.fetch_max(*stamp, Ordering::Relaxed);
        }
        *stamp = self.stamps.next_timestamp() + BEYOND;
    }
}
