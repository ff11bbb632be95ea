//! Models saved, loaded, and refused.

use std::collections::BTreeMap;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::offline::items_writer;
use crate::offline::manifest::{Counts, FORMAT, Kind, Transform};

fn manifest() -> Manifest {
    let play = Kind { weight: 1.0, times_value: true, counts_from: Some(0.02), floor: None };
    Manifest {
        format: FORMAT,
        version: String::new(),
        rank: 0,
        alpha0: 0.1,
        lambda: 0.01,
        nu: 1.0,
        kinds: BTreeMap::from([("play".to_owned(), play)]),
        transform: Transform::Cap(2.5),
        counts: Counts { members: 3, items: 0, pairs: 5, events: 9 },
        trained_at: "2026-01-02T03:04:05Z".into(),
        loss: Some(1.25),
    }
}

fn rows() -> Rows {
    let ids = ["b", "a", "ä"].map(str::to_owned).to_vec();
    Rows { ids, values: vec![3.0, 4.0, 1.0, f32::MIN_POSITIVE, -0.0, 6.0], rank: 2 }
}

fn saved() -> (tempfile::TempDir, PathBuf, Model) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let model = Model::new(manifest(), rows()).unwrap();
    model.save(&path).unwrap();
    (folder, path, model)
}

#[test]
fn a_model_comes_back_as_it_was_saved_with_its_items_sorted() {
    let (_folder, path, model) = saved();
    let loaded = Model::load(&path).unwrap();
    assert_eq!(loaded, model);
    assert_eq!(loaded.items(), ["a", "b", "ä"]);
    let bits: Vec<u32> = loaded.factors().as_slice().iter().map(|value| value.to_bits()).collect();
    assert_eq!(bits, [1.0, f32::MIN_POSITIVE, 3.0, 4.0, -0.0, 6.0].map(f32::to_bits));
    assert_eq!(loaded.manifest.kinds["play"].rule().counts_from, Some(20_000));
}

#[test]
fn the_version_follows_from_the_content_and_not_from_when_it_was_trained() {
    let version = |change: &dyn Fn(&mut Manifest, &mut Rows)| {
        let (mut manifest, mut rows) = (manifest(), rows());
        change(&mut manifest, &mut rows);
        Model::new(manifest, rows).unwrap().manifest.version
    };
    let first = version(&|_, _| {});
    assert_eq!(version(&|manifest, _| manifest.trained_at = "2030-01-01T00:00:00Z".into()), first);
    assert_ne!(version(&|manifest, _| manifest.lambda = 0.02), first);
    assert_ne!(version(&|manifest, _| manifest.transform = Transform::Linear), first);
    assert_ne!(version(&|_, rows| rows.values[5] = 6.000_001), first);
    assert_ne!(version(&|_, rows| rows.ids[0] = "c".into()), first);
}

#[test]
fn nothing_is_written_over_another_model_and_the_same_one_twice_is_no_matter() {
    let (folder, path, model) = saved();
    model.save(&path).unwrap();
    let mut other = manifest();
    other.nu = 0.5;
    let other = Model::new(other, rows()).unwrap();
    let error = other.save(&path).unwrap_err();
    assert!(matches!(error, ModelError::Taken { .. }), "{error}");
    assert!(error.to_string().contains("never written over"), "{error}");
    assert_eq!(Model::load(&path).unwrap(), model);
    let beside: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["model"], "nothing is left beside it");
}

#[test]
fn what_is_no_model_is_refused_with_the_file_and_a_remedy() {
    let refused = |spoil: &dyn Fn(&Path), words: &[&str]| {
        let (_folder, path, _) = saved();
        spoil(&path);
        let error = Model::load(&path).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "{error:?} does not say {word:?}"));
    };
    let edit = |path: &Path, from: &str, to: &str| {
        let text = fs::read_to_string(path.join(MANIFEST)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path.join(MANIFEST), text.replace(from, to)).unwrap();
    };
    let rewrite = |path: &Path, ids: &[&str], values: &[f32]| {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        items_writer::write(&path.join(ITEMS), &ids, values, 2).unwrap();
    };
    let six = [1.0; 6];
    refused(
        &|path| fs::remove_file(path.join(MANIFEST)).unwrap(),
        &[MANIFEST, "no such file", "train --out"],
    );
    refused(&|path| fs::remove_file(path.join(ITEMS)).unwrap(), &["cannot read", ITEMS]);
    refused(&|path| edit(path, "\"format\": 1", "\"format\": 2"), &["format 2", "reads format 1"]);
    refused(&|path| edit(path, "\"lambda\"", "\"lamda\""), &[MANIFEST, "lamda", "copy the model"]);
    refused(&|path| edit(path, "\"lambda\": 0.01", "\"lambda\": 0.0"), &["`lambda` must be above 0"]);
    refused(
        &|path| edit(path, "\"alpha0\": 0.1", "\"alpha0\": 0.2"),
        &["wrong checksum: items.parquet and manifest.json hash to"],
    );
    refused(&|path| edit(path, "\"rank\": 2", "\"rank\": 3"), &["factors are 2 long", "says 3"]);
    refused(&|path| edit(path, "\"items\": 3", "\"items\": 4"), &["3 items", "says 4"]);
    refused(&|path| fs::write(path.join(ITEMS), "PAR0").unwrap(), &[ITEMS, "not a Parquet file"]);
    refused(&|path| rewrite(path, &["a", "b", "b"], &six), &["\"b\" is there twice"]);
    refused(&|path| rewrite(path, &["b", "a", "c"], &six), &["\"a\" stands after a greater one"]);
    refused(
        &|path| rewrite(path, &["a", "b", "ä"], &six),
        &["wrong checksum: items.parquet and manifest.json hash to"],
    );
    let nan = [1.0, 1.0, 1.0, f32::NAN, 1.0, 1.0];
    refused(
        &|path| rewrite(path, &["a", "b", "c"], &nan),
        &["item \"b\" is not finite: number 2 of 2 is NaN"],
    );
}
