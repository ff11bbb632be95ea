//! Objects in a real Cassandra, which `NEARLINE_CASSANDRA` names (`scripts/test.sh --services` starts one). What every
//! repository must do is tested in `repositories/tests.rs`, there too.

use std::io::{self, Read, Write as _};
use std::time::{Duration, SystemTime};

use object_store::ObjectStoreExt;
use scylla::value::CqlValue;

use super::super::PATIENCE;
use super::*;
use crate::config::{Access, Setting};

/// A repository of its own, and what lies under it.
pub(in crate::repositories) struct There {
    pub repository: Repository,
    store: Cassandra,
}

/// How large an object may be unless a test says otherwise.
const MOST: u64 = 256_000_000;

/// Opens it; objects may have so many bytes.
pub(in crate::repositories) fn place(name: &str, object: u64) -> Option<There> {
    let server = std::env::var("NEARLINE_CASSANDRA").ok().filter(|server| !server.is_empty());
    let Some(server) = server else {
        let said = format!("\nskipped {name}, as NEARLINE_CASSANDRA names no server\n");
        // Not by `eprintln!`, which a test that passes keeps to itself.
        io::stderr().write_all(said.as_bytes()).unwrap();
        return None;
    };
    let url = format!("cassandra://{server}/nearline/{name}-{}", std::process::id());
    let mut access = access();
    access.cassandra.object = object;
    let repository = Repository::open(&url, &access).unwrap();
    let Place::Cassandra(store) = &repository.place else { panic!("another place") };
    Some(There { store: store.clone(), repository })
}

/// How the server is reached.
fn access() -> Access {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut access = Access::default();
    access.cassandra.replication = Some(1);
    access.cassandra.user = of("NEARLINE_CASSANDRA_USER");
    access.cassandra.password = of("NEARLINE_CASSANDRA_PASSWORD").map(Setting::Text);
    access
}

impl There {
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.repository.runtime.block_on(work)
    }

    fn entry(&self, name: &str) -> tables::Entry {
        let at = self.store.at(&Name::from(name));
        self.wait(async { self.store.tables().await.unwrap().entry(&at, true).await.unwrap().unwrap() })
    }

    /// Generations that no object has: uploads, and dropped bytes.
    fn loose(&self, folder: &str) -> Vec<tables::Loose> {
        self.wait(async {
            let tables = self.store.tables().await.unwrap();
            let mut all = Vec::new();
            for kind in [tables::UPLOAD, tables::DROPPED] {
                all.extend(tables.loose(&self.store.0.repository, folder, kind).await.unwrap());
            }
            all
        })
    }

    /// How many chunks there are of a generation.
    fn chunks(&self, generation: &str) -> i64 {
        let count = "SELECT COUNT(*) FROM nearline_chunks_1 WHERE generation = ? AND part IN (0, 1, 2, 3)";
        self.wait(async {
            let session = self.store.tables().await.unwrap().session();
            let rows = session.query_unpaged(count, (generation,)).await.unwrap().into_rows_result().unwrap();
            rows.first_row::<(i64,)>().unwrap().0
        })
    }

    fn cql(&self, statement: &str, values: Vec<CqlValue>) {
        self.wait(async {
            let session = self.store.tables().await.unwrap().session();
            session.query_unpaged(statement, values).await.unwrap();
        });
    }
}

/// Bytes of a kind, more than fit into one part of chunks.
fn long(of: u8) -> Vec<u8> {
    (0..9 << 20).map(|number: u32| of.wrapping_add(number as u8)).collect()
}

#[test]
fn of_several_who_replace_an_object_one_is_there_whole_and_nothing_is_left_of_the_others() {
    let Some(there) = place("replaced", MOST) else { return };
    there.repository.put("a/b", long(0)).unwrap();
    let put = |of: u8| {
        let there = place("replaced", MOST).unwrap();
        std::thread::spawn(move || {
            for round in 0..3 {
                there.repository.put_all("a/b", &mut &long(of + round)[..]).unwrap();
            }
        })
    };
    let writers: Vec<_> = [10, 20, 30].map(put).into();
    // A reader sees one of them whole, or is told that it is gone.
    let (mut whole, mut gone) = (0, 0);
    while !writers.iter().all(|writer| writer.is_finished()) {
        let mut read = Vec::new();
        match there.repository.get_all("a/b", &mut read) {
            Ok(size) => {
                assert_eq!(size, Some(9 << 20));
                assert!(read == long(read[0]), "bytes of several are mixed");
                whole += 1;
            }
            Err(error) => {
                assert!(error.is_passing() && error.to_string().contains("while it was read"), "{error}");
                gone += 1;
            }
        }
    }
    assert!(whole > 0, "{gone} times it was gone");
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let read = there.repository.get("a/b").unwrap().unwrap();
    assert!(read == long(read[0]));
    assert_eq!(there.loose("a"), []);
    assert_eq!(there.chunks(&there.entry("a/b").generation), 18);
    // Taken out, it leaves nothing.
    let last = there.entry("a/b").generation;
    there.repository.delete("a/b").unwrap();
    assert_eq!((there.chunks(&last), there.repository.list("").unwrap()), (0, vec![]));
}

#[test]
fn of_several_who_put_a_new_object_one_does_whatever_its_size() {
    let Some(there) = place("new", MOST) else { return };
    for (name, size) in [("a/small", 10), ("a/large", 100_000)] {
        let put = |of: u8| {
            let there = place("new", MOST).unwrap();
            std::thread::spawn(move || there.repository.put_new(name, vec![of; size]).unwrap().then_some(of))
        };
        let won: Vec<_> = [1, 2, 3, 4].map(put).into_iter().filter_map(|put| put.join().unwrap()).collect();
        assert_eq!(won.len(), 1, "{name}");
        assert_eq!(there.repository.get(name).unwrap().unwrap(), vec![won[0]; size]);
    }
    assert_eq!(there.loose("a"), []);
}

#[test]
fn an_upload_that_is_broken_off_is_never_seen_and_swept_once_it_is_old() {
    let Some(there) = place("broken", MOST) else { return };
    let upload = |of: u8| {
        there.wait(async {
            let mut upload = there.store.put_multipart(&Name::from("a/b")).await.unwrap();
            upload.put_part(long(of)[..8 << 20].to_vec().into()).await.unwrap();
            upload
        })
    };
    drop(upload(1));
    let broken = there.loose("a").remove(0);
    assert_eq!((there.repository.list("").unwrap(), there.chunks(&broken.generation)), (vec![], 16));
    assert_eq!(there.repository.folders("").unwrap(), ["a"], "else nobody would sweep it");
    let now = SystemTime::now();
    let sweep = |under: &str, before| there.repository.sweep_unfinished(under, before).unwrap();
    assert_eq!(sweep("a", now - Duration::from_secs(60)), 0, "it may go on");
    assert_eq!(sweep("b", now + Duration::from_secs(60)), 0);
    assert_eq!(sweep("a/other", now + Duration::from_secs(60)), 0);
    assert_eq!(sweep("a", now + Duration::from_secs(60)), 1);
    assert_eq!((there.loose("a"), there.chunks(&broken.generation)), (vec![], 0));
    assert_eq!(there.repository.folders("").unwrap(), [""; 0]);
    // One that was swept while it went on cannot end any more, and what it still writes is nowhere.
    let mut upload = upload(2);
    let broken = there.loose("a").remove(0);
    assert_eq!(sweep("", now + Duration::from_secs(60)), 1);
    let (late, ended) = there.wait(async {
        let late = upload.put_part(vec![3; 100].into()).await;
        (late, upload.complete().await)
    });
    let ended = ended.unwrap_err().to_string();
    assert!(late.is_ok() && ended.contains("given up"), "{late:?} {ended}");
    assert_eq!((there.repository.list("").unwrap(), there.chunks(&broken.generation)), (vec![], 0));
    // And one that goes on for long is seen to: it says so.
    std::thread::sleep(Duration::from_millis(1_100));
    let late = there.wait(async { upload.put_part(vec![3; 100].into()).await });
    assert!(late.is_err());
}

#[test]
fn an_upload_that_goes_on_is_not_swept() {
    let Some(there) = place("going", MOST) else { return };
    let part = long(1)[..512 << 10].to_vec();
    there.wait(async {
        let mut upload = there.store.put_multipart(&Name::from("a/b")).await.unwrap();
        upload.put_part(part.clone().into()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let (tables, repository) = (there.store.tables().await.unwrap(), &there.store.0.repository);
        let seen = tables.loose(repository, "a", tables::UPLOAD).await.unwrap().remove(0);
        let before = SystemTime::now() - Duration::from_millis(300);
        upload.put_part(part.clone().into()).await.unwrap();
        assert_eq!(there.store.sweep("a", before).await.unwrap(), 0);
        // Nor by somebody who looked before it was touched.
        assert!(!tables.give_up(&there.store.at(&Name::from("a/b")), &seen, true).await.unwrap());
        upload.complete().await.unwrap();
    });
    assert_eq!(there.repository.get("a/b").unwrap().unwrap(), [part.clone(), part].concat());
}

#[test]
fn what_is_too_large_is_refused_with_what_to_do_and_leaves_nothing() {
    let Some(there) = place("large", 9_000_000) else { return };
    let refused = |error: RepositoryError| {
        let said = error.to_string();
        assert!(!error.is_passing() && said.contains("9 MB") && said.contains("object_mb"), "{said}");
        assert!(said.contains("folder, S3 or HDFS"), "{said}");
    };
    refused(there.repository.fits("a/b", 9_000_001).unwrap_err());
    there.repository.fits("a/b", 9_000_000).unwrap();
    refused(there.repository.put("a/b", long(1)).unwrap_err());
    // Of what is read nobody knows how much there will be.
    struct Endless;
    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            Ok(out.len())
        }
    }
    refused(there.repository.put_all("a/b", &mut Endless).unwrap_err());
    assert_eq!((there.repository.list("").unwrap(), there.loose("a")), (vec![], vec![]));
}

#[test]
fn what_the_cluster_has_lost_is_known_for_damaged() {
    let Some(there) = place("lost", MOST) else { return };
    there.repository.put_all("a/b", &mut &long(1)[..]).unwrap();
    let generation = CqlValue::Text(there.entry("a/b").generation);
    let key = "WHERE generation = ? AND part = 1 AND number = 17";
    let damage = [
        (format!("UPDATE nearline_chunks_1 SET bytes = 0x00 {key}"), "shorter"),
        (format!("DELETE FROM nearline_chunks_1 {key}"), "gone"),
    ];
    for (statement, what) in damage {
        there.cql(&statement, vec![generation.clone()]);
        let error = there.repository.get_all("a/b", &mut Vec::new()).unwrap_err();
        assert!(matches!(error, RepositoryError::Damaged { .. }), "{what}: {error}");
        // What lies before is there.
        assert_eq!(there.repository.get_range("a/b", 5..(1 << 20) + 5).unwrap(), long(1)[5..(1 << 20) + 5]);
    }
    // Put again, it is whole.
    there.repository.put_all("a/b", &mut &long(1)[..]).unwrap();
    assert_eq!(there.repository.get("a/b").unwrap().unwrap(), long(1));
}

#[test]
fn what_is_read_and_listed_is_this_repositorys_alone() {
    let (Some(one), Some(other)) = (place("one", MOST), place("other", MOST)) else { return };
    for name in ["a/1", "a/deep/2", "a0", "a-b/3", "b/4", "top"] {
        one.repository.put(name, name).unwrap();
    }
    let names = |under: &str| -> Vec<String> {
        one.repository.list(under).unwrap().into_iter().map(|object| object.name).collect()
    };
    assert_eq!(names("a"), ["a/1", "a/deep/2"]);
    assert_eq!(names("a/deep"), ["a/deep/2"]);
    assert_eq!(names(""), ["a-b/3", "a/1", "a/deep/2", "a0", "b/4", "top"]);
    assert_eq!(one.repository.folders("").unwrap(), ["a", "a-b", "b"]);
    assert_eq!(one.repository.folders("a").unwrap(), ["deep"]);
    assert_eq!(other.repository.list("").unwrap(), []);
    assert_eq!(other.repository.get("a/1").unwrap(), None);
    // The clock is the cluster's.
    let age = SystemTime::now().duration_since(one.repository.head("b/4").unwrap().unwrap().modified.into());
    assert!(age.unwrap_or_else(|ahead| ahead.duration()) < Duration::from_secs(60));
}

#[test]
fn addresses_are_checked_before_anything_is_asked() {
    let open = |url: &str| Repository::open(url, &Access::default());
    for good in ["cassandra://a/films", "cassandra://a:1,b:2/films/deep/er/"] {
        assert!(open(good).is_ok(), "{good}");
    }
    for bad in [
        "cassandra://a",
        "cassandra:///films",
        "cassandra://a:0/films",
        "cassandra://me@a/films",
        "cassandra://a/b;c",
    ] {
        let error = open(bad).unwrap_err();
        assert!(error.is_bad_use() && error.to_string().contains("cassandra://"), "{bad}: {error}");
    }
}

#[test]
fn who_may_not_come_in_or_write_is_told_so_at_once_and_who_may_needs_no_more_than_that() {
    let Some(there) = place("users", MOST) else { return };
    if access().cassandra.user.is_none() {
        // This server lets everybody in.
        return;
    }
    there.repository.put("a/b", "here").unwrap();
    let as_user = |user: &str, password: &str| {
        let mut access = access();
        access.cassandra.replication = None;
        access.cassandra.user = Some(user.to_owned());
        access.cassandra.password = Some(Setting::Text(password.to_owned()));
        Repository::open(there.repository.url(), &access).unwrap()
    };
    let refused = |done: Result<(), RepositoryError>| {
        let error = done.unwrap_err();
        assert!(!error.is_passing() && error.to_string().contains("[cassandra]"), "{error}");
    };
    let began = std::time::Instant::now();
    refused(as_user("nobody", "knows").put("a/b", "there"));
    let user = format!("user{}", std::process::id());
    there.cql(&format!("CREATE ROLE {user} WITH PASSWORD = 'secret' AND LOGIN = true"), vec![]);
    refused(as_user(&user, "guess").put("a/b", "there"));
    refused(as_user(&user, "secret").put("a/b", "there"));
    refused(as_user(&user, "secret").get("a/b").map(drop));
    assert!(began.elapsed() < PATIENCE, "what is not allowed is not tried again");
    for right in ["SELECT", "MODIFY"] {
        there.cql(&format!("GRANT {right} ON KEYSPACE nearline TO {user}"), vec![]);
    }
    // What is allowed is remembered by the server for some seconds.
    std::thread::sleep(Duration::from_secs(3));
    let repository = as_user(&user, "secret");
    repository.put("a/b", "there").unwrap();
    repository.put_all("a/c", &mut &long(1)[..]).unwrap();
    assert_eq!(repository.get("a/b").unwrap().unwrap(), b"there");
    repository.delete("a/c").unwrap();
    there.cql(&format!("DROP ROLE {user}"), vec![]);
}
