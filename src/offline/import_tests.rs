//! Arrays with their ids as models, and what is refused of them.

use std::fs;

use super::*;
use crate::config::Config;
use crate::offline::{Manifest, npy};

/// A folder in which an array and its ids lie.
struct Beside(tempfile::TempDir);

impl Beside {
    fn new(ids: &[u8], values: &[f32], rank: usize) -> Beside {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ids.txt"), ids).unwrap();
        npy::write(&folder.path().join("factors.npy"), values, rank).unwrap();
        Beside(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn import(&self) -> Result<Model, ModelError> {
        let config = Config::default();
        let form = Form::of(&self.path("factors.npy"), Some(&self.path("ids.txt"))).unwrap();
        Model::import(&self.path("factors.npy"), &form, &config.kinds, &config.train)
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let error = self.import().unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "{error:?} does not say {word:?}"));
    }
}

#[test]
fn an_array_and_its_ids_are_a_model_sorted_by_id() {
    let model = Beside::new(b"b\na\nc\n", &[1.0, 2.0, 3.0, -0.0, 0.0, 0.0], 2).import().unwrap();
    assert_eq!(model.items(), ["a", "b", "c"]);
    let bits: Vec<u32> = model.factors().as_slice().iter().map(|value| value.to_bits()).collect();
    assert_eq!(bits, [3.0, -0.0, 1.0, 2.0, 0.0, 0.0].map(f32::to_bits), "rows of zeros are taken");
    let Manifest { rank, alpha0, counts, kinds, .. } = &model.manifest;
    let config = Config::default();
    assert_eq!((*rank, *alpha0, counts.items), (2, config.train.alpha0, 3));
    assert_eq!(*kinds, Manifest::kinds_of(&config.kinds));
}

#[test]
fn ids_that_cannot_be_are_refused_with_their_lines() {
    let ids = |ids: &[u8]| Beside::new(ids, &[1.0, 2.0, 3.0], 1);
    ids(b"a\nb\na\n").refused(&["ids.txt", "\"a\" is there twice, line 1 and line 3", "keep one"]);
    ids(b"a\n\nb\n").refused(&["ids.txt", "line 2: an id of 0 bytes", "1 to 256"]);
    ids(format!("a\n{}\nb", "x".repeat(257)).as_bytes()).refused(&["line 2: an id of 257 bytes"]);
    ids(b"a\n\xff\nb\n").refused(&["ids.txt", "line 2 is not UTF-8"]);
    ids(b"a\nb\n").refused(&["it holds 2 ids", "factors.npy 3 rows", "one id for each row"]);
    ids(b"").refused(&["it holds 0 ids"]);
    Beside::new(b"a\nb\n", &[1.0; 6], 2).refused(&["2 ids", "3 rows", "`array.T`"]);
    Beside::new(b"", &[], 1).refused(&["it holds no item"]);
}

#[test]
fn json_ids_are_refused_with_their_elements() {
    let beside = Beside::new(b"", &[1.0, 2.0, 3.0], 1);
    let ids = beside.path("ids.json");
    fs::write(&ids, "[7, \"x\", \"7\"]").unwrap();
    let config = Config::default();
    let refused =
        Model::from_npy(&beside.path("factors.npy"), &ids, &config.kinds, &config.train).unwrap_err();
    assert!(refused.to_string().contains("\"7\" is there twice, element 1 and element 3"), "{refused}");
}

#[test]
fn a_number_that_is_not_finite_is_refused_with_its_item_and_place() {
    let numbers = |last: f32| Beside::new(b"b\na\n", &[1.0, 2.0, 3.0, last], 2);
    numbers(f32::NAN).refused(&[
        "factors.npy",
        "item \"a\"",
        "row 2: the factor of item \"a\" is not finite: number 2 of 2 is NaN",
        "leave such items out",
    ]);
    numbers(f32::NEG_INFINITY).refused(&["item \"a\"", "number 2 of 2 is -inf"]);
}

#[test]
fn each_form_is_known_by_what_lies_there() {
    let beside = Beside::new(b"a\n", &[1.0], 1);
    let error = |source: &Path, ids: Option<&Path>| Form::of(source, ids).unwrap_err().to_string();
    assert!(error(&beside.path("factors.npy"), None).contains("`--ids`"));
    let folder = beside.0.path();
    assert_eq!(Form::of(folder, None).unwrap(), Form::Spark);
    assert!(error(folder, Some(&beside.path("ids.txt"))).contains("a folder without items.npy"));
    fs::rename(beside.path("factors.npy"), beside.path(ARRAY)).unwrap();
    assert!(error(folder, None).contains("no ids lie beside items.npy"));
    fs::write(beside.path("items.txt"), "a\n").unwrap();
    let npy = |ids: &str| Form::Npy { factors: beside.path(ARRAY), ids: beside.path(ids) };
    assert_eq!(Form::of(folder, None).unwrap(), npy("items.txt"));
    fs::write(beside.path("items.json"), "[\"a\"]").unwrap();
    assert!(error(folder, None).contains("two files of ids"));
    assert_eq!(Form::of(folder, Some(&beside.path("ids.txt"))).unwrap(), npy("ids.txt"));
    fs::write(beside.path(MANIFEST), "{}").unwrap();
    assert_eq!(Form::of(folder, None).unwrap(), Form::Ours);
    assert!(error(folder, Some(&beside.path("ids.txt"))).contains("leave `--ids` away"));
    assert!(error(&beside.path("items.parquet"), None).contains("name the model's folder"));
}
