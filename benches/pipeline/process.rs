//! The binary as a process: how long a command takes and how much memory and processor time, and one that goes on running.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The clock of `/proc`, in ticks a second: the same on every Linux.
const TICKS: f64 = 100.0;

/// The binary that is measured.
pub fn binary() -> String {
    std::env::var("NEARLINE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_nearline").to_owned())
}

/// What one run of the binary took.
pub struct Run {
    pub seconds: f64,
    /// Of all its threads, the system's share included.
    pub processor: f64,
    /// The largest resident memory, in bytes.
    pub peak: f64,
}

/// Runs the binary to its end, and watches how long it takes and how much memory.
pub fn nearline(words: &[&str]) -> Run {
    let started = Instant::now();
    let mut child =
        Command::new(binary()).args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut peak, mut processor) = (0.0_f64, 0.0_f64);
    loop {
        peak = peak.max(memory(child.id(), "VmHWM:"));
        processor = processor.max(processor_seconds(child.id()));
        if let Some(code) = child.try_wait().unwrap() {
            assert!(code.success(), "nearline {words:?} ended with {code}");
            return Run { seconds: started.elapsed().as_secs_f64(), processor, peak };
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What `/proc/PID/status` says of memory, in bytes; 0 where the process has ended.
fn memory(process: u32, line: &str) -> f64 {
    let known = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let found = known.lines().find_map(|known| known.strip_prefix(line));
    found
        .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
        .map_or(0.0, |kb: f64| kb * 1024.0)
}

/// Processor time of a process so far, in seconds; 0 where it has ended.
pub fn processor_seconds(process: u32) -> f64 {
    of_stat(&format!("/proc/{process}/stat")).map_or(0.0, |(_, seconds)| seconds)
}

/// The name and the processor time of a thread or process.
fn of_stat(path: &str) -> Option<(String, f64)> {
    let stat = fs::read_to_string(path).ok()?;
    // The name is in brackets and may hold anything; user and system time are the 12th and 13th word after it.
    let (begin, end) = (stat.find('(')?, stat.rfind(')')?);
    let words: Vec<&str> = stat[end + 1..].split_whitespace().collect();
    let ticks: f64 = words.get(11)?.parse::<f64>().ok()? + words.get(12)?.parse::<f64>().ok()?;
    Some((stat[begin + 1..end].to_owned(), ticks / TICKS))
}

/// `nearline run --listen --follow -` on a folder: its standard input is a pipe.
pub struct Running {
    child: Child,
    pub host: String,
}

impl Running {
    /// Starts it with these words more, and waits until it answers.
    pub fn start(data: &str, more: &[&str]) -> Running {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let child = Command::new(binary())
            .args(["--data", data, "run", "--follow", "--listen", &host])
            .args(more)
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(format!("{data}.said")).unwrap())
            .spawn()
            .unwrap();
        let mut running = Running { child, host };
        while !running.is_ready() {
            assert!(running.child.try_wait().unwrap().is_none(), "it ended: see {data}.said");
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }

    fn is_ready(&self) -> bool {
        Client::connect(&self.host).is_ok_and(|mut client| client.get("/health/ready").0 == 200)
    }

    /// The pipe into it.
    pub fn pipe(&mut self) -> impl Write + use<> {
        self.child.stdin.take().unwrap()
    }

    /// Resident memory now, in bytes.
    pub fn resident(&self) -> f64 {
        memory(self.child.id(), "VmRSS:")
    }

    /// Processor time so far, in seconds.
    pub fn processor(&self) -> f64 {
        processor_seconds(self.child.id())
    }

    /// Processor time so far by names of threads, numbers at their ends left out.
    pub fn threads(&self) -> BTreeMap<String, f64> {
        let mut threads = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().flatten() {
            let Some((name, seconds)) = of_stat(&thread.path().join("stat").display().to_string()) else {
                continue;
            };
            let name = name.trim_end_matches(|last: char| last.is_ascii_digit() || last == '-');
            *threads.entry(name.to_owned()).or_default() += seconds;
        }
        threads
    }

    /// A counter of its metrics.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("there is no metric {name}")).parse().unwrap()
    }

    /// Seconds that each operator of the graph took so far.
    pub fn operators(&self) -> BTreeMap<String, f64> {
        let of = |line: &str| {
            let (name, seconds) =
                line.strip_prefix("nearline_operator_seconds_total{operator=\"")?.split_once("\"} ")?;
            Some((name.to_owned(), seconds.parse().ok()?))
        };
        self.metrics().lines().filter_map(of).collect()
    }

    fn metrics(&self) -> String {
        Client::connect(&self.host).unwrap().get("/metrics").1
    }

    /// Ends it as a person would.
    pub fn end(mut self) {
        drop(self.child.stdin.take());
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

/// A connection that is used again and again.
pub struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    pub fn connect(host: &str) -> std::io::Result<Client> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::new(stream), host: host.to_owned() })
    }

    /// Asks; the status and the length of the body, where it is given.
    fn ask(&mut self, path: &str) -> (u16, Option<usize>) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut status, mut length, mut line) = (0, None, String::new());
        loop {
            line.clear();
            assert!(self.stream.read_line(&mut line).unwrap() > 0, "the server closed the connection");
            if line == "\r\n" {
                return (status, length);
            }
            if line.starts_with("HTTP/1.1 ") {
                status = line[9..12].parse().unwrap();
            } else if let Some(given) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = given.trim().parse().ok();
            }
        }
    }

    /// The status and the body of an answer.
    pub fn get(&mut self, path: &str) -> (u16, String) {
        let (status, length) = self.ask(path);
        let mut body = vec![0; length.expect("an answer says how long it is")];
        self.stream.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    /// Server-sent events of a route: the lines of their data, as they come, until the server closes.
    pub fn listen(mut self, path: &str, mut each: impl FnMut(&str)) {
        let (status, _) = self.ask(path);
        assert_eq!(status, 200);
        let mut line = String::new();
        while self.stream.read_line(&mut line).is_ok_and(|read| read > 0) {
            if let Some(data) = line.strip_prefix("data: ") {
                each(data.trim_end());
            }
            line.clear();
        }
    }
}
