//! memcached, and what speaks like it (EVCache). Of several servers each name belongs to one, by rendezvous hashing; all have
//! what the mirror says of itself.
//!
//! A name is `PREFIX:LIST:MEMBER`, a value the entry as JSON. memcached may let go of entries when its memory is full, and forgets
//! all when it ends: a mirror that finds itself unknown to a server is filled anew.

use async_memcached::{AsciiProtocol, Client};
use tokio::runtime::Runtime;

use super::super::MirrorError;
use super::super::entries::{About, Body, Entry, Key, of_text, to_text};
use super::{Server, Show, Target, about_of, runtime, within};

/// So many commands are sent before their answers are read: both fit what the system holds for a connection.
const AT_ONCE: usize = 512;
/// The longest expiry in seconds; memcached takes more for a moment since 1970.
const LONGEST: u64 = 30 * 24 * 3600;

/// A connection to each server.
pub(super) struct Memcached {
    server: Server,
    clients: Vec<Client>,
    runtime: Runtime,
    expiry: Option<i64>,
}

impl Memcached {
    pub fn open(server: Server) -> Result<Memcached, MirrorError> {
        let runtime = runtime(&server)?;
        let mut clients = Vec::new();
        for host in &server.hosts {
            let connect = Client::new(format!("tcp://{host}"));
            clients.push(within(&runtime, &server, &format!("connect to {host}"), connect)?);
        }
        let expiry = server.expiry.map(|seconds| seconds.clamp(1, LONGEST) as i64);
        Ok(Memcached { server, clients, runtime, expiry })
    }

    /// Which server has a name.
    fn place(&self, name: &str) -> usize {
        let weight = |host: &String| {
            let mut hash = blake3::Hasher::new();
            hash.update(host.as_bytes()).update(&[0]).update(name.as_bytes());
            *hash.finalize().as_bytes()
        };
        let hosts = self.server.hosts.iter().enumerate();
        hosts.max_by_key(|(_, host)| weight(host)).map_or(0, |(place, _)| place)
    }

    fn set(
        &mut self,
        place: usize,
        entries: &[(String, String)],
        expiry: Option<i64>,
    ) -> Result<(), MirrorError> {
        let Memcached { server, clients, runtime, .. } = self;
        for some in entries.chunks(AT_ONCE) {
            let some: Vec<(&String, &String)> = some.iter().map(|(name, text)| (name, text)).collect();
            let set = async {
                let done = clients[place].set_multi(&some, expiry, None).await?;
                match done.into_values().find_map(Result::err) {
                    Some(error) => Err(error),
                    None => Ok(()),
                }
            };
            within(runtime, server, "write", set)?;
        }
        Ok(())
    }

    /// Entries of one server by their names.
    fn read(&mut self, place: usize, names: &[String]) -> Result<Vec<(String, String)>, MirrorError> {
        let Memcached { server, clients, runtime, .. } = self;
        let mut read = Vec::new();
        for some in names.chunks(AT_ONCE) {
            let values = within(runtime, server, "read", async {
                match clients[place].get_multi(some).await {
                    Err(async_memcached::Error::Protocol(async_memcached::Status::NotFound)) => {
                        Ok(Vec::new())
                    }
                    other => other,
                }
            })?;
            for value in values {
                let text = value.data.and_then(|data| String::from_utf8(data).ok()).unwrap_or_default();
                read.push((String::from_utf8_lossy(&value.key).into_owned(), text));
            }
        }
        Ok(read)
    }

    /// The names of a server that begin with the prefix.
    fn names(&mut self, place: usize) -> Result<Vec<String>, MirrorError> {
        let Memcached { server, clients, runtime, .. } = self;
        let prefix = format!("{}:", server.prefix);
        within(runtime, server, "list the names (lru_crawler metadump)", async {
            let mut names = Vec::new();
            let mut dump = clients[place].dump_keys().await?;
            while let Some(found) = dump.next().await {
                // Names are told as in URLs, and ours have such characters themselves.
                let name = unescape(&found?.key);
                if name.starts_with(&prefix) {
                    names.push(name);
                }
            }
            Ok::<_, async_memcached::Error>(names)
        })
    }
}

impl Target for Memcached {
    fn write(&mut self, entries: &[Entry]) -> Result<(), MirrorError> {
        let mut sets: Vec<Vec<(String, String)>> = vec![Vec::new(); self.clients.len()];
        let mut gone: Vec<Vec<String>> = vec![Vec::new(); self.clients.len()];
        for Entry { key, body } in entries {
            let name = key.name(&self.server.prefix);
            match body {
                // Everywhere, and for good.
                Some(body) if *key == Key::About => {
                    let about = [(name, to_text(key, body))];
                    (0..self.clients.len()).try_for_each(|place| self.set(place, &about, None))?;
                }
                Some(body) => sets[self.place(&name)].push((name, to_text(key, body))),
                None => gone[self.place(&name)].push(name),
            }
        }
        for (place, (sets, gone)) in sets.into_iter().zip(gone).enumerate() {
            self.set(place, &sets, self.expiry)?;
            let Memcached { server, clients, runtime, .. } = self;
            for some in gone.chunks(AT_ONCE) {
                within(runtime, server, "take out", clients[place].delete_multi_no_reply(some))?;
            }
            if !gone.is_empty() {
                // Its answer comes after all of these are done.
                within(runtime, server, "take out", clients[place].version())?;
            }
        }
        Ok(())
    }

    fn get(&mut self, keys: &[Key]) -> Result<Vec<Option<Body>>, MirrorError> {
        let names: Vec<String> = keys.iter().map(|key| key.name(&self.server.prefix)).collect();
        let mut found = std::collections::HashMap::new();
        for place in 0..self.clients.len() {
            let here: Vec<String> = names.iter().filter(|name| self.place(name) == place).cloned().collect();
            found.extend(self.read(place, &here)?);
        }
        let body = |(key, name): (&Key, &String)| {
            let (of, body) = of_text(found.get(name)?)?;
            (of == *key).then_some(body)
        };
        Ok(keys.iter().zip(&names).map(body).collect())
    }

    fn each(&mut self, show: Show<'_>) -> Result<(), MirrorError> {
        for place in 0..self.clients.len() {
            let names = self.names(place)?;
            for some in names.chunks(AT_ONCE) {
                for (name, text) in self.read(place, some)? {
                    let known = of_text(&text).filter(|(key, _)| key.name(&self.server.prefix) == name);
                    let Some((key, body)) = known else {
                        let what =
                            format!("{name} is not of this mirror: give the mirror a prefix of its own");
                        return Err(self.server.failed("read", what));
                    };
                    // Where another server has it now, this one is from before.
                    if key == Key::About || self.place(&name) == place {
                        show(key, body)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn about(&mut self) -> Result<Option<About>, MirrorError> {
        let name = Key::About.name(&self.server.prefix);
        let mut oldest: Option<About> = None;
        for place in 0..self.clients.len() {
            let read = self.read(place, std::slice::from_ref(&name))?;
            let Some(about) =
                about_of(read.first().and_then(|(_, text)| of_text(text)).map(|(_, body)| body))
            else {
                return Ok(None);
            };
            if oldest.as_ref().is_none_or(|oldest| about.epoch < oldest.epoch) {
                oldest = Some(about);
            }
        }
        Ok(oldest)
    }
}

/// Characters written as in URLs, read once.
fn unescape(name: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
