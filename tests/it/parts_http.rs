//! Servers of several processes: each answers for all as the server of one process would.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nearline::config::{Config, Scope, Token};
use nearline::folder::Folder;
use nearline::processes::reading::{Remote, TAG, Whole, answer};
use nearline::processes::{Part, Share};
use nearline::serving::Reader;
use nearline::serving::http::{App, Listen, Listening, Options, Peers, listen};
use nearline::stores::Store;
use nearline::stores::Table;
use nearline::stores::formats::meta;
use nearline::stores::rocks::{RocksOptions, RocksStore};
use serde_json::Value;

use crate::parts::{dealt, lived};
use crate::support::{Home, agent, answered, until};

/// A server in this process.
struct Server {
    listening: Listening,
    _store: Arc<dyn Store>,
}

const TOKEN: &str = "reader-reader-reader";

/// A server over a store, which is told of the others before it is ready.
fn serve(address: &str, folder: &Path, store: Arc<dyn Store>, joins: impl FnOnce(&Arc<App>)) -> Server {
    let config = Config::default();
    let token = Token { token: TOKEN.into(), scopes: vec![Scope::Read] };
    let options = Options {
        // A machine that is busy with other tests is no reason to fall back.
        deadline: Duration::from_secs(60),
        tokens: vec![("reader".to_owned(), token)],
        ..Options::of(&config.serve, true, None)
    };
    let app = App::new(options);
    joins(&app);
    let how = Listen {
        address: address.parse().unwrap(),
        threads: 1,
        connections: 100,
        head_within: Duration::from_secs(10),
        tls: None,
    };
    let listening = listen(&how, &app).unwrap();
    let reader = Reader::over(store.clone(), &Folder::new(folder), config).with_catalogue().unwrap();
    app.ready(reader, None);
    Server { listening, _store: store }
}

fn opened(home: &Home, data: &str) -> Arc<dyn Store> {
    Arc::new(RocksStore::open(&home.path(data), RocksOptions::default()).unwrap())
}

/// Lets other processes read a store; says where.
fn read_by_others(store: &Arc<dyn Store>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let part = store.get(Table::Meta, meta::PART).unwrap().unwrap();
    let part: Part = serde_json::from_slice(&part).unwrap();
    let store = Arc::downgrade(store);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut tag): (TcpStream, _) = (stream.unwrap(), [0]);
            if stream.read_exact(&mut tag).is_ok() {
                assert_eq!(tag, [TAG]);
                let Some(store) = store.upgrade() else { return };
                answer(stream, &store, &part).unwrap();
            }
        }
    });
    address
}

/// Where a server will listen, which others are told before it does.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn get(server: &Server, path: &str) -> (u16, Value) {
    let address = server.listening.address();
    let asked =
        agent().get(format!("http://{address}{path}")).header("authorization", format!("Bearer {TOKEN}"));
    let (status, mut body) = answered(asked.call());
    if let Some(fields) = body.as_object_mut() {
        ["age_ms", "rates", "uptime_ms"].iter().for_each(|name| drop(fields.remove(*name)));
    }
    (status, body)
}

/// Servers over the parts of a folder, each of which knows the others.
fn servers(home: &Home, names: &[String]) -> Vec<Server> {
    let stores: Vec<Arc<dyn Store>> = names.iter().map(|name| opened(home, name)).collect();
    let read_at: Vec<String> = stores.iter().map(read_by_others).collect();
    let pipeline = "0123456789abcdef".repeat(2);
    let addresses: Vec<String> = names.iter().map(|_| free_address()).collect();
    let start = |process: usize| {
        let (share, own) = (Share { process, processes: names.len() }, &stores[process]);
        let remote = |other: usize| {
            (other != process).then(|| Remote::new(read_at[other].clone(), pipeline.clone(), other))
        };
        let whole: Arc<dyn Store> = Arc::new(Whole::new(own.clone(), (0..names.len()).map(remote).collect()));
        let http = addresses.iter().cloned().map(Some).collect();
        let joins = |app: &Arc<App>| app.joins(Peers { share, http, whole }).unwrap();
        serve(&addresses[process], &home.path(&names[process]), own.clone(), joins)
    };
    (0..names.len()).map(start).collect()
}

#[test]
fn every_server_of_a_pipeline_answers_as_the_server_of_one_process_does() {
    let home = lived();
    let names = dealt(&home, 2);
    let one = serve("127.0.0.1:0", &home.path("nearline-data"), opened(&home, "nearline-data"), |_| {});
    let both = servers(&home, &names);
    let share = Share { process: 0, processes: 2 };
    let members = ["m1", "m2", "m5", "m%C3%A9", "nobody", "nobody-else"];
    assert!(
        members.iter().any(|member| share.owns(member)) && !members.iter().all(|member| share.owns(member))
    );
    let lists = [
        "top_picks",
        "continue_watching",
        "because_you_watched",
        "watched_together",
        "popular_with_people_like_you",
        "trending",
        "new",
    ];
    let mut paths: Vec<String> = Vec::new();
    for member in members {
        paths.extend(lists.iter().map(|list| format!("/v1/members/{member}/lists/{list}?limit=50")));
        paths.extend(["history", "page", "why/i1"].map(|what| format!("/v1/members/{member}/{what}")));
    }
    let of_nobody = [
        "/v1/popular?window=all",
        "/v1/popular?kind=like&window=all&country=US",
        "/v1/performance?days=100",
        "/v1/items/i1/similar?by=together",
        "/v1/items/i1/similar",
        "/v1/items/i1/counts?hours=8760",
        "/v1/members?query=m",
        "/v1/trending?limit=50",
        "/v1/variants?days=100",
        "/v1/members//page",
        "/v1/members/m1/lists/none",
    ];
    paths.extend(of_nobody.map(str::to_owned));
    for path in &paths {
        let wanted = get(&one, path);
        for (process, server) in both.iter().enumerate() {
            // What is no path is named differently by nobody.
            assert_eq!(get(server, path), wanted, "{path} of process {process}");
        }
    }
    let wanted = get(&one, "/v1/status").1;
    for (process, server) in both.iter().enumerate() {
        let status = get(server, "/v1/status").1;
        assert_eq!((&status["of_all"], &status["part"]["process"]), (&true.into(), &process.into()));
        for name in ["sources", "clusters", "now", "model", "epoch"] {
            assert_eq!(status[name], wanted[name], "{name}");
        }
        // Each part was dealt all counts.
        let events = |status: &Value| status["counts"]["live_events"].as_u64().unwrap();
        assert_eq!(events(&status), 2 * events(&wanted));
    }
}

#[test]
fn a_process_that_does_not_answer_is_named_and_its_own_members_are_answered_for() {
    let home = lived();
    let names = dealt(&home, 2);
    let mut both = servers(&home, &names);
    let share = Share { process: 0, processes: 2 };
    let of = |process: usize| {
        (0..).map(|number| format!("m{number}")).find(|member| share.owner(member) == process).unwrap()
    };
    let path = |process: usize| format!("/v1/members/{}/lists/top_picks", of(process));
    // Passed on with the token; without one it comes to no other server.
    assert_eq!(get(&both[0], &path(1)).0, 200);
    let address = both[0].listening.address();
    let url = |process: usize| format!("http://{address}{}", path(process));
    assert_eq!(answered(agent().get(url(1)).call()).0, 401);
    // Whoever is passed on to answers for itself.
    let asked = agent().get(url(1)).header("authorization", format!("Bearer {TOKEN}"));
    let (status, body) = answered(asked.header("x-nearline-passed-on", "1").call());
    assert_eq!((status, &body["type"]), (502, &"/problems/no-answer".into()), "{body}");

    drop(both.pop());
    let (status, body) = get(&both[0], &path(1));
    assert_eq!((status, &body["type"]), (502, &"/problems/no-answer".into()), "{body}");
    assert!(body["detail"].as_str().unwrap().starts_with("process 1 at 127.0.0.1:"), "{body}");
    assert_eq!(get(&both[0], &path(0)).0, 200);
    // The store of the other is closed, and what all have cannot be put together.
    let mut last = (0, Value::Null);
    until("the other store is not read any more", || {
        last = get(&both[0], "/v1/popular");
        last.0 != 200
    });
    assert_eq!((last.0, &last.1["type"]), (503, &"/problems/elsewhere".into()), "{}", last.1);
    let status = get(&both[0], "/v1/status");
    assert_eq!((status.0, &status.1["of_all"]), (200, &false.into()));

    // A server over one folder, which knows no others.
    let alone = serve("127.0.0.1:0", &home.path(&names[1]), opened(&home, &names[1]), |_| {});
    assert_eq!(get(&alone, &path(1)).0, 200);
    let (status, body) = get(&alone, &path(0));
    assert_eq!((status, &body["type"]), (503, &"/problems/elsewhere".into()), "{body}");
}

#[test]
fn commands_over_a_part_say_which_part_has_what_they_ask_for() {
    let home = lived();
    let names = dealt(&home, 2);
    let share = Share { process: 0, processes: 2 };
    for (process, name) in names.iter().enumerate() {
        for member in ["m1", "m2", "m5", "somebody"] {
            let said = home.say(&["--data", name, "get", member]);
            let history = home.say(&["--data", name, "history", member]);
            if share.owner(member) == process {
                said.ok();
            } else {
                let owner = format!("belongs to process {} of a pipeline of 2", share.owner(member));
                assert!(said.ended(2).contains(&owner));
                assert!(history.ended(2).contains(&owner));
            }
        }
        let said = home.say(&["--data", name, "popular"]).ended(2);
        assert!(said.contains("what is counted is in those of all"), "{said}");
        home.say(&["--data", name, "performance"]).ended(2);
        let status = home.ok(&["--data", name, "status"]);
        assert!(status.contains(&format!("{process} of 2, of the pipeline")), "{status}");
    }
}
