//! The config as a person writes it: defaults, refusals with their line, and what has meaning.

use nearline_dataflows::kinds::{KindRule, Seen};

use super::{Config, ConfigError, Span, Transform, default_toml, schema};

fn config(text: &str) -> Config {
    Config::parse(text, "test.toml").unwrap()
}

/// What is said about a config that cannot be used.
fn refusal(text: &str) -> String {
    Config::parse(text, "test.toml").unwrap_err().to_string()
}

fn rule(config: &Config, name: &str) -> KindRule {
    *config.kinds.kinds.rule(config.kinds.number(name).unwrap())
}

#[test]
fn the_documented_default_is_the_default() {
    assert_eq!(config(default_toml()), Config::default());
    assert_eq!(config(""), Config::default());
}

#[test]
fn every_key_of_the_schema_is_in_the_documented_default() {
    let schema = schema();
    let mut keys = Vec::new();
    let objects = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for properties in objects.filter_map(|object| object["properties"].as_object()) {
        keys.extend(properties.keys());
    }
    assert!(keys.len() > 25, "the schema lost its keys: {keys:?}");
    let written = |key: &str| {
        default_toml().lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{key} = ")) || line.starts_with('[') && line.contains(key)
        })
    };
    // `cap` is one of the forms of `transform`, described with it, and `file` one of a setting of Kafka.
    let forms = ["cap", "file"];
    let missing: Vec<_> =
        keys.into_iter().filter(|key| !forms.contains(&key.as_str()) && !written(key)).collect();
    assert!(missing.is_empty(), "not in default.toml: {missing:?}");
}

#[test]
fn the_schema_is_the_one_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/config.schema.json");
    if std::env::var_os("NEARLINE_REWRITE").is_some() {
        std::fs::write(path, serde_json::to_string_pretty(&schema()).unwrap() + "\n").unwrap();
    }
    let checked_in: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(checked_in == schema(), "{path} differs from the types: NEARLINE_REWRITE=1 rewrites it");
}

#[test]
fn the_default_kinds_mean_what_the_design_says() {
    let kinds = Config::default().kinds;
    let table: Vec<String> = kinds
        .iter()
        .map(|(name, rule)| {
            let KindRule { weight, times_value, counts_from, floor, seen, hides } = rule;
            format!("{name} {weight} {times_value} {counts_from:?} {floor:?} {seen:?} {hides}")
        })
        .collect();
    let expected = [
        "browse 0 false None None No false",
        "buy 1000000 true None Some(0) WhilePositive false",
        "click 100000 false None None No false",
        "dislike -3000000 false None None Yes false",
        "hide 0 false None None No true",
        "impression 0 false None None No false",
        "like 2000000 false None None No false",
        "list_add 1000000 false None None No false",
        "play 1000000 true Some(20000) None Yes false",
        "rate 1000000 false Some(3500000) None Yes false",
    ];
    assert_eq!(table, expected);
}

#[test]
fn a_key_of_a_default_kind_is_overridden_and_the_others_stay() {
    let config = config("[kinds.play]\nweight = 2\n[kinds.rate]\ncounts_from = \"none\"");
    let default = Config::default();
    assert_eq!(rule(&config, "play"), KindRule { weight: 2_000_000, ..rule(&default, "play") });
    assert_eq!(rule(&config, "rate"), KindRule { counts_from: None, ..rule(&default, "rate") });
    assert_eq!(rule(&config, "like"), rule(&default, "like"));
}

#[test]
fn a_kind_of_ones_own_takes_its_place_in_the_order_of_names() {
    let config = config("[kinds.finish]\nweight = 1.5\nseen = \"yes\"");
    assert_eq!(rule(&config, "finish"), KindRule { weight: 1_500_000, seen: Seen::Yes, ..KindRule::COUNTED });
    assert!(config.kinds.names.is_sorted());
    assert_eq!(config.kinds.names.len(), config.kinds.kinds.rules().len());
    for name in &config.kinds.names {
        assert_eq!(config.kinds.name(config.kinds.number(name).unwrap()), Some(name.as_str()));
    }
    assert_eq!(config.kinds.number("finished"), None);
    assert_eq!(config.kinds.name(config.lists.continue_watching.kind), Some("play"));
}

#[test]
fn a_rating_counts_from_its_part_of_the_scale() {
    assert_eq!(rule(&config("rating_scale = 10"), "rate").counts_from, Some(7_000_000));
    assert_eq!(rule(&config("kinds.rate.counts_from = \"50%\""), "rate").counts_from, Some(2_500_000));
    assert_eq!(rule(&config("kinds.rate.counts_from = 4"), "rate").counts_from, Some(4_000_000));
    assert_eq!(rule(&config("rating_scale = 0.000001"), "rate").counts_from, Some(1));
}

#[test]
fn an_error_names_file_line_and_key() {
    let cases = [
        ("[run]\nepoch = 5", "test.toml, line 2: `run.epoch`: unknown field `epoch`, expected one of"),
        ("\n\nkind = 5", "test.toml, line 3: `kind`: unknown field `kind`"),
        ("[run]\n\nworkers = \"all\"", "test.toml, line 3: `run.workers`: invalid type: string \"all\""),
        ("[run]\nworkers = -1", "test.toml, line 2: `run.workers`: invalid value"),
        (
            "[run]\nmax_ahead = \"1 day\"",
            "test.toml, line 2: `run.max_ahead`: `1 day` is not a length of time",
        ),
        ("[run]\nepoch_ms = 0", "test.toml, line 2: `run.epoch_ms`: must be from 1 to 60000, and is 0"),
        ("[kinds.play]\nweight = 1001", "test.toml, line 2: `kinds.play.weight`: must be from -1000 to 1000"),
        ("kinds.a.weight = nan", "test.toml, line 1: `kinds.a.weight`: must be from"),
        ("[kinds.a]\nweight = 0.0000001", "test.toml, line 2: `kinds.a.weight`: may have six decimal places"),
        ("[kinds.a]\nsen = \"yes\"", "test.toml, line 2: `kinds.a.sen`: unknown field `sen`"),
        ("[kinds.a]\nseen = \"maybe\"", "test.toml, line 2: `kinds.a.seen`: unknown variant `maybe`"),
        (
            "[kinds.a]\ncounts_from = \"7 of 10\"",
            "test.toml, line 2: `kinds.a.counts_from`: must be a number, a",
        ),
        ("[kinds.a]\ncounts_from = -1", "test.toml, line 2: `kinds.a.counts_from`: must be at least 0"),
        (
            "[kinds.a]\ncounts_from = true",
            "test.toml, line 2: `kinds.a.counts_from`: expected a number, a perc",
        ),
        ("[kinds.\"\"]\nweight = 1", "test.toml, line 1: `kinds.`: the name of a kind must have 1 to 256"),
        ("[lists]\nlength = 0", "test.toml, line 2: `lists.length`: must be from 1 to 10000, and is 0"),
        (
            "[lists.continue_watching]\nkind = \"watch\"",
            "test.toml, line 2: `lists.continue_watching.kind`: there is no",
        ),
        (
            "[lists]\ncontinue_watching.from = 0.99",
            "test.toml, line 2: `lists.continue_watching.from`: must be at",
        ),
        ("rating_scale = 0", "test.toml, line 1: `rating_scale`: must be above 0"),
        ("[train]\n# small\nlambda = 0.0", "test.toml, line 3: `train.lambda`: must be above 0"),
        ("[train]\ntransform = { cap = 0 }", "test.toml, line 2: `train.transform`: a cap must be above 0"),
        ("[train]\nrank = 0", "test.toml, line 2: `train.rank`: must be from 1 to 2048"),
        ("[train]\nalpha0 = inf", "test.toml, line 2: `train.alpha0`: must be"),
        ("[lists\nlength = 1", "test.toml, line 1: "),
        ("[lists]\nlength = 1\nlength = 2", "test.toml, line 3: "),
    ];
    for (text, expected) in cases {
        let refusal = refusal(text);
        assert!(refusal.starts_with(expected), "{text:?}\n  says {refusal:?}\n  not  {expected:?}");
    }
}

#[test]
fn what_has_no_meaning_leaves_the_hash_as_it_is() {
    let default = Config::default().meaning_hash();
    for text in [
        "# a comment\n[kinds.play]\nweight = 1",
        "[run]\nworkers = 3\nepoch_ms = 1\nmax_ahead = \"7d\"",
        "[store]\nblock_cache_mb = 1",
        "[train]\nrank = 8\ntransform = \"log1p\"",
        "[maps.a]\nmember = \"userId\"",
        "rating_scale = 10\n[kinds.rate]\ncounts_from = \"35%\"",
    ] {
        assert_eq!(config(text).meaning_hash(), default, "{text}");
    }
}

#[test]
fn what_has_meaning_changes_the_hash() {
    let texts = [
        "",
        "rating_scale = 10",
        "[lists]\nlength = 99",
        "[lists]\nhalf_life_hours = 25",
        "[lists]\nbasket = 9",
        "[lists.continue_watching]\nfrom = 0.03",
        "[lists.continue_watching]\nbelow = 0.9",
        "[lists.continue_watching]\nkind = \"browse\"",
        "[kinds.play]\nweight = 0.999999",
        "[kinds.play]\ntimes_value = false",
        "[kinds.play]\nseen = \"no\"",
        "[kinds.play]\nhides = true",
        "[kinds.play]\nfloor = 0",
        "[kinds.play]\ncounts_from = \"none\"",
        "[kinds.watch]\nweight = 1",
        "[kinds.\"watch\\n\"]\nweight = 1",
    ];
    let hashes: std::collections::BTreeSet<_> =
        texts.iter().map(|text| config(text).meaning_hash()).collect();
    assert_eq!(hashes.len(), texts.len());
}

#[test]
fn the_meaning_of_the_default_does_not_drift() {
    // Stores carry this hash: where it changes, every store rebuilds its views at the next start.
    let hash = blake3::Hash::from(Config::default().meaning_hash());
    assert_eq!(hash.to_hex().as_str(), "325dad6f79bf848c1526353629e8b6e2c4312d53634dadd46ed3638442764a00");
}

#[test]
fn transforms_are_written_as_words_or_a_table() {
    let transform = |text: &str| config(&format!("[train]\ntransform = {text}")).train.transform;
    assert_eq!(transform("\"linear\""), Transform::Linear);
    assert_eq!(transform("\"log1p\""), Transform::Log1p);
    assert_eq!(transform("{ cap = 2.5 }"), Transform::Cap(2_500_000));
}

#[test]
fn spans_are_read_and_written() {
    for (text, ms, written) in [
        ("10ms", 10, "10ms"),
        ("1000ms", 1_000, "1s"),
        ("90s", 90_000, "90s"),
        ("15 m", 900_000, "15m"),
        ("24h", 86_400_000, "1d"),
        ("7d", 604_800_000, "1w"),
        ("0s", 0, "0ms"),
    ] {
        let span: Span = text.parse().unwrap();
        assert_eq!((span.ms(), span.to_string().as_str()), (ms, written));
    }
    for text in
        ["", "7", "d", "-1d", "1.5h", "7 days", "100001d", "99999999999999999999w", "9999999999999999w"]
    {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
    assert_eq!(Span::hours(24).whole_hours(), Some(24));
}

#[test]
fn a_named_file_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    let error = Config::load(Some(&file)).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
    std::fs::write(&file, "[lists]\nlength = 7").unwrap();
    assert_eq!(Config::load(Some(&file)).unwrap().lists.length, 7);
}

const VARIANTS: &str =
    "experiment = \"e\"\n[variants.b]\nshare = 30\nmodel = \"dir\"\n[variants.a]\nshare = 70.5\n";

#[test]
fn variants_are_by_name_and_have_meaning_but_for_where_their_models_come_from() {
    let variants = config(VARIANTS).variants.unwrap();
    let names: Vec<_> = variants.variants.iter().map(|variant| (&*variant.name, variant.share)).collect();
    assert_eq!(names, [("a", 70_500_000), ("b", 30_000_000)]);
    assert_eq!(variants.get("b").unwrap().model.as_deref(), Some("dir".as_ref()));
    // A config without variants means what it meant before there were any.
    let plain = Config::default();
    assert_eq!(plain.variants, None);
    assert_eq!(config("experiment = \"e\"").meaning_hash(), plain.meaning_hash());
    assert_eq!(
        blake3::Hash::from_bytes(plain.meaning_hash()).to_hex().as_str(),
        "325dad6f79bf848c1526353629e8b6e2c4312d53634dadd46ed3638442764a00",
        "folders of an earlier release would be made anew"
    );
    assert_ne!(config(VARIANTS).meaning_hash(), plain.meaning_hash());
    let hashes = |text: &str| {
        let config = config(text);
        (config.meaning_hash(), config.variants.unwrap().section())
    };
    let (meaning, section) = hashes(VARIANTS);
    for (from, to, means) in [
        ("\"e\"", "\"f\"", true),
        ("30", "31", true),
        ("[variants.a]", "[variants.c]", true),
        ("dir", "other", false),
    ] {
        let other = hashes(&VARIANTS.replace(from, to));
        assert_eq!(other.0 != meaning, means, "{from} to {to}");
        assert_ne!(other.1, section, "{from} to {to}");
    }
    assert_eq!(hashes(&VARIANTS.replace("share = 30", "share = 30.0 # as before")), (meaning, section));
}

#[test]
fn variants_that_cannot_be_are_refused_with_their_line() {
    for (text, wanted) in [
        ("[variants.a]\nshare = -1", "line 2: `variants.a.share`: must be 0 or more"),
        ("[variants.a]\nshare = 0", "`variants`: one of them must have a share above 0"),
        ("[variants.a]\nshare = 2e6", "`variants.a.share`: must be from"),
        ("[variants.\"a b\"]\n", "letters, digits, `-` and `_`"),
        ("[variants.a]\nalgorithm = \"best\"", "best"),
        (
            "[variants.a]\nalgorithm = \"popular\"\nmodel = \"m\"",
            "line 3: `variants.a.model`: is for the algorithm",
        ),
        ("[variants.a]\nmodel = \"\"", "`variants.a.model`: must be the folder"),
        ("[variants.a]\nweight = 1", "weight"),
    ] {
        let said = refusal(text);
        assert!(said.contains(wanted), "{text}: {said}");
    }
    let many: String = (0..17).map(|place| format!("[variants.v{place}]\n")).collect();
    assert!(refusal(&many).contains("16 at most, and are 17"));
}
