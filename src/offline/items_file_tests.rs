//! Parquet there and back, in more than one row group.

use super::*;
use crate::offline::items_writer::{ROWS_AT_ONCE, write};

#[test]
fn what_is_written_is_read_again_over_several_row_groups() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.parquet");
    let count = ROWS_AT_ONCE + 3;
    let ids: Vec<String> = (0..count).map(|number| format!("{number:06}")).collect();
    let values: Vec<f32> = (0..2 * count).map(|number| number as f32 / 7.0).collect();
    write(&path, &ids, &values, 2).unwrap();
    let mut rows = Rows::default();
    read(&path, OURS, &mut rows).unwrap();
    assert_eq!(rows, Rows { ids, values, rank: 2 });
}

#[test]
fn a_file_with_other_columns_says_which_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.parquet");
    write(&path, &["a".to_owned()], &[1.0], 1).unwrap();
    let error = read(&path, SPARK, &mut Rows::default()).unwrap_err().to_string();
    assert_eq!(error, "it has no column `id`, but item, factor");
}
