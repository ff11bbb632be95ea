//! Files as Spark and pyarrow write them: `fixtures/spark` was made by `make.py` there.

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
    assert_eq!(load("unsigned.parquet").unwrap().items(), ["1", "4000000000"]);
}

#[test]
fn parts_may_be_packed_as_spark_can_be_told_to_pack_them() {
    use parquet::basic::{Compression, GzipLevel, ZstdLevel};

    let folder = tempfile::tempdir().unwrap();
    let (ids, values): (Vec<String>, Vec<f32>) = (0..100).map(|n| (n.to_string(), n as f32)).unzip();
    let config = Config::default();
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let path = folder.path().join("part.parquet");
        items_writer::write_spark_packed(&path, &ids, (&values, 1), compression).unwrap();
        let model = Model::from_spark(&path, &config.kinds, &config.train).unwrap();
        assert_eq!(model.factors().row(model.index_of("42").unwrap() as usize), [42.0], "{compression}");
    }
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
fn files_that_hold_no_factors_are_refused_with_the_row_and_a_remedy() {
    for (name, words) in [
        ("uneven", "row 2: `features` is 1 long, and those before it 2"),
        ("nulls", "row 1: `features` is null or empty, or has an element that is null"),
        ("empty-list", "row 2: `features` is null or empty"),
        ("null-id", "row 2: `id` is null"),
        ("no-lists", "`features` a list of numbers"),
        ("integers", "`features` must hold lists of float or double"),
        ("vectors", "`features` has fields, and must be a list of numbers"),
    ] {
        let error = load(&format!("{name}.parquet")).unwrap_err().to_string();
        assert!(error.contains(&format!("{name}.parquet: ")), "{error}");
        assert!(error.contains(words) && error.contains("import --help"), "{error}");
    }
    assert!(load("nowhere").unwrap_err().to_string().contains("cannot read"));
}

#[test]
fn a_part_of_another_rank_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let part = |name: &str| folder.path().join(name);
    items_writer::write_spark(&part("a.parquet"), &["1".to_owned()], &[1.0, 2.0], 2).unwrap();
    items_writer::write_spark(&part("b.parquet"), &["2".to_owned()], &[1.0, 2.0, 3.0], 3).unwrap();
    let config = Config::default();
    let error = Model::from_spark(folder.path(), &config.kinds, &config.train).unwrap_err().to_string();
    assert!(error.contains("b.parquet: row 1: `features` is 3 long, and those before it 2"), "{error}");
    fs::write(part("c.parquet"), "").unwrap();
    fs::remove_file(part("b.parquet")).unwrap();
    let error = Model::from_spark(folder.path(), &config.kinds, &config.train).unwrap_err().to_string();
    assert!(error.contains("c.parquet: it is not a Parquet file that can be read"), "{error}");
}

#[test]
fn an_item_in_two_parts_or_a_broken_number_is_refused_with_the_parts_and_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("itemFactors");
    fs::create_dir(&inner).unwrap();
    let write = |name: &str, ids: &[&str], values: &[f32]| {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        items_writer::write_spark(&inner.join(name), &ids, values, 1).unwrap();
    };
    let config = Config::default();
    let error = || Model::from_spark(folder.path(), &config.kinds, &config.train).unwrap_err().to_string();
    write("a.parquet", &["1", "2"], &[1.0, 2.0]);
    write("b.parquet", &["3", "2"], &[3.0, f32::INFINITY]);
    let said = error();
    let places = "row 2 of itemFactors/a.parquet and row 2 of itemFactors/b.parquet";
    assert!(said.contains(&format!("the item \"2\" is there twice, {places}")), "{said}");
    write("b.parquet", &["3", "4"], &[3.0, f32::INFINITY]);
    let said = error();
    let broken =
        "row 2 of itemFactors/b.parquet: the factor of item \"4\" is not finite: number 1 of 1 is inf";
    assert!(said.contains(broken), "{said}");
}

/// Whoever writes one byte otherwise or cuts a file off gets a model or a reason.
#[test]
fn no_damage_to_a_file_makes_it_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.parquet");
    let config = Config::default();
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Model::from_spark(&path, &config.kinds, &config.train)
    };
    let whole = fs::read(fixture("itemFactors/part-00000.snappy.parquet")).unwrap();
    load(&whole).unwrap();
    for place in 0..whole.len() {
        assert!(load(&whole[..place]).is_err(), "cut off at {place}");
        for byte in [0, whole[place] ^ 1, whole[place] ^ 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[place] = byte;
            let _ = load(&bytes);
        }
    }
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
    let nan = "part.parquet: row 3: the factor of item \"3\" is not finite: number 1 of 1 is NaN";
    refused(["1", "2", "3"], f32::NAN, &[nan, "leave such items out"]);
    refused(["1", "", "3"], 3.0, &["row 2: an id of 0 bytes"]);
}
