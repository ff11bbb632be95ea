//! The lists of LightGCN, and of NGCF before it: a line for each member, its number and then its items, parted by
//! blanks (`Loader` in `code/dataloader.py` of LightGCN-PyTorch). A line may have no items.

use std::collections::HashMap;
use std::path::Path;

use super::{InputError, Row, for_lines, number};

const WANTED: &str = "the protocol `lightgcn` wants a folder with train.txt and test.txt, or these two files";

/// The members of a file, in its order.
pub fn read(path: &Path) -> Result<Vec<Row>, InputError> {
    let mut rows: Vec<Row> = Vec::new();
    let mut lines: HashMap<u32, usize> = HashMap::new();
    for_lines(path, WANTED, |line, text| {
        let mut fields = text.split_ascii_whitespace().map(number);
        let member = fields.next().expect("the line is not blank")?;
        if let Some(before) = lines.insert(member, line) {
            return Err(format!(
                "member {member} has a line already, line {before}; put its items into one line"
            ));
        }
        rows.push(Row::new(line, member, fields.collect::<Result<_, _>>()?));
        Ok(())
    })?;
    if rows.iter().all(|row| row.items.is_empty()) {
        return Err(InputError::file(
            path,
            "names no item of any member; each line is a member and then its items",
        ));
    }
    Ok(rows)
}
