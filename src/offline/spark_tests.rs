//! Files as Spark and pyarrow write them: `fixtures/spark` was made with pyarrow, in Spark's schema.

use super::*;
use crate::config::Config;

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
