//! What must hold of the files of a model, whatever their bytes: read whole or refused with a reason, and never more
//! memory taken than there are bytes to fill it.

use std::fs;

use super::items_file::{self, Rows};
use super::{Manifest, Model, npy};

/// A manifest (0), a file of items (1) or an array of numpy (2).
pub fn file(which: u8, data: &[u8]) {
    match which {
        0 => manifest(data),
        1 => items(data),
        _ => array(data),
    }
}

fn manifest(data: &[u8]) {
    let folder = tempfile::tempdir().expect("there is room");
    fs::write(folder.path().join("manifest.json"), data).expect("there is room");
    match Manifest::load(folder.path()) {
        Ok(manifest) => assert!((1..=crate::config::MAX_RANK).contains(&manifest.rank)),
        Err(error) => assert!(error.to_string().contains("manifest.json"), "{error}"),
    }
    // Without its items it is no model, whatever it says.
    assert!(Model::load(folder.path()).is_err());
}

fn items(data: &[u8]) {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("items.parquet");
    fs::write(&path, data).expect("there is room");
    let mut rows = Rows::default();
    match items_file::read(&path, items_file::OURS, &mut rows) {
        Ok(()) => assert_eq!(rows.values.len(), rows.ids.len() * rows.rank),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn array(data: &[u8]) {
    match npy::read(&mut &data[..]) {
        Ok(array) => {
            assert_eq!(array.values.len(), array.rows * array.rank);
            assert!(array.values.len() * 2 <= data.len());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
