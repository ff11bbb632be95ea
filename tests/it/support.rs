//! A folder of one's own to type commands in, and models whose factors are given.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nearline::config::Config;
use nearline::offline::manifest::{Counts, Transform};
use nearline::offline::{Manifest, Model, Rows};
use nearline::variants::MadeWith;
use nearline_dataflows::line_up::LineUp;
use nearline_dataflows::types::Item;
use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything here may take before a test gives up on it: no test is about how long it takes, and a
/// machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(300);

/// An empty folder in which commands are run; their data is in `nearline-data` unless they say otherwise.
pub struct Home(TempDir);

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Home {
    pub fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and says where it is.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn append(&self, name: &str, text: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The program, in this folder, with no setting from outside.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nearline"));
        command.args(args).current_dir(self.0.path()).env_remove("NEARLINE_DATA").env_remove("NEARLINE_LOG");
        command
    }

    /// Runs a command with nothing to read.
    pub fn say(&self, args: &[&str]) -> Said {
        said(self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs a command with a text to read.
    pub fn pipe(&self, args: &[&str], input: &str) -> Said {
        let mut child = self.piped(args);
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            // A command that refuses its input reads none of it.
            let _ = stdin.write_all(input.as_bytes());
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        said(output)
    }

    /// What a command prints that must succeed.
    pub fn ok(&self, args: &[&str]) -> String {
        self.say(args).ok()
    }

    /// The same of a command with a text to read.
    pub fn ok_pipe(&self, args: &[&str], input: &str) -> String {
        self.pipe(args, input).ok()
    }

    /// What a command answers in JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--json"]].concat())).unwrap()
    }

    /// The digest of a data folder, whose views must be what its records say.
    pub fn verified(&self, data: &str) -> String {
        let verdict = self.json(&["--data", data, "verify"]);
        assert_eq!(verdict["stored"], verdict["recomputed"]);
        verdict["stored"].as_str().unwrap().to_owned()
    }

    /// The items of a member's list, in order.
    pub fn items(&self, member: &str, list: &str) -> Vec<String> {
        let answer = self.json(&["get", member, "--list", list]);
        let items = answer["items"].as_array().unwrap();
        items.iter().map(|entry| entry["item"].as_str().unwrap().to_owned()).collect()
    }

    /// Starts a command whose standard input stays open, and waits until it serves its socket.
    pub fn start(&self, args: &[&str]) -> Running {
        self.start_command(self.command(args))
    }

    /// The same of a command that was made ready.
    pub fn start_command(&self, command: Command) -> Running {
        let mut running = Running::begin(command);
        let socket = self.path("nearline-data/nearline.sock");
        until("it serves its socket", || {
            let ended = running.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some());
            if ended {
                panic!(
                    "it ended before it served its socket: {:?}",
                    said(running.child.take().unwrap().wait_with_output().unwrap())
                );
            }
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
        running
    }

    /// Starts `run` or `serve` with a server, and waits until it is ready.
    pub fn serve(&self, args: &[&str]) -> Server {
        let server = self.serve_soon(args);
        until("it is ready", || server.get("/health/ready").0 == 200);
        server
    }

    /// The same, and does not wait.
    pub fn serve_soon(&self, args: &[&str]) -> Server {
        Server::begin(self.command(&[args, &["--listen", "127.0.0.1:0"]].concat()))
    }

    fn piped(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

impl Server {
    /// Starts a command that listens, and waits until it says where.
    pub fn begin(mut command: Command) -> Server {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening at ") else {
            said.read_to_string(&mut line).unwrap();
            panic!("it said {line}");
        };
        let address = address.to_owned();
        // What it says further must not fill the pipe.
        let said = std::thread::spawn(move || {
            let mut rest = String::new();
            let _ = said.read_to_string(&mut rest);
            rest
        });
        let stdin = child.stdin.take();
        Server { running: Running { child: Some(child), stdin }, address, said: Some(said) }
    }
}

impl Said {
    /// The standard output, of a command that succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "it said {self:?}");
        self.out
    }

    /// Everything that was said by a command that ended with `code`.
    #[track_caller]
    pub fn ended(self, code: i32) -> String {
        assert_eq!(self.code, code, "it said {self:?}");
        self.out + &self.err
    }
}

/// What a command said that has ended.
pub fn said(output: Output) -> Said {
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Said { code: output.status.code().unwrap_or(-1), out, err }
}

/// A process that reads from us.
pub struct Running {
    child: Option<Child>,
    stdin: Option<ChildStdin>,
}

impl Running {
    /// Starts a command whose standard input stays open, and waits for nothing.
    pub fn begin(mut command: Command) -> Running {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        Running { child: Some(child), stdin }
    }

    pub fn send(&mut self, lines: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(lines.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Lets it come to its end.
    pub fn finish(mut self) -> Said {
        drop(self.stdin.take());
        said(self.child.take().unwrap().wait_with_output().unwrap())
    }

    /// Waits until it ends of itself, its standard input being open.
    pub fn wait(mut self) -> Said {
        let mut child = self.child.take().unwrap();
        until("it ends of itself", || child.try_wait().unwrap().is_some());
        said(child.wait_with_output().unwrap())
    }

    /// Whether it has ended of itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// Interrupts it, as from a keyboard.
    pub fn interrupt(&self) {
        let pid = self.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status().unwrap();
    }

    /// Kills it at once, without a word.
    pub fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A process that answers over HTTP.
pub struct Server {
    running: Running,
    /// Where: `http://127.0.0.1:…`.
    pub address: String,
    said: Option<std::thread::JoinHandle<String>>,
}

impl Server {
    /// What is answered at a path: the status, and the body where it is JSON.
    pub fn get(&self, path: &str) -> (u16, Value) {
        answered(agent().get(format!("{}{path}", self.address)).call())
    }

    /// The same of a path that must be there.
    #[track_caller]
    pub fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Posts a body.
    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> (u16, Value) {
        answered(agent().post(format!("{}{path}", self.address)).send(body.as_ref()))
    }

    pub fn delete(&self, path: &str) -> (u16, Value) {
        answered(agent().delete(format!("{}{path}", self.address)).call())
    }

    /// The items of a list, in order.
    pub fn items(&self, path: &str) -> Vec<String> {
        items_of(&self.ok(path))
    }

    pub fn kill(self) {
        self.running.kill();
    }

    /// Interrupts it, and waits for its end.
    pub fn interrupt(self) -> Said {
        let pid = self.running.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Said {
        let child = self.running.child.take().unwrap();
        let mut said = said(child.wait_with_output().unwrap());
        said.err = self.said.take().unwrap().join().unwrap();
        said
    }
}

/// The items of a list, in order.
pub fn items_of(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().unwrap();
    items.iter().map(|entry| entry["item"].as_str().unwrap().to_owned()).collect()
}

/// A client that takes every status as an answer.
pub fn agent() -> ureq::Agent {
    let tls = ureq::tls::TlsConfig::builder().disable_verification(true).build();
    let config = ureq::Agent::config_builder().http_status_as_error(false).tls_config(tls);
    config.timeout_global(Some(PATIENCE)).build().into()
}

/// The status and the body.
pub fn answered(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let mut answer = answer.unwrap();
    let body = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// Waits until something holds, which must be soon.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "it never came to be that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A model with these factors, and the weights of the default config.
pub fn model(rows: &[(&str, Vec<f32>)]) -> Model {
    let manifest = Manifest {
        format: nearline::offline::manifest::FORMAT,
        version: String::new(),
        rank: 0,
        alpha0: 0.125,
        lambda: 0.125,
        nu: 1.0,
        kinds: Manifest::kinds_of(&Config::default().kinds),
        transform: Transform::Linear,
        counts: Counts::default(),
        trained_at: "2024-01-01T00:00:00Z".into(),
        loss: None,
    };
    let ids = rows.iter().map(|(id, _)| (*id).to_owned()).collect();
    let values = rows.iter().flat_map(|(_, factor)| factor.iter().copied()).collect();
    Model::new(manifest, Rows { ids, values, rank: rows[0].1.len() }).unwrap()
}

/// A model on its way into an engine.
pub struct ForEngine {
    pub model: Model,
    made_with: MadeWith,
}

impl ForEngine {
    pub fn new(model: Model) -> Self {
        let made_with = MadeWith::one(Some(model.manifest.version.clone()));
        ForEngine { model, made_with }
    }
}

impl nearline::engine::LineUpSource for ForEngine {
    fn made_with(&self) -> &MadeWith {
        &self.made_with
    }

    fn numbered(self: Box<Self>, number: &mut dyn FnMut(&str) -> Item) -> LineUp {
        LineUp::one(Some(Arc::new(self.model.for_graph(&Config::default().kinds, number))))
    }
}

/// Numbers that look random, and are the same every time.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            list.swap(place, self.below(place + 1));
        }
    }
}

/// The lines of a text, put in another order.
pub fn shuffled(text: &str, seed: u64) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    Chance(seed).shuffle(&mut lines);
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}
