//! Spark MLlib's item factors as a model: the folder `itemFactors` of a saved `ALSModel`, or one Parquet file.
//!
//! Spark stores neither the strength of regularisation nor what was counted as a rating, so the caller says how
//! members are to be folded in and what the kinds weigh.

use std::fs;
use std::path::{Path, PathBuf};

use super::folder::{ModelError, items_error};
use super::items_file::{self, Rows, SPARK};
use super::manifest::{Counts, FORMAT, Manifest};
use super::model::Model;
use super::train::transform;
use crate::config::{KindTable, Train};

impl Model {
    /// Loads what Spark saved: a Parquet file, a folder of part files, or a folder with `itemFactors` in it.
    ///
    /// `alpha0`, `lambda`, `nu` and the transform are those of `options`, its rank is that of the files.
    pub fn from_spark(path: &Path, table: &KindTable, options: &Train) -> Result<Model, ModelError> {
        let mut rows = Rows::default();
        let files = parts(path)?;
        for file in &files {
            items_file::read(file, SPARK, &mut rows).map_err(|error| items_error("read", file, error))?;
        }
        let manifest = Manifest {
            format: FORMAT,
            version: String::new(),
            rank: 0,
            alpha0: options.alpha0,
            lambda: options.lambda,
            nu: options.nu,
            kinds: Manifest::kinds_of(table),
            transform: transform(options.transform).into(),
            counts: Counts::default(),
            trained_at: super::train::now(),
            loss: None,
        };
        let refuse = |problem| refused(path, problem);
        let model = Model::new(manifest, rows).map_err(refuse)?;
        match model.manifest.problem() {
            Some(problem) => Err(refuse(problem)),
            None => Ok(model),
        }
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
        .map_err(|source| ModelError::Io { doing: "read", path: folder.clone(), source })?;
    let is_part = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".parquet") && !name.starts_with(['_', '.'])
    };
    let mut files: Vec<PathBuf> = entries.into_iter().filter(is_part).collect();
    files.sort();
    if files.is_empty() {
        return Err(refused(&folder, "there is no Parquet file in it".into()));
    }
    Ok(files)
}

fn refused(path: &Path, problem: String) -> ModelError {
    let remedy =
        "name the `itemFactors` folder of a saved ALSModel: Parquet with the columns `id` and `features`";
    ModelError::Refused { path: path.to_path_buf(), problem, remedy }
}

#[cfg(test)]
#[path = "spark_tests.rs"]
mod tests;
