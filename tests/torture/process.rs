//! The program as it is run and killed: commands in a folder of their own, the socket, and what `status` says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The signal of a write past the limit of a file's size.
const SIGXFSZ: i32 = 25;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// The folder of a trial, in which all its commands run.
pub struct Home {
    pub folder: PathBuf,
    /// Another build of the program than the one that was built with this.
    pub program: Option<PathBuf>,
}

/// What `status` says of how far a folder is.
#[derive(Default, Clone, Debug)]
pub struct Far {
    pub epoch: u64,
    pub accepted: u64,
    pub live_events: u64,
    /// By the source's name: lines that were read and committed.
    pub lines: BTreeMap<String, u64>,
}

impl Far {
    /// Whether nothing of what was known before is lost.
    pub fn holds(&self, before: &Far) -> bool {
        self.epoch >= before.epoch
            && self.accepted >= before.accepted
            && before
                .lines
                .iter()
                .all(|(source, lines)| self.lines.get(source).is_some_and(|now| now >= lines))
    }
}

impl Home {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn command(&self, args: &[String], file_blocks: Option<usize>) -> Command {
        let program = self.program.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_nearline").into());
        let mut command = match file_blocks {
            None => Command::new(program),
            // The system ends the process at its first write past this size of a file: a cut at a byte.
            Some(blocks) => {
                let mut shell = Command::new("sh");
                shell
                    .args(["-c", &format!("ulimit -c 0; ulimit -f {blocks}; exec \"$@\""), "sh"])
                    .arg(program);
                shell
            }
        };
        command.args(args).current_dir(&self.folder).env_remove("NEARLINE_DATA").env_remove("NEARLINE_LOG");
        command
    }

    /// Starts a command that is to be killed; what it says goes to `says.log`.
    pub fn start(&self, args: &[String], file_blocks: Option<usize>, piped: bool) -> Child {
        let mut says = File::options().create(true).append(true).open(self.path("says.log")).unwrap();
        writeln!(says, "---- nearline {}", args.join(" ")).unwrap();
        let stdin = if piped { Stdio::piped() } else { Stdio::null() };
        let mut command = self.command(args, file_blocks);
        command.stdin(stdin).stdout(says.try_clone().unwrap()).stderr(says).spawn().unwrap()
    }

    /// What a command prints; or what it said where it did not succeed.
    pub fn ok(&self, args: &[&str]) -> Result<String, String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let output = self.command(&args, None).stdin(Stdio::null()).output().unwrap();
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout).unwrap());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`nearline {}` ended with {}: {said}", args.join(" "), output.status))
    }

    pub fn json(&self, args: &[&str]) -> Result<Value, String> {
        let text = self.ok(&[args, &["--json"]].concat())?;
        serde_json::from_str(&text).map_err(|error| format!("{args:?} printed no JSON: {error}"))
    }

    /// How far the folder is; nothing where there is nothing in it yet.
    pub fn far(&self) -> Result<Far, String> {
        let status = match self.json(&["status"]) {
            Err(said) if said.contains("there is no nearline data") => return Ok(Far::default()),
            other => other?,
        };
        let number = |path: &str| status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        let lines = status["sources"].as_array().into_iter().flatten().map(|source| {
            (source["source"].as_str().unwrap_or_default().to_owned(), source["lines"].as_u64().unwrap_or(0))
        });
        Ok(Far {
            epoch: number("/epoch"),
            accepted: number("/counts/accepted"),
            live_events: number("/counts/live_events"),
            lines: lines.collect(),
        })
    }

    /// Sends records to the process that holds the folder; true where it acknowledged every one.
    pub fn submit(&self, lines: &str) -> bool {
        let answer = || -> std::io::Result<Value> {
            let mut stream = UnixStream::connect(self.path("nearline-data/nearline.sock"))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(format!("{}\n", json!({"records": lines})).as_bytes())?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            serde_json::from_str(&line).map_err(std::io::Error::other)
        };
        answer().is_ok_and(|answer| {
            answer.get("error").is_none_or(Value::is_null)
                && answer["accepted"] == lines.lines().count()
                && answer["rejected"].as_array().is_some_and(Vec::is_empty)
        })
    }

    /// Waits until the process serves its socket; false where it ended before.
    pub fn serves(&self, child: &mut Child) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if UnixStream::connect(self.path("nearline-data/nearline.sock")).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By SIGKILL, from us.
    Killed,
    /// By the system, at a byte of a file.
    CutAtAByte,
    /// By itself, and well.
    Itself,
    /// By itself, and not well.
    Badly(i32),
}

pub fn how(status: ExitStatus) -> Ended {
    match (status.signal(), status.code()) {
        (Some(9), _) => Ended::Killed,
        (Some(SIGXFSZ), _) => Ended::CutAtAByte,
        (_, Some(0)) => Ended::Itself,
        (signal, code) => Ended::Badly(code.or(signal).unwrap_or(-1)),
    }
}

/// Waits for a process to end by itself until then, and kills it.
pub fn end(child: &mut Child, within: Duration) -> Ended {
    let until = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return how(status);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        std::thread::sleep(left.min(Duration::from_millis(1)));
    }
    let _ = child.kill();
    how(child.wait().unwrap())
}
