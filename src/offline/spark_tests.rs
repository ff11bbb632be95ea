//! Files as Spark and pyarrow write them: `fixtures/spark` was made with pyarrow, in Spark's schema.

use super::*;
use crate::config::Config;
use crate::offline::items_writer;

fn fixture(name: &str) -> PathBuf {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/src/offline/fixtures/spark");
    Path::new(here).join(name)
}

fn load(name: &str) -> Result<Model, ModelError> {
    let config = Config::default();
    Model::from_spark(&fixture(name), &config.kinds, &config.train)
}

#[test]
fn a_folder_of_spark_parts_is_a_model_with_its_integer_ids_as_strings() {
    for name in ["", "itemFactors"] {
        let model = load(name).unwrap();
        assert_eq!(model.items(), ["100", "20", "3"], "sorted as bytes");
        assert_eq!(model.factors().as_slice(), [7.0, 8.0, 9.0, 1.5, -2.0, 0.25, 0.5, 0.125, 4.0]);
        assert_eq!((model.manifest.rank, model.manifest.counts.items), (3, 3));
        assert_eq!(model.manifest.lambda, Config::default().train.lambda);
    }
    assert!(Model::is_spark(&fixture("")));
}

#[test]
fn string_ids_and_doubles_are_read_too() {
    let model = load("doubles.parquet").unwrap();
    assert_eq!(model.items(), ["a", "b"]);
    assert_eq!(model.factors().as_slice(), [3.0, 4.0, 1.0, 2.0]);
}

#[test]
fn a_spark_model_is_saved_and_loaded_as_one_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let model = load("").unwrap();
    model.save(&path).unwrap();
    assert_eq!(Model::load(&path).unwrap(), model);
    assert!(!Model::is_spark(&path));
}

#[test]
fn lists_of_different_lengths_or_with_nulls_are_refused() {
    let error = |name| load(name).unwrap_err().to_string();
    assert!(error("uneven.parquet").contains("are not all 2 long"));
    assert!(error("nulls.parquet").contains("an element that is null"));
    assert!(error("nowhere").contains("cannot read"));
}

#[test]
fn an_item_twice_or_a_number_that_is_none_is_refused_with_the_item() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::default();
    let refused = |ids: [&str; 3], last: f32, words: &[&str]| {
        let path = folder.path().join("part.parquet");
        items_writer::write_spark(&path, &ids.map(str::to_owned), &[1.0, 2.0, last], 1).unwrap();
        let error = Model::from_spark(&path, &config.kinds, &config.train).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "{error:?} does not say {word:?}"));
    };
    refused(["1", "2", "1"], 3.0, &["part.parquet", "\"1\" is there twice, row 1 and row 3", "keep one"]);
    refused(["1", "2", "3"], f32::NAN, &["item \"3\" is not finite at place 0: NaN", "leave such items out"]);
    refused(["1", "", "3"], 3.0, &["row 2: an id of 0 bytes"]);
}
