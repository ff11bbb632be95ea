//! Stores read over connections show what they hold, of one epoch, or say why not.

use std::io::Read;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::processes::{Part, Share};
use crate::stores::formats::meta;
use crate::stores::memory::MemoryStore;
use crate::stores::{Store, StoreError, Table, Tables};

const PIPELINE: &str = "0123456789abcdef0123456789abcdef";

fn put(store: &dyn Store, epoch: u64, entries: &[(Table, &[u8], &[u8])]) {
    let mut change = store.begin();
    entries.iter().for_each(|(table, key, value)| change.put(*table, key, value));
    change.put(Table::Meta, meta::EPOCH, &epoch.to_be_bytes());
    change.commit(true).unwrap();
}

/// A store that listens, as process 1 of 2; says where.
fn listening(store: &Arc<dyn Store>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let store = Arc::downgrade(store);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut tag) = (stream.unwrap(), [0]);
            // Whoever connects to see whether anybody listens says nothing.
            if stream.read_exact(&mut tag).is_err() {
                continue;
            }
            assert_eq!(tag[0], TAG);
            let Some(store) = store.upgrade() else { return };
            let part = Part { pipeline: PIPELINE.to_owned(), share: Share { process: 1, processes: 2 } };
            answer(stream, &store, &part).unwrap();
        }
    });
    address
}

fn two() -> (Arc<dyn Store>, Arc<dyn Store>, Whole) {
    let [own, other] = [0, 1].map(|_| Arc::new(MemoryStore::default()) as Arc<dyn Store>);
    let remote = Remote::new(listening(&other), PIPELINE.to_owned(), 1);
    let whole = Whole::new(own.clone(), vec![None, Some(remote)]);
    (own, other, whole)
}

fn keys(tables: &dyn Tables, table: Table) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut show = |key: &[u8], _: &[u8]| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    };
    tables.scan(table, &[], &[], &mut show).unwrap();
    keys
}

#[test]
fn a_store_elsewhere_shows_what_it_holds_page_by_page() {
    let (own, other, whole) = two();
    let all: Vec<[u8; 4]> = (0..9_000_u32).map(u32::to_be_bytes).collect();
    let (even, odd): (Vec<[u8; 4]>, Vec<[u8; 4]>) = all.iter().partition(|key| key[3] % 2 == 0);
    for (store, keys) in [(&own, even), (&other, odd)] {
        let entries: Vec<(Table, &[u8], &[u8])> =
            keys.iter().map(|key| (Table::Popularity, &key[..], &b"1"[..])).collect();
        put(&**store, 7, &entries);
    }
    let shown = keys(&whole, Table::Popularity);
    assert!(shown.iter().map(Vec::as_slice).eq(all.iter().map(|key| &key[..])));
    assert_eq!(whole.get(Table::Popularity, &all[4_001]).unwrap().unwrap(), b"1");
    assert_eq!(whole.get(Table::Popularity, b"none").unwrap(), None);
    // A prefix, from a key on, for as long as is wanted.
    let mut few = Vec::new();
    whole
        .scan(Table::Popularity, &all[256][..3], &all[300], &mut |key, _| {
            few.push(key.to_vec());
            if few.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(few, [all[300], all[301], all[302]]);
}

#[test]
fn a_moment_stays_as_it_is_while_its_process_goes_on_and_is_let_go_of() {
    let (_, other, _) = two();
    put(&*other, 1, &[(Table::Items, b"i", b"old")]);
    let remote = Remote::new(listening(&other), PIPELINE.to_owned(), 1);
    let moment = remote.moment(1).unwrap();
    put(&*other, 2, &[(Table::Items, b"i", b"new")]);
    assert_eq!((moment.epoch, moment.get(Table::Items, b"i").unwrap().unwrap()), (1, b"old".to_vec()));
    drop(moment);
    // The connection is used again.
    let moment = remote.moment(2).unwrap();
    assert_eq!(moment.get(Table::Items, b"i").unwrap().unwrap(), b"new");
}

/// Each commit of either store says its epoch in another table, too; nobody may see two epochs at once.
#[test]
fn what_is_read_of_all_stores_is_of_one_epoch_while_they_commit_one_after_the_other() {
    let (own, other, whole) = two();
    let step = |store: &Arc<dyn Store>, name: &[u8], epoch: u64| {
        put(&**store, epoch, &[(Table::Popularity, name, &epoch.to_be_bytes())]);
    };
    step(&own, b"own", 1);
    step(&other, b"other", 1);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for epoch in 2..400 {
                // Sometimes one is first, and sometimes the other.
                let (first, second) = if epoch % 3 == 0 { (&own, &other) } else { (&other, &own) };
                let names: [&[u8]; 2] = if epoch % 3 == 0 { [b"own", b"other"] } else { [b"other", b"own"] };
                step(first, names[0], epoch);
                std::thread::sleep(Duration::from_millis(1));
                step(second, names[1], epoch);
                std::thread::sleep(Duration::from_millis(2));
            }
            ended.store(true, Ordering::Relaxed);
        });
        let (mut seen, mut reads) = (0, 0);
        while !ended.load(Ordering::Relaxed) {
            whole
                .at_one_moment(&mut |tables| {
                    let of = |table, key: &[u8]| {
                        u64::from_be_bytes(tables.get(table, key).unwrap().unwrap().try_into().unwrap())
                    };
                    let epoch = of(Table::Meta, meta::EPOCH);
                    assert_eq!(
                        (of(Table::Popularity, b"own"), of(Table::Popularity, b"other")),
                        (epoch, epoch)
                    );
                    assert!(epoch >= seen);
                    seen = epoch;
                })
                .unwrap();
            reads += 1;
        }
        assert!(seen > 100 && reads > 100, "{reads} reads up to epoch {seen}");
    });
}

#[test]
fn who_is_not_there_is_not_who_was_meant_or_lags_is_named_in_time() {
    let (own, other, whole) = two();
    put(&*own, 5, &[]);
    put(&*other, 4, &[]);
    let began = Instant::now();
    let said = whole.at_one_moment(&mut |_| panic!("it shows a moment")).unwrap_err().to_string();
    assert!(said.starts_with("the store of process 1 at 127.0.0.1:"), "{said}");
    assert!(said.contains("it is at epoch 4, and 5 was asked for"), "{said}");

    let address = listening(&other);
    let stranger = Remote::new(address.clone(), PIPELINE.replace('0', "f"), 1);
    let said = stranger.moment(0).unwrap_err().to_string();
    assert!(said.contains("process 1 listens there") && !said.contains(PIPELINE), "{said}");
    assert!(Remote::new(address, PIPELINE.to_owned(), 0).moment(0).is_err());

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = silent.local_addr().unwrap().to_string();
    drop(silent);
    let gone = Remote::new(gone, PIPELINE.to_owned(), 1);
    assert!(matches!(gone.moment(0), Err(StoreError::Elsewhere { process: 1, .. })));
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_connection_keeps_no_store_open() {
    let (_, other, _) = two();
    put(&*other, 1, &[]);
    let remote = Remote::new(listening(&other), PIPELINE.to_owned(), 1);
    drop(remote.moment(1).unwrap());
    let store = Arc::downgrade(&other);
    drop(other);
    // The listener holds it for as long as it hands a connection over, and the connection is kept all along.
    let began = Instant::now();
    while store.upgrade().is_some() {
        assert!(began.elapsed() < Duration::from_secs(10), "a connection keeps the store open");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(remote.moment(1).is_err());
}
