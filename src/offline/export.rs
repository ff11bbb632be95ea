//! A model in forms that others read: an array of numpy with its ids, Spark MLlib's `itemFactors`, or a copy.
//!
//! What is written is a folder, whole or absent, and never over something else. The first two hold ids and factors
//! and no more: what the manifest says beside is not in them.

use std::fs::{self, File};
use std::path::Path;

use super::folder::{ModelError, io, put_whole, sync_folder};
use super::ids_file;
use super::import::ARRAY;
use super::items_file::ItemsError;
use super::items_writer;
use super::model::{ITEMS, MANIFEST, Model};
use super::npy;

/// The file that Spark reads item factors from, and its folder.
const PART: &str = "itemFactors/part-00000.parquet";
const PART_FOLDER: &str = "itemFactors";

/// A form to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum To {
    /// `items.npy`, and one id a line in `items.txt`; `items.json` where an id would not survive as a line.
    Npy,
    /// `itemFactors/` as Spark MLlib saves it: `id` (int where every id is one, else string) and `features`.
    Spark,
    /// A model's folder, as `nearline train` writes it.
    Nearline,
}

impl Model {
    /// Writes the model to a folder that does not exist yet or is empty, and says which files are in it.
    pub fn export(&self, folder: &Path, to: To) -> Result<Vec<&'static str>, ModelError> {
        match to {
            To::Npy => {
                put_new(folder, |beside| self.write_npy(beside))?;
                Ok(vec![ARRAY, ids_file::name(self.items())])
            }
            To::Spark => {
                put_new(folder, |beside| self.write_spark(beside))?;
                Ok(vec![PART])
            }
            To::Nearline => {
                self.save_for_others(folder)?;
                Ok(vec![MANIFEST, ITEMS])
            }
        }
    }

    fn write_npy(&self, folder: &Path) -> Result<(), ModelError> {
        let array = folder.join(ARRAY);
        let write = |file: std::io::Result<File>| file.and_then(|file| file.sync_all());
        write(npy::write(&array, self.factors().as_slice(), self.manifest.rank))
            .map_err(io("write", &array))?;
        write(ids_file::write(folder, self.items())).map_err(io("write the ids in", folder))?;
        sync_folder(folder).map_err(io("sync", folder))
    }

    fn write_spark(&self, folder: &Path) -> Result<(), ModelError> {
        let (inner, part) = (folder.join(PART_FOLDER), folder.join(PART));
        fs::create_dir(&inner).map_err(io("create", &inner))?;
        items_writer::write_spark(&part, self.items(), self.factors().as_slice(), self.manifest.rank)
            .and_then(|file| Ok(file.sync_all()?))
            .map_err(|error| match error {
                ItemsError::Io(source) => io("write", &part)(source),
                other => io("write", &part)(std::io::Error::other(other)),
            })?;
        sync_folder(&inner).and_then(|()| sync_folder(folder)).map_err(io("sync", folder))
    }
}

/// Puts a folder where there is nothing yet, whole or not at all.
fn put_new(folder: &Path, write: impl FnOnce(&Path) -> Result<(), ModelError>) -> Result<(), ModelError> {
    let empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if !empty && fs::symlink_metadata(folder).is_ok() {
        let found = if folder.is_dir() { "files" } else { "a file" };
        return Err(ModelError::Taken { path: folder.to_path_buf(), found: found.into() });
    }
    put_whole(folder, write)
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
