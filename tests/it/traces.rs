//! Traces, as a collector gets them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{Home, until};

/// A collector: takes in whatever is posted.
struct Collector {
    address: String,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let spans = Arc::new(Mutex::new(Vec::new()));
        let taken = spans.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if stream.read_line(&mut head).unwrap() == 0 {
                        break;
                    }
                }
                assert!(head.starts_with("POST /v1/traces "), "{head}");
                let head = head.to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
                let mut body = vec![0; length.parse().unwrap()];
                stream.read_exact(&mut body).unwrap();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                stream.get_mut().write_all(answer).unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap();
                let resource = &body["resourceSpans"][0];
                let attributes = resource["resource"]["attributes"].as_array().unwrap();
                assert!(attributes.iter().any(|own| own["key"] == "service.name"), "{attributes:?}");
                let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
                taken.lock().unwrap().extend(spans.iter().cloned());
            }
        });
        Collector { address, spans }
    }

    fn named(&self, name: &str) -> Vec<Value> {
        let spans = self.spans.lock().unwrap();
        spans.iter().filter(|span| span["name"] == name).cloned().collect()
    }
}

#[test]
fn a_collector_gets_requests_with_their_rungs_and_commits_with_their_parts_and_no_member() {
    let (home, collector) = (Home::new(), Collector::start());
    home.write("nearline.toml", &format!("[traces]\nendpoint = \"{}\"\nshare = 1\n", collector.address));
    let server = home.serve(&["run"]);
    let event = r#"{"member":"a-member-of-ours","item":"i","kind":"play","value":1,"at":1767322000000}"#;
    assert_eq!(server.post("/v1/events", event).0, 200);
    let path = "/v1/members/a-member-of-ours/lists/top_picks";
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let sent = ureq::get(format!("{}{path}", server.address))
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
        .call();
    assert_eq!(sent.unwrap().status(), 200);
    let list = "GET /v1/members/{member}/lists/{list}";
    until("the spans are sent", || {
        [list, "POST /v1/events", "commit", "store", "graph"]
            .iter()
            .all(|name| !collector.named(name).is_empty())
    });

    let request = &collector.named(list)[0];
    assert_eq!((&request["traceId"], &request["parentSpanId"]), (&trace.into(), &"b7ad6b7169203331".into()));
    let of_request = |span: &&Value| span["parentSpanId"] == request["spanId"] && span["traceId"] == trace;
    let rungs = [collector.named("nearline"), collector.named("trending")].concat();
    assert_eq!(rungs.iter().filter(of_request).count(), 2, "{rungs:?}");

    let commits = collector.named("commit");
    let whole = commits.iter().find(|span| span.get("parentSpanId").is_none()).unwrap();
    assert!(collector.named("store").iter().any(|span| span["parentSpanId"] == whole["spanId"]));
    let post = &collector.named("POST /v1/events")[0];
    assert!(commits.iter().any(|span| span["parentSpanId"] == post["spanId"]), "{commits:?}");
    let all = serde_json::to_string(&*collector.spans.lock().unwrap()).unwrap();
    assert!(!all.contains("a-member-of-ours"), "{all}");
}

#[test]
fn a_collector_that_is_not_there_holds_nothing_up() {
    let home = Home::new();
    home.write("nearline.toml", "[traces]\nendpoint = \"http://127.0.0.1:9\"\nshare = 1\n");
    let server = home.serve(&["run"]);
    let event = r#"{"member":"m","item":"i","kind":"play","value":1,"at":1767322000000}"#;
    assert_eq!(server.post("/v1/events", event).0, 200);
    assert_eq!(server.get("/v1/members/m/lists/trending").0, 200);
    drop(server);

    home.write("nearline.toml", "[traces]\nendpoint = \"localhost:4318\"\n");
    let said = home.say(&["run", "--listen", "127.0.0.1:0"]).ended(2);
    assert!(said.contains("`traces.endpoint`: must be the address of a collector"), "{said}");
}
