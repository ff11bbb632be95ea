//! Models in and out, as a person types it: shown, imported, exported, and refused with the reason.

use std::path::Path;
use std::sync::Arc;

use nearline::offline::Model;
use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;

use crate::support::{Home, arg, model};

const EVENT: &str = r#"{"member":"ann","item":"a","kind":"like","at":"2024-03-01T10:00:00Z"}"#;

/// A home with a model of three items and rank 2 in `model`, of alpha0 0.125, lambda 0.125 and nu 1.
fn home() -> (Home, Model) {
    let home = Home::new();
    let rows = [("a", vec![3.0, 4.0]), ("7", vec![0.1, -0.0]), ("b c", vec![0.0, 0.0])];
    let model = model(&rows);
    model.save(&home.path("model")).unwrap();
    (home, model)
}

const FOLD_IN: [&str; 6] = ["--alpha0", "0.125", "--lambda", "0.125", "--nu", "1"];

/// An array as numpy writes it: `shape` and the bytes of the numbers.
fn array(descr: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let head = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(head.len() as u16).to_le_bytes()[..], head.as_bytes(), numbers].concat()
}

fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn a_model_is_shown_with_all_that_its_manifest_says() {
    let (home, model) = home();
    let text = home.ok(&["model", "show", "model"]);
    let version = &model.manifest.version;
    let folder = home.path("model").canonicalize().unwrap();
    for words in [
        version.as_str(),
        arg(&folder),
        "alpha0 0.125, lambda 0.125, nu 1",
        "0.0000 at least, 0.1000 in the middle, 5.0000 at most",
        "of zeros alone: 1",
        "dislike      weight -3",
        "play         weight 1 × value, from a value of 0.02 on",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    let shown = home.json(&["model", "show", "model"]);
    let manifest = std::fs::read(home.path("model/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    for (key, value) in manifest.as_object().unwrap() {
        assert_eq!(shown[key], *value, "{key}");
    }
    assert_eq!(shown["norms"]["largest"], json!(5.0));
    assert_eq!(shown["norms"]["zeros"], json!(1));
    assert!(shown["on_disk"].as_u64().unwrap() > 100, "{shown}");
}

#[test]
fn without_a_folder_it_is_the_model_that_the_data_folder_uses() {
    let (home, model) = home();
    assert!(home.say(&["model", "show"]).ended(3).contains("there is no nearline data"));
    home.ok_pipe(&["run", "-"], &format!("{EVENT}\n"));
    assert!(home.say(&["model", "show"]).ended(1).contains("uses no model"));
    home.ok_pipe(&["run", "--model", "model", "-"], "");
    let shown = home.json(&["model", "show"]);
    assert_eq!(shown["version"], json!(model.manifest.version));
    assert!(shown["folder"].as_str().unwrap().contains("nearline-data/models/"), "{shown}");
    home.ok(&["model", "export", "--to", "out"]);
    assert!(home.path("out/items.npy").is_file());
}

#[test]
fn what_is_exported_in_any_form_and_imported_again_is_the_same_model() {
    let (home, model) = home();
    home.write("nearline.toml", "[train]\ntransform = \"linear\"\n");
    for form in ["npy", "spark", "nearline"] {
        let back = format!("{form}-back");
        home.ok(&["model", "export", "model", "--to", form, "--format", form]);
        let flags = if form == "nearline" { &[][..] } else { &FOLD_IN };
        let answer = home.json(&[&["model", "import", form, "--out", &back, "--rank", "2"], flags].concat());
        assert_eq!(answer["version"], json!(model.manifest.version), "{form}");
        let back = Model::load(&home.path(&back)).unwrap();
        assert_eq!((back.items(), back.factors()), (model.items(), model.factors()), "{form}");
    }
    let text = std::fs::read_to_string(home.path("npy/items.txt")).unwrap();
    assert_eq!(text, "7\na\nb c\n");
    let named = ["model", "import", "npy/items.npy", "--ids", "npy/items.txt", "--out", "named"];
    home.ok(&[&named[..], &FOLD_IN].concat());
    assert_eq!(Model::load(&home.path("named")).unwrap().manifest.version, model.manifest.version);
    // Lists are made with it like with any other.
    home.ok_pipe(&["run", "--model", "npy-back", "-"], &format!("{EVENT}\n"));
    assert_eq!(home.items("ann", "top_picks"), ["a", "7", "b c"]);
}

#[test]
fn what_the_flags_do_not_say_of_an_import_the_config_says() {
    let (home, _) = home();
    home.ok(&["model", "export", "model", "--to", "out"]);
    home.write(
        "nearline.toml",
        "[train]\nalpha0 = 0.5\nlambda = 0.25\ntransform = \"log1p\"\n[kinds.like]\nweight = 7.0\n",
    );
    let manifest = home.json(&["model", "import", "out", "--out", "back", "--lambda", "0.75"]);
    assert_eq!((&manifest["alpha0"], &manifest["lambda"]), (&json!(0.5), &json!(0.75)));
    assert_eq!(
        (&manifest["transform"], &manifest["kinds"]["like"]["weight"]),
        (&json!("log1p"), &json!(7.0))
    );
    let said = home.say(&["model", "import", "out", "--out", "other", "--lambda", "0"]).ended(2);
    assert!(said.contains("lambda") && said.contains("above 0"), "{said}");
    let said = home.say(&["model", "import", "model", "--out", "other", "--nu", "1"]).ended(2);
    assert!(said.contains("says its own --nu"), "{said}");
    assert!(!home.path("other").exists());
}

#[test]
fn an_import_that_cannot_be_is_refused_with_the_reason_and_leaves_nothing() {
    let (home, _) = home();
    home.write("two.txt", "a\nb\n");
    home.write("twice.txt", "a\r\na\r\n");
    let put = |name: &str, bytes: Vec<u8>| std::fs::write(home.path(name), bytes).unwrap();
    put("good.npy", array("<f4", "(2, 2)", &floats(&[1.0, 2.0, 3.0, 4.0])));
    put("nan.npy", array("<f4", "(2, 2)", &floats(&[1.0, 2.0, 3.0, f32::NAN])));
    put("great.npy", array("<f8", "(2, 1)", &[1e39_f64, 1.0].map(f64::to_le_bytes).concat()));
    put("short.npy", array("<f4", "(2, 2)", &floats(&[1.0, 2.0, 3.0])));
    put("integers.npy", array("<i8", "(2, 1)", &[0; 16]));
    put("three.npy", array("<f4", "(3, 1)", &floats(&[1.0, 2.0, 3.0])));
    for (factors, ids, words) in [
        ("nan.npy", "two.txt", "item \"b\" is not finite: number 2 of 2 is NaN"),
        ("great.npy", "two.txt", "item \"a\" is not finite: number 1 of 1 is inf"),
        ("short.npy", "two.txt", "its header says 4 numbers, and there are 3"),
        ("integers.npy", "two.txt", "array.astype('<f4')"),
        ("three.npy", "two.txt", "it holds 2 ids, and three.npy 3 rows"),
        ("good.npy", "twice.txt", "\"a\" is there twice, line 1 and line 2"),
        ("good.npy", "missing.txt", "cannot read missing.txt"),
        ("missing.npy", "two.txt", "cannot read missing.npy"),
        ("two.txt", "two.txt", "does not begin as a .npy file"),
        ("good.npy", "good.npy", "line 1 is not UTF-8"),
    ] {
        let said = home.say(&["model", "import", factors, "--ids", ids, "--out", "out"]).ended(2);
        assert!(said.contains(words), "{factors}: {said}");
    }
    let said = home
        .say(&["model", "import", "good.npy", "--ids", "two.txt", "--out", "out", "--rank", "64"])
        .ended(2);
    assert!(said.contains("wrong rank") && said.contains("2 long") && said.contains("64"), "{said}");
    assert!(home.say(&["model", "import", "good.npy", "--out", "out"]).ended(2).contains("`--ids`"));
    home.say(&["model", "import", "missing", "--out", "out"]).ended(2);
    std::fs::create_dir(home.path("empty")).unwrap();
    let said = home.say(&["model", "import", "empty", "--out", "out"]).ended(2);
    assert!(said.contains("no Parquet file") && said.contains("import --help"), "{said}");
    assert!(!home.path("out").exists());
}

#[test]
fn neither_import_nor_export_writes_over_anything() {
    let (home, _) = home();
    home.write("file", "kept");
    for to in ["file", "model"] {
        for format in ["npy", "spark"] {
            let said = home.say(&["model", "export", "model", "--to", to, "--format", format]).ended(2);
            assert!(said.contains("never written over"), "{said}");
        }
    }
    for to in ["file/out", "/proc/nearline/out"] {
        let said = home.say(&["model", "export", "model", "--to", to]).ended(2);
        assert!(said.contains("cannot write in ") && said.contains("choose another folder"), "{said}");
        let said = home.say(&["model", "import", "model", "--out", to]).ended(2);
        assert!(said.contains("cannot write in "), "{said}");
    }
    home.ok(&["model", "export", "model", "--to", "out"]);
    let said = home.say(&["model", "import", "out", "--out", "model", "--nu", "0.5"]).ended(2);
    assert!(said.contains("never written over"), "{said}");
    assert_eq!(std::fs::read_to_string(home.path("file")).unwrap(), "kept");
    home.ok(&["model", "show", "model"]);
}

/// Puts other items into a model's folder and leaves its manifest.
fn spoil(model: &Path, ids: &[&str], values: &[f32]) {
    let schema = "message item_factors {
        REQUIRED BYTE_ARRAY item (STRING);
        REQUIRED GROUP factor (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(model.join("items.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::new())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts: Vec<ByteArray> = ids.iter().map(|id| ByteArray::from(*id)).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
    column.close().unwrap();
    let rank = values.len() / ids.len();
    let begins: Vec<i16> = (0..values.len()).map(|place| i16::from(place % rank != 0)).collect();
    let mut column = group.next_column().unwrap().unwrap();
    let defined = vec![1; values.len()];
    column.typed::<FloatType>().write_batch(values, Some(&defined), Some(&begins)).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn a_damaged_model_is_refused_wherever_one_is_read() {
    let ids = ["7", "a", "b c"];
    let nan = [0.1, 0.0, f32::NAN, 4.0, 0.0, 0.0];
    for (ids, values, words) in [
        (ids, &nan[..], "item \"a\" is not finite: number 1 of 2 is NaN"),
        (ids, &[1.0, 2.0, 3.0], "its factors are 1 long, and manifest.json says 2"),
        (["7", "a", "a"], &[1.0; 6], "the item \"a\" is there twice"),
        (ids, &[1.0; 6], "wrong checksum: items.parquet and manifest.json hash to"),
    ] {
        let (home, model) = home();
        home.ok_pipe(&["run", "--model", "model", "-"], &format!("{EVENT}\n"));
        let own = home.path("nearline-data/models").join(&model.manifest.version);
        spoil(&home.path("model"), &ids, values);
        spoil(&own, &ids, values);
        for command in [
            &["run", "--model", "model", "-"][..],
            &["replay", "--model", "model", "log.jsonl"],
            &["run", "-"],
            &["verify"],
            &["why", "ann", "7"],
            &["model", "show", "model"],
            &["model", "show"],
            &["model", "export", "model", "--to", "out"],
            &["model", "import", "model", "--out", "out"],
        ] {
            home.write("log.jsonl", EVENT);
            let said = home.say(command).ended(2);
            for words in [words, "items.parquet", "copy the model's folder again"] {
                assert!(said.contains(words), "{command:?} does not say {words:?}: {said}");
            }
        }
        assert!(!home.path("out").exists());
    }
}
