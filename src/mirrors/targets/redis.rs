//! Redis, and what speaks like it (Valkey, KeyDB). A name is `PREFIX:LIST:MEMBER`, a value the entry as JSON; the path of the address
//! is the number of the database.

use redis::{Client, Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline};

use super::super::MirrorError;
use super::super::entries::{Body, Entry, Key, of_text, to_text};
use super::{PATIENCE, Server, Show, Target};

/// So many commands are sent at a time.
const AT_ONCE: usize = 1_024;

/// A connection.
pub(super) struct Redis {
    server: Server,
    connection: Connection,
}

impl Redis {
    pub fn open(server: Server) -> Result<Redis, MirrorError> {
        let failed = |error: redis::RedisError| server.failed("connect", error);
        let host = server.hosts.first().map_or("", String::as_str);
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "6379"));
        let port = port.parse().map_err(|_| server.failed("connect", "the port is no number"))?;
        let database = match server.path.as_str() {
            "" => 0,
            path => path.parse().map_err(|_| server.failed("connect", "the database is no number"))?,
        };
        let mut settings = redis::RedisConnectionInfo::default().set_db(database);
        if let Some(user) = &server.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &server.password {
            settings = settings.set_password(password);
        }
        let address = ConnectionAddr::Tcp(name.to_owned(), port);
        let info: ConnectionInfo =
            address.into_connection_info().map_err(failed)?.set_redis_settings(settings);
        let client = Client::open(info).map_err(failed)?;
        let connection = client.get_connection_with_timeout(PATIENCE).map_err(failed)?;
        connection.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        connection.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Redis { server, connection })
    }

    fn read(&mut self, names: &[String]) -> Result<Vec<Option<String>>, MirrorError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let values = redis::cmd("MGET").arg(names).query(&mut self.connection);
        values.map_err(|error: redis::RedisError| self.server.failed("read", error))
    }
}

impl Target for Redis {
    fn write(&mut self, entries: &[Entry]) -> Result<(), MirrorError> {
        for some in entries.chunks(AT_ONCE) {
            let mut pipeline = Pipeline::new();
            for Entry { key, body } in some {
                let name = key.name(&self.server.prefix);
                match (body, self.server.expiry) {
                    (None, _) => pipeline.cmd("DEL").arg(name).ignore(),
                    (Some(body), Some(seconds)) if *key != Key::About => {
                        pipeline.cmd("SET").arg(name).arg(to_text(key, body)).arg("EX").arg(seconds).ignore()
                    }
                    (Some(body), _) => pipeline.cmd("SET").arg(name).arg(to_text(key, body)).ignore(),
                };
            }
            pipeline.query::<()>(&mut self.connection).map_err(|error| self.server.failed("write", error))?;
        }
        Ok(())
    }

    fn get(&mut self, keys: &[Key]) -> Result<Vec<Option<Body>>, MirrorError> {
        let names: Vec<String> = keys.iter().map(|key| key.name(&self.server.prefix)).collect();
        let mut bodies = Vec::with_capacity(keys.len());
        for (keys, names) in keys.chunks(AT_ONCE).zip(names.chunks(AT_ONCE)) {
            for (key, text) in keys.iter().zip(self.read(names)?) {
                let read = text.and_then(|text| of_text(&text)).filter(|(of, _)| of == key);
                bodies.push(read.map(|(_, body)| body));
            }
        }
        Ok(bodies)
    }

    fn each(&mut self, show: Show<'_>) -> Result<(), MirrorError> {
        // A name may be told twice while the server grows its table.
        let mut shown = std::collections::HashSet::new();
        let mut cursor = 0_u64;
        loop {
            let pattern = format!("{}:*", glob(&self.server.prefix));
            let scan = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(pattern)
                .arg("COUNT")
                .arg(AT_ONCE)
                .query::<(u64, Vec<String>)>(&mut self.connection);
            let (next, mut names) = scan.map_err(|error| self.server.failed("list the names", error))?;
            names.retain(|name| shown.insert(name.clone()));
            let texts = self.read(&names)?;
            for (name, text) in names.iter().zip(texts) {
                let Some(text) = text else { continue };
                let known = of_text(&text).filter(|(key, _)| key.name(&self.server.prefix) == *name);
                let Some((key, body)) = known else {
                    let what = format!("{name} is not of this mirror: give the mirror a prefix of its own");
                    return Err(self.server.failed("read", what));
                };
                show(key, body)?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }
}

/// A text that stands for itself in a pattern.
fn glob(text: &str) -> String {
    text.chars().flat_map(|letter| ['\\', letter]).collect()
}
