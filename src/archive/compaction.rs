//! Small files of a day, put together.

use std::collections::BTreeMap;

use super::ledger::ArchivedFile;
use super::rows::Rows;
use super::{Archive, ArchiveError};
use crate::failpoints::reach;

/// What was put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Compacted {
    /// Of how many days.
    pub days: u64,
    /// How many files
    pub files: u64,
    /// became how many.
    pub into: u64,
}

impl Archive {
    /// Puts small files together, of days that have many of them; `all`: of every day that has more than one.
    ///
    /// The new file is there first, then the ledger names it, then the old ones go. Who lists files by name may meanwhile
    /// see records twice; the ledger never does.
    pub fn compact(&self, all: bool) -> Result<Compacted, ArchiveError> {
        let least = if all { 2 } else { self.config.compact_files };
        let mut compacted = Compacted::default();
        self.with_ledger(|ledger| {
            let mut days: BTreeMap<String, Vec<ArchivedFile>> = BTreeMap::new();
            for file in ledger.files.iter().filter(|file| file.bytes < self.config.file) {
                days.entry(file.day().to_owned()).or_default().push(file.clone());
            }
            for (day, mut small) in days.into_iter().filter(|(_, small)| small.len() >= least) {
                small.sort_by_key(|file| file.bytes);
                let mut total = 0;
                small.retain(|file| {
                    total += file.bytes;
                    total <= 2 * self.config.file
                });
                if small.len() < 2 {
                    continue;
                }
                let mut rows = Rows::default();
                for file in &small {
                    super::each_row(&self.repository, &file.name, &mut |epoch, normal| {
                        rows.push(epoch, normal);
                    })?;
                }
                let made = self.put_day(&day, &mut rows, ledger, 0)?;
                reach("archive-compacted");
                compacted.days += 1;
                compacted.files += small.len() as u64;
                compacted.into += 1;
                let old: Vec<String> = small.into_iter().map(|file| file.name).collect();
                self.replace(ledger, &old, vec![made])?;
            }
            Ok(())
        })?;
        Ok(compacted)
    }

    /// Lets the ledger name other files in place of some, which go then.
    pub(super) fn replace(
        &self,
        ledger: &mut super::Ledger,
        old: &[String],
        new: Vec<ArchivedFile>,
    ) -> Result<(), ArchiveError> {
        ledger.files.retain(|file| !old.contains(&file.name));
        ledger.files.extend(new);
        ledger.put(&self.repository)?;
        reach("archive-replaced");
        self.note(ledger, |_| ())?;
        for name in old {
            self.repository.delete(name)?;
            reach("archive-deleted");
        }
        Ok(())
    }
}
