//! A model out of whatever holds item factors: which form a path has, and arrays of numpy with their ids.
//!
//! `foreign.rs` judges what comes from others; a folder of ours is checked as whenever it is loaded.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::folder::{ModelError, io};
use super::foreign::Foreign;
use super::ids_file::{self, Ids, IdsError};
use super::items_file::Rows;
use super::model::{ITEMS, MANIFEST, Model};
use super::npy::{self, Array, NpyError};
use super::npy_header::MAGIC;
use crate::config::{KindTable, Train};

/// The name of an array of factors in a folder that holds ids beside it.
pub const ARRAY: &str = "items.npy";

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A model's folder, with a manifest.
    Ours,
    /// Item factors of Spark MLlib.
    Spark,
    /// An array of numpy, and the ids of its rows.
    Npy {
        /// The array.
        factors: PathBuf,
        /// The ids.
        ids: PathBuf,
    },
}

impl Form {
    /// What lies at `source`. `ids` is the file of ids, where one is named.
    pub fn of(source: &Path, ids: Option<&Path>) -> Result<Form, ModelError> {
        let refuse = |problem: String, remedy| Err(ModelError::refused(source, problem, remedy));
        let folded = source.is_dir() && source.join(ARRAY).exists();
        let factors = if folded { source.join(ARRAY) } else { source.to_path_buf() };
        if source.join(MANIFEST).exists() {
            return match ids {
                None => Ok(Form::Ours),
                Some(_) => refuse("it is a model and has its ids".into(), "leave `--ids` away"),
            };
        }
        let of_a_model = [ITEMS, MANIFEST].iter().any(|name| source.ends_with(name));
        if of_a_model && source.with_file_name(MANIFEST).exists() {
            return refuse("it is one of the two files of a model".into(), "name the model's folder");
        }
        if let Some(ids) = ids {
            if factors.is_dir() {
                let remedy = "name the array that the ids belong to, or leave `--ids` away where the folder is Spark's";
                return refuse(format!("it is a folder without {ARRAY}"), remedy);
            }
            return Ok(Form::Npy { factors, ids: ids.to_path_buf() });
        }
        if folded {
            let beside = [ids_file::TEXT, ids_file::JSON].map(|name| source.join(name));
            let mut there = beside.into_iter().filter(|ids| ids.exists());
            return match (there.next(), there.next()) {
                (Some(ids), None) => Ok(Form::Npy { factors, ids }),
                (None, _) => {
                    refuse(format!("no ids lie beside {ARRAY}"), "name the file of the ids with `--ids`")
                }
                _ => {
                    refuse(format!("two files of ids lie beside {ARRAY}"), "name the right one with `--ids`")
                }
            };
        }
        if source.is_file() && begins_as_npy(source) {
            let remedy = "name a file of one id a line, in the order of the rows, with `--ids`";
            return refuse("it is a .npy file, which says nothing of ids".into(), remedy);
        }
        Ok(Form::Spark)
    }
}

impl Model {
    /// Loads a model of any form. `table` and `options` say how members are folded in, where the form does not.
    pub fn import(
        source: &Path,
        form: &Form,
        table: &KindTable,
        options: &Train,
    ) -> Result<Model, ModelError> {
        match form {
            Form::Ours => Model::load(source),
            Form::Spark => Model::from_spark(source, table, options),
            Form::Npy { factors, ids } => Model::from_npy(factors, ids, table, options),
        }
    }

    /// Puts a model together from an array of items × rank and the ids of its rows.
    ///
    /// `alpha0`, `lambda`, `nu` and the transform are those of `options`, its rank is that of the array.
    pub fn from_npy(
        factors: &Path,
        ids: &Path,
        table: &KindTable,
        options: &Train,
    ) -> Result<Model, ModelError> {
        let mut file = File::open(factors).map_err(io("read", factors))?;
        let array = npy::read(&mut file).map_err(|error| match error {
            NpyError::Io(source) => io("read", factors)(source),
            other => ModelError::refused(factors, other.to_string(), other.remedy()),
        })?;
        let Ids { ids: names, unit } = Ids::read(ids).map_err(|error| match error {
            IdsError::Io(source) => io("read", ids)(source),
            other => ModelError::refused(ids, other.to_string(), other.remedy()),
        })?;
        let Array { rows, rank, values } = array;
        if names.len() != rows {
            let problem = format!("it holds {} ids, and {} {rows} rows", names.len(), factors.display());
            let remedy = if names.len() == rank {
                "the array lies on its side: save `array.T`"
            } else {
                "give one id for each row, in the order of the rows"
            };
            return Err(ModelError::refused(ids, problem, remedy));
        }
        let id_place = |row| format!("{unit} {}", row + 1);
        let factor_place = |row| format!("row {}", row + 1);
        let rows = Rows { ids: names, values, rank };
        Foreign { rows, ids, id_place: &id_place, factors, factor_place: &factor_place }.model(table, options)
    }
}

fn begins_as_npy(path: &Path) -> bool {
    let mut first = [0; MAGIC.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == *MAGIC
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
