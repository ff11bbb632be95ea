//! Every form gives the same model again, and nothing is written over.

use std::path::PathBuf;

use super::*;
use crate::config::Config;
use crate::offline::import::Form;
use crate::offline::items_file::Rows;
use crate::offline::manifest::{Counts, FORMAT, Manifest};

fn config() -> Config {
    let mut config = Config::default();
    (config.train.alpha0, config.train.lambda, config.train.nu) = (0.1, 0.3, 0.7);
    config
}

fn model(ids: &[&str]) -> Model {
    let Config { kinds, train, .. } = config();
    let manifest = Manifest {
        format: FORMAT,
        version: String::new(),
        rank: 0,
        alpha0: train.alpha0,
        lambda: train.lambda,
        nu: train.nu,
        kinds: Manifest::kinds_of(&kinds),
        transform: crate::offline::train::transform(train.transform).into(),
        counts: Counts::default(),
        trained_at: "2026-01-02T03:04:05Z".into(),
        loss: None,
    };
    let values =
        (0..3 * ids.len()).map(|place| [1.0 / 3.0, -0.0, f32::MIN_POSITIVE / 8.0, f32::MAX][place % 4]);
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    Model::new(manifest, Rows { ids, values: values.collect(), rank: 3 }).unwrap()
}

fn import(folder: &Path) -> Model {
    let Config { kinds, train, .. } = config();
    Model::import(folder, &Form::of(folder, None).unwrap(), &kinds, &train).unwrap()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/out");
    (folder, path)
}

#[test]
fn every_form_gives_the_same_factors_and_version_again() {
    for ids in
        [&["7", "-12", "2147483647"][..], &["7", "007", "2147483648"], &["a b", "ä", "\"x\""], &["a\nb", "c"]]
    {
        let model = model(ids);
        for to in [To::Npy, To::Spark, To::Nearline] {
            let (_folder, path) = place();
            for file in model.export(&path, to).unwrap() {
                assert!(path.join(file).is_file(), "{to:?} says it wrote {file}");
            }
            let back = import(&path);
            assert_eq!(back.manifest.version, model.manifest.version, "{to:?} of {ids:?}");
            assert_eq!(back.items(), model.items());
            let bits =
                |model: &Model| model.factors().as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&back), bits(&model));
        }
    }
}

#[test]
fn ids_lie_in_a_text_unless_one_of_them_would_break_it() {
    for (ids, file) in [(["a", "b"], "items.txt"), (["a\nb", "c"], "items.json")] {
        let (_folder, path) = place();
        assert_eq!(model(&ids).export(&path, To::Npy).unwrap(), ["items.npy", file]);
        let mut there: Vec<_> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        there.sort();
        assert_eq!(there.len(), 2, "{there:?}");
    }
}

#[test]
fn spark_gets_its_own_schema_with_integers_where_every_id_is_one() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    for (ids, column) in [(["7", "12"], "INT32 id;"), (["7", "x"], "BYTE_ARRAY id (STRING);")] {
        let (_folder, path) = place();
        model(&ids).export(&path, To::Spark).unwrap();
        let file = File::open(path.join("itemFactors/part-00000.parquet")).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let mut schema = Vec::new();
        parquet::schema::printer::print_schema(&mut schema, reader.metadata().file_metadata().schema());
        let words = String::from_utf8(schema).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            words,
            format!(
                "message spark_schema {{ REQUIRED {column} OPTIONAL group features (LIST) {{ REPEATED group list {{ \
                 REQUIRED FLOAT element; }} }} }}"
            )
        );
    }
}

#[test]
fn many_row_groups_are_written_for_spark_and_read_again() {
    let ids: Vec<String> = (0..items_writer::ROWS_AT_ONCE + 5).map(|number| number.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (_folder, path) = place();
    let model = model(&ids);
    model.export(&path, To::Spark).unwrap();
    assert_eq!(import(&path).manifest.version, model.manifest.version);
}

#[test]
fn nothing_is_written_over_and_nothing_is_left_beside() {
    let model = model(&["a"]);
    for to in [To::Npy, To::Spark, To::Nearline] {
        let (folder, path) = place();
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("mine"), "kept").unwrap();
        let error = model.export(&path, to).unwrap_err().to_string();
        assert!(error.contains("never written over"), "{to:?}: {error}");
        assert!(model.export(&path.join("mine"), to).is_err());
        assert_eq!(fs::read_to_string(path.join("mine")).unwrap(), "kept");
        fs::remove_file(path.join("mine")).unwrap();
        model.export(&path, to).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("deep")).unwrap().count(), 1, "an empty folder is taken");
    }
}
