//! Whether each entry of a pipeline is where it belongs: what is a member's with the member's process and nowhere else, a
//! count in one store, and what every store has alike in all of them.

use std::ops::{ControlFlow, Deref};

use crate::stores::formats::meta;
use crate::stores::union::{Keeping, Union, member_of};
use crate::stores::{StoreError, Table, Tables};

use super::Share;

/// How many entries are named.
const NAMED: usize = 10;

/// What every store of a pipeline says alike of itself.
pub const ALIKE: [&[u8]; 8] = [
    meta::NOW,
    meta::TRENDING,
    meta::TRIMMED,
    meta::MEANING,
    meta::MODEL,
    meta::VARIANTS,
    meta::CENTRES,
    meta::KEY,
];

/// What is not where it belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Placement {
    /// How many entries of members are in the store of another process than the member's.
    pub misplaced: u64,
    /// How many counts are in more than one store.
    pub twice: u64,
    /// How many entries that every store should have alike differ from store to store.
    pub unlike: u64,
    /// Some of them, and where they are.
    pub misplacements: Vec<String>,
}

impl Placement {
    /// Goes through all parts of a pipeline.
    pub fn of<P>(parts: &Union<P>, processes: usize) -> Result<Self, StoreError>
    where
        P: Deref + Sync,
        P::Target: Tables,
    {
        let mut placement = Placement::default();
        for table in Table::ALL {
            parts.each_held(table, (&[], &[]), &mut |key, held| {
                placement.look(table, key, held, processes);
                ControlFlow::Continue(())
            })?;
        }
        Ok(placement)
    }

    /// How many entries are not where they belong.
    pub fn count(&self) -> u64 {
        self.misplaced + self.twice + self.unlike
    }

    fn look(&mut self, table: Table, key: &[u8], held: &[(usize, &[u8])], processes: usize) {
        match Keeping::of(table) {
            Keeping::Owner => {
                let owner = member_of(table, key).map(|member| Share { process: 0, processes }.owner(member));
                for (process, _) in held.iter().filter(|(process, _)| Some(*process) != owner) {
                    self.misplaced += 1;
                    let owner = owner.map_or("nobody's".into(), |owner| format!("process {owner}'s"));
                    self.name(table, key, &format!("is in the store of process {process}, and {owner}"));
                }
            }
            Keeping::One if held.len() > 1 => {
                self.twice += 1;
                let among: Vec<String> = held.iter().map(|(process, _)| process.to_string()).collect();
                self.name(table, key, &format!("is in the stores of processes {}", among.join(" and ")));
            }
            Keeping::All if table != Table::Meta || ALIKE.contains(&key) => {
                let first = held[0];
                let lacking = (0..processes).find(|process| held.iter().all(|(holder, _)| holder != process));
                if let Some(process) = lacking {
                    self.unlike += 1;
                    self.name(table, key, &format!("is not in the store of process {process}"));
                } else if let Some((other, _)) = held.iter().find(|(_, value)| *value != first.1) {
                    self.unlike += 1;
                    let said = format!("differs in the stores of processes {} and {other}", first.0);
                    self.name(table, key, &said);
                }
            }
            _ => {}
        }
    }

    fn name(&mut self, table: Table, key: &[u8], said: &str) {
        if self.misplacements.len() < NAMED {
            self.misplacements.push(format!("{} {} {said}", table.name(), String::from_utf8_lossy(key)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stores::Store;
    use crate::stores::memory::MemoryStore;

    /// What is found where two parts have these entries.
    fn found(entries: &[(usize, Table, &str, &str)]) -> (u64, u64, u64, Vec<String>) {
        let parts: Vec<Arc<dyn Store>> =
            (0..2).map(|_| Arc::new(MemoryStore::default()) as Arc<dyn Store>).collect();
        for (part, table, key, value) in entries {
            let mut change = parts[*part].begin();
            change.put(*table, key.as_bytes(), value.as_bytes());
            change.commit(true).unwrap();
        }
        let placement = Placement::of(&Union::new(parts), 2).unwrap();
        assert_eq!(placement.count(), placement.misplacements.len() as u64);
        (placement.misplaced, placement.twice, placement.unlike, placement.misplacements)
    }

    #[test]
    fn entries_that_are_where_they_belong_are_not_named() {
        let owner = Share { process: 0, processes: 2 }.owner("m1");
        let nothing = found(&[
            (owner, Table::TopPicks, "m1", "list"),
            (0, Table::Popularity, "a", "1"),
            (1, Table::Popularity, "b", "1"),
            (0, Table::Items, "i", "same"),
            (1, Table::Items, "i", "same"),
            (0, Table::Meta, "epoch", "1"),
            (1, Table::Meta, "counts", "of its own"),
            (0, Table::Tombstones, "sixteen bytes of", "1"),
            (1, Table::Offsets, "log", "1"),
            (0, Table::MirrorQueue, "queue", "1"),
        ]);
        assert_eq!(nothing, (0, 0, 0, Vec::new()));
    }

    #[test]
    fn entries_elsewhere_twice_or_unlike_are_counted_and_named() {
        let owner = Share { process: 0, processes: 2 }.owner("m1");
        let (misplaced, twice, unlike, named) = found(&[
            (1 - owner, Table::TopPicks, "m1", "list"),
            (0, Table::Popularity, "a", "1"),
            (1, Table::Popularity, "a", "1"),
            (0, Table::Items, "i", "old"),
            (1, Table::Items, "i", "new"),
            (1, Table::Items, "j", "new"),
            (0, Table::Meta, "trending", "old"),
        ]);
        assert_eq!((misplaced, twice, unlike), (1, 1, 3));
        let expected = [
            "meta trending is not in the store of process 1".to_owned(),
            "items i differs in the stores of processes 0 and 1".to_owned(),
            "items j is not in the store of process 0".to_owned(),
            "popularity a is in the stores of processes 0 and 1".to_owned(),
            format!("top_picks m1 is in the store of process {}, and process {owner}'s", 1 - owner),
        ];
        assert_eq!(named, expected);
    }
}
