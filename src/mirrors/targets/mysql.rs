//! MySQL and MariaDB: a row for each list and each count, so that people can ask by SQL. The address is
//! `mysql://HOST:PORT/DATABASE`; tables are made where they are not there.
//!
//! Ids are bytes, since text would be equal where only spaces at its end differ.

use futures_util::StreamExt;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::{AssertSqlSafe, Connection, Executor, MySql as Sql, MySqlConnection, QueryBuilder};
use tokio::runtime::Runtime;

use super::super::MirrorError;
use super::super::entries::{Body, Entry, Key};
use super::{PATIENCE, Server, Show, Target, runtime, within};

/// So many rows are written by one statement.
const AT_ONCE: usize = 256;
/// A country of more bytes has no place in a key of MySQL's: such counts are left out.
const LONGEST_COUNTRY: usize = 2_048;

/// A connection.
pub(super) struct MySql {
    server: Server,
    connection: MySqlConnection,
    runtime: Runtime,
}

impl MySql {
    pub fn open(server: Server) -> Result<MySql, MirrorError> {
        let runtime = runtime(&server)?;
        let host = server.hosts.first().map_or("", String::as_str);
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "3306"));
        let port = port.parse().map_err(|_| server.failed("connect", "the port is no number"))?;
        let mut options = MySqlConnectOptions::new().host(name).port(port).database(&server.path);
        if let Some(user) = &server.user {
            options = options.username(user);
        }
        if let Some(password) = &server.password {
            options = options.password(password);
        }
        options = match &server.ca {
            Some(ca) => options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca(ca),
            None => options.ssl_mode(MySqlSslMode::Preferred),
        };
        let connect = MySqlConnection::connect_with(&options);
        let connection = within(&runtime, &server, "connect", connect)?;
        let mut this = MySql { server, connection, runtime };
        this.make_tables()?;
        Ok(this)
    }

    fn make_tables(&mut self) -> Result<(), MirrorError> {
        for statement in schema(&self.server.prefix) {
            let is_view = statement.contains("JSON_TABLE");
            match self.execute("make the tables", statement) {
                Err(error) if is_view => {
                    tracing::warn!(%error, "this server has no JSON_TABLE: there is no view of the items of lists");
                }
                done => done?,
            }
        }
        Ok(())
    }

    fn execute(&mut self, doing: &str, statement: String) -> Result<(), MirrorError> {
        let MySql { server, connection, runtime } = self;
        within(runtime, server, doing, connection.execute(AssertSqlSafe(statement))).map(drop)
    }

    fn run(&mut self, mut statement: QueryBuilder<Sql>) -> Result<(), MirrorError> {
        let MySql { server, connection, runtime } = self;
        within(runtime, server, "write", statement.build().execute(connection)).map(drop)
    }

    fn table(&self, name: &str) -> String {
        format!("{}_{name}", self.server.prefix)
    }

    fn write_some(&mut self, some: &[Entry]) -> Result<(), MirrorError> {
        let (mut lists, mut counts, mut about) = (Vec::new(), Vec::new(), None);
        let (mut lists_gone, mut counts_gone) = (Vec::new(), Vec::new());
        for Entry { key, body } in some {
            match (key, body) {
                (Key::List { list, member }, Some(Body::List { model, items })) => {
                    lists.push((member, list, model, items));
                }
                (Key::List { list, member }, _) => lists_gone.push((member, list)),
                (Key::Count { country, .. }, _) if country.len() > LONGEST_COUNTRY => {}
                (Key::Count { kind, hour, item, country }, Some(Body::Count(count))) => {
                    counts.push((kind, hour, item, country, *count));
                }
                (Key::Count { kind, hour, item, country }, _) => {
                    counts_gone.push((kind, hour, item, country))
                }
                (Key::About, Some(Body::About(text))) => about = Some(text),
                (Key::About, _) => {}
            }
        }
        if !lists.is_empty() {
            let into = format!("INSERT INTO {} (member, list, model, items) ", self.table("lists"));
            let mut insert = QueryBuilder::new(into);
            insert.push_values(lists, |mut row, (member, list, model, items)| {
                row.push_bind(member.as_bytes()).push_bind(list).push_bind(model.as_deref()).push_bind(items);
            });
            insert.push(" ON DUPLICATE KEY UPDATE model = VALUES(model), items = VALUES(items)");
            self.run(insert)?;
        }
        if !counts.is_empty() {
            let into =
                format!("INSERT INTO {} (kind, hour, item, country, events) ", self.table("popularity"));
            let mut insert = QueryBuilder::new(into);
            insert.push_values(counts, |mut row, (kind, hour, item, country, events)| {
                row.push_bind(kind.as_bytes()).push_bind(hour).push_bind(item.as_bytes());
                row.push_bind(country.as_bytes()).push_bind(events);
            });
            insert.push(" ON DUPLICATE KEY UPDATE events = VALUES(events)");
            self.run(insert)?;
        }
        if !lists_gone.is_empty() {
            let from = format!("DELETE FROM {} WHERE (member, list) IN ", self.table("lists"));
            let mut delete = QueryBuilder::new(from);
            delete.push_tuples(lists_gone, |mut row, (member, list)| {
                row.push_bind(member.as_bytes()).push_bind(list);
            });
            self.run(delete)?;
        }
        if !counts_gone.is_empty() {
            let from =
                format!("DELETE FROM {} WHERE (kind, hour, item, country) IN ", self.table("popularity"));
            let mut delete = QueryBuilder::new(from);
            delete.push_tuples(counts_gone, |mut row, (kind, hour, item, country)| {
                row.push_bind(kind.as_bytes()).push_bind(hour).push_bind(item.as_bytes());
                row.push_bind(country.as_bytes());
            });
            self.run(delete)?;
        }
        if let Some(about) = about {
            let mut replace =
                QueryBuilder::new(format!("REPLACE INTO {} (id, about) VALUES (1, ", self.table("about")));
            replace.push_bind(about).push(")");
            self.run(replace)?;
        }
        Ok(())
    }

    fn about_text(&mut self) -> Result<Option<String>, MirrorError> {
        let select = format!("SELECT about FROM {} WHERE id = 1", self.table("about"));
        let MySql { server, connection, runtime } = self;
        let ask = sqlx::query_scalar(AssertSqlSafe(select)).fetch_optional(connection);
        within(runtime, server, "read", ask)
    }

    fn get_one(&mut self, key: &Key) -> Result<Option<Body>, MirrorError> {
        let (lists, popularity) = (self.table("lists"), self.table("popularity"));
        let MySql { server, connection, runtime } = self;
        match key {
            Key::List { list, member } => {
                let select = format!("SELECT model, items FROM {lists} WHERE member = ? AND list = ?");
                let ask = sqlx::query_as(AssertSqlSafe(select)).bind(member.as_bytes()).bind(list);
                let row: Option<(Option<String>, String)> =
                    within(runtime, server, "read", ask.fetch_optional(connection))?;
                Ok(row.map(|(model, items)| Body::List { model, items }))
            }
            Key::Count { kind, hour, item, country } => {
                let select = format!(
                    "SELECT events FROM {popularity} WHERE kind = ? AND hour = ? AND item = ? AND country = ?"
                );
                let ask = sqlx::query_scalar(AssertSqlSafe(select)).bind(kind.as_bytes()).bind(hour);
                let ask = ask.bind(item.as_bytes()).bind(country.as_bytes());
                let events: Option<u64> = within(runtime, server, "read", ask.fetch_optional(connection))?;
                Ok(events.map(Body::Count))
            }
            Key::About => Ok(self.about_text()?.map(Body::About)),
        }
    }
}

/// The tables, as docs/mirrors.md has them.
fn schema(prefix: &str) -> Vec<String> {
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {prefix}_lists (member VARBINARY(256) NOT NULL, list VARCHAR(64) \
             CHARACTER SET ascii COLLATE ascii_bin NOT NULL, model VARCHAR(256) CHARACTER SET ascii, items LONGTEXT \
             CHARACTER SET utf8mb4 NOT NULL, PRIMARY KEY (member, list))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {prefix}_popularity (kind VARBINARY(256) NOT NULL, hour INT UNSIGNED NOT NULL, \
             item VARBINARY(256) NOT NULL, country VARBINARY({LONGEST_COUNTRY}) NOT NULL, events BIGINT UNSIGNED NOT \
             NULL, PRIMARY KEY (kind, hour, item, country))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {prefix}_about (id TINYINT PRIMARY KEY, about LONGTEXT CHARACTER SET utf8mb4 \
             NOT NULL)"
        ),
        format!(
            "CREATE OR REPLACE VIEW {prefix}_items AS SELECT l.member, l.list, j.position, j.item, j.score, l.model FROM \
             {prefix}_lists l, JSON_TABLE(l.items, '$[*]' COLUMNS (position FOR ORDINALITY, item VARCHAR(256) PATH \
             '$.item', score DOUBLE PATH '$.score')) j"
        ),
    ]
}

impl Target for MySql {
    fn write(&mut self, entries: &[Entry]) -> Result<(), MirrorError> {
        if entries.is_empty() {
            return Ok(());
        }
        // One transaction: one wait for the server's disk.
        self.execute("write", "START TRANSACTION".to_owned())?;
        for some in entries.chunks(AT_ONCE) {
            self.write_some(some)?;
        }
        self.execute("write", "COMMIT".to_owned())
    }

    fn get(&mut self, keys: &[Key]) -> Result<Vec<Option<Body>>, MirrorError> {
        keys.iter().map(|key| self.get_one(key)).collect()
    }

    fn each(&mut self, show: Show<'_>) -> Result<(), MirrorError> {
        let (lists, popularity) = (self.table("lists"), self.table("popularity"));
        let MySql { server, connection, runtime } = self;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        runtime.block_on(async {
            let select = format!("SELECT member, list, model, items FROM {lists}");
            let mut rows =
                sqlx::query_as::<_, (Vec<u8>, String, Option<String>, String)>(AssertSqlSafe(select))
                    .fetch(&mut *connection);
            while let Some(row) = next(server, &mut rows).await? {
                let (member, list, model, items) = row;
                show(Key::List { list, member: text(member) }, Body::List { model, items })?;
            }
            drop(rows);
            let select = format!("SELECT kind, hour, item, country, events FROM {popularity}");
            let mut rows = sqlx::query_as::<_, (Vec<u8>, u32, Vec<u8>, Vec<u8>, u64)>(AssertSqlSafe(select))
                .fetch(&mut *connection);
            while let Some((kind, hour, item, country, events)) = next(server, &mut rows).await? {
                let key = Key::Count { kind: text(kind), hour, item: text(item), country: text(country) };
                show(key, Body::Count(events))?;
            }
            Ok(())
        })
    }
}

/// The next row, within the patience.
async fn next<T>(
    server: &Server,
    rows: &mut (impl futures_util::Stream<Item = Result<T, sqlx::Error>> + Unpin),
) -> Result<Option<T>, MirrorError> {
    match tokio::time::timeout(PATIENCE, rows.next()).await {
        Ok(row) => row.transpose().map_err(|error| server.failed("read", error)),
        Err(_) => Err(server.failed("read", format!("no row within {} s", PATIENCE.as_secs()))),
    }
}
