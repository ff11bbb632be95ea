//! How commands that change a store reach the process that holds it: a Unix socket in the data folder.
//!
//! One request a connection: a line of JSON with records as JSON Lines, or with a command; one line of JSON as the
//! answer, once the records are on disk or the command is done. The socket's mode is 0600, so whoever can write to it
//! could write to the folder.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::{GivenLineUp, Handle, Submitted, TakenOver};
use crate::failpoints::reach;
use crate::sources::json::Decoder;
use crate::sources::{self, Batch};

/// Says, at any moment, the latest that an event may be.
pub type LatestAt = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Makes ready what is to take over, or says why not.
pub type Adopt = Arc<dyn Fn(&Wanted) -> Result<GivenLineUp, String> + Send + Sync>;

/// Does a command that is not the engine's own, which is JSON as the answer is, or says why not.
pub type Commands = Arc<dyn Fn(Value) -> Result<Value, String> + Send + Sync>;

/// What answers are made with.
#[derive(Clone)]
pub struct Served {
    /// The way to the engine.
    pub handle: Handle,
    /// How far ahead an event may be.
    pub latest_at: LatestAt,
    /// How what is to take over is made ready.
    pub adopt: Adopt,
    /// How other commands are done.
    pub commands: Commands,
}

/// The largest request, in bytes.
const MAX_REQUEST: u64 = 64 << 20;

/// What a command asks of the process that holds the store.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Request {
    /// Records, as JSON Lines.
    #[serde(default)]
    pub records: String,
    /// Which model is to be live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Wanted>,
    /// What else to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Value>,
}

/// Which model, or which variant, is to be live.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// The model in this folder.
    Use(PathBuf),
    /// The variant of this name, for every member.
    Promote(String),
    /// What was live before.
    RollBack,
}

/// What it is answered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Response {
    /// The epoch in which the records were committed.
    pub epoch: u64,
    /// How many records were accepted.
    pub accepted: u64,
    /// Why others were not.
    pub rejected: Vec<String>,
    /// Which model is live now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<TakenOver>,
    /// What came of another command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// Why nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A socket that is being served; gone with its owner.
pub struct Listening {
    path: PathBuf,
    under_way: Arc<UnderWay>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Where it cannot be removed the next writer replaces it.
        let _ = std::fs::remove_file(&self.path);
        // A process that ends beside a thread that works with the store may crash in its last moment.
        if !self.under_way.end(PATIENCE) {
            tracing::warn!("a command has not come to its end, and is broken off");
        }
    }
}

/// How long commands are waited for when the process ends: a backup may be copying.
const PATIENCE: Duration = Duration::from_secs(60);

/// Commands that are being done.
#[derive(Default)]
struct UnderWay {
    /// How many, and whether no more are begun.
    state: Mutex<(usize, bool)>,
    fewer: Condvar,
}

/// One of them.
struct One(Arc<UnderWay>);

impl UnderWay {
    /// Begins one; none where the process is ending.
    fn begin(self: &Arc<Self>) -> Option<One> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.1 {
            return None;
        }
        state.0 += 1;
        Some(One(self.clone()))
    }

    /// Lets no more begin, and waits for those that have; says whether all have ended.
    fn end(&self, within: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = true;
        let waited = self.fewer.wait_timeout_while(state, within, |(count, _)| *count > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.0 == 0
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).0 -= 1;
        self.0.fewer.notify_all();
    }
}

/// Serves the socket on a thread of its own. Only the process that holds the store calls this, so a socket that
/// is there is what a killed process left.
pub fn serve(path: &Path, served: Served) -> io::Result<Listening> {
    let _ = std::fs::remove_file(path);
    let (short, _folder) = short(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        UnixListener::bind(short)?
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let under_way = Arc::<UnderWay>::default();
    let own = under_way.clone();
    std::thread::Builder::new().name("socket".into()).spawn(move || {
        runtime.block_on(async {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let (served, under_way) = (served.clone(), own.clone());
                        tokio::spawn(async move {
                            if let Err(error) = answer(stream, served, &under_way).await {
                                tracing::debug!(%error, "a command went away before its answer");
                            }
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the socket of the data folder is not served for a moment");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
    })?;
    Ok(Listening { path: path.to_owned(), under_way })
}

async fn answer(stream: tokio::net::UnixStream, served: Served, under_way: &Arc<UnderWay>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = Vec::new();
    tokio::io::BufReader::new(read.take(MAX_REQUEST)).read_until(b'\n', &mut line).await?;
    // Whoever asked sees the end of the process.
    let Some(one) = under_way.begin() else { return Ok(()) };
    let response = tokio::task::spawn_blocking(move || match serde_json::from_slice::<Request>(&line) {
        Ok(Request { model: Some(wanted), .. }) => take_over(&wanted, &served),
        Ok(Request { command: Some(command), .. }) => match (served.commands)(command) {
            Ok(answer) => Response { answer: Some(answer), ..Response::default() },
            Err(error) => Response { error: Some(error), ..Response::default() },
        },
        Ok(request) => submit(&request.records, &served.handle, (served.latest_at)()),
        Err(error) => Response { error: Some(format!("not a request: {error}")), ..Response::default() },
    });
    let response = response.await.map_err(io::Error::other)?;
    let mut answer = serde_json::to_vec(&response).map_err(io::Error::other)?;
    answer.push(b'\n');
    reach("answer");
    let written = write.write_all(&answer).await;
    drop(one);
    written
}

/// Lets a model take over, and says when it has.
fn take_over(wanted: &Wanted, served: &Served) -> Response {
    let taken = match wanted {
        Wanted::RollBack => served.handle.roll_back().map_err(|error| error.to_string()),
        Wanted::Use(_) | Wanted::Promote(_) => (served.adopt)(wanted)
            .and_then(|line_up| served.handle.use_line_up(line_up).map_err(|error| error.to_string())),
    };
    match taken {
        Ok(taken) => Response { epoch: taken.epoch, taken_over: Some(taken), ..Response::default() },
        Err(error) => Response { error: Some(error), ..Response::default() },
    }
}

/// Takes records in, and says when they are on disk.
pub fn submit(records: &str, handle: &Handle, latest_at: i64) -> Response {
    let mut batch = Batch::new("command".into());
    let mut response = Response::default();
    let start = sources::Place::default();
    sources::decode_lines(records.as_bytes(), start, latest_at, &mut Decoder::default(), &mut batch);
    response.accepted = batch.len() as u64;
    response.rejected =
        batch.rejected.iter().map(|line| format!("line {}: {}", line.line, line.detail)).collect();
    match handle.submit(batch) {
        Ok(Submitted { epoch, refused }) => {
            response.epoch = epoch;
            response.accepted -= refused.len() as u64;
            response.rejected.extend(refused);
        }
        Err(error) => response.error = Some(error.to_string()),
    }
    response
}

/// Sends records to the process that holds the folder; none where there is no such process.
pub fn send(path: &Path, records: &str) -> io::Result<Option<Response>> {
    ask(path, &Request { records: records.to_owned(), ..Request::default() })
}

/// Asks the process that holds the folder; none where there is no such process.
pub fn ask(path: &Path, request: &Request) -> io::Result<Option<Response>> {
    let mut stream = match short(path).and_then(|(short, _folder)| UnixStream::connect(short)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut request = serde_json::to_vec(request).map_err(io::Error::other)?;
    request.push(b'\n');
    stream.write_all(&request).map_err(unanswered)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(unanswered)?;
    if !line.ends_with('\n') {
        return Err(io::Error::other(UNANSWERED));
    }
    serde_json::from_str(&line).map(Some).map_err(io::Error::other)
}

/// The longest path by which the system finds a socket, in bytes.
const LONGEST: usize = 100;

/// A path to a socket that the system takes, however deep the data folder lies: by way of the folder, which is held open
/// for as long as the path is of use.
fn short(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if !cfg!(target_os = "linux") || path.as_os_str().len() <= LONGEST {
        return Ok((path.to_owned(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok((path.to_owned(), None));
    };
    let folder = File::open(folder)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name), Some(folder)))
}

/// What is known of a request whose answer did not come, or not whole.
const UNANSWERED: &str = "the process that holds the folder ended before its answer; ask again";

/// A process that was killed closes its end of the socket, before a request is written or after it.
fn unanswered(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => io::Error::other(UNANSWERED),
        _ => error,
    }
}
