//! What every repository does: in a folder, and in Cassandra where `NEARLINE_CASSANDRA` names a server (`cassandra/tests.rs` has
//! what is Cassandra's own). The others are tested against servers in `tests/it`.

use super::*;

/// Where the repository in a folder is, and repositories of a test's own.
fn repositories(test: &str) -> (tempfile::TempDir, Vec<Repository>) {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("deep/er").display().to_string();
    let all = [Repository::open(&url, &Access::default()).unwrap()].into_iter();
    let more = in_cassandra(&format!("any-{test}"));
    (folder, all.chain(more).collect())
}

#[cfg(feature = "cassandra")]
fn in_cassandra(name: &str) -> Option<Repository> {
    cassandra::tests::place(name, 256_000_000).map(|there| there.repository)
}

#[cfg(not(feature = "cassandra"))]
fn in_cassandra(_: &str) -> Option<Repository> {
    None
}

#[test]
fn what_is_put_is_there_whole_and_listed_by_name() {
    let (_folder, all) = repositories("put");
    for repository in all {
        is_there_whole_and_listed(&repository);
    }
}

fn is_there_whole_and_listed(repository: &Repository) {
    repository.put("models/b/manifest.json", "{}").unwrap();
    let long: Vec<u8> = (0..3 * PART / 2).map(|i| i as u8).collect();
    assert_eq!(repository.put_all("models/a/items.parquet", &mut &long[..]).unwrap(), long.len() as u64);
    let names: Vec<String> = repository
        .list("")
        .unwrap()
        .into_iter()
        .map(|object| format!("{} {}", object.name, object.size))
        .collect();
    assert_eq!(
        names,
        [format!("models/a/items.parquet {}", long.len()), "models/b/manifest.json 2".to_owned()]
    );
    assert_eq!(repository.folders("models").unwrap(), ["a", "b"]);
    assert_eq!(repository.get("models/a/items.parquet").unwrap().unwrap(), long);
    assert_eq!(repository.get_range("models/a/items.parquet", 7..9).unwrap(), long[7..9]);
    let mut copy = Vec::new();
    assert_eq!(repository.get_all("models/a/items.parquet", &mut copy).unwrap(), Some(long.len() as u64));
    assert_eq!(copy, long);
    assert_eq!(repository.get("models/c").unwrap(), None);
    assert_eq!(repository.head("models/c").unwrap(), None);
    assert_eq!(repository.list("nothing").unwrap(), []);
    repository.delete("models/b/manifest.json").unwrap();
    repository.delete("models/b/manifest.json").unwrap();
    assert_eq!(repository.folders("models").unwrap(), ["a"]);
}

#[test]
fn of_several_who_put_a_new_object_one_does() {
    let (_folder, all) = repositories("new");
    for repository in all {
        assert!(repository.put_new("a", "first").unwrap());
        assert!(!repository.put_new("a", "second").unwrap());
        assert_eq!(repository.get("a").unwrap().unwrap(), b"first");
    }
}

#[test]
fn what_breaks_off_while_it_is_sent_never_appears() {
    struct Breaks(usize);
    impl Read for Breaks {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("the disk is gone"));
            }
            let count = out.len().min(self.0);
            self.0 -= count;
            Ok(count)
        }
    }
    let (folder, all) = repositories("breaks");
    for repository in all {
        let error = repository.put_all("a/b", &mut Breaks(2 * PART)).unwrap_err().to_string();
        assert!(error.contains("a/b") && error.contains("the disk is gone"), "{error}");
        assert_eq!(repository.list("").unwrap(), []);
    }
    assert_eq!(std::fs::read_dir(folder.path().join("deep/er/a")).map_or(0, Iterator::count), 0);
}

#[test]
fn addresses_that_cannot_be_are_refused_with_what_is_wanted() {
    for url in ["", "ftp://host/x", "s3:///prefix", "file://relative"] {
        let error = Repository::open(url, &Access::default()).unwrap_err();
        assert!(error.is_bad_use() && error.to_string().contains("s3://BUCKET/PREFIX"), "{error}");
    }
    let settings: Settings = toml::from_str("endpoint = \"x\"\nno_such = 1").unwrap();
    assert_eq!(unknown_of_s3(&settings), Some("no_such"));
    assert_eq!(unknown_of_hdfs(&settings), Some("endpoint"));
    let settings: Settings = toml::from_str("user = \"me\"\n\"dfs.nameservices\" = \"x\"").unwrap();
    assert_eq!(unknown_of_hdfs(&settings), None);
}
