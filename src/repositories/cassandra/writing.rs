//! Objects written, replaced and taken out, and what was broken off swept away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{MultipartUpload, PutPayload, PutResult, UploadPart};
use ring::rand::{SecureRandom, SystemRandom};

use super::problem::{Patience, Problem, patiently};
use super::tables::{At, DROPPED, Entry, Loose, New, UPLOAD};
use super::{CHUNK, Cassandra, SMALL, folder_of, moment, written};

/// So many chunks of a part are on their way at a time; there may be several parts.
const AHEAD: usize = 2;
/// How often an upload says that it goes on.
const TOUCH: Duration = Duration::from_secs(1);

impl Cassandra {
    /// Puts an object whose bytes are all there; with `new`, where there is none.
    pub(super) async fn put_whole(&self, at: At, bytes: Bytes, new: bool) -> Result<String, Problem> {
        if bytes.len() as u64 > self.limit() {
            return Err(Problem::TooLarge { limit: self.limit() });
        }
        if bytes.len() > SMALL {
            let upload = self.begin(at).await?;
            let sent = upload.sending(0, bytes.clone()).await;
            let ended = match sent {
                Ok(()) => upload.end(bytes.len() as u64, new).await,
                Err(problem) => Err(problem),
            };
            if ended.is_err() {
                // What is left of it is swept in its time.
                let _ = upload.give_up().await;
            }
            return ended;
        }
        self.know(&at.folder).await?;
        let (size, generation) = (bytes.len() as u64, generation()?);
        self.replace(&at, New { generation, size, chunk: 0, bytes: Some(bytes) }, new).await
    }

    /// Begins an upload: from here on its bytes are known, whatever becomes of it.
    pub(super) async fn begin(&self, at: At) -> Result<Upload, Problem> {
        self.know(&at.folder).await?;
        let tables = self.tables().await?;
        let loose = Loose {
            generation: generation()?,
            object: at.name.clone(),
            size: self.limit(),
            chunk: CHUNK as u64,
            at: 0,
        };
        patiently(|| tables.begin(&at, &loose)).await?;
        let inner = Arc::new(Begun { store: self.clone(), at, loose, touched: Mutex::new(Instant::now()) });
        Ok(Upload { inner, sent: 0, is_even: true })
    }

    /// Lets an object be another one, at one moment; says which it is then.
    async fn replace(&self, at: &At, new: New, only_new: bool) -> Result<String, Problem> {
        let tables = self.tables().await?;
        let (mut patience, mut was) = (Patience::new(), None);
        loop {
            let old = patiently(|| tables.entry(at, true)).await?;
            if old.as_ref().is_some_and(|old| old.generation == new.generation) {
                // An attempt whose answer was lost.
                self.clear(at, was.as_ref()).await;
                return Ok(new.generation);
            }
            if only_new && old.is_some() {
                return Err(Problem::Exists);
            }
            let failure = match tables.put(at, old.as_ref(), &new).await {
                Ok(true) => {
                    self.clear(at, old.as_ref()).await;
                    return Ok(new.generation);
                }
                Ok(false) if self.is_still(at, old.as_ref()).await? => Problem::GivenUp,
                Ok(false) => Problem::Contended,
                Err(problem) => problem,
            };
            was = old;
            patience.after(failure).await?;
        }
    }

    async fn is_still(&self, at: &At, old: Option<&Entry>) -> Result<bool, Problem> {
        let tables = self.tables().await?;
        let now = patiently(|| tables.entry(at, true)).await?;
        Ok(now.map(|now| now.generation).as_ref() == old.map(|old| &old.generation))
    }

    /// Takes out an object.
    pub(super) async fn delete_one(&self, at: &At) -> Result<(), Problem> {
        let tables = self.tables().await?;
        let (mut patience, mut was) = (Patience::new(), None);
        loop {
            let Some(old) = patiently(|| tables.entry(at, true)).await? else {
                // With one before: an attempt whose answer was lost.
                let found = was.is_some();
                self.clear(at, was.as_ref()).await;
                return if found { Ok(()) } else { Err(Problem::None) };
            };
            let failure = match tables.take(at, &old).await {
                Ok(true) => {
                    self.clear(at, Some(&old)).await;
                    return Ok(());
                }
                Ok(false) => Problem::Contended,
                Err(problem) => problem,
            };
            was = Some(old);
            patience.after(failure).await?;
        }
    }

    /// Takes out the bytes of what is no object any more. Where that fails they are swept in their time.
    async fn clear(&self, at: &At, dropped: Option<&Entry>) {
        let Some(dropped) = dropped.filter(|dropped| dropped.chunk > 0).map(|dropped| dropped.loose(at))
        else {
            return;
        };
        let cleared = async {
            let tables = self.tables().await?;
            patiently(|| tables.clear(at, &dropped)).await
        };
        if let Err(problem) = cleared.await {
            tracing::warn!(%problem, object = at.name, "dropped bytes are left to be swept");
        }
    }

    /// Takes out what was dropped in a folder, and uploads there to which nothing was written since a moment; says how many
    /// there were.
    pub async fn sweep(&self, under: &str, before: SystemTime) -> object_store::Result<usize> {
        self.swept(under, before).await.map_err(|problem| problem.of(under))
    }

    async fn swept(&self, under: &str, before: SystemTime) -> Result<usize, Problem> {
        let tables = self.tables().await?;
        let repository = &self.0.repository;
        let folders = match under {
            "" => patiently(|| tables.folders(repository)).await?,
            _ => vec![folder_of(&format!("{under}/")).to_owned()],
        };
        let is_under = |object: &str| {
            under.is_empty() || object.strip_prefix(under).is_some_and(|rest| rest.starts_with('/'))
        };
        let mut count = 0;
        for folder in folders {
            for upload in patiently(|| tables.loose(repository, &folder, UPLOAD)).await? {
                let at = At {
                    repository: repository.clone(),
                    folder: folder.clone(),
                    name: upload.object.clone(),
                };
                if is_under(&upload.object) && moment(upload.at) < before {
                    patiently(|| tables.give_up(&at, &upload, true)).await?;
                }
            }
            for dropped in patiently(|| tables.loose(repository, &folder, DROPPED)).await? {
                let at = At {
                    repository: repository.clone(),
                    folder: folder.clone(),
                    name: dropped.object.clone(),
                };
                if is_under(&dropped.object) {
                    patiently(|| tables.clear(&at, &dropped)).await?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

/// An upload in parts.
#[derive(Debug)]
pub(super) struct Upload {
    inner: Arc<Begun>,
    sent: u64,
    /// Whether the parts so far end where a chunk does.
    is_even: bool,
}

#[derive(Debug)]
struct Begun {
    store: Cassandra,
    at: At,
    loose: Loose,
    /// When it was last said that it goes on.
    touched: Mutex<Instant>,
}

impl Upload {
    async fn sending(&self, from: u64, bytes: Bytes) -> Result<(), Problem> {
        self.inner.send(from, bytes).await
    }

    /// All its bytes are there: it becomes an object.
    async fn end(&self, size: u64, only_new: bool) -> Result<String, Problem> {
        let Begun { store, at, loose, .. } = &*self.inner;
        let generation = loose.generation.clone();
        store.replace(at, New { generation, size, chunk: loose.chunk, bytes: None }, only_new).await
    }

    /// Takes out what was sent; where it has become an object, it is left.
    async fn give_up(&self) -> Result<(), Problem> {
        let Begun { store, at, loose, .. } = &*self.inner;
        let tables = store.tables().await?;
        if patiently(|| tables.give_up(at, loose, false)).await? {
            patiently(|| tables.clear(at, loose)).await?;
        }
        Ok(())
    }
}

impl Begun {
    /// Sends bytes that begin where a chunk does.
    async fn send(&self, from: u64, bytes: Bytes) -> Result<(), Problem> {
        self.touch().await?;
        let tables = self.store.tables().await?;
        let first = from / CHUNK as u64;
        let chunks = (0..bytes.len()).step_by(CHUNK).enumerate().map(|(number, begin)| {
            (first + number as u64, bytes.slice(begin..bytes.len().min(begin + CHUNK)))
        });
        let send = |(number, chunk): (u64, Bytes)| async move {
            patiently(|| tables.put_chunk(&self.loose.generation, number, &chunk)).await
        };
        stream::iter(chunks).map(send).buffer_unordered(AHEAD).try_collect::<()>().await
    }

    /// Says now and then that it goes on, and sees that nobody has given it up.
    async fn touch(&self) -> Result<(), Problem> {
        let is_time = {
            let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
            let is_time = touched.elapsed() >= TOUCH;
            if is_time {
                *touched = Instant::now();
            }
            is_time
        };
        if is_time {
            let tables = self.store.tables().await?;
            if !patiently(|| tables.touch(&self.at, &self.loose.generation)).await? {
                return Err(Problem::GivenUp);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (inner, from, bytes) = (self.inner.clone(), self.sent, Bytes::from(payload));
        self.sent += bytes.len() as u64;
        let limit = inner.store.limit();
        let wrong = match () {
            () if self.sent > limit => Some(Problem::TooLarge { limit }),
            () if !self.is_even => Some(Problem::Parts),
            () => None,
        };
        self.is_even = bytes.len().is_multiple_of(CHUNK);
        Box::pin(async move {
            let sent = match wrong {
                Some(problem) => Err(problem),
                None => inner.send(from, bytes).await,
            };
            sent.map_err(|problem| problem.of(&inner.at.name))
        })
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let ended = self.end(self.sent, false).await;
        ended.map(written).map_err(|problem| problem.of(&self.inner.at.name))
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.give_up().await.map_err(|problem| problem.of(&self.inner.at.name))
    }
}

/// A name that no other bytes have.
fn generation() -> Result<String, Problem> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Problem::answer("no random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
