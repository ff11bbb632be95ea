//! Publications in a folder. S3 is tested against a server, in `tests/it`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::follow::Follower;
use super::publish::{Draft, Published};
use super::*;
use crate::config::Span;
use crate::config::publications::Retention;

struct Place {
    folder: tempfile::TempDir,
    publications: Publications,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("repository").display().to_string();
        let publications = Publications::open(&url, &Access::default()).unwrap();
        Place { folder, publications }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn draft(&self, texts: &[(&str, &str)]) -> Draft {
        let file = |(name, text): &(&str, &str)| {
            let path = self.path(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        Draft {
            name: "films".into(),
            kind: Kind::Query,
            schema: "lines/1".into(),
            counts: BTreeMap::from([("lines".into(), 1)]),
            epoch: Some(7),
            model: None,
            query: None,
            command: "nearline publish films".into(),
            made_at: 5,
            files: texts.iter().map(file).collect(),
        }
    }

    fn publish(&self, texts: &[(&str, &str)]) -> Published {
        self.publications.publish(&self.draft(texts), &|_| {}, &mut |_, _| Ok(())).unwrap()
    }

    fn object(&self, name: &str) -> PathBuf {
        self.path("repository").join(name)
    }
}

#[test]
fn what_is_published_is_fetched_as_it_was_and_the_same_again_is_the_same_version() {
    let place = Place::new();
    let Published { publication, known, .. } = place.publish(&[("b.txt", "two"), ("a.txt", "one")]);
    assert!(!known);
    assert_eq!(place.publications.names().unwrap(), ["films"]);
    assert_eq!(place.publications.find("films", None).unwrap(), publication);
    let fetched = place.publications.fetch_whole(&publication, &place.path("here")).unwrap();
    assert_eq!(fetched, place.path("here").join(&publication.version));
    assert_eq!(std::fs::read_to_string(fetched.join("a.txt")).unwrap(), "one");
    assert_eq!(place.publications.fetch_whole(&publication, &place.path("here")).unwrap(), fetched);
    let again = place.publish(&[("a.txt", "one"), ("b.txt", "two")]);
    assert!(again.known && again.publication == publication);
    let other = place.publish(&[("a.txt", "one"), ("b.txt", "three")]);
    assert_ne!(other.publication.version, publication.version);
}

#[test]
fn a_follower_sees_each_version_once_and_a_way_back() {
    let place = Place::new();
    let mut follower = Follower::default();
    let look = |follower: &mut Follower| follower.look(&place.publications, "films").unwrap();
    assert_eq!(look(&mut follower), None);
    let first = place.publish(&[("a.txt", "one")]).publication;
    assert_eq!(look(&mut follower).unwrap().version, first.version);
    assert_eq!(look(&mut follower), None);
    let second = place.publish(&[("a.txt", "two")]).publication;
    assert_eq!(look(&mut follower).unwrap().version, second.version);
    std::thread::sleep(Duration::from_millis(2));
    place.publications.publish_again(first.clone(), &mut |_, _| Ok(())).unwrap();
    assert_eq!(look(&mut follower).unwrap().version, first.version);
    let seen = place.publications.latest("films").unwrap();
    assert_eq!(look(&mut Follower::since(seen)), None);
}

#[test]
fn what_is_damaged_is_refused_and_says_which_object() {
    let place = Place::new();
    let publication = place.publish(&[("a.txt", "one")]).publication;
    let version = &publication.version;
    let refused = |said: &str| {
        let error =
            place.publications.fetch_whole(&publication, &place.path("here")).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("a.txt"), "{error}");
        assert_eq!(std::fs::read_dir(place.path("here")).unwrap().count(), 0);
    };
    let object = place.object(&format!("films/{version}/a.txt"));
    std::fs::write(&object, "two").unwrap();
    refused("wrong checksum");
    std::fs::write(&object, "longer").unwrap();
    refused("6 bytes");
    std::fs::remove_file(&object).unwrap();
    refused("not there");
    let manifest = place.object(&format!("films/{version}/publication.json"));
    let text = std::fs::read_to_string(&manifest).unwrap();
    for (from, to, said) in [
        ("\"size\": 3", "\"size\": 4", "its files make"),
        ("a.txt", "../../a.txt", "name of a file"),
        ("\"format\": 1", "\"format\": 9", "format 9"),
        ("{", "", "cannot be read"),
    ] {
        std::fs::write(&manifest, text.replacen(from, to, 1)).unwrap();
        let error = place.publications.publication("films", version).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    // Published again, it is whole again.
    assert!(!place.publish(&[("a.txt", "one")]).known);
    place.publications.fetch_whole(&publication, &place.path("here")).unwrap();
}

#[test]
fn a_file_that_changes_while_it_is_published_and_names_that_cannot_be_are_refused() {
    let place = Place::new();
    let draft = place.draft(&[("a.txt", "one")]);
    let changed = std::cell::Cell::new(0);
    let progress = |bytes: u64| {
        // After the first pass.
        if bytes == 0 && changed.replace(changed.get() + 1) == 0 {
            std::fs::write(place.path("a.txt"), "two").unwrap();
        }
    };
    let publish = |draft: &Draft, progress: &dyn Fn(u64)| {
        let published = place.publications.publish(draft, progress, &mut |_, _| Ok(()));
        published.unwrap_err().to_string()
    };
    let said = publish(&draft, &progress);
    assert!(said.contains("changes while it is published"), "{said}");
    assert_eq!(place.publications.latest("films").unwrap(), None);
    assert!(publish(&Draft { name: "a/b".into(), ..draft.clone() }, &|_| {}).contains("letters, digits"));
    let hidden = place.draft(&[(".hidden", "one")]);
    assert!(publish(&hidden, &|_| {}).contains(".hidden"));
}

#[test]
fn retention_takes_out_what_nobody_needs_and_nothing_else() {
    let place = Place::new();
    let none = Span::millis(0);
    let versions: Vec<String> = (0..5)
        .map(|number| {
            std::thread::sleep(Duration::from_millis(15));
            place.publish(&[("a.txt", &format!("version {number}"))]).publication.version
        })
        .collect();
    let retention = Retention { keep: 2, keep_for: none, grace: none };
    place.publications.use_for("films", &versions[0], "somebody", Duration::from_secs(60)).unwrap();
    place.publications.use_for("films", &versions[1], "gone", Duration::ZERO).unwrap();
    let collect = |retention, dry| -> Vec<String> {
        let removed = place.publications.collect("films", retention, dry).unwrap();
        removed.into_iter().map(|removed| removed.version).collect()
    };
    // Somebody published an old version again: it is the newest, and stays.
    let old = place.publications.find("films", Some(&versions[2])).unwrap();
    place.publications.publish_again(old, &mut |_, _| Ok(())).unwrap();
    place.publications.use_for("films", &versions[4], in_use::PUBLISHER, Duration::ZERO).unwrap();
    assert_eq!(collect(Retention { grace: Span::hours(1), ..retention }, false), [""; 0]);
    assert_eq!(collect(Retention { keep_for: Span::hours(1), ..retention }, false), [""; 0]);
    assert_eq!(collect(retention, true), [versions[1].clone()]);
    assert_eq!(collect(retention, false), [versions[1].clone()]);
    assert_eq!(collect(retention, false), [""; 0]);
    assert!(!place.object(&format!("films/{}", versions[1])).exists());
    // What was never finished goes too, also what no listing shows.
    let half = format!("films/{}", "a".repeat(64));
    std::fs::create_dir_all(place.object(&half)).unwrap();
    std::fs::write(place.object(&half).join("a.txt"), "half").unwrap();
    std::fs::write(place.object(&half).join("b.txt#1"), "half").unwrap();
    std::thread::sleep(Duration::from_millis(15));
    assert_eq!(collect(Retention { grace: Span::hours(1), ..retention }, false), [""; 0]);
    assert_eq!(collect(retention, false), ["a".repeat(64)]);
    assert!(!place.object(&half).join("b.txt#1").exists());
    assert_eq!(place.publications.kept("films").unwrap().0, 4);
}
