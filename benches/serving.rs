//! What `wrk` cannot do: requests at a given rate whatever the answers take, and from a post to the list that shows it.
//!
//! `scripts/bench_serving.sh` starts the server and runs this beside it. Latencies are from the moment at which a request
//! was due, so a server that falls behind does not look quick.

#![allow(clippy::print_stdout, reason = "a benchmark prints a table")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |place: usize| words[place].parse::<u64>().unwrap();
    match words.first().map(String::as_str) {
        Some("fresh") => fresh(&words[1], number(2), number(3)),
        Some("overload") => overload(&words[1], number(2), number(3), number(4)),
        _ => println!("serving: run by scripts/bench_serving.sh"),
    }
}

/// A connection that is used again and again.
struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    fn new(host: &str) -> Self {
        let stream = TcpStream::connect(host).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Client { stream: BufReader::new(stream), host: host.to_owned() }
    }

    /// The status and the body of an answer.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let (host, length) = (&self.host, body.len());
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n{body}");
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut status, mut length, mut line) = (0, 0, String::new());
        loop {
            line.clear();
            assert!(self.stream.read_line(&mut line).unwrap() > 0, "the server closed the connection");
            if line == "\r\n" {
                break;
            }
            if line.starts_with("HTTP/1.1 ") {
                status = line[9..12].parse().unwrap();
            } else if let Some(given) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = given.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

/// Asks at a rate for so many seconds; gives back each latency, from when it was due.
fn at_rate(
    rate: u64,
    seconds: u64,
    clients: u64,
    host: &str,
    ask: impl Fn(&mut Client, u64) -> bool + Sync,
) -> (Vec<Duration>, u64) {
    let (next, refused, began) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now());
    let one = || {
        let (mut client, mut latencies) = (Client::new(host), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= rate * seconds {
                return latencies;
            }
            let due = began + Duration::from_nanos(number * 1_000_000_000 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if ask(&mut client, number) {
                latencies.push(due.elapsed());
            } else {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let mut all = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(one)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<Duration>>()
    });
    all.sort_unstable();
    (all, refused.into_inner())
}

fn at(latencies: &[Duration], share: f64) -> f64 {
    let place = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
    latencies.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
}

/// Posts events, each of another member, and reads the member's list until it shows the event: its epoch.
fn fresh(host: &str, rate: u64, seconds: u64) {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let ask = |client: &mut Client, number: u64| {
        let (member, item) = (number * 7_919 % 138_000 + 1, number * 104_729 % 26_000 + 1);
        let event = format!(
            "{{\"member\":\"m{member}\",\"item\":\"i{item}\",\"kind\":\"play\",\"value\":0.9,\"at\":{},\"id\":\"b{number}\"}}\n",
            now()
        );
        let (status, posted) = client.ask("POST", "/v1/events", &event);
        assert_eq!(status, 200, "{posted}");
        let epoch = posted.split("\"epoch\":").nth(1).unwrap().split(',').next().unwrap();
        let path = format!("/v1/members/m{member}/lists/top_picks?limit=100&deadline_ms=1000&after={epoch}");
        let (status, list) = client.ask("GET", &path, "");
        assert_eq!(status, 200, "{list}");
        assert!(!list.contains("cannot be read yet"), "{list}");
        assert!(!list.contains(&format!("\"item\":\"i{item}\"")), "what was played is listed: {list}");
        true
    };
    let (latencies, _) = at_rate(rate, seconds, 32, host, ask);
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| at(&latencies, share));
    println!("{p50:.1} {p99:.1} {p999:.1}");
}

/// Asks for online rankings at more than the server can do; answers must be in time, or clean refusals.
fn overload(host: &str, rate: u64, seconds: u64, deadline_ms: u64) {
    let late = AtomicU64::new(0);
    let other = AtomicU64::new(0);
    let ask = |client: &mut Client, number: u64| {
        let member = number * 7_919 % 138_000 + 1;
        let body = format!(
            "{{\"deadline_ms\":{deadline_ms},\"session\":[{{\"item\":\"i1\",\"kind\":\"play\"}}],\"limit\":20}}"
        );
        let began = Instant::now();
        let (status, answer) = client.ask("POST", &format!("/v1/members/m{member}/rank"), &body);
        if began.elapsed() > Duration::from_millis(deadline_ms) {
            late.fetch_add(1, Ordering::Relaxed);
        }
        match status {
            200 => {
                assert!(answer.contains("\"score\""), "an empty answer: {answer}");
                if !answer.contains("\"source\":\"online\"") {
                    other.fetch_add(1, Ordering::Relaxed);
                }
                true
            }
            429 | 503 => false,
            _ => panic!("{status}: {answer}"),
        }
    };
    let began = Instant::now();
    let (latencies, refused) = at_rate(rate, seconds, 256, host, ask);
    let answered = latencies.len() as f64 / began.elapsed().as_secs_f64();
    let (late, other) = (late.into_inner(), other.into_inner());
    println!("{answered:.0} {} {refused} {late} {other}", latencies.len());
}
