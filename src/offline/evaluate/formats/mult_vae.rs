//! The files of Mult-VAE and iALS: CSV with the header `uid,sid`, a line for each pair of a member and an item
//! (`generate_data.py` in google-research `ials/vae_benchmarks`, after `VAE_ML20M_WWW2018.ipynb`).

use std::path::Path;

use super::{InputError, Row, by_member, for_lines, number};

const WANTED: &str = "the protocol `strong` wants a folder with train.csv, test_tr.csv and test_te.csv (or \
                      validation_tr.csv and validation_te.csv, with --part validation), or logs";
const HEADER: &str = "uid,sid";

/// The members of a file, ascending.
pub fn read(path: &Path) -> Result<Vec<Row>, InputError> {
    let mut pairs: Vec<(usize, u32, u32)> = Vec::new();
    let mut headed = false;
    for_lines(path, WANTED, |line, text| {
        if !headed {
            headed = true;
            return match text {
                HEADER => Ok(()),
                other => Err(format!("the header must be `{HEADER}`, and is `{other}`")),
            };
        }
        let wrong = || format!("`{text}` is not a pair: give a member and an item, parted by a comma");
        let (member, item) = text.split_once(',').ok_or_else(wrong)?;
        pairs.push((line, number(member)?, number(item)?));
        Ok(())
    })?;
    if pairs.is_empty() {
        return Err(InputError::file(
            path,
            format!("has no pair; give a line for each, under the header `{HEADER}`"),
        ));
    }
    Ok(by_member(pairs))
}
