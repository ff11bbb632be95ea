//! What must hold of everything that is parsed, whatever its bytes: the bodies of the fuzz targets in `fuzz/`, which
//! a test also runs on their corpus and on mutations of it. A body panics where something does not hold.

use std::sync::LazyLock;

use crate::config::Config;
use crate::config::columns::ColumnMap;
use crate::offline;
use crate::sources::fuzzing;

/// A target: its name, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names of their folders in `fuzz/corpus`.
pub const TARGETS: [Target; 4] = [("lines", lines), ("table", table), ("config", config), ("model", model)];

/// Column maps of every sort: names given or read, other separators and encodings, times and values in other units.
const MAPS: &str = include_str!("../fuzz/maps.toml");

/// Lines of JSON.
pub fn lines(data: &[u8]) {
    fuzzing::lines(data);
}

/// Tables of columns; the first byte chooses the map.
pub fn table(data: &[u8]) {
    static KNOWN: LazyLock<Vec<ColumnMap>> = LazyLock::new(|| {
        let config =
            Config::parse(MAPS, "maps.toml").expect("the maps of the fuzz targets are read by a test");
        let named = |name: &String| ColumnMap::named(name, &config.maps).expect("it is there");
        config.maps.keys().map(named).collect()
    });
    fuzzing::table(data, &KNOWN);
}

/// A config: refused with a line and a reason, or it means one thing.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse(text, "fuzz.toml") {
        Ok(config) => {
            let again = Config::parse(text, "other.toml").expect("it was taken before");
            assert_eq!(config.meaning_hash(), again.meaning_hash());
            assert!(config.lists.length > 0 && config.run.epoch_records > 0);
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.starts_with("fuzz.toml, line "), "{said}");
        }
    }
}

/// A file of a model; the first byte says which.
pub fn model(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    offline::fuzzing::file(which % 3, data);
}
