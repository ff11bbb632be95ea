//! The ladder under stress: whatever stalls, fails or is missing, every answer is inside its deadline and none is empty.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use nearline::config::Config;
use nearline::folder::Folder;
use nearline::serving::Reader;
use nearline::serving::http::{App, Options, app};
use nearline::stores::rocks::RocksStore;
use nearline::stores::{Store, StoreError, Table, Tables, Transaction};
use serde_json::Value;
use tower::ServiceExt;

use crate::support::{Home, items_of, model};

const DEADLINE: Duration = Duration::from_millis(2_000);

/// A store that waits before it reads some table, or fails.
struct Trouble {
    inner: RocksStore,
    /// How long, in milliseconds.
    wait: AtomicU64,
    fail: AtomicBool,
    /// Only for members' records, as scoring reads them.
    records_only: AtomicBool,
    /// Only for the lists that are kept fresh.
    lists_only: AtomicBool,
}

impl Trouble {
    fn meet(&self, table: Table) -> Result<(), StoreError> {
        if self.records_only.load(Ordering::Relaxed) && table != Table::Records {
            return Ok(());
        }
        if self.lists_only.load(Ordering::Relaxed) && table != Table::TopPicks {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(self.wait.load(Ordering::Relaxed)));
        if self.fail.load(Ordering::Relaxed) {
            let (doing, message) = ("be read", "Input/output error".to_owned());
            return Err(StoreError::Failed { doing, path: "test".into(), message });
        }
        Ok(())
    }
}

impl Tables for Trouble {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.meet(table)?;
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.meet(table)?;
        self.inner.scan(table, prefix, from, show)
    }
}

impl Store for Trouble {
    fn at_one_moment(&self, read: &mut dyn FnMut(&dyn Tables)) -> Result<(), StoreError> {
        read(self);
        Ok(())
    }

    fn begin(&self) -> Box<dyn Transaction + '_> {
        self.inner.begin()
    }

    fn begin_load(&self) -> Box<dyn Transaction + '_> {
        self.inner.begin_load()
    }

    fn clear(&self, table: Table) -> Result<(), StoreError> {
        self.inner.clear(table)
    }

    fn commit_turned<'s>(&'s self, change: Box<dyn Transaction + 's>) -> Result<(), StoreError> {
        self.inner.commit_turned(change)
    }
}

/// A folder with lists of a model of a hundred items, and a server over it.
fn served() -> (Home, Arc<Trouble>, Arc<App>) {
    let home = Home::new();
    let rows: Vec<(String, Vec<f32>)> =
        (0..100).map(|item| (format!("i{item:02}"), vec![1.0, item as f32 * -0.001])).collect();
    let rows: Vec<(&str, Vec<f32>)> = rows.iter().map(|(id, row)| (id.as_str(), row.clone())).collect();
    model(&rows).save(&home.path("model")).unwrap();
    let events: String = (0..50)
        .map(|n| {
            format!("{{\"member\":\"m{}\",\"item\":\"i{:02}\",\"kind\":\"play\",\"at\":{n}}}\n", n % 5, n * 2)
        })
        .collect();
    home.write("events.jsonl", &events);
    home.ok(&["replay", "--model", "model", "events.jsonl"]);
    let (trouble, app) = server_over(&home.path("nearline-data"));
    (home, trouble, app)
}

fn server_over(data: &Path) -> (Arc<Trouble>, Arc<App>) {
    let trouble = Arc::new(Trouble {
        inner: RocksStore::open_reader(data).unwrap(),
        wait: AtomicU64::new(0),
        fail: AtomicBool::new(false),
        records_only: AtomicBool::new(false),
        lists_only: AtomicBool::new(false),
    });
    let config = Config::default();
    let app = App::new(Options::of(&config.serve, true, None));
    let reader = Reader::over(trouble.clone(), &Folder::new(data.to_owned()), config);
    app.ready(reader.with_catalogue().unwrap(), None);
    (trouble, app)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Asks for a list and for a ranking of every member, a stranger included; each must come in time, and hold something.
#[track_caller]
fn all_in_time(runtime: &tokio::runtime::Runtime, served: &Arc<App>) -> Vec<Value> {
    let ms = DEADLINE.as_millis();
    let mut answers = Vec::new();
    for member in ["m0", "m1", "m2", "m3", "m4", "stranger"] {
        let list = Request::get(format!("/v1/members/{member}/lists/top_picks?deadline_ms={ms}"));
        let rank = Request::post(format!("/v1/members/{member}/rank"));
        let body = format!("{{\"deadline_ms\":{ms},\"session\":[{{\"item\":\"i01\",\"kind\":\"like\"}}]}}");
        let page = Request::get(format!("/v1/members/{member}/page?deadline_ms={ms}"));
        for request in [
            list.body(Body::empty()).unwrap(),
            rank.body(Body::from(body)).unwrap(),
            page.body(Body::empty()).unwrap(),
        ] {
            let (path, began) = (request.uri().to_string(), Instant::now());
            let answer = runtime.block_on(async {
                let answer = app(served).oneshot(request).await.unwrap();
                assert_eq!(answer.status(), 200);
                to_bytes(answer.into_body(), usize::MAX).await.unwrap()
            });
            let took = began.elapsed();
            assert!(took < DEADLINE, "{path} took {took:?}");
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            let items =
                if answer["rows"].is_array() { items_of(&answer["rows"][0]) } else { items_of(&answer) };
            assert!(!items.is_empty(), "{path}: {answer}");
            answers.push(answer);
        }
    }
    answers
}

fn sources(answers: &[Value]) -> Vec<&str> {
    answers.iter().filter_map(|answer| answer["source"].as_str()).collect()
}

#[test]
fn every_answer_is_inside_its_deadline_and_none_is_empty_while_the_store_stalls_or_fails() {
    let (_home, trouble, served) = served();
    let runtime = runtime();
    let well = all_in_time(&runtime, &served);
    assert!(
        sources(&well).contains(&"nearline") && sources(&well).contains(&"online"),
        "{:?}",
        sources(&well)
    );

    trouble.wait.store(10_000, Ordering::Relaxed);
    let began = Instant::now();
    let stalled = all_in_time(&runtime, &served);
    let waited = began.elapsed();
    assert!(sources(&stalled).iter().all(|source| *source == "trending"), "{:?}", sources(&stalled));
    let reason = stalled[0]["reason"].as_str().unwrap();
    assert!(reason.contains("no answer within") && reason.contains("not left out"), "{reason}");
    // What failed again and again is not waited for any more.
    let began = Instant::now();
    let quick = all_in_time(&runtime, &served);
    assert!(began.elapsed() < waited, "{:?} and {waited:?}", began.elapsed());
    assert!(
        quick.iter().any(|answer| answer["reason"].as_str().is_some_and(|why| why.contains("a moment ago")))
    );

    trouble.wait.store(0, Ordering::Relaxed);
    trouble.fail.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(1_100));
    assert!(sources(&all_in_time(&runtime, &served)).iter().all(|source| *source == "trending"));

    trouble.fail.store(false, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(11_000));
    assert_eq!(sources(&all_in_time(&runtime, &served)), sources(&well), "it recovers by itself");
}

#[test]
fn a_slow_scorer_falls_back_to_the_list_that_is_stored() {
    let (_home, trouble, served) = served();
    let runtime = runtime();
    trouble.records_only.store(true, Ordering::Relaxed);
    trouble.wait.store(10_000, Ordering::Relaxed);
    let answers = all_in_time(&runtime, &served);
    let rank = &answers[1];
    assert_eq!((&rank["list"], &rank["source"]), (&"rank".into(), &"nearline".into()), "{rank}");
    assert!(rank["reason"].as_str().unwrap().contains("online rung had no answer within"), "{rank}");
}

#[test]
fn without_its_model_there_is_the_stored_list_and_without_that_what_is_trending() {
    let (home, _, _) = served();
    let data = home.path("nearline-data");
    for model in std::fs::read_dir(data.join("models")).unwrap() {
        let items = model.unwrap().path().join("items.parquet");
        std::fs::remove_file(items).unwrap();
    }
    let (_trouble, served) = server_over(&data);
    let answers = all_in_time(&runtime(), &served);
    let rank = &answers[1];
    assert_eq!(rank["source"], "nearline", "{rank}");
    assert_eq!(rank["reason"], "the model is being read", "{rank}");
}

#[test]
fn the_lists_of_the_last_batch_stand_in_where_the_fresh_ones_stall_or_fail() {
    let (home, ..) = served();
    home.ok(&["batch", "--limit", "50"]);
    let (trouble, served) = server_over(&home.path("nearline-data"));
    let runtime = runtime();
    assert!(sources(&all_in_time(&runtime, &served)).contains(&"nearline"));
    trouble.lists_only.store(true, Ordering::Relaxed);
    trouble.wait.store(10_000, Ordering::Relaxed);
    let stalled = all_in_time(&runtime, &served);
    let list = &stalled[0];
    assert_eq!((&list["list"], &list["source"]), (&"top_picks".into(), &"offline".into()), "{list}");
    assert!(list["reason"].as_str().unwrap().contains("nearline rung had no answer within"), "{list}");
    assert!(list["model"].is_string(), "{list}");
    // m0 has played i00, i10, i20 and so on.
    assert!(items_of(list).iter().all(|item| !item.ends_with('0')), "{list}");
    trouble.wait.store(0, Ordering::Relaxed);
    trouble.fail.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(1_100));
    let failing = all_in_time(&runtime, &served);
    assert_eq!(failing[0]["source"], "offline", "{}", failing[0]);
    // A stranger has no list there either.
    assert_eq!(failing[15]["source"], "trending", "{}", failing[15]);
}
