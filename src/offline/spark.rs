//! Spark MLlib's item factors as a model: the folder `itemFactors` of a saved `ALSModel`, or one Parquet file.

use std::fs;
use std::path::{Path, PathBuf};

use super::folder::{ModelError, io};
use super::foreign::Foreign;
use super::items_file::{self, ItemsError, Rows, SPARK};
use super::model::Model;
use crate::config::{KindTable, Train};

/// What to do about files that Spark did not write.
const REMEDY: &str = "name the `itemFactors` folder of a saved ALSModel, Parquet with the columns `id` and `features`; \
                      `nearline model import --help` has what else can be read";

impl Model {
    /// Loads what Spark saved: a Parquet file, a folder of part files, or a folder with `itemFactors` in it.
    ///
    /// `alpha0`, `lambda`, `nu` and the transform are those of `options`, its rank is that of the files.
    pub fn from_spark(path: &Path, table: &KindTable, options: &Train) -> Result<Model, ModelError> {
        let mut rows = Rows::default();
        let parts = parts(path)?;
        let mut begins = Vec::with_capacity(parts.len());
        for file in &parts {
            begins.push(rows.ids.len());
            items_file::read(file, SPARK, &mut rows).map_err(|error| match error {
                ItemsError::Io(source) => io("read", file)(source),
                other => ModelError::refused(file, other.to_string(), REMEDY),
            })?;
        }
        let place = |row: usize| {
            let part = begins.partition_point(|begin| *begin <= row) - 1;
            let within = row - begins[part] + 1;
            match parts[part].strip_prefix(path) {
                Ok(file) if file != Path::new("") => format!("row {within} of {}", file.display()),
                _ => format!("row {within}"),
            }
        };
        Foreign { rows, ids: path, id_place: &place, factors: path, factor_place: &place }
            .model(table, options)
    }

    /// Whether this looks like something that [`Model::from_spark`] reads rather than a model of ours.
    pub fn is_spark(path: &Path) -> bool {
        !path.join(super::model::MANIFEST).exists() && parts(path).is_ok()
    }
}

/// The files that hold rows, by name: not those that begin with `_` or `.`, as Spark has it.
fn parts(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let inner = path.join("itemFactors");
    let folder = if inner.is_dir() { inner } else { path.to_path_buf() };
    let entries = fs::read_dir(&folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .map_err(io("read", &folder))?;
    let is_part = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".parquet") && !name.starts_with(['_', '.'])
    };
    let mut files: Vec<PathBuf> = entries.into_iter().filter(is_part).collect();
    files.sort();
    if files.is_empty() {
        return Err(ModelError::refused(&folder, "there is no Parquet file in it".into(), REMEDY));
    }
    Ok(files)
}

#[cfg(test)]
#[path = "spark_tests.rs"]
mod tests;
